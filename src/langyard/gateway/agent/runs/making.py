"""The routes that make runs: in the background, waited for, streamed; on a thread or on their own (contract A.4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard.gateway.access import access_of
from langyard.gateway.agent.lasting import Gone
from langyard.gateway.agent.reading import answer_with
from langyard.gateway.agent.runs import reading
from langyard.gateway.agent.runs.bodies import MOST, RunBody, invocation
from langyard.gateway.agent.runs.documents import RUN, RUNS, WAITED, asks, asks_many
from langyard.gateway.agent.runs.shapes import invoked_json, outcome_json, path_of
from langyard.gateway.agent.runs.streams import RunStream, Waited
from langyard.gateway.openapi import events, idempotent, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, as_model, read_json
from langyard.invocations import LEFT, Invoked
from langyard.model.errors import Invalid

_PROBLEMS = problems(400, 404, 409, 413, 415, 422, 429, 503)


class Making:
    """Makes the runs that requests ask for."""

    def __init__(self, parts: Parts, limits: Limits) -> None:
        self.parts = parts
        self.limits = limits
        self.prefix = parts.settings.gateway.mount_prefix
        self.heartbeat_s = parts.settings.gateway.heartbeat_seconds

    async def background(self, request: Request, thread_id: str | None) -> Response:
        """The run as it was made; nobody reads it here."""
        made = await self.start(request, await self.body(request), thread_of(thread_id), events=False)
        made.reader.close()
        return answer_with(invoked_json(made), {"Content-Location": self.path(made, thread_id)})

    async def batch(self, request: Request) -> Response:
        """All the runs. What is wrong with one is found before any is made."""
        bodies, places = await self.checked_many(await self.json(request))
        made = []
        for body, place in zip(bodies, places, strict=True):
            one = await self.start(request, body, place, events=False, checked=True)
            one.reader.close()
            made.append(invoked_json(one))
        return answer_with(made)

    async def checked_many(self, value: object) -> tuple[list[RunBody], list[UUID | None]]:
        """What a batch asks for, and on which threads. Raises what is wrong with any of it."""
        if not isinstance(value, list) or not value:
            raise Invalid("The body must be an array of at least one run.")
        if len(value) > MOST:
            raise Invalid(f"The body must be an array of at most {MOST} runs.")
        bodies = [as_model(one, RunBody) for one in value]
        places = [thread_of(body.thread_id) for body in bodies]
        await self.parts.invocations.check_many(map(invocation, bodies))
        self.parts.runs.check_many(len(bodies))
        return bodies, places

    async def stream(self, request: Request, thread_id: str | None) -> Response:
        """The run's events as they come."""
        body = await self.body(request)
        made = await self.start(request, body, thread_of(thread_id), events=True)
        return RunStream(
            made.reader,
            self.headers(made, thread_id, "stream"),
            self.heartbeat_s,
            ids=bool(body.stream_resumable),
            on_gone=self.on_gone(body, made),
        )

    async def wait(self, request: Request, thread_id: str | None) -> Response:
        """How the run ended."""
        body = await self.body(request)
        made = await self.start(request, body, thread_of(thread_id), events=False)
        output = self.parts.graphs.get(made.run.graph_id).output

        async def ending() -> bytes:
            return outcome_json(await made.reader.wait_end(), output)

        # Those who wait are told the run's own thread, also when it goes with the run.
        headers = self.headers(made, str(made.run.thread_id), "join")
        return Waited(ending, headers, self.heartbeat_s, on_gone=self.on_gone(body, made), reader=made.reader)

    async def start(
        self,
        request: Request,
        body: RunBody,
        thread_id: UUID | None,
        *,
        events: bool,
        run_id: UUID | None = None,
        checked: bool = False,
    ) -> Invoked:
        """Make a run on behalf of who asks; with a `run_id` it is made once. `checked`: by `checked_many`."""
        return await self.parts.invocations.start(
            invocation(body), thread_id, events=events, behalf=access_of(request), run_id=run_id, checked=checked
        )

    async def body(self, request: Request) -> RunBody:
        """What is asked."""
        return as_model(await self.json(request), RunBody)

    async def json(self, request: Request) -> object:
        """The body, whatever it is. Raises `Invalid` in the words that clients of this API know."""
        try:
            value: object = await read_json(request, self.limits)
        except Invalid as wrong:
            if wrong.code == "invalid_json":
                raise Invalid("Invalid JSON in request body", code="invalid_json") from None
            raise
        return value

    def path(self, made: Invoked, thread_id: str | None) -> str:
        """Where the run is found."""
        return path_of(self.prefix, made.run.thread_id if thread_id is not None else None, made.run.run_id)

    def headers(self, made: Invoked, thread_id: str | None, way: str) -> Mapping[str, str]:
        """Where the run is found, and where this answer can be had again."""
        path = self.path(made, thread_id)
        return {"Content-Location": path, "Location": f"{path}/{way}"}

    def on_gone(self, body: RunBody, made: Invoked) -> Gone | None:
        """What a client that leaves does to its run: nothing, unless it said otherwise."""
        if body.on_disconnect != "cancel":
            return None
        return partial(self.parts.runs.cancel, made.run.run_id, action="interrupt", reason=LEFT)


