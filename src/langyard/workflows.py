"""Langyard in a script, without HTTP: `WorkflowManager` runs workflows under the rules and on the state of the server.

    async with WorkflowManager() as manager:
        manager.register_workflow("research", graph)
        done = await manager.execute_workflow("research", {"question": "..."}, session_id="report-7")

Called by users' code, on any event loop of theirs; graphs run on a loop and a thread of Langyard's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from uuid import UUID

from langyard import serde
from langyard.app import App
from langyard.config import Settings, load
from langyard.conversations import Conversations, Outcome, Status
from langyard.graphs import Graphs
from langyard.model.errors import Invalid, LangyardError, Unavailable
from langyard.sessions import check_id

__all__ = ["Status", "WorkflowFailed", "WorkflowManager", "WorkflowResult", "WorkflowTimeout"]

USER = "local"
"""Whose sessions they are when a script does not say; also `langyard run`'s."""

# How a run ended is told by the result or the exception, in Python's own words.
_TOLD_ELSEWHERE = ("end", "error")


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """How a turn ended: `result` is the workflow's state as JSON reads back, `interrupts` what waits for an answer
    (`id`, `value`), `execution_time` seconds from the call to the end."""

    status: Literal["success", "interrupted"]
    result: dict[str, Any]
    interrupts: Sequence[Mapping[str, Any]]
    execution_time: float
    session_id: str
    run_id: UUID


class WorkflowFailed(LangyardError):
    """The workflow came to no result. `error` is the type of what its code raised, `message` the text of that.

    `code` is `workflow_failed`, `recursion_limit_reached`, `workflow_cancelled` or `workflow_timeout`; the stack trace
    is in the log, under `run_id`. The session keeps what was reached.
    """

    code = "workflow_failed"

    def __init__(self, detail: str, *, code: str, error: str, message: str, session_id: str, run_id: UUID) -> None:
        super().__init__(detail, code=code)
        self.error = error
        self.message = message
        self.session_id = session_id
        self.run_id = run_id


class WorkflowTimeout(WorkflowFailed, TimeoutError):
    """The workflow took longer than it was given, and was stopped."""

    code = "workflow_timeout"


