"""The rules of workflows in sessions: execute, read, answer, delete. Called by the gateway and by `WorkflowManager`.

A conversation is what happens between a user and one workflow in one session; each turn of it is a run on the session's
thread. Turns of one session come one after another, in the order they were asked for. How a graph fails is data here
(`Outcome.failure`), not an exception: its own words stay in `Outcome.error`, which is for the operator and the owner of
the code, never for a client.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

from langyard import serde
from langyard.graphs import Graphs
from langyard.model.errors import Conflict, Invalid, NotFound, Unavailable
from langyard.model.ids import uuid7
from langyard.model.runs import Run, RunEnd, RunRequest
from langyard.postgres import runs as run_rows
from langyard.postgres.database import Database
from langyard.postgres.rows import sessions as session_rows
from langyard.postgres.rows import threads as thread_rows
from langyard.runs import Runs
from langyard.sessions import Sessions, check_id
from langyard.streams import Subscription

log = logging.getLogger(__name__)

STREAM_MODES = ("values", "updates", "custom", "messages", "tasks", "checkpoints", "debug")
# How long a deletion waits for the session's runs to stop before it takes their rows away under them.
_STOP_S = 10.0
_LIMIT = re.compile(r"limit of (\d+)")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a turn brought no result, fit for the client; `code` is stable."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. `values` is the state as JSON, `interrupts` what waits for an answer: `id` and `value`."""

    status: Literal["success", "interrupted", "error"]
    session_id: str
    workflow: str
    run_id: UUID
    values: bytes
    interrupts: Sequence[Mapping[str, Any]]
    execution_time: float
    failure: Failure | None = None
    error: Mapping[str, Any] | None = None

    @property
    def result(self) -> Any:
        """The state, parsed."""
        return serde.loads(self.values)


@dataclass(slots=True)
class Turn:
    """A run under way and the reader of its events. Close it when done: the run goes on without a reader."""

    session_id: str
    workflow: str
    run_id: UUID
    reader: Subscription
    began: float

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.reader.close()

    async def outcome(self) -> Outcome:
        """Wait for the end. Raises `Unavailable` when it was the database that failed the run."""
        end = await self.reader.wait_end()
        return _outcome(end, self.session_id, self.workflow, time.perf_counter() - self.began)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a session stands. `status` is its thread's: idle, busy, interrupted or error; `run` the latest."""

    session_id: str
    status: str
    workflow: str | None
    run: Run | None
    interrupts: Sequence[Mapping[str, Any]]
    last_accessed: dt.datetime
    expires_at: dt.datetime