def routes(making: Making) -> APIRouter:
    """The router; the parts of `making` need not be open yet."""
    router = APIRouter(tags=["runs"])

    @router.post("/threads/{thread_id}/runs", openapi_extra=idempotent(asks()), responses={200: RUN, **_PROBLEMS})
    async def create(request: Request, thread_id: str) -> Response:
        """Run an assistant on a thread, in the background."""
        return await making.background(request, thread_id)

    @router.post(
        "/threads/{thread_id}/runs/wait", openapi_extra=idempotent(asks()), responses={200: WAITED, **_PROBLEMS}
    )
    async def wait(request: Request, thread_id: str) -> Response:
        """Run an assistant on a thread and wait for its end. A failure too is 200: `__error__` says what it was."""
        return await making.wait(request, thread_id)

    @router.post(
        "/threads/{thread_id}/runs/stream", openapi_extra=idempotent(asks()), responses={200: events(), **_PROBLEMS}
    )
    async def stream(request: Request, thread_id: str) -> Response:
        """Run an assistant on a thread and read what happens as server-sent events."""
        return await making.stream(request, thread_id)

    @router.post("/runs", openapi_extra=idempotent(asks()), responses={200: RUN, **_PROBLEMS})
    async def create_stateless(request: Request) -> Response:
        """Run an assistant in the background, on a thread that goes with the run."""
        return await making.background(request, None)

    @router.post("/runs/wait", openapi_extra=idempotent(asks()), responses={200: WAITED, **_PROBLEMS})
    async def wait_stateless(request: Request) -> Response:
        """Run an assistant and wait for its end, on a thread that goes with the run."""
        return await making.wait(request, None)

    @router.post("/runs/stream", openapi_extra=idempotent(asks()), responses={200: events(), **_PROBLEMS})
    async def stream_stateless(request: Request) -> Response:
        """Run an assistant and read what happens as server-sent events, on a thread that goes with the run."""
        return await making.stream(request, None)

    @router.post("/runs/batch", openapi_extra=idempotent(asks_many()), responses={200: RUNS, **_PROBLEMS})
    async def create_batch(request: Request) -> Response:
        """Run many in the background."""
        return await making.batch(request)

    reading.add(router, making.parts, making.limits)
    return router


def thread_of(thread_id: str | None) -> UUID | None:
    """The id of a path or a body, if there is one. Raises `Invalid`."""
    if thread_id is None:
        return None
    try:
        return UUID(thread_id)
    except ValueError:
        raise Invalid("Invalid thread ID", code="invalid_id") from None
