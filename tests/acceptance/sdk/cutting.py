"""A small proxy that cuts connections in the middle of answers, so many times; then it leaves them alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

When = Callable[[int, bytes], bool]  # of the bytes of the answer so far, and the latest of them


class Cutter:
    """What is to be cut, and what has been."""

    def __init__(self, when: When, times: int) -> None:
        self.when = when
        self.times = times
        self.cut = 0
        self.address = ""


@asynccontextmanager
async def cutting(host: str, port: int, when: When, times: int) -> AsyncIterator[Cutter]:
    """A proxy in front of a server; its answers break off when `when` says so, `times` times in all."""
    cutter = Cutter(when, times)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)

        async def asks() -> None:
            while data := await reader.read(65_536):
                back.write(data)
                await back.drain()

        async def answers() -> None:
            passed = 0
            while data := await there.read(256):
                passed += len(data)
                if cutter.cut < cutter.times and cutter.when(passed, data):
                    cutter.cut += 1
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(asks()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for one in (writer, back):
                one.close()
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        cutter.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield cutter
