"""The rules of runs that are asked for as the Agent Server does: from the request to the run (contract A.4, A.7 and E).

Called by the gateway and by whatever else makes runs of assistants. What a request may say is `Invocation`; what it
leaves open, the assistant says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4, uuid5

from langyard.assistants import Assistant, Assistants
from langyard.model.errors import BadRequest, Conflict, NotFound
from langyard.model.filters import Filter
from langyard.model.ids import uuid7
from langyard.model.reserved import own_config, own_configurable, own_metadata
from langyard.model.runs import MultitaskStrategy, Run, RunRequest, Ttl
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import runs as rows
from langyard.runs import Runs
from langyard.streams import Subscription
from langyard.webhooks import Webhooks

BOTH_CONTEXTS = (
    "Cannot specify both configurable and context. Prefer setting context alone. Context was introduced in "
    "LangGraph 0.6.0 and is the long term planned replacement for configurable."
)
LEFT = "client disconnected from the run stream (on_disconnect=cancel)"
BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."


NOTHING_TO_CANCEL = (
    "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs haven't been "
    "deleted or completed."
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a client asks of an assistant; the names are the Agent Server's."""

    assistant_id: str
    input: Any = None
    command: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    webhook: str | None = None
    interrupt_before: str | Sequence[str] | None = None
    interrupt_after: str | Sequence[str] | None = None
    stream_mode: Sequence[str] = ("values",)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    feedback_keys: Sequence[str] | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = 0.0
    durability: Literal["sync", "async", "exit"] | None = None
    on_completion: Literal["delete", "keep"] = "delete"
    priority: int = 0
    event_streaming: bool = False


@dataclass(frozen=True, slots=True)
class Invoked:
    """A run that was made, how it was asked for, and the reader of its events; close the reader when done."""

    run: Run
    request: RunRequest
    reader: Subscription


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is and what can be had of it."""

    run_id: UUID
    thread_id: UUID
    graph_id: str
    resumable: bool


class Behalf(Protocol):
    """The one on whose behalf a run is made: `gateway.access.Access`, or `NOBODY`."""

    @property
    def guarded(self) -> bool:
        """Whether anything is to be asked."""

    @property
    def user_id(self) -> str | None:
        """The identity."""

    def told(self) -> Mapping[str, Any]:
        """What the server says in the run's `configurable`, and no client may."""

    async def create_run(self, request: RunRequest, assistant: Assistant, thread_id: UUID | None) -> RunRequest:
        """The run as it may be made. Raises where it may not."""