class Conversations:
    """Workflows by name, in sessions by id."""

    def __init__(
        self, database: Database, sessions: Sessions, runs: Runs, graphs: Graphs, *, run_timeout_s: float = 0.0
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._runs = runs
        self._graphs = graphs
        self._run_timeout_s = run_timeout_s

    async def execute(
        self,
        workflow: str,
        input: Mapping[str, Any] | None,
        *,
        user_id: str,
        session_id: str | None = None,
        config: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        run_id: UUID | None = None,
    ) -> Outcome:
        """Run a workflow to its end or its next interrupt, on the session's state; a session that is not there is made.

        Raises `NotFound` (`workflow_not_found`, `session_not_found`, `session_expired`), `Invalid`, `Unavailable`.
        """
        turn = await self.start(
            workflow, input, user_id=user_id, session_id=session_id, config=config, timeout_s=timeout_s, run_id=run_id
        )
        with turn:
            return await turn.outcome()

    async def start(
        self,
        workflow: str,
        input: Mapping[str, Any] | None,
        *,
        user_id: str,
        session_id: str | None = None,
        config: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        run_id: UUID | None = None,
        stream_mode: Sequence[str] = (),
        told: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> Turn:
        """As `execute`, but without waiting; with `stream_mode` the turn's reader gets those events. `told` is what the
        server says in the run's `configurable`."""
        self._graphs.get(workflow)
        kwargs: dict[str, Any] = {"input": input}
        if told:
            kwargs["server"] = told
        if config:
            kwargs["config"] = config
        self._limit(kwargs, timeout_s)
        return await self._start(workflow, kwargs, user_id, session_id, run_id, stream_mode, priority)

    async def status(self, session_id: str, user_id: str) -> Status:
        """Where the session stands; counts as a use of it. Raises `NotFound`."""
        session = await self._sessions.get(session_id, user_id)
        thread = await session_rows.thread(self._database, session.thread_id)
        run = await run_rows.latest(self._database, session.thread_id)
        return Status(
            session_id=session.session_id,
            status=thread["status"] if thread else "idle",
            workflow=run.graph_id if run else None,
            run=run,
            interrupts=_flat(thread["interrupts"]) if thread else (),
            last_accessed=session.last_accessed,
            expires_at=session.expires_at,
        )

    async def resume(
        self,
        session_id: str,
        user_id: str,
        answer: Any,
        *,
        interrupt_id: str | None = None,
        timeout_s: float | None = None,
        run_id: UUID | None = None,
    ) -> Outcome:
        """Answer an interrupt and run on, to the end or the next interrupt.

        When several are open, `interrupt_id` says which, or `answer` is an object of answers by id. Raises `Conflict`
        (`nothing_to_resume`) when nothing waits or somebody else was faster, `Invalid` when it is not clear what is
        answered, and what `execute` raises.
        """
        turn = await self.start_resume(
            session_id, user_id, answer, interrupt_id=interrupt_id, timeout_s=timeout_s, run_id=run_id
        )
        with turn:
            return await turn.outcome()

    async def start_resume(
        self,
        session_id: str,
        user_id: str,
        answer: Any,
        *,
        interrupt_id: str | None = None,
        timeout_s: float | None = None,
        run_id: UUID | None = None,
        stream_mode: Sequence[str] = (),
        told: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> Turn:
        """As `resume`, but without waiting. `told` is what the server says in the run's `configurable`."""
        session = await self._sessions.get(session_id, user_id)
        thread = await session_rows.thread(self._database, session.thread_id)
        run = await run_rows.latest(self._database, session.thread_id)
        if thread is None or run is None or thread["status"] != "interrupted":
            raise _nothing(session_id)
        self._graphs.get(run.graph_id)
        kwargs: dict[str, Any] = {"input": None, **({"server": told} if told else {})}
        ids = [entry["id"] for entry in _flat(thread["interrupts"])]
        if ids:
            kwargs["command"] = {"resume": _answers(ids, answer, interrupt_id)}
        elif answer is not None:
            raise Invalid("The workflow waits at a breakpoint: it goes on without an answer, send null.")
        self._limit(kwargs, timeout_s)
        # Who resumes must have seen what stands now: of many with the same answer, the first changes the thread.
        return await self._start(
            run.graph_id, kwargs, user_id, session_id, run_id, stream_mode, priority, revision=thread["revision"]
        )

    async def delete(self, session_id: str, user_id: str) -> None:
        """Stop what runs in the session, then delete it with all that belongs to it. Raises `NotFound`."""
        session = await self._sessions.close(session_id, user_id)
        ended = [self._stop(run_id) for run_id in await thread_rows.open_runs(self._database, [session.thread_id])]
        if ended:
            await asyncio.gather(*ended)
        await self._sessions.delete(session)

    async def find_outcome(self, run_id: UUID) -> Outcome | None:
        """The outcome of a run that was started before, waited for if need be; None when there is no such run."""
        run = await run_rows.find(self._database, run_id)
        if run is None:
            return None
        end = await self._runs.wait(run_id)
        run = await self._runs.get(run_id)
        session_id = await session_rows.of_thread(self._database, run.thread_id)
        took = (run.finished_at - run.created_at).total_seconds() if run.finished_at else 0.0
        return _outcome(end, session_id or "", run.graph_id, took)

    async def _start(
        self,
        workflow: str,
        kwargs: dict[str, Any],
        user_id: str,
        session_id: str | None,
        run_id: UUID | None,
        stream_mode: Sequence[str],
        priority: int,
        *,
        revision: int | None = None,
    ) -> Turn:
        began = time.perf_counter()
        if stream_mode:
            kwargs["stream_mode"] = list(stream_mode)
        check_id(user_id, "user_id")
        if session_id is not None:
            wanted = check_id(session_id, "session_id")
        else:
            # A run whose id was given may be asked for twice: both times it must be the same session that is made.
            wanted = str(uuid5(run_id, "session") if run_id is not None else uuid4())
        request = RunRequest(
            run_id=run_id or uuid7(),
            graph_id=workflow,
            kwargs=kwargs,
            user_id=user_id,
            session_id=wanted,
            session_ttl_s=self._sessions.ttl_s if revision is None else None,
            thread_id=uuid7() if revision is None else None,
            thread_metadata=session_rows.metadata(wanted, user_id),
            metadata={"session_id": wanted},
            multitask_strategy="enqueue" if revision is None else "reject",
            revision=revision,
            priority=priority,
        )
        started = await self._runs.start(request, events=bool(stream_mode))
        if started is None and revision is not None:
            raise _nothing(wanted)
        if started is None:
            # It is another's, or has expired, or is being made by another turn at this moment.
            await self._sessions.ensure(user_id, wanted)
            started = await self._runs.start(request, events=bool(stream_mode))
        if started is None:
            raise NotFound(f"There is no session {wanted!r}.", code="session_not_found")
        return Turn(wanted, workflow, request.run_id, started.reader, began)

    async def _stop(self, run_id: UUID) -> None:
        try:
            async with asyncio.timeout(_STOP_S):
                await self._runs.cancel(run_id, reason="its session is being deleted")
                await self._runs.wait(run_id)
        except NotFound:
            return
        except TimeoutError:
            log.warning("a run does not stop; its session is deleted under it", extra={"run_id": str(run_id)})

    def _limit(self, kwargs: dict[str, Any], timeout_s: float | None) -> None:
        if timeout_s is not None:
            kwargs["timeout_s"] = min(timeout_s, self._run_timeout_s or timeout_s)


def _nothing(session_id: str) -> Conflict:
    return Conflict(
        f"Nothing in the session {session_id!r} waits for an answer, or it has just been answered.",
        code="nothing_to_resume",
    )


def _answers(ids: Sequence[str], answer: Any, interrupt_id: str | None) -> dict[str, Any]:
    """Answers by interrupt id. Raises `Invalid`."""
    if interrupt_id is not None:
        if interrupt_id not in ids:
            raise Invalid(f"No interrupt {interrupt_id[:100]!r} is open; these are: {', '.join(ids)}.")
        return {interrupt_id: answer}
    if isinstance(answer, dict) and answer and answer.keys() <= set(ids):
        return answer
    if len(ids) > 1:
        raise Invalid(
            f"{len(ids)} interrupts are open; name one in interrupt_id, or answer with an object of answers by id: "
            f"{', '.join(ids)}."
        )
    return {ids[0]: answer}


def _flat(interrupts: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(entry for entries in interrupts.values() for entry in entries)


def _outcome(end: RunEnd, session_id: str, workflow: str, took: float) -> Outcome:
    failure = None if end.status == "success" else _failure(end, workflow)
    status: Literal["success", "interrupted", "error"] = "success"
    if failure is not None:
        status = "error"
    elif end.waiting or end.interrupts:
        status = "interrupted"
    return Outcome(
        status,
        session_id,
        workflow,
        end.run_id,
        end.values or b"{}",
        end.interrupts,
        round(took, 6),
        failure,
        end.error,
    )


def _failure(end: RunEnd, workflow: str) -> Failure:
    """The sentence for the client: never the graph's own words, which may tell secrets."""
    error = end.error or {}
    kind, text = str(error.get("error", "")), str(error.get("message", ""))
    if end.status == "timeout":
        return Failure("workflow_timeout", f"The workflow {workflow!r} was stopped. {text}")
    if end.status == "interrupted":
        return Failure("workflow_cancelled", f"The workflow {workflow!r} was cancelled before its end.")
    if kind == "database_unavailable":
        raise Unavailable(text, code=kind)
    if kind == "GraphRecursionError":
        found = _LIMIT.search(text)
        limit = f"its limit of {found[1]} steps" if found else "its limit of steps"
        return Failure(
            "recursion_limit_reached",
            f"The workflow {workflow!r} reached {limit} without coming to an end; if it needs more, raise "
            "config.recursion_limit in the request.",
        )
    return Failure(
        "workflow_failed", f"The workflow {workflow!r} failed. The server's log tells why: incident {end.run_id}."
    )
