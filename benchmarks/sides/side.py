"""What every side is: something that is started, loaded, read and stopped. Called by `measure`."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes, scratch
from benchmarks.database import Database
from benchmarks.load import MOST_RUNS, Sample
from benchmarks.processes import Server, Unavailable


@dataclass(frozen=True)
class Context:
    """What an invocation gives its sides. `api` names the routes that are asked, one of `APIS`."""

    database: Database
    api: str = "workflow"


class Side(ABC):
    """One of those compared. `database` names its database, None when it has none; `note` says how it was set up."""

    database: str | None = None
    note = ""

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = name
        self.servers: list[Server] = []

    @abstractmethod
    async def start(self) -> None:
        """Ready to be loaded afterwards; raises Unavailable with the reason why it cannot be measured here."""

    @abstractmethod
    async def load(self, scenario: str, concurrency: int, seconds: float = math.inf, runs: int = MOST_RUNS) -> Sample:
        """So many users at once run the scenario, each for `seconds` or `runs` times."""

    async def idle_stream_bytes(self, count: int, protocol: bool = False) -> float:
        """What each of `count` open streams on which nothing happens adds to the server's memory; with `protocol` they
        are of the event protocol."""
        raise Unavailable("it has no streams over HTTP")

    def stop(self) -> None:
        """Ends what `start` started."""
        while self.servers:
            self.servers.pop().stop()

    def cpu_ms(self) -> float:
        """CPU of its processes so far, without PostgreSQL's and Redis's."""
        return sum(processes.cpu_ms(server.pid) for server in self.servers)

    def rss_bytes(self) -> int:
        """Memory of its processes now."""
        return sum(processes.rss_bytes(server.pid) for server in self.servers)

    async def serve(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None, port: str = "--port"
    ) -> None:
        """Starts a server of the side, on the side's database, with nothing of our environment that would steer it."""
        kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
        # What calls out finds nobody.
        proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        own = {"DATABASE_URL": self.context.database.url(self.database)} if self.database else {}
        scratch.FOLDER.mkdir(exist_ok=True)
        log = scratch.FOLDER / f"{self.name}.log"
        server = Server(command, log, {**kept, **proxy, "LANGSMITH_TRACING": "false", **own, **env}, cwd, port)
        self.servers.append(server)
        await server.listening()
