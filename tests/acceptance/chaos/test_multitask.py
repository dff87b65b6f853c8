"""The multitask strategies as a state machine against the real database and real servers (contract I.3, I.28 and A.7).

Every step goes out at once, beside those under way; then everything ends and the checker looks. MULTITASK_STARTS says
how many runs are to be started in all: `MULTITASK_STARTS=10000` is the proof, the default a sample of it.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.acceptance.chaos.checker import Checker, quiet
from tests.acceptance.chaos.crossroads import Crossroads
from tests.acceptance.chaos.history import Accepted, History, Told

STARTS = int(os.environ.get("MULTITASK_STARTS", "160"))
THREADS = st.integers(0, 2)
SERVERS = st.integers(0, 1)
RECENT = st.integers(1, 6)
STRATEGY = st.sampled_from(("enqueue", "enqueue", "reject", "interrupt", "rollback"))
WAYS = st.sampled_from(("background", "wait", "stream", "batch", "delayed"))


@dataclass
class Asked:
    """A request to start a run, from its sending to the answer that names the run (None: refused)."""

    thread_id: str
    strategy: str
    delayed: bool
    began: float
    answered: float = 0.0
    run_id: str | None = None


class Multitask(RuleBasedStateMachine):
    """Steps on three threads of this example; what the class has is shared by all examples."""

    place: Crossroads
    started = 0

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.asked: list[Asked] = []
        self.under_way: list[Future[None]] = []
        # The first two count, the third asks.
        self.threads = [str(uuid.uuid4()) for _ in range(3)]

    @rule(thread=THREADS, server=SERVERS, strategy=STRATEGY, way=WAYS)
    def start(self, thread: int, server: int, strategy: str, way: str) -> None:
        thread_id = self.threads[thread]
        graph = "question" if thread == 2 else "count"
        body = {"assistant_id": graph, "input": {"key": "k"}, "multitask_strategy": strategy, "if_not_exists": "create"}
        self._go(self._start(server, thread_id, body, way))

    @rule(server=SERVERS, answers=st.integers(1, 3))
    def resume(self, server: int, answers: int) -> None:
        body = {"assistant_id": "question", "command": {"resume": "yes"}, "if_not_exists": "create"}
        for _ in range(answers):
            self._go(self._start(server, self.threads[2], dict(body), "background"))

    @rule(server=SERVERS)
    def execute_in_session(self, server: int) -> None:
        self._go(self._execute(server))

    # What is drawn may not hang on what the servers have answered by now: Hypothesis would find it inconsistent.
    @rule(back=RECENT, server=SERVERS, action=st.sampled_from(("interrupt", "rollback")), wait=st.booleans())
    def cancel(self, back: int, server: int, action: str, wait: bool) -> None:
        run = self._recent(back)
        if run is not None and run.way != "workflow":
            self._go(self._cancel(server, f"/threads/{run.thread_id}/runs/{run.run_id}", run.run_id, action, wait))

    @rule(back=RECENT, server=SERVERS)
    def delete_run(self, back: int, server: int) -> None:
        run = self._recent(back) if len(self.history.accepted) > 12 else None
        if run is not None and run.way != "workflow":
            self.history.remove(run.run_id)
            self.history.mutilated.add(str(run.thread_id))
            self._go(self._delete(server, f"/threads/{run.thread_id}/runs/{run.run_id}"))

    @rule(thread=THREADS, server=SERVERS)
    def delete_thread(self, thread: int, server: int) -> None:
        if len(self.asked) > 10:
            self.history.remove(self.threads[thread])
            self._go(self._delete(server, f"/threads/{self.threads[thread]}"))

    @rule()
    def breathe(self) -> None:
        """Let what is under way come to its answer."""
        self._join()

    def teardown(self) -> None:
        try:
            self._examine()
        finally:
            # Also what was found wrong: the next example would be blamed for it.
            self.place.clear()

    def _examine(self) -> None:
        self._join()
        assert self.place.call(quiet(self.place)), "runs are still open: one that never ends, or a thread that is stuck"
        violations = self.place.call(Checker(self.place, self.history).check())
        assert not violations, "\n".join(f"{found.promise}: {found.what}" for found in violations)
        with self.place.connect() as connection:
            sql = """select run_id::text, thread_id::text, extract(epoch from started_at)::float8,
                extract(epoch from finished_at)::float8 from langyard.runs where thread_id::text = any(%s)"""
            rows = {row[0]: row[1:] for row in connection.execute(sql, [self.threads]).fetchall()}
        self._first_come_first_served(rows)
        self._rejected_rightly(rows)

    def _first_come_first_served(self, rows: dict[str, Any]) -> None:
        """Of two on a thread, the one that was taken before the other was asked for begins before it."""
        begun = [asked for asked in self.asked if asked.run_id in rows and rows[asked.run_id][1] and not asked.delayed]
        for one, other in itertools.permutations(begun, 2):
            if one.thread_id == other.thread_id and one.answered < other.began:
                assert rows[one.run_id or ""][1] <= rows[other.run_id or ""][1], f"{other.run_id} overtook {one.run_id}"

    def _rejected_rightly(self, rows: dict[str, Any]) -> None:
        """`reject` is 409 while another is open, and only then."""
        for asked in self.asked:
            if asked.strategy != "reject":
                continue
            others = [one for one in self.asked if one is not asked and one.thread_id == asked.thread_id]
            if asked.run_id is None:
                assert any(one.began < asked.answered for one in others), "rejected on a thread that nobody else used"
                continue
            for one in others:
                if one.run_id in rows and one.answered < asked.began:
                    said = f"{asked.run_id} was let in beside {one.run_id}"
                    assert rows[one.run_id][2] <= asked.answered, said

    def _recent(self, back: int) -> Accepted | None:
        """One of the last runs that were accepted, if any was; `back` counts from the last."""
        recent = list(self.history.accepted.values())
        return recent[-min(back, len(recent))] if recent else None

    def _go(self, work: Any) -> None:
        self.under_way.append(self.place.spawn(work))

    def _join(self) -> None:
        for future in self.under_way:
            future.result(60)
        self.under_way.clear()

    async def _start(self, server: int, thread_id: str, body: dict[str, Any], way: str) -> None:
        strategy = body.get("multitask_strategy", "enqueue")
        asked = Asked(thread_id, strategy, way == "delayed", time.time())
        self.asked.append(asked)
        type(self).started += 1
        if strategy == "rollback":
            self.history.remove(thread_id)
        path = f"/threads/{thread_id}/runs"
        http = self.place.servers[server].http
        if way in ("wait", "stream"):
            async with http.stream("POST", f"{path}/{way}", json=body) as answer:
                if self._taken(asked, answer, 409):
                    self._named(asked, answer.headers["content-location"].rsplit("/", 1)[1], way, body)
                    await self._read(str(asked.run_id), way, answer)
            return
        if way == "delayed":
            body["after_seconds"] = 0.05
        answer = await (
            http.post("/runs/batch", json=[{**body, "thread_id": thread_id}])
            if way == "batch"
            else http.post(path, json=body)
        )
        if self._taken(asked, answer, 409):
            made = answer.json()[0] if way == "batch" else answer.json()
            self._named(asked, made["run_id"], "resume" if "command" in body else way, body)

    def _taken(self, asked: Asked, answer: httpx.Response, *refusals: int) -> bool:
        asked.answered = time.time()
        # 404: the thread was deleted between its making and this run's.
        assert answer.status_code in (200, 404, *(refusals if asked.strategy == "reject" else ())), answer.status_code
        return answer.status_code == 200

    def _named(self, asked: Asked, run_id: str, way: str, body: dict[str, Any]) -> None:
        asked.run_id = run_id
        self.history.accept(run_id, asked.thread_id, way, body["assistant_id"])

    async def _read(self, run_id: str, way: str, answer: httpx.Response) -> None:
        if way == "wait":
            told = json.loads(await answer.aread())
            error, runs = told.get("__error__"), tuple(told.get("runs", ()))
            self.history.told.append(Told(run_id, way, None, None if error else runs, error and error["message"]))
            return
        name = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            name = value if field == "event" else name
            if field == "data" and name == "end":
                self.history.told.append(Told(run_id, way, json.loads(value)["status"]))

    async def _execute(self, server: int) -> None:
        type(self).started += 1
        body = {"workflow_type": "count", "input_data": {}, "user_id": "ada", "session_id": f"of {self.threads[0]}"}
        http = self.place.servers[server].http
        answer = await http.post("/workflow/execute", json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        self.history.accept(told["run_id"], told["session_id"], "workflow", "count")
        self.history.told.append(Told(told["run_id"], "workflow", "success", tuple(told["result"]["runs"])))

    async def _cancel(self, server: int, path: str, run_id: str, action: str, wait: bool) -> None:
        if action == "rollback":
            self.history.remove(run_id)
        answer = await self.place.servers[server].http.post(
            f"{path}/cancel", params={"action": action, "wait": str(wait).lower()}
        )
        assert answer.status_code in (200, 202, 404), answer.text
        if answer.status_code != 404:
            self.history.cancelled[run_id] = action

    async def _delete(self, server: int, path: str) -> None:
        answer = await self.place.servers[server].http.delete(path)
        assert answer.status_code in (204, 404), answer.text


@pytest.mark.slow
@pytest.mark.timeout(60 + STARTS)
def test_i03_i28_many_on_few_threads_lose_nothing_and_leave_nothing(database):
    checks = list(HealthCheck)
    with Crossroads(database) as place:
        Multitask.place, Multitask.started = place, 0
        rounds = settings(
            max_examples=2, stateful_step_count=40, deadline=None, database=None, print_blob=True,
            phases=[Phase.generate], suppress_health_check=checks,
        )  # fmt: skip
        while Multitask.started < STARTS:
            run_state_machine_as_test(Multitask, settings=rounds)
