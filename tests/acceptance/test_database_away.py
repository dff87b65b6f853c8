"""The database goes away under a running server, in every way it can, and comes back: nothing that began is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from langyard.postgres import embedded
from langyard.postgres.migrations import migrate
from tests.unit.gateway.serving import Served, serve


class OwnServer:
    """A PostgreSQL of this test's own, which may be killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server = embedded.start(home)
        self.url = self._server.url

    def kill(self) -> None:
        """As a power cut would, but for the disk: the postmaster and all its children at once."""
        pid = int((self._server.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)

    async def restart(self) -> None:
        server = await asyncio.to_thread(embedded.start, self._home)
        assert server.url == self.url
        self._server.close()
        self._server = server

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("own"))
    asyncio.run(migrate(server.url))
    yield server
    server.close()


class Wire:
    """A line to the database that can fall silent: nothing is refused, nothing arrives."""

    def __init__(self) -> None:
        self._spoken = asyncio.Event()
        self._spoken.set()

    def cut(self) -> None:
        self._spoken.clear()

    def mend(self) -> None:
        self._spoken.set()

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[str]:
        parts = urlsplit(url)
        tasks: set[asyncio.Task[None]] = set()

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                await self._spoken.wait()
                writer.write(data)
                await writer.drain()
            writer.close()

        async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._spoken.wait()
            back, forth = await asyncio.open_connection(parts.hostname, parts.port)
            for task in (asyncio.create_task(pump(reader, forth)), asyncio.create_task(pump(back, writer))):
                tasks.add(task)

        proxy = await asyncio.start_server(joined, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        try:
            yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        finally:
            self.mend()
            proxy.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def readiness(served: Served, wanted: int) -> httpx.Response:
    """The first answer of that status; each comes within two seconds, whatever the database does."""
    async with asyncio.timeout(40):
        while True:
            began = time.monotonic()
            found = await served.http.get("/health/ready")
            assert time.monotonic() - began < 2
            assert (await served.http.get("/health")).status_code == 200
            if found.status_code == wanted:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_run_survives_the_death_of_the_database(own: OwnServer):
    async with serve(own.url) as served:
        await served.execute("ask", session_id="asks")
        running = asyncio.create_task(served.execute("gate", session_id="s"))
        await served.gate.reached()
        own.kill()

        away = await readiness(served, 503)
        assert away.json()["dependencies"]["postgresql"] == {"status": "unhealthy", "latency_ms": None}
        refused = await asyncio.gather(
            served.execute("echo"),
            served.execute("echo", headers={"Idempotency-Key": "k"}),
            served.http.post("/workflow/stream", json={"workflow_type": "echo", "input_data": {}, "user_id": "ada"}),
            served.http.post("/workflow/asks/resume", json={"user_id": "ada", "answer": "yes"}),
            served.http.get("/workflow/s/status", params={"user_id": "ada"}),
            served.http.post("/sessions", json={"user_id": "ada"}),
        )
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        served.gate.open.set()
        assert not running.done()

        await own.restart()
        answer = await running
        assert (answer.status_code, answer.json()["status"]) == (200, "success")
        assert answer.json()["result"]["log"] == ["x=0", "through"]
        await readiness(served, 200)
        status = (await served.http.get("/workflow/s/status", params={"user_id": "ada"})).json()
        assert (status["status"], status["run"]["status"], status["run"]["attempt"]) == ("idle", "success", 1)
        assert (await served.execute("echo", session_id="s")).json()["result"]["log"][-1] == "x=1"
        key = await served.execute("echo", headers={"Idempotency-Key": "k"})
        assert key.status_code == 200
        resumed = await served.http.post("/workflow/asks/resume", json={"user_id": "ada", "answer": "yes"})
        assert resumed.json()["result"]["log"] == ["yes", "x=0"]


@pytest.mark.slow
async def test_a_silent_database_is_noticed_and_a_run_outlives_the_silence(database: str):
    wire = Wire()
    async with wire.to(database) as url, serve(url) as served:
        assert (await readiness(served, 200)).json()["status"] == "ready"
        running = asyncio.create_task(served.execute("gate", session_id="s"))
        await served.gate.reached()
        wire.cut()
        await readiness(served, 503)
        served.gate.open.set()
        wire.mend()
        answer = await running
        assert answer.json()["result"]["log"] == ["x=0", "through"]
        await readiness(served, 200)
