"""Clients that start, read, stop and answer runs over HTTP, each at a random server, and remember what was said.

A run counts as accepted when a server answered 2xx and named it; of a request without an answer nothing is assumed.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.acceptance.chaos.history import History, Told
from tests.acceptance.chaos.yard import Yard

STRATEGIES = ("enqueue", "enqueue", "reject", "interrupt", "rollback")


class Crowd:
    """Few threads, many hands. `run` acts until `stop` is set; what still waits then is waited for by `settle`."""

    def __init__(self, yard: Yard, history: History, seed: int, *, hands: int = 5, threads: int = 5) -> None:
        self._yard = yard
        self._history = history
        self._random = random.Random(seed)
        self._hands = hands
        self._threads = [str(uuid.UUID(int=self._random.getrandbits(128), version=4)) for _ in range(threads)]
        self._asking = self._threads[: max(1, threads // 2)]
        self._sessions = [f"session-{seed}-{n}" for n in range(2)]
        self._recent: list[tuple[str | None, str]] = []
        self._reading: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Act until told to stop."""
        timeout = httpx.Timeout(15, connect=3)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as self._http:
            await asyncio.gather(*(self._hand() for _ in range(self._hands)))
            await self._settle()

    async def _hand(self) -> None:
        choices = (self._background, self._wait, self._stream, self._session, self._resume, self._join, self._cancel)
        weights = (6, 3, 3, 2, 2, 2, 3)
        while not self.stop.is_set():
            (action,) = self._random.choices(choices, weights)
            try:
                await action()
            except (httpx.HTTPError, httpx.StreamError, json.JSONDecodeError) as error:
                self._history.answers[type(error).__name__] += 1
            if self._random.random() < 0.01:
                await self._delete_thread()
            await asyncio.sleep(self._random.uniform(0, 0.3))

    async def _settle(self) -> None:
        """Whoever still reads gets its end, or is stuck."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=45)
        for task in list(self._reading):
            if not task.done():
                self._history.stuck.append(task.get_name())
                task.cancel()

    def _address(self) -> str:
        return self._random.choice(self._yard.servers).address

    def _read_on(self, reading: Any, name: str) -> None:
        """Wait for a run aside: the hand goes on with something else."""

        async def read() -> None:
            try:
                await reading
            except (httpx.HTTPError, httpx.StreamError, json.JSONDecodeError) as error:
                self._history.answers[type(error).__name__] += 1

        task = asyncio.create_task(read(), name=name)
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def _place(self) -> tuple[str | None, str, dict[str, Any]]:
        """A thread (None: the run's own), its path, and what is asked there."""
        thread_id = None if self._random.random() < 0.15 else self._random.choice(self._threads)
        graph = "question" if thread_id in self._asking else "count"
        body: dict[str, Any] = {"assistant_id": graph, "input": {"key": "k"}}
        if thread_id is None:
            return None, "", body
        body |= {"if_not_exists": "create", "multitask_strategy": self._random.choice(STRATEGIES)}
        body["durability"] = self._random.choice(("async", "async", "sync", "exit"))
        if self._random.random() < 0.1:
            body["after_seconds"] = 1
        if body["multitask_strategy"] == "rollback":
            self._history.remove(thread_id)
        return thread_id, f"/threads/{thread_id}", body

    async def _background(self) -> None:
        thread_id, path, body = self._place()
        answer = await self._http.post(f"{self._address()}{path}/runs", json=body)
        if self._counted(answer):
            self._accept(answer.json()["run_id"], thread_id, "background", body["assistant_id"])

    async def _resume(self) -> None:
        thread_id = self._random.choice(self._asking)
        body = {"assistant_id": "question", "command": {"resume": "yes"}, "multitask_strategy": "enqueue"}
        answer = await self._http.post(f"{self._address()}/threads/{thread_id}/runs", json=body)
        if self._counted(answer):
            self._accept(answer.json()["run_id"], thread_id, "resume", "question")

    async def _wait(self) -> None:
        thread_id, path, body = self._place()
        self._read_on(self._waiting(thread_id, f"{path}/runs/wait", body), "wait")

    async def _waiting(self, thread_id: str | None, path: str, body: dict[str, Any]) -> None:
        async with self._asked(path, body) as answer:
            if not self._counted(answer):
                return
            run_id = answer.headers["content-location"].rsplit("/", 1)[1]
            self._accept(run_id, thread_id, "wait", body["assistant_id"])
            self._told_state(run_id, "wait", await answer.aread())

    async def _stream(self) -> None:
        thread_id, path, body = self._place()
        body["stream_resumable"] = self._random.random() < 0.3
        self._read_on(self._streaming(thread_id, f"{path}/runs/stream", body), "stream")

    async def _streaming(self, thread_id: str | None, path: str, body: dict[str, Any]) -> None:
        async with self._asked(path, body) as answer:
            if not self._counted(answer):
                return
            run_id = answer.headers["content-location"].rsplit("/", 1)[1]
            self._accept(run_id, thread_id, "stream", body["assistant_id"])
            await self._told_events(run_id, "stream", answer)

    async def _session(self) -> None:
        session = self._random.choice(self._sessions)
        body = {"workflow_type": "count", "input_data": {"key": "k"}, "user_id": "ada", "session_id": session}
        self._read_on(self._executing(body), "workflow")

    async def _executing(self, body: dict[str, Any]) -> None:
        answer = await self._http.post(f"{self._address()}/workflow/execute", json=body)
        if self._counted(answer):
            told = answer.json()
            self._accept(told["run_id"], told["session_id"], "workflow", "count")
            runs = tuple(told["result"].get("runs", ()))
            self._history.told.append(Told(told["run_id"], "workflow", told["status"], runs))

    async def _join(self) -> None:
        if not self._recent:
            return
        thread_id, run_id = self._random.choice(self._recent[-10:])
        place = f"/threads/{thread_id}" if thread_id is not None else ""
        self._read_on(self._joining(f"{place}/runs/{run_id}", run_id), "join")

    async def _joining(self, path: str, run_id: str) -> None:
        if self._random.random() < 0.5:
            answer = await self._http.get(f"{self._address()}{path}/join")
            if self._counted(answer):
                self._told_state(run_id, "join", answer.content)
            return
        async with self._http.stream("GET", f"{self._address()}{path}/stream") as streamed:
            if streamed.status_code != 200:
                await streamed.aread()
            if self._counted(streamed):
                await self._told_events(run_id, "join stream", streamed)

    async def _cancel(self) -> None:
        if not self._recent:
            return
        thread_id, run_id = self._random.choice(self._recent[-6:])
        if thread_id is None:
            return
        action = self._random.choice(("interrupt", "rollback"))
        if action == "rollback":
            self._history.remove(run_id)
        path = f"/threads/{thread_id}/runs/{run_id}/cancel"
        answer = await self._http.post(f"{self._address()}{path}", params={"action": action})
        if self._counted(answer):
            self._history.cancelled[run_id] = action

    async def _delete_thread(self) -> None:
        thread_id = self._random.choice(self._threads)
        self._history.remove(thread_id)
        try:
            self._counted(await self._http.delete(f"{self._address()}/threads/{thread_id}"))
        except httpx.HTTPError as error:
            self._history.answers[type(error).__name__] += 1

    @asynccontextmanager
    async def _asked(self, path: str, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        async with self._http.stream("POST", f"{self._address()}{path}", json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
            yield answer

    def _counted(self, answer: httpx.Response) -> bool:
        """Whether it says yes. What it may say otherwise is known."""
        self._history.answers[str(answer.status_code)] += 1
        if answer.status_code < 300:
            return True
        path = answer.request.url.path
        asked = f"{answer.request.method} {path}"
        # A workflow that failed, as one does that must read from a database that is away, is 500.
        if answer.status_code not in (404, 409, 503) and (answer.status_code, path) != (500, "/workflow/execute"):
            self._history.surprises.append(f"{asked} was answered {answer.status_code}: {answer.text[:200]}")
        return False

    def _accept(self, run_id: str, thread_id: str | None, way: str, graph: str) -> None:
        self._history.accept(run_id, thread_id, way, graph)
        if way != "workflow":
            self._recent.append((thread_id, run_id))

    def _told_state(self, run_id: str, way: str, body: bytes) -> None:
        told = json.loads(body)
        error = told.get("__error__")
        said = (
            Told(run_id, way, error=error["message"]) if error else Told(run_id, way, runs=tuple(told.get("runs", ())))
        )
        self._history.told.append(said)

    async def _told_events(self, run_id: str, way: str, answer: httpx.Response) -> None:
        name = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "end":
                self._history.told.append(Told(run_id, way, status=json.loads(value)["status"]))
            elif field == "data" and name == "error":
                self._history.told.append(Told(run_id, way, error=json.loads(value)["message"]))
