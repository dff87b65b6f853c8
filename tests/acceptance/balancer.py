"""A small TCP balancer, as stands before replicas: turns from those not ready. For the acceptance tests."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from urllib.parse import urlsplit

import httpx


class Balancer:
    """Open with `async with`; `backends` are addresses, asked over and over whether they are ready."""

    def __init__(self, backends: set[str]) -> None:
        self.backends = backends
        self._ready: set[str] = set()
        self._turn = itertools.count()
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Balancer:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._asking = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._asking.cancel()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(self._asking, *self._pumps, return_exceptions=True)

    async def _ask(self) -> None:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            while True:
                for address in list(self.backends):
                    try:
                        ready = (await http.get(f"{address}/health/ready")).status_code == 200
                    except httpx.HTTPError:
                        ready = False
                    (self._ready.add if ready else self._ready.discard)(address)
                self._ready &= self.backends
                await asyncio.sleep(0.05)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(1000):
            for address in sorted(self._ready, key=lambda each: hash((each, next(self._turn)))):
                found = urlsplit(address)
                with suppress(OSError):
                    back, forth = await asyncio.open_connection(found.hostname, found.port)
                    for pump in (self._pump(reader, forth), self._pump(back, writer)):
                        task = asyncio.create_task(pump)
                        self._pumps.add(task)
                        task.add_done_callback(self._pumps.discard)
                    return
            await asyncio.sleep(0.02)
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
