"""Runs as the Agent Server API shows them, in PostgreSQL. Called by the rules in `invocations` and by the gateway."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

import psycopg

from langyard.model.filters import Filter
from langyard.model.ids import first_uuid7
from langyard.postgres.arrays import Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load
from langyard.postgres.rows.deletion import delete_threads
from langyard.postgres.rows.filters import condition

_SQL = load("agent_runs")


async def thread_exists(database: Database, thread_id: UUID | None) -> bool:
    """Whether there is such a thread."""
    return await database.fetch_one(_SQL["thread_exists"], {"thread_id": thread_id}) is not None


async def find(database: Database, run_id: UUID, thread_id: UUID | None = None) -> Row | None:
    """A run, of this thread if one is named; temporary ones only as long as they are under way."""
    return await database.fetch_one(_SQL["find"], {"run_id": run_id, "thread_id": thread_id})


async def locate(database: Database, run_id: UUID, thread_id: UUID | None = None) -> Row | None:
    """Where and on which graph a run is, however little of it may still be shown."""
    return await database.fetch_one(_SQL["locate"], {"run_id": run_id, "thread_id": thread_id})


async def search(database: Database, thread_id: UUID, *, status: str | None, limit: int, offset: int) -> list[Row]:
    """The thread's runs, newest first."""
    params = {"thread_id": thread_id, "status": status, "limit": limit, "offset": offset}
    return await database.fetch(_SQL["search"], params)


async def open_of(
    database: Database,
    *,
    thread_id: UUID | None,
    run_ids: Sequence[UUID] | None,
    status: str | None,
    allowed: Filter | None = None,
) -> list[UUID]:
    """The pending and running runs among those that are meant, on threads that pass `allowed` if it is given.

    `status` is one of the two, or None for both.
    """
    params = {"thread_id": thread_id, "run_ids": Uuids(run_ids) if run_ids else None, "status": status}
    if allowed is None:
        return [row["run_id"] for row in await database.fetch(_SQL["open_of"], params)]
    text, more = condition(allowed, "t.metadata")
    sql = _SQL["open_of_allowed"].replace("{filter}", text)
    return [row["run_id"] for row in await database.fetch(sql, {**params, **more})]


async def delete(database: Database, run_id: UUID) -> bool:
    """Delete an ended run with its checkpoints and events; False when there is none."""
    return await database.fetch_one(_SQL["delete"], {"run_id": run_id}) is not None


async def sweep(database: Database, *, grace_s: float, limit: int = 500) -> int:
    """Delete temporary runs, with their threads, that ended longer ago than the grace; returns how many."""
    try:
        async with database.connection() as connection, connection.transaction():
            cursor = await connection.execute(_SQL["due"], {"grace_s": grace_s, "limit": limit})
            due = [row["thread_id"] for row in await cursor.fetchall()]
            return await delete_threads(connection, due) if due else 0
    except psycopg.errors.DeadlockDetected:
        # Somebody is deleting one of them by hand; the next sweep finds the others.
        return 0


async def forget_outcomes(database: Database, *, after_s: float, limit: int) -> int:
    """Drop the states kept apart for readers of runs that ended longer ago; returns how many."""
    return await database.execute(_SQL["forget_outcomes"], {"after_s": after_s, "limit": limit})


async def expire(database: Database, *, after_s: float, limit: int) -> int:
    """Delete the rows of runs that ended longer ago, with their events; returns how many."""
    params = {"after_s": after_s, "before": first_uuid7(time.time() - after_s), "limit": limit}
    return await database.execute(_SQL["expire"], params)
