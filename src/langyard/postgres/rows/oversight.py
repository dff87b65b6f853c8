"""Runs, their workers and their threads as those see them who look after a server. Called by `ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_SQL = load("oversight")


async def search(database: Database, wanted: Mapping[str, Any]) -> list[Row]:
    """Runs, the newest first; `wanted` has `status`, `thread_id`, `graph_id`, `quarantined`, `older_s`, `limit`."""
    return await database.fetch(_SQL["list"], wanted)


async def find(database: Database, run_id: UUID) -> Row | None:
    """A run with its worker, its lease and its thread."""
    return await database.fetch_one(_SQL["show"], {"run_id": run_id})


async def checkpoints(database: Database, thread_id: UUID, *, limit: int = 50) -> list[Row]:
    """The thread's checkpoints, the latest first."""
    return await database.fetch(_SQL["checkpoints"], {"thread_id": thread_id, "limit": limit})


async def orphans(database: Database) -> list[UUID]:
    """Runs said to be running, by workers that do not live."""
    return [row["run_id"] for row in await database.fetch(_SQL["orphans"])]


async def miscounted(database: Database) -> list[Row]:
    """Threads whose counter or status differs from what their runs say."""
    return await database.fetch(_SQL["miscounted"])


async def recount(database: Database, thread_id: UUID) -> Row | None:
    """Set the thread's counter and status by its runs; None when they are right by now."""
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_SQL["lock_thread"], {"thread_id": thread_id})
        cursor = await connection.execute(_SQL["recount"], {"thread_id": thread_id})
        return await cursor.fetchone()


async def wake(database: Database) -> None:
    """Have every worker look at the queue."""
    await database.execute(_SQL["wake"])
