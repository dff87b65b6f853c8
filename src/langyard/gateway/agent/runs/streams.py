"""Answers that last as long as a run: its events as server-sent events, or its end as one document (contract A.4, A.5).

Who leaves stops reading; what then becomes of the run is said by `on_gone`. Used by the routes of runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.types import Send

from langyard import serde
from langyard.gateway.agent.lasting import Gone, Lasting, chunk
from langyard.gateway.agent.runs.shapes import NOT_FOUND
from langyard.gateway.sse import HEADERS, HEARTBEAT, frame
from langyard.model.errors import Unavailable
from langyard.model.events import Event
from langyard.model.runs import RunEnd
from langyard.streams import Subscription

# Told to every reader whatever it asked for: without one of them clients take a stream for broken and come back.
_LAST = ("end", "error")
_SPACE = b"\n"


class RunStream(Lasting):
    """A run's events from where `reader` stands; `modes` are those wanted (None: all), `ids` says whether they can be
    read again. The last is `end`, or `error` when the run was deleted."""

    media_type = "text/event-stream"

    def __init__(
        self,
        reader: Subscription,
        headers: Mapping[str, str],
        heartbeat_s: float,
        *,
        ids: bool,
        modes: Collection[str] | None = None,
        on_gone: Gone | None = None,
    ) -> None:
        super().__init__({**HEADERS, **headers}, heartbeat_s, on_gone)
        self._reader = reader
        self._ids = ids
        self._modes = modes

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    async def write(self, send: Send) -> None:
        """Events, comments in silence, a word on what was lost."""
        reader = self._reader
        told, last = 0, ""
        while True:
            if not await reader.wait(self._heartbeat_s):
                await chunk(send, HEARTBEAT)
                continue
            # The end is looked for first: what was published before it is then sure to be taken.
            end = reader.end
            frames: list[bytes] = []
            taken = reader.take()
            if reader.lost > told:
                frames.append(frame("gap", serde.dumps({"lost": reader.lost - told})))
                told = reader.lost
            for event in taken:
                if self._wants(event):
                    frames.append(frame(event.name, event.data, event.id if self._ids else None))
                last = event.name
            if end is not None and last != "end":
                frames.append(_last_frame(end))
            if frames:
                await chunk(send, b"".join(frames))
            if end is not None or reader.left:
                # Left without an end, a client asks what became of the run and reads on from another server.
                return

    def _wants(self, event: Event) -> bool:
        if self._modes is None or event.name in _LAST:
            return True
        mode = event.name.partition("|")[0]
        return mode in self._modes or (mode.startswith("messages/") and "messages" in self._modes)


class ErrorStream(Lasting):
    """A stream of one error: there is no such run; or of nothing at all."""

    media_type = "text/event-stream"

    def __init__(self, headers: Mapping[str, str] | None = None, *, silent: bool = False) -> None:
        super().__init__({**HEADERS, **(headers or {})}, 1.0, None)
        self._silent = silent

    async def write(self, send: Send) -> None:
        """The error."""
        if not self._silent:
            await chunk(send, frame("error", serde.dumps(NOT_FOUND)))


class Waited(Lasting):
    """One JSON document, after as many line ends as it took."""

    media_type = "application/json"

    def __init__(
        self,
        ending: Callable[[], Awaitable[bytes]],
        headers: Mapping[str, str],
        heartbeat_s: float,
        *,
        on_gone: Gone | None = None,
        reader: Subscription | None = None,
    ) -> None:
        super().__init__(headers, heartbeat_s, on_gone)
        self._ending = ending
        self._reader = reader

    def close(self) -> None:
        """Stop waiting."""
        if self._reader is not None:
            self._reader.close()

    async def write(self, send: Send) -> None:
        """Line ends in silence, then the document."""
        ending = asyncio.ensure_future(self._ending())
        try:
            while not (await asyncio.wait({ending}, timeout=self._heartbeat_s))[0]:
                await chunk(send, _SPACE)
            try:
                await chunk(send, ending.result())
            except Unavailable:
                # Cut, and not ended: a client that has half an answer waits on at `Location`.
                self.cut = True
        finally:
            ending.cancel()


def _last_frame(end: RunEnd) -> bytes:
    if end.thread_id is None:
        return frame("error", serde.dumps(NOT_FOUND))
    return frame("end", serde.dumps({"run_id": end.run_id, "status": end.status}))
