"""Server-sent events: a turn's events as they come, its end last (contract section A.5). Used by the stream routes.

Who leaves stops reading; the run goes on. Who reads too slowly is told how many events are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from langyard import serde
from langyard.gateway.errors import of_any
from langyard.streams import Subscription

HEARTBEAT = b": heartbeat\r\n\r\n"
_BREAKS = dict.fromkeys(map(ord, "\r\n\0"))
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# What the run itself publishes and this stream says in its own words: how it ended.
_OWN = ("end", "error")
_ERROR = 400


def frame(name: str, data: bytes, id: str | None = None) -> bytes:
    """One event; `data` is one line. A name may hold those of users' nodes: what would end its line is left out."""
    last = b"id: %b\r\n\r\n" % _line(id) if id is not None else b"\r\n"
    return b"event: %b\r\ndata: %b\r\n%b" % (_line(name), data, last)


def _line(text: str) -> bytes:
    if not text.isprintable():
        text = text.translate(_BREAKS)
    return text.encode("utf-8", "replace")


class EventStream(Response):
    """`ending` gives status and body of the answer that `execute` would give; the stream's `end` event carries it.

    Without a `reader` (a replay) there is only the end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        reader: Subscription | None,
        ending: Callable[[], Awaitable[tuple[int, bytes]]],
        *,
        session_id: str | None,
        heartbeat_s: float,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        del self.headers["content-length"]
        self._reader = reader
        self._ending = ending
        self._session_id = session_id
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the end or until the client has left."""
        writing = asyncio.create_task(self._write(send))
        listening = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({writing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._reader is not None:
                self._reader.close()
            listening.cancel()
            if not writing.done():
                writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self._reader is not None:
            await self._write_events(self._reader, send)
        status, body = await self._end(send)
        failed = frame("error", body) if status >= _ERROR else b""
        await _chunk(send, failed + frame("end", body), more=False)

    async def _end(self, send: Send) -> tuple[int, bytes]:
        ending = asyncio.ensure_future(self._ending())
        try:
            while not (await asyncio.wait({ending}, timeout=self._heartbeat_s))[0]:
                await _chunk(send, HEARTBEAT)
            return ending.result()
        except Exception as error:  # the end cannot be told as it is: what can be told takes its place
            found = of_any(error)
            return found.status_code, bytes(found.body)
        finally:
            ending.cancel()

    async def _write_events(self, reader: Subscription, send: Send) -> None:
        told = 0
        while True:
            if not await reader.wait(self._heartbeat_s):
                await _chunk(send, HEARTBEAT)
                continue
            ended = reader.end is not None
            taken = reader.take()
            frames: list[bytes] = []
            if reader.lost > told:
                frames.append(frame("gap", serde.dumps({"lost": reader.lost - told})))
                told = reader.lost
            for event in taken:
                if event.name not in _OWN:
                    data = self._introduced(event.data) if event.name == "metadata" else event.data
                    frames.append(frame(event.name, data, event.id))
            if frames:
                await _chunk(send, b"".join(frames))
            if ended or reader.left:
                return

    def _introduced(self, data: bytes) -> bytes:
        """The first event tells the session too: the server may have made it."""
        return b'%b,"session_id":%b}' % (data[:-1], serde.dumps(self._session_id))


async def _chunk(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