class Nobody:
    """On nobody's behalf: everything is permitted."""

    guarded = False
    user_id: str | None = None

    def told(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    async def create_run(self, request: RunRequest, assistant: Assistant, thread_id: UUID | None) -> RunRequest:
        """As it is."""
        return request


NOBODY = Nobody()


class Invocations:
    """Runs of assistants, on the client's threads or on threads of their own, which are kept for `ttl`."""

    def __init__(
        self, database: Database, runs: Runs, assistants: Assistants, webhooks: Webhooks, *, ttl: Ttl | None = None
    ) -> None:
        self._database = database
        self._ttl = ttl
        self._runs = runs
        self._assistants = assistants
        self._webhooks = webhooks

    async def start(
        self,
        asked: Invocation,
        thread_id: UUID | None,
        *,
        events: bool,
        behalf: Behalf = NOBODY,
        run_id: UUID | None = None,
        revision: int | None = None,
        checked: bool = False,
    ) -> Invoked:
        """Make the run and read it from its first event on (`events=False`: only its end).

        Whoever makes one for a request says on whose `behalf`: that one's rights are asked here, and nowhere else.
        With a `revision` it is made only if the thread has not changed since it had that one (else `thread_busy`).
        With `checked` its webhook is taken as `check_many` has let it through.
        A run whose `run_id` is given may be asked for again: it is made once, and kept for whoever comes for it.
        Without a `thread_id` the run gets a thread of its own, which goes with it unless `on_completion` keeps it.
        Raises `Invalid`, `BadRequest`, `NotFound` (`thread_not_found`, `assistant_not_found`), `Conflict`
        (`thread_busy`), `Unavailable`, and what `behalf` raises.
        """
        if thread_id is None and (asked.command or {}).get("resume") is not None:
            raise BadRequest("You must provide a thread_id when resuming.", code="thread_required")
        if not checked:
            await self._webhooks.check(asked.webhook)
        assistant = await self._assistants.resolve(asked.assistant_id)
        request = request_of(asked, assistant, thread_id, behalf.user_id, behalf.told())
        request = replace(request, revision=revision, ttl=self._ttl)
        if run_id is not None:
            request = _kept(request, run_id, new_thread=thread_id is None, events=events)
        if behalf.guarded:
            request = await behalf.create_run(request, assistant, thread_id)
        started = await self._runs.start(request, events=events)
        if started is not None:
            return Invoked(started.run, request, started.reader)
        if request.may_create or await rows.thread_exists(self._database, request.thread_id):
            raise Conflict(BUSY, code="thread_busy")
        raise NotFound("Thread or assistant not found.", code="thread_not_found")

    async def check_many(self, asked: Iterable[Invocation]) -> None:
        """Raises what `start` would raise whatever the thread: for those who make many, before they make one."""
        wanted = list(asked)
        await self._webhooks.check_many(one.webhook for one in wanted if one.webhook is not None)
        for assistant_id in dict.fromkeys(one.assistant_id for one in wanted):
            await self._assistants.resolve(assistant_id)

    async def get(self, run_id: UUID, thread_id: UUID | None) -> Row:
        """A run's row. Raises `NotFound`."""
        row = await rows.find(self._database, run_id, thread_id)
        if row is None:
            if thread_id is not None and not await self.has_thread(thread_id):
                raise NotFound(f"Thread with ID {thread_id} not found", code="thread_not_found")
            raise NotFound("Not Found", code="run_not_found")
        return row

    async def locate(self, run_id: UUID, thread_id: UUID | None) -> Place | None:
        """Where a run is, None if nowhere or not on this thread; one that clients no longer see may still be read."""
        row = await rows.locate(self._database, run_id, thread_id)
        return Place(**row) if row is not None else None

    async def search(self, thread_id: UUID, *, status: str | None, limit: int, offset: int) -> list[Row]:
        """The thread's runs, newest first. Raises `NotFound` when there is no such thread."""
        found = await rows.search(self._database, thread_id, status=status, limit=limit, offset=offset)
        if not found and not await self.has_thread(thread_id):
            raise NotFound(f"Thread with ID {thread_id} not found", code="thread_not_found")
        return found

    async def has_thread(self, thread_id: UUID) -> bool:
        """Whether there is such a thread."""
        return await rows.thread_exists(self._database, thread_id)

    async def open_runs(
        self, thread_id: UUID | None, run_ids: Sequence[UUID], status: str | None, allowed: Filter | None = None
    ) -> list[UUID]:
        """Those of the runs that can still be stopped: of a thread, or all of a status (None: of both)."""
        return await rows.open_of(
            self._database, thread_id=thread_id, run_ids=run_ids or None, status=status, allowed=allowed
        )

    async def cancel(self, run_ids: Sequence[UUID], *, action: Literal["interrupt", "rollback"]) -> None:
        """Stop runs wherever they are. Raises `NotFound` when none of them could be."""
        reason = f"{action} requested via POST /threads/{{thread_id}}/runs/{{run_id}}/cancel"
        if not await self._runs.cancel_many(run_ids, action=action, reason=reason):
            raise NotFound(NOTHING_TO_CANCEL, code="run_not_active")

    async def delete(self, run_id: UUID, thread_id: UUID | None) -> None:
        """Delete a run with its checkpoints; one that is under way is rolled back first. Raises `NotFound`."""
        row = await rows.find(self._database, run_id, thread_id)
        if row is None:
            raise NotFound("Run not found", code="run_not_found")
        if row["finished_at"] is None:
            await self._runs.cancel(run_id, action="rollback", reason="the run was deleted")
            with suppress(NotFound):
                await self._runs.wait(run_id)
        # A rollback has deleted it; a run that ended before it was told to stop, and every other, is deleted here.
        await rows.delete(self._database, run_id)


def request_of(
    asked: Invocation,
    assistant: Assistant,
    thread_id: UUID | None,
    user_id: str | None,
    told: Mapping[str, Any] | None = None,
) -> RunRequest:
    """The run that is asked for, with what the assistant adds and the server tells of itself under `told`.

    Raises `BadRequest` when it contradicts itself.
    """
    stateless = thread_id is None
    temporary = stateless and asked.on_completion == "delete"
    config = own_config(asked.config)
    given = config.pop("metadata", None) or {}
    metadata = own_metadata({**given, **asked.metadata})
    context = _one_context(config, asked.context)
    kwargs: dict[str, Any] = {
        "input": asked.input,
        "command": asked.command,
        "config": config,
        "context": {**assistant.context, **context},
        "stream_mode": list(asked.stream_mode),
        "checkpoint": None if stateless else asked.checkpoint,
        "interrupt_before": asked.interrupt_before,
        "interrupt_after": asked.interrupt_after,
        "webhook": asked.webhook,
        "feedback_keys": asked.feedback_keys,
        "stream_subgraphs": asked.stream_subgraphs,
        "stream_resumable": asked.stream_resumable,
        "durability": asked.durability,
        "event_streaming": asked.event_streaming,
        "temporary": temporary,
        "assistant": dict(assistant.config),
        "server": told,
    }
    return RunRequest(
        run_id=uuid7(),
        graph_id=assistant.graph_id,
        kwargs={key: value for key, value in kwargs.items() if value not in (None, False, {}) or key == "input"},
        user_id=user_id,
        thread_id=thread_id or uuid4(),
        assistant_id=assistant.assistant_id,
        metadata={**metadata, "assistant_id": str(assistant.assistant_id)},
        inherited=assistant.metadata,
        thread_metadata=metadata,
        multitask_strategy=asked.multitask_strategy,
        may_create=stateless or asked.if_not_exists == "create",
        after_s=asked.after_seconds,
        priority=asked.priority,
        temporary=temporary,
        lasting=asked.stream_resumable,
    )


def _kept(request: RunRequest, run_id: UUID, *, new_thread: bool, events: bool) -> RunRequest:
    """The same under an id that others may come with, its end and its events kept for them."""
    thread_id = uuid5(run_id, "thread") if new_thread else request.thread_id
    kwargs = {**request.kwargs, "stream_resumable": True} if events else request.kwargs
    return replace(request, run_id=run_id, thread_id=thread_id, kwargs=kwargs, lasting=True)


def _one_context(config: dict[str, Any], context: Mapping[str, Any] | None) -> dict[str, Any]:
    """`configurable` and `context` are one thing under two names: what is said under one holds under both."""
    configurable = config.get("configurable") or {}
    if configurable and context:
        raise BadRequest(BOTH_CONTEXTS, code="configurable_and_context")
    if context:
        config["configurable"] = own_configurable(context)
    return own_configurable(context or configurable)