class WorkflowManager:
    """Workflows by name, in sessions by id, on the database of `database_url`, or of the environment, or else
    Langyard's own under `home`. Use as an async context manager.

    Settings come from the environment, as the server's do, unless `settings` are given. Runs that another process left
    unfinished, of workflows registered here, are taken up and finished here. Input and result pass through JSON.
    """

    def __init__(
        self,
        database_url: str | None = None,
        home: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Raises ConfigurationError where a setting is wrong, Invalid where `settings` do not stand alone."""
        if settings is not None and (database_url is not None or home is not None):
            raise Invalid("Give either settings, or database_url and home.")
        self._settings = settings or load(overrides={"database.url": database_url, "home": home})
        self._graphs = Graphs()
        self._app: App | None = None

    async def __aenter__(self) -> WorkflowManager:
        """Start the database if it is ours, bring it up to date, start the worker.

        Raises ConfigurationError and Unavailable when the database cannot be had, Invalid when it is open already.
        """
        if self._app is not None:
            raise Invalid("The WorkflowManager is open already.")
        app = App(self._settings, self._graphs)
        await app.open()
        self._app = app
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let runs end for the grace time of the settings, hand back the rest, close."""
        app, self._app = self._app, None
        if app is not None:
            await app.close()

    def register_workflow(self, name: str, graph: object, *, description: str | None = None) -> None:
        """Make a compiled graph, a builder or a factory known as `name`, before or after entering.

        Langyard's checkpointer takes the place of the graph's own. Raises Invalid when `graph` is none of these or does
        not compile, Conflict (`workflow_exists`) when the name is taken.
        """
        self._graphs.register(name, graph, description=description)

    async def execute_workflow(
        self,
        name: str,
        input: Mapping[str, Any],
        *,
        session_id: str | None = None,
        user_id: str = USER,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> WorkflowResult:
        """Run a workflow to its end or its next interrupt, on the state of the session; one that is not there is made.

        `config` is LangGraph's (`recursion_limit`, `tags`, `configurable`), `timeout` seconds of execution. Raises
        WorkflowFailed, WorkflowTimeout, NotFound (`workflow_not_found`; `session_not_found` when it is another user's;
        `session_expired`), Invalid and Unavailable. Cancelling the call leaves the run running.
        """
        _check(user_id, session_id)
        talk = self._conversations()
        return _result(
            await talk.execute(name, input, user_id=user_id, session_id=session_id, config=config, timeout_s=timeout)
        )

    async def stream_workflow(
        self,
        name: str,
        input: Mapping[str, Any],
        *,
        session_id: str | None = None,
        user_id: str = USER,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[tuple[str, Any]]:
        """As `execute_workflow`, told as it goes: (event, data) for each event, at last ("end", WorkflowResult).

        Events are those of `POST /workflow/stream`: first `metadata` with the ids, then LangGraph's `stream_mode`s.
        Leaving the loop early leaves the run running.
        """
        _check(user_id, session_id)
        turn = await self._conversations().start(
            name,
            input,
            user_id=user_id,
            session_id=session_id,
            config=config,
            timeout_s=timeout,
            stream_mode=stream_mode,
        )
        with turn:
            lost = 0
            async for event in turn.reader:
                if turn.reader.lost > lost:
                    yield "gap", {"lost": turn.reader.lost - lost}
                    lost = turn.reader.lost
                if event.name not in _TOLD_ELSEWHERE:
                    data = serde.loads(event.data)
                    yield event.name, {**data, "session_id": turn.session_id} if event.name == "metadata" else data
            yield "end", _result(await turn.outcome())

    async def get_workflow_status(self, session_id: str, *, user_id: str = USER) -> Status:
        """Where the session stands: its latest run, and what waits for an answer. Raises NotFound and Unavailable."""
        _check(user_id, session_id)
        return await self._conversations().status(session_id, user_id)

    async def resume_workflow(
        self,
        session_id: str,
        answer: Any = None,
        *,
        user_id: str = USER,
        interrupt_id: str | None = None,
        timeout: float | None = None,
    ) -> WorkflowResult:
        """Answer the interrupt the session's workflow waits at, and run on to the end or the next interrupt.

        When several are open, `interrupt_id` says which, or `answer` is a dict of answers by id. Raises Conflict
        (`nothing_to_resume`), and what `execute_workflow` raises.
        """
        _check(user_id, session_id)
        talk = self._conversations()
        return _result(await talk.resume(session_id, user_id, answer, interrupt_id=interrupt_id, timeout_s=timeout))

    async def cleanup_session(self, session_id: str, *, user_id: str = USER) -> None:
        """Stop what runs in the session, then delete it with its state. Raises NotFound and Unavailable."""
        _check(user_id, session_id)
        await self._conversations().delete(session_id, user_id)

    def _conversations(self) -> Conversations:
        if self._app is None:
            raise Unavailable("The WorkflowManager is not open: use it in `async with WorkflowManager() as manager:`.")
        return self._app.conversations


def _check(user_id: str, session_id: str | None) -> None:
    check_id(user_id, "user_id")
    if session_id is not None:
        check_id(session_id, "session_id")


def _result(outcome: Outcome) -> WorkflowResult:
    """The outcome as a result. Raises WorkflowFailed, in the words of the graph: they are the caller's own."""
    if outcome.failure is not None:
        error, message = ((outcome.error or {}).get(key, "") for key in ("error", "message"))
        detail, code = outcome.failure.detail, outcome.failure.code
        if code == WorkflowFailed.code:
            detail = f"The workflow {outcome.workflow!r} failed. {error}: {message}"
        failed = WorkflowTimeout if code == WorkflowTimeout.code else WorkflowFailed
        ids: dict[str, Any] = {"session_id": outcome.session_id, "run_id": outcome.run_id}
        raise failed(detail, code=code, error=str(error), message=str(message), **ids)
    assert outcome.status != "error"
    return WorkflowResult(
        status=outcome.status,
        result=outcome.result,
        interrupts=outcome.interrupts,
        execution_time=outcome.execution_time,
        session_id=outcome.session_id,
        run_id=outcome.run_id,
    )
