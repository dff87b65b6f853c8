"""Runs that are asked for with an `Idempotency-Key`: made once, whoever asks how often, and answered alike.

The key stands for a run's id before there is a run. Who comes again finds the answer if it was kept, else the run: a
wait waits for its end, a stream begins again at its first event. Without a key this is `Making`. Used by `gateway`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.gateway.access import access_of
from langyard.gateway.agent.lasting import Gone
from langyard.gateway.agent.runs.bodies import RunBody, invocation
from langyard.gateway.agent.runs.making import Making, thread_of
from langyard.gateway.agent.runs.shapes import NOT_FOUND, invoked_json, outcome_json, path_of
from langyard.gateway.agent.runs.streams import RunStream, Waited
from langyard.gateway.idempotency import HEADER, REPLAYED, Idempotency
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer, as_model
from langyard.invocations import LEFT, Invoked
from langyard.model.errors import LangyardError, NotFound
from langyard.model.shown import run_json
from langyard.postgres.rows.idempotency import Key

log = logging.getLogger(__name__)


class Once(Making):
    """Makes runs, those with a key once."""

    def __init__(self, parts: Parts, limits: Limits, idempotency: Idempotency) -> None:
        super().__init__(parts, limits)
        self.idempotency = idempotency

    async def background(self, request: Request, thread_id: str | None) -> Response:
        """As without a key; the picture of the run is that of the first answer."""
        if HEADER not in request.headers:
            return await super().background(request, thread_id)
        key, body, seen = await self.asked(request)
        headers = {"Content-Location": self.place(key, thread_id)}
        if key.body is not None:
            return answer(key.body, key.status or 200, {**headers, **REPLAYED})
        made = await self.made(request, key, seen, body, thread_id, events=False)
        if made is None:
            shown = run_json(await self.parts.invocations.get(key.run_id, None))
            headers |= REPLAYED
        else:
            made.reader.close()
            shown = invoked_json(made)
        status, told = await self.idempotency.store(key, 200, serde.dumps(shown))
        return answer(told, status, headers)

    async def batch(self, request: Request) -> Response:
        """As without a key. One that was broken off goes on where it was."""
        if HEADER not in request.headers:
            return await super().batch(request)
        value = await self.json(request)
        key, seen = await self.claimed(request, value)
        if key.body is not None:
            return answer(key.body, key.status or 200, REPLAYED)
        starting = self.idempotency.starting(key)
        async with starting:
            seen, starting.used = seen or starting.used, True
            try:
                bodies, places = await self.checked_many(value)
                shown = []
                for number, (body, place) in enumerate(zip(bodies, places, strict=True)):
                    # They keep their order: these ids begin with the time.
                    run_id = UUID(int=key.run_id.int + number)
                    if seen and await self.idempotency.knows(run_id):
                        shown.append(run_json(await self.parts.invocations.get(run_id, None)))
                        continue
                    made = await self.start(request, body, place, events=False, run_id=run_id, checked=True)
                    made.reader.close()
                    shown.append(invoked_json(made))
            except BaseException:  # refused or cancelled: forgotten unless it stands for a run already
                await self.idempotency.release(key)
                raise
        status, told = await self.idempotency.store(key, 200, serde.dumps(shown))
        return answer(told, status, REPLAYED if seen else {})

    async def stream(self, request: Request, thread_id: str | None) -> Response:
        """The run's events from its first on, whoever made it; they are kept as those of a resumable run."""
        if HEADER not in request.headers:
            return await super().stream(request, thread_id)
        key, body, seen = await self.asked(request)
        made = await self.made(request, key, seen, body, thread_id, events=True)
        headers = self.ways(key, thread_id, "stream")
        if made is not None:
            reader = made.reader
        else:
            reader = (await self.parts.runs.join(key.run_id, after=0)).reader
            headers = {**headers, **REPLAYED}
        ids = bool(body.stream_resumable)
        return RunStream(reader, headers, self.heartbeat_s, ids=ids, on_gone=self.leaving(body, key))

    async def wait(self, request: Request, thread_id: str | None) -> Response:
        """How the run ended, kept before it is told."""
        if HEADER not in request.headers:
            return await super().wait(request, thread_id)
        key, body, seen = await self.asked(request)
        headers = self.ways(key, thread_id, "join")
        if key.body is not None:
            return answer(key.body, key.status or 200, {**headers, **REPLAYED})
        made = await self.made(request, key, seen, body, thread_id, events=False)
        if made is None:
            headers = {**headers, **REPLAYED}
        reader = made.reader if made is not None else None
        ending = partial(self.ending, key, made)
        return Waited(ending, headers, self.heartbeat_s, on_gone=self.leaving(body, key), reader=reader)

    async def ending(self, key: Key, made: Invoked | None) -> bytes:
        """The document for who waits, the same for all of them."""
        try:
            if made is not None:
                end, graph_id = await made.reader.wait_end(), made.run.graph_id
            else:
                place = await self.parts.invocations.locate(key.run_id, None)
                if place is None:
                    return serde.dumps({"__error__": NOT_FOUND})
                end, graph_id = await self.parts.runs.wait(key.run_id), place.graph_id
        except NotFound:
            return serde.dumps({"__error__": NOT_FOUND})
        told = outcome_json(end, self.parts.graphs.get(graph_id).output)
        # Not kept, it is made from the run again.
        with suppress(LangyardError):
            _, told = await self.idempotency.store(key, 200, told)
        return told

    async def asked(self, request: Request) -> tuple[Key, RunBody, bool]:
        """The key of a request, what it asks for, and whether the key was seen before."""
        value = await self.json(request)
        body = as_model(value, RunBody)
        invocation(body)
        key, seen = await self.claimed(request, value)
        return key, body, seen

    async def claimed(self, request: Request, value: object) -> tuple[Key, bool]:
        """The key, and whether it was seen before. Raises `Invalid`, `Conflict`."""
        claimed = await self.idempotency.claim(request, self.asker(request), value)
        assert claimed is not None, "the header is there"
        return claimed

    def asker(self, request: Request) -> str:
        """Whose key it is; where nobody is known by name, everybody's."""
        return access_of(request).user_id or ""

    async def made(
        self, request: Request, key: Key, seen: bool, body: RunBody, thread_id: str | None, *, events: bool
    ) -> Invoked | None:
        """The run, made now; None when it is there already."""
        return await self.idempotency.once(
            key, seen, lambda: self.start(request, body, thread_of(thread_id), events=events, run_id=key.run_id)
        )

    def place(self, key: Key, thread_id: str | None) -> str:
        """Where the run is found."""
        return path_of(self.prefix, thread_of(thread_id), key.run_id)

    def ways(self, key: Key, thread_id: str | None, way: str) -> Mapping[str, str]:
        """Where the run is found, and where this answer can be had without the key."""
        path = self.place(key, thread_id)
        return {"Content-Location": path, "Location": f"{path}/{way}"}

    def leaving(self, body: RunBody, key: Key) -> Gone | None:
        """What a client that leaves does to its run: nothing, unless it said otherwise."""
        if body.on_disconnect != "cancel":
            return None
        return partial(self.parts.runs.cancel, key.run_id, action="interrupt", reason=LEFT)
