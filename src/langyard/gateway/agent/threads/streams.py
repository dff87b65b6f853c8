"""The route that streams a whole thread: every run's events, as long as the client stays (contract A.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from langyard import serde
from langyard.gateway.access import access_of
from langyard.gateway.agent.admitting import Admitted, admit
from langyard.gateway.agent.lasting import Lasting, chunk
from langyard.gateway.agent.reading import path_id
from langyard.gateway.agent.runs.streams import ErrorStream
from langyard.gateway.openapi import events, problems
from langyard.gateway.parts import Parts
from langyard.gateway.sse import HEADERS, HEARTBEAT, frame
from langyard.model.errors import Invalid, NotFound
from langyard.model.events import ThreadEvent
from langyard.streams.threads import STATE_UPDATE, ThreadReader

MODES = ("run_modes", "lifecycle", "state_update")
_EVENT_ID = re.compile(r"(\d{1,15})(?:-(\d{1,20}|\*))?")
_MODES = {
    "name": "stream_mode",
    "in": "query",
    "required": False,
    "description": "`run_modes` (if none is given): all events of all runs; `lifecycle`: that runs begin and end; "
    "`state_update`: that the state was changed by hand. Repeated or separated by commas; `stream_modes` is the same.",
    "schema": {"type": "array", "items": {"type": "string", "enum": list(MODES)}},
}
_AFTER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Read from after this event on; `-`: from the first that is kept. Without it, from now on.",
    "schema": {"type": "string", "pattern": "^(-|-1|\\d+(-(\\d+|\\*))?)$"},
}


class ThreadStream(Lasting):
    """What happens on a thread. It ends when the client leaves or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, reader: ThreadReader, modes: Collection[str], heartbeat_s: float, admitted: Admitted) -> None:
        super().__init__(HEADERS, heartbeat_s, None)
        self._admitted = admitted
        self._reader = reader
        self._modes = modes

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    async def write(self, send: Send) -> None:
        """Events, comments in silence, a word on what was lost."""
        reader, told, shows = self._reader, 0, False
        while not reader.closed:
            if not await reader.wait(self._heartbeat_s):
                await chunk(send, HEARTBEAT)
                continue
            frames = [shown for event in reader.take() if (shown := self._shown(event)) is not None]
            if reader.lost > told:
                frames.insert(0, frame("gap", serde.dumps({"lost": reader.lost - told})))
                told = reader.lost
            if frames:
                if not (shows := shows or await self._admitted()):
                    return
                await chunk(send, b"".join(frames))

    def _shown(self, event: ThreadEvent) -> bytes | None:
        if event.name == STATE_UPDATE:
            wanted = STATE_UPDATE in self._modes
        else:
            bounds = event.name in ("metadata", "end")
            wanted = "run_modes" in self._modes or ("lifecycle" in self._modes and bounds)
        if not wanted:
            return None
        if event.name == "end":
            # To the SDKs `end` is the end of the stream, and this one has none.
            return frame("metadata", serde.dumps({"status": "run_done", "run_id": event.run_id}), event.id)
        return frame(event.name, event.data, event.id)


def routes(parts: Parts) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["threads"])
    heartbeat_s = parts.settings.gateway.heartbeat_seconds

    @router.get(
        "/threads/{thread_id}/stream",
        openapi_extra={"parameters": [_MODES, _AFTER]},
        responses={200: events(), **problems(422, 503)},
    )
    async def stream(request: Request, thread_id: str) -> Response:
        """Read the events of every run on a thread, present and to come, as server-sent events that do not end."""
        wanted = path_id(thread_id, "thread")
        modes, after = _modes(request), _after(request.headers)
        try:
            admitted = await admit(parts, access_of(request), wanted)
        except NotFound:
            return ErrorStream(silent=True)
        return ThreadStream(await parts.readers.subscribe(wanted, after=after), modes, heartbeat_s, admitted)

    return router


def _modes(request: Request) -> frozenset[str]:
    given: list[Any] = [request.query_params.getlist(name) for name in ("stream_mode", "stream_modes")]
    found = [mode.strip() for values in given for value in values for mode in value.split(",") if mode.strip()]
    for mode in found:
        if mode not in MODES:
            raise Invalid(f"Invalid stream mode: {mode[:50]}")
    return frozenset(found or ("run_modes",))


def _after(headers: Mapping[str, str]) -> int | None:
    """The number of the last event the client has seen; None: it wants none of the past."""
    given = headers.get("last-event-id", "").strip()
    if not given:
        return None
    if given in ("-", "-1"):
        return 0
    found = _EVENT_ID.fullmatch(given)
    if found is None:
        raise Invalid("Last-Event-ID must be an event's id, <milliseconds>-<number>, or - for all events.")
    number = 0xFFFF if found[2] == "*" else int(found[2] or 0)
    return (int(found[1]) << 16) | min(number, 0xFFFF)
