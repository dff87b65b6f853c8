"""What the one who asks may do: an `Access` for each request, asked by every route before it reads or changes.

A handler of the project answers yes, no, or with a filter. A filter becomes a condition of the search; for one row, one
small query asks whether the row passes, and if not the answer is the one of a row that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from starlette.requests import HTTPConnection

from langyard.assistants import Assistant, system_id
from langyard.auth import Gate, shown
from langyard.gateway.access.headers import forwarded
from langyard.model.errors import Forbidden, NotFound, Unauthenticated
from langyard.model.filters import Filter
from langyard.model.principal import Principal
from langyard.model.runs import RunRequest
from langyard.postgres.database import Database
from langyard.postgres.rows import filters as rows
from langyard.postgres.rows import threads as thread_rows

SCOPE = "langyard.access"
_LONGEST_ID = 200


class Access:
    """Everything is permitted: nobody authenticates, or the call comes from within. `GuardedAccess` asks."""

    guarded = False

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    @property
    def principal(self) -> Principal | None:
        """Who was authenticated."""
        return None

    @property
    def user_id(self) -> str | None:
        """The identity of who was authenticated."""
        return None

    async def may(self, resource: str, action: str, /, **value: Any) -> Mapping[str, Any]:
        """Whether this is permitted at all, whatever it is done to. What the handler made of `value`.

        Raises `Forbidden`, or the handler's own answer; so does everything below.
        """
        return value

    async def session(self, action: str, session_id: str | None, /, **value: Any) -> None:
        """Before something is done to a session, or to its workflow. It is its user's alone: a filter adds nothing."""

    async def thread(
        self, thread_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        """Before something is done to a thread or to its runs, state or stream. What the handler made of `value`.

        Raises `NotFound`, `otherwise` if it is given, when there is none that this one may know of.
        """
        return value

    async def threads(self, thread_ids: Sequence[UUID], action: str) -> Sequence[UUID]:
        """Those of the threads that something may be done to; the others are passed over like missing ones."""
        return thread_ids

    async def run(
        self, run_id: UUID, thread_id: UUID | None, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> None:
        """Before something is done to a run: it is as accessible as its thread, which is found if none is named."""

    async def assistant(
        self, assistant_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        """Before something is done to an assistant. As `thread`."""
        return value

    async def cron(
        self, cron_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        """Before something is done to a cron. As `thread`."""
        return value

    async def searching(
        self, resource: str, asked: BaseModel | Mapping[str, Any], action: str = "search"
    ) -> dict[str, Any]:
        """Before a search or a count of what is `asked`: what is to be put among its filters."""
        return {}

    async def owns(self, resource: str, row_id: UUID, wanted: Filter | None) -> bool:
        """Whether a row that is there already passes the filter that the creation of one like it was given."""
        return True

    async def creating(self, resource: str, row_id: UUID, /, **value: Any) -> tuple[Mapping[str, Any], Filter | None]:
        """Before a row is made: what the handler made of `value`, and what one that is there must pass (`may_have`)."""
        return value, None

    async def may_have(self, resource: str, row_id: UUID, wanted: Filter | None, action: str = "read") -> bool:
        """Whether a row that was there already is given in place of one that was to be made. It takes more than the
        right to make one: what the filter of the creation says, and the right to do this to the row."""
        return True

    async def create_run(self, request: RunRequest, assistant: Assistant, thread_id: UUID | None) -> RunRequest:
        """Before a run is made: the run as the handler wants it. Called by `invocations`, by way of `behalf`.

        `thread_id` is the client's thread; without one the run gets one of its own.

        Raises `NotFound` for a thread or an assistant that this one may not know of.
        """
        return request

    async def use(self, assistant: Assistant) -> None:
        """Before a run or a cron is made of an assistant. A graph's own is everybody's. Raises `NotFound`."""

    async def store(self, action: str, /, **value: Any) -> Mapping[str, Any]:
        """Before something is done to items: `value` as the handler made it, its `namespace` above all."""
        return value

    def told(self) -> dict[str, Any]:
        """What only the server may say in a run's `configurable`: the request's id, headers that are let through."""
        given = self.connection.headers.get("x-request-id", "")
        known = 0 < len(given) <= _LONGEST_ID and given.isascii() and given.isprintable()
        return {**forwarded(self.connection), "langgraph_request_id": given if known else str(uuid4())}


class GuardedAccess(Access):
    """Each question goes to the project's handlers, on behalf of one principal."""

    guarded = True

    def __init__(self, connection: HTTPConnection, gate: Gate, database: Database, principal: Principal) -> None:
        super().__init__(connection)
        self._gate = gate
        self._database = database
        self._principal = principal

    @property
    def principal(self) -> Principal:
        """Who was authenticated."""
        return self._principal

    @property
    def user_id(self) -> str:
        """The identity of who was authenticated."""
        return self._principal.user_id

    async def may(self, resource: str, action: str, /, **value: Any) -> Mapping[str, Any]:
        await self._ask(resource, action, value)
        return value

    async def session(self, action: str, session_id: str | None, /, **value: Any) -> None:
        known: dict[str, Any] = {"thread_id": None, "session_id": session_id, "metadata": {}}
        if action == "create_run":
            known |= {"assistant_id": None, "run_id": None, "status": "pending", "kwargs": {}}
        await self._ask("threads", action, {**known, **value})

    async def thread(
        self, thread_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        value["thread_id"] = thread_id
        wanted = await self._ask("threads", action, value)
        if wanted is not None and not await rows.thread_passes(self._database, thread_id, wanted):
            raise otherwise or NotFound(f"Thread with ID {thread_id} not found", code="thread_not_found")
        return value

    async def threads(self, thread_ids: Sequence[UUID], action: str) -> Sequence[UUID]:
        wanted = await self._ask("threads", action, {"thread_ids": list(thread_ids)})
        left = thread_ids if wanted is None else await rows.passing_threads(self._database, thread_ids, wanted)
        found = []
        for thread_id in left:
            wanted = await self._ask("threads", action, {"thread_id": thread_id})
            if wanted is None or await rows.thread_passes(self._database, thread_id, wanted):
                found.append(thread_id)
        return found

    async def run(
        self, run_id: UUID, thread_id: UUID | None, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> None:
        place = thread_id if thread_id is not None else await rows.thread_of(self._database, run_id)
        if place is None:
            # Nothing is told but what may be told to everybody: that there is none.
            raise otherwise or NotFound("Not Found", code="run_not_found")
        await self.thread(place, action, otherwise=otherwise, run_id=run_id, **value)

    async def assistant(
        self, assistant_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        value["assistant_id"] = assistant_id
        wanted = await self._ask("assistants", action, value)
        if wanted is not None and not await rows.assistant_passes(self._database, assistant_id, wanted):
            raise otherwise or NotFound("Not Found", code="assistant_not_found")
        return value

    async def cron(
        self, cron_id: UUID, action: str, /, *, otherwise: NotFound | None = None, **value: Any
    ) -> Mapping[str, Any]:
        value["cron_id"] = cron_id
        wanted = await self._ask("crons", action, value)
        if wanted is not None and not await rows.cron_passes(self._database, cron_id, wanted):
            raise otherwise or NotFound("Not Found", code="cron_not_found")
        return value

    async def searching(
        self, resource: str, asked: BaseModel | Mapping[str, Any], action: str = "search"
    ) -> dict[str, Any]:
        value = asked.model_dump() if isinstance(asked, BaseModel) else dict(asked)
        value["metadata"] = dict(value.get("metadata") or {})
        wanted = await self._ask(resource, action, value)
        found: dict[str, Any] = {"metadata": value["metadata"]} if value["metadata"] else {}
        return found if wanted is None else {**found, "allowed": wanted}

    async def owns(self, resource: str, row_id: UUID, wanted: Filter | None) -> bool:
        passes = rows.thread_passes if resource == "threads" else rows.assistant_passes
        return wanted is None or await passes(self._database, row_id, wanted) is not False

    async def creating(self, resource: str, row_id: UUID, /, **value: Any) -> tuple[Mapping[str, Any], Filter | None]:
        value[f"{resource.removesuffix('s')}_id"] = row_id
        return value, await self._ask(resource, "create", value)

    async def may_have(self, resource: str, row_id: UUID, wanted: Filter | None, action: str = "read") -> bool:
        if not await self.owns(resource, row_id, wanted):
            return False
        try:
            more: dict[str, Any] = {"metadata": {}} if action == "update" else {}
            await (self.thread if resource == "threads" else self.assistant)(row_id, action, otherwise=None, **more)
        except NotFound:
            return False
        return True

    async def create_run(self, request: RunRequest, assistant: Assistant, thread_id: UUID | None) -> RunRequest:
        value: dict[str, Any] = {
            "thread_id": thread_id,
            "assistant_id": request.assistant_id,
            "run_id": request.run_id,
            "status": "pending",
            "metadata": dict(request.thread_metadata),
            "prevent_insert_if_inflight": request.multitask_strategy == "reject",
            "multitask_strategy": request.multitask_strategy,
            "if_not_exists": "create" if request.may_create else "reject",
            "after_seconds": request.after_s,
            "kwargs": dict(request.kwargs),
        }
        wanted = await self._ask("threads", "create_run", value)
        await self.use(assistant)
        metadata = dict(value["metadata"] or {})
        made = replace(
            request,
            metadata={**metadata, "assistant_id": str(request.assistant_id)},
            thread_metadata=metadata,
            kwargs=dict(value["kwargs"]),
        )
        if wanted is not None and thread_id is not None:
            await self._take(made, thread_id, wanted)
        return made

    async def use(self, assistant: Assistant) -> None:
        if assistant.assistant_id != system_id(assistant.graph_id):
            await self.assistant(assistant.assistant_id, "read", otherwise=_nobody("assistant_not_found"))

    async def store(self, action: str, /, **value: Any) -> Mapping[str, Any]:
        wanted = await self._ask("store", action, value)
        if wanted is not None:
            raise Forbidden(
                "Items have no metadata to be filtered by; the server's auth needs a handler of its own for the store."
            )
        return value

    def told(self) -> dict[str, Any]:
        return {
            **super().told(),
            "langgraph_auth_user": shown(self._principal),
            "langgraph_auth_user_id": self._principal.user_id,
            "langgraph_auth_permissions": list(self._principal.permissions),
        }

    async def _ask(self, resource: str, action: str, value: dict[str, Any]) -> Filter | None:
        return await self._gate.authorize(self._principal, resource, action, value)

    async def _take(self, request: RunRequest, thread_id: UUID, wanted: Filter) -> None:
        """The thread of a run is to be this one's before the run is made. One that is to be made with it is made here:
        between a look and the run somebody else could make it theirs."""
        passes = await rows.thread_passes(self._database, thread_id, wanted)
        if passes is None and request.may_create:
            ids = {"graph_id": request.graph_id, "assistant_id": str(request.assistant_id)}
            made = await thread_rows.create(self._database, thread_id, {**ids, **request.thread_metadata}, None, None)
            passes = made is not None or await rows.thread_passes(self._database, thread_id, wanted)
        if not passes:
            raise _nobody("thread_not_found")


def access_of(connection: HTTPConnection) -> Access:
    """What the one who asks may do. Raises `Unauthenticated` where a request got past the middleware: never let in."""
    found: Access | None = connection.scope.get(SCOPE)
    if found is not None:
        return found
    if connection.app.state.guarded:
        raise Unauthenticated("Nobody was authenticated for this request.")
    return Access(connection)


def _nobody(code: str) -> NotFound:
    return NotFound("Thread or assistant not found.", code=code)
