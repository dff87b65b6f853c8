"""Answers that last: written until they are done or the client has left. Used by the streams of runs and threads.

The headers go out at once and something every few seconds of silence, so that no proxy takes the client for forgotten.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Gone = Callable[[], Awaitable[object]]


class Lasting(Response, ABC):
    """Writes until it is done or the client has left, whichever is first. One that is `cut` has no end."""

    cut = False

    def __init__(self, headers: Mapping[str, str], heartbeat_s: float, on_gone: Gone | None) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._heartbeat_s = heartbeat_s
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._all(send))
        listening = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({writing, listening}, return_when=asyncio.FIRST_COMPLETED)
            gone = not writing.done()
        finally:
            listening.cancel()
            if not writing.done():
                writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            self.close()
        if gone and self._on_gone is not None:
            await self._on_gone()

    async def _all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self.write(send)
        if not self.cut:
            await chunk(send, b"", more=False)

    @abstractmethod
    async def write(self, send: Send) -> None:
        """The body."""

    def close(self) -> None:
        """Stop reading."""


async def chunk(send: Send, data: bytes, *, more: bool = True) -> None:
    """A piece of the body."""
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
