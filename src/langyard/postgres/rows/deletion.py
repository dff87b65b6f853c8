"""Deletes threads with all that belongs to them, in a transaction of the caller's. Used by `rows` and `sessions`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from langyard.postgres.arrays import Texts, Uuids
from langyard.postgres.database import Connection
from langyard.postgres.queries import load

_SQL = load("threads")


async def delete_threads(connection: Connection, thread_ids: Sequence[UUID]) -> int:
    """Sessions, crons, runs, events, checkpoints and the threads; how many threads there were.

    Runs first: whoever still writes for one holds its row, and once that is gone no later write is let in. Then the
    threads, behind whoever is changing a state or starting a run. Events and checkpoints last: a run that was begun a
    moment ago has gone with its thread, and what it wrote is found.
    """
    params = {"thread_ids": Uuids(thread_ids)}
    await connection.execute(_SQL["delete_runs"], params)
    cursor = await connection.execute(_SQL["delete_threads"], params)
    deleted = len(await cursor.fetchall())
    await connection.execute(_SQL["delete_events"], params)
    await connection.execute(_SQL["delete_checkpoints"], {"names": Texts(str(found) for found in thread_ids)})
    return deleted
