"""A small TCP proxy before the database, one a server: it cuts, delays, and falls silent when told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Open with `open`; `url` is where its server finds the database."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.delay_s = 0.0
        self.refusing = False
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login = self._parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """Every connection dies now; new ones are let in unless it is `refusing`."""
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """Nothing gets through any more, in either direction; it arrives when the wire is mended."""
        self._open.clear()

    def mend(self) -> None:
        """As a wire should be."""
        self.delay_s, self.refusing = 0.0, False
        self._open.set()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, forth}
        for pump in (self._pump(reader, forth, writer), self._pump(back, writer, forth)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        for end in (writer, other):
            end.transport.abort()
            self._writers.discard(end)
