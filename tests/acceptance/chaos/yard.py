"""The place under fire: one PostgreSQL and perhaps a Redis of its own, servers as processes behind a wire each."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from langyard.postgres import embedded
from langyard.postgres.migrations import migrate
from tests.acceptance.chaos.graphs import GRAPHS, SOURCE
from tests.acceptance.chaos.wire import Wire
from tests.acceptance.serving import LANGYARD, environ, project
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[3]


class Server:
    """One `langyard serve`, always on the same port; `harmed` are the moments something was done to it."""

    def __init__(self, name: str, yard: Yard, args: list[str]) -> None:
        self.name, self.args, self.wire = name, args, Wire(yard.url)
        self._yard = yard
        self.process: asyncio.subprocess.Process | None = None
        self.pids: set[int] = set()
        self.harmed: list[tuple[float, float]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def works(self) -> bool:
        return "--no-worker" not in self.args

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        yard = self._yard
        program = (
            [LANGYARD] if yard.defect is None else [sys.executable, "-m", "tests.acceptance.chaos.defects", yard.defect]
        )
        with (yard.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *program, "serve", "--port", str(self.port), *self.args,
                cwd=yard.folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=environ(
                    DATABASE_URL=self.wire.url, LANGYARD_LOG_FORMAT="json", CHAOS_LEDGER=str(yard.ledger),
                    LANGYARD_LEASE_TTL_SECONDS=str(yard.lease_s), LANGYARD_LEASE_RENEW_SECONDS=str(yard.lease_s / 4),
                    LANGYARD_POLL_SECONDS=str(yard.lease_s / 4), LANGYARD_SWEEP_SECONDS=str(yard.lease_s / 4),
                    LANGYARD_DRAIN_GRACE_SECONDS="0.2",
                    LANGYARD_DB_MIGRATE="false", LANGYARD_RUN_MAX_ATTEMPTS="50", LANGYARD_WORKER_SLOTS="16",
                    LANGYARD_DB_POOL_MAX_SIZE="6", PYTHONPATH=str(ROOT), **yard.environ,
                ),
            )  # fmt: skip
        self.pids.add(self.process.pid)

    @contextmanager
    def harm(self) -> Iterator[None]:
        """Something is done to it that may cost it its lease."""
        began = time.time()
        mark = len(self.harmed)
        self.harmed.append((began, math.inf))
        try:
            yield
        finally:
            self.harmed[mark] = (began, time.time())

    def send(self, number: int) -> None:
        if self.alive and self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def end(self, number: int, wait_s: float = 20.0) -> None:
        """Signal it and wait until it is gone; one that does not go is killed."""
        self.send(number)
        if self.process is None:
            return
        try:
            await asyncio.wait_for(self.process.wait(), wait_s)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.process.wait()

    async def ready(self, wait_s: float = 60.0) -> None:
        """Return when it answers; one that ended is started again."""
        deadline = time.monotonic() + wait_s
        async with httpx.AsyncClient(timeout=5) as http:
            while True:
                with suppress(httpx.HTTPError):
                    if (await http.get(f"{self.address}/health/ready")).status_code == 200:
                        return
                if not self.alive:
                    await self.start()
                assert time.monotonic() < deadline, f"{self.name} does not come up; see {self.name}.log"
                await asyncio.sleep(0.2)


class Yard:
    """Open with `async with`; `url` is the database, past all wires."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        gateways: int = 1,
        defect: str | None = None,
        lease_s: float = 2.0,
        with_redis: bool = False,
        **settings: str,
    ) -> None:
        self.redis: RedisServer | None = None
        self._with_redis = with_redis
        self.lease_s = lease_s
        self.folder, self.ledger, self.defect, self.environ = folder, folder / "ledger", defect, settings
        self.down: list[tuple[float, float]] = []
        self._counts = (workers, gateways)

    async def __aenter__(self) -> Yard:
        folder = project(self.folder, SOURCE, **GRAPHS)
        folder.chmod(0o755)
        self._postgres = await asyncio.to_thread(embedded.start, folder)
        self.url = self._postgres.url
        await migrate(self.url)
        with self.connect() as connection:
            connection.execute((Path(__file__).parent / "audit.sql").read_bytes())
        if self._with_redis:
            self.redis = await asyncio.to_thread(RedisServer, folder)
            self.environ["REDIS_URL"] = self.redis.url
        workers, gateways = self._counts
        self.servers = [Server(f"worker-{n}", self, []) for n in range(workers)]
        self.servers += [Server(f"gateway-{n}", self, ["--no-worker"]) for n in range(gateways)]
        for server in self.servers:
            await server.wire.open()
            await server.start()
        for server in self.servers:
            await server.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            server.send(signal.SIGCONT)
        await asyncio.gather(*(server.end(signal.SIGKILL) for server in self.servers))
        for server in self.servers:
            await server.wire.close()
        if self.redis is not None:
            self.redis.close()
        await asyncio.to_thread(self._postgres.close)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5, application_name="chaos")

    async def restart_postgres(self) -> None:
        """Stop "immediate", as a crash would, and start again: it recovers from its log."""
        began = time.time()
        os.kill(int((self._postgres.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        server = await asyncio.to_thread(embedded.start, self.folder)
        assert server.url == self.url, "it came back on another port"
        await asyncio.to_thread(self._postgres.close)
        self._postgres = server
        self.down.append((began, time.time()))

    def executions(self) -> list[dict[str, Any]]:
        """What the nodes wrote."""
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    async def mend(self) -> None:
        """Everything runs again and reaches everything."""
        for server in self.servers:
            server.send(signal.SIGCONT)
            server.wire.mend()
        for server in self.servers:
            await server.ready()
