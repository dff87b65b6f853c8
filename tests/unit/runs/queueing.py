"""Workers without graphs: they claim runs and end them, as the real ones do, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from langyard.model.ids import uuid7
from langyard.model.runs import Caps, ClaimedRun, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.database import Database
from langyard.postgres.starts import Started

GRAPHS = ["agent", "other"]


@dataclass
class Queue:
    """One worker and whoever asks it."""

    database: Database
    caps: Caps | None = None
    graphs: list[str] = field(default_factory=lambda: list(GRAPHS))
    worker_id: UUID = field(default_factory=uuid4)

    async def register(self) -> None:
        sql = """insert into langyard.workers (worker_id, host, pid, version, slots, graphs, expires_at)
            values (%(id)s, 'here', 1, '0', 10, %(graphs)s, now() + interval '1 hour')"""
        await self.database.execute(sql, {"id": self.worker_id, "graphs": self.graphs})

    async def start(
        self,
        user_id: str | None = None,
        *,
        thread_id: UUID | None = None,
        graph_id: str = "agent",
        at_once: bool = False,
        **more: Any,
    ) -> Started:
        """A run; `at_once` offers it the worker, as a process does that has a slot free."""
        request = RunRequest(
            uuid7(), graph_id, {}, user_id=user_id, thread_id=thread_id or uuid4(), may_create=True, **more
        )
        started = await starts.start(self.database, request, self.worker_id if at_once else None, caps=self.caps)
        assert started is not None
        return started

    async def flood(self, user_id: str | None, count: int, **more: Any) -> list[UUID]:
        return [(await self.start(user_id, **more)).run.run_id for _ in range(count)]

    async def claim(self, slots: int = 1) -> list[ClaimedRun]:
        return await rows.claim(self.database, self.worker_id, self.graphs, slots, self.caps)

    async def end(self, *claimed: ClaimedRun) -> None:
        """What the writer's statement does to a run's row and its thread's."""
        sql = """with ended as (
                update langyard.runs set status = 'success', worker_id = null, finished_at = now()
                where run_id = %(run_id)s and status = 'running' returning thread_id)
            update langyard.threads t set open_runs = open_runs - 1 from ended where t.thread_id = ended.thread_id"""
        for run in claimed:
            assert await self.database.execute(sql, {"run_id": run.run_id}) == 1

    async def serve(self, count: int) -> list[ClaimedRun]:
        """The next runs, one after another, each ended before the next is claimed."""
        served = []
        for _ in range(count):
            (run,) = await self.claim()
            await self.end(run)
            served.append(run)
        return served

    async def ready(self, run_id: UUID) -> bool:
        row = await self.database.fetch_one("select ready from langyard.runs where run_id = %(id)s", {"id": run_id})
        assert row is not None
        return bool(row["ready"])


@asynccontextmanager
async def queue(url: str, **more: Any) -> AsyncIterator[Queue]:
    """A registered worker."""
    database = Database(url, name="test", max_size=8)
    await database.open()
    try:
        made = Queue(database, **more)
        await made.register()
        yield made
    finally:
        await database.close()
