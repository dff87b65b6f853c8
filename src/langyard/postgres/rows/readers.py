"""Readers of whole threads in PostgreSQL: who reads, and what there is to read. Called by `streams.threads`."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from langyard.model.events import ThreadEvent
from langyard.postgres.arrays import Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_SQL = load("thread_readers")
_PAGE = 1000


async def mark(database: Database, thread_ids: Collection[UUID], for_s: float) -> None:
    """Have every run that begins on these threads within the next `for_s` seconds told of, and its events stored."""
    await database.execute(_SQL["mark"], {"thread_ids": Uuids(thread_ids), "for_s": for_s})


async def runs(database: Database, thread_ids: Collection[UUID], since_s: float) -> list[Row]:
    """Runs that are open on these threads or were made within the last `since_s` seconds, oldest first."""
    return await database.fetch(_SQL["runs"], {"thread_ids": Uuids(thread_ids), "since_s": since_s})


async def read(database: Database, thread_id: UUID, after: int, limit: int = _PAGE) -> list[ThreadEvent]:
    """The thread's stored events above number `after`, of all its runs, in order, at most `limit`."""
    params = {"thread_id": thread_id, "after": after, "limit": limit}
    rows = await database.fetch(_SQL["read"], params)
    return [ThreadEvent(row["seq"], row["event"], row["data"], row["run_id"]) for row in rows]


async def last(database: Database, thread_id: UUID) -> int:
    """The highest number stored for the thread, 0 if there is none."""
    row = await database.fetch_one(_SQL["last"], {"thread_id": thread_id})
    return row["seq"] if row else 0


async def latest(database: Database, thread_id: UUID) -> Row | None:
    """The run that was made last on the thread: its state, the thread's, how long ago it was made and has ended."""
    return await database.fetch_one(_SQL["latest"], {"thread_id": thread_id})
