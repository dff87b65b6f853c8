"""The event log: what runs streamed, for readers elsewhere and for those who come back. Written by the writer."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from langyard.model.events import Event
from langyard.postgres.arrays import Ints, Uuids
from langyard.postgres.database import Database
from langyard.postgres.queries import load

_SQL = load("events")
_PAGE = 1000


async def read(database: Database, run_id: UUID, after: int, limit: int = _PAGE) -> list[Event]:
    """The run's events above number `after`, in order, at most `limit`."""
    rows = await database.fetch(_SQL["read"], {"run_id": run_id, "after": after, "limit": limit})
    return [Event(row["seq"], row["event"], row["data"]) for row in rows]


async def last(database: Database, run_id: UUID) -> int:
    """The highest number stored for the run, 0 if there is none."""
    row = await database.fetch_one(_SQL["last"], {"run_id": run_id})
    return row["seq"] if row else 0


async def behind(database: Database, seen: Mapping[UUID, int]) -> list[UUID]:
    """Those of the runs that have events above the number named with each."""
    rows = await database.fetch(_SQL["behind"], {"run_ids": Uuids(seen), "seen": Ints(seen.values())})
    return [row["run_id"] for row in rows]


async def sweep(database: Database, *, retention_s: float, limit: int = 5000) -> int:
    """Delete events of runs that ended longer ago than the retention; returns how many, at most `limit`."""
    return await database.execute(_SQL["sweep"], {"retention_s": retention_s, "limit": limit})
