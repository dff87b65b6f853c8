"""Sessions in PostgreSQL, each with a thread of its own. Called by the rules in `sessions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from langyard import serde
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load
from langyard.postgres.rows.deletion import delete_threads

_SQL = load("sessions")
_ATTEMPTS = 5


async def create(
    database: Database, session_id: str, user_id: str, thread_id: UUID, data: Mapping[str, Any], ttl_s: float
) -> Row | None:
    """The new session; None when the id is taken."""
    params = {
        "session_id": session_id,
        "user_id": user_id,
        "thread_id": thread_id,
        "data": serde.dumps(data).decode(),
        "metadata": serde.dumps(metadata(session_id, user_id)).decode(),
        "ttl_s": ttl_s,
    }
    try:
        return await database.fetch_one(_SQL["create"], params)
    except psycopg.errors.UniqueViolation:
        # Two made it at once; this one's thread was rolled back with it.
        return None


def metadata(session_id: str, user_id: str) -> dict[str, str]:
    """What the thread of a session has as its metadata from the first; `start` makes one too."""
    return {"session_id": session_id, "user_id": user_id}


async def find(database: Database, session_id: str) -> Row | None:
    """The session, whoever has it, with `expired`; it does not slide."""
    return await database.fetch_one(_SQL["find"], {"session_id": session_id})


async def count_active(database: Database) -> int:
    """How many have not expired, whoever has them."""
    row = await database.fetch_one(_SQL["count_active"])
    return int(row["n"]) if row else 0


async def touch(database: Database, session_id: str, user_id: str) -> Row | None:
    """The user's live session, its expiry slid."""
    return await database.fetch_one(_SQL["touch"], {"session_id": session_id, "user_id": user_id})


async def merge(database: Database, session_id: str, user_id: str, data: Mapping[str, Any]) -> Row | None:
    """The user's live session after a shallow merge of `data`, its expiry slid."""
    params = {"session_id": session_id, "user_id": user_id, "data": serde.dumps(data).decode()}
    return await database.fetch_one(_SQL["merge"], params)


async def search(database: Database, user_id: str, *, limit: int, offset: int) -> list[Row]:
    """The user's live sessions, last used first."""
    return await database.fetch(_SQL["search"], {"user_id": user_id, "limit": limit, "offset": offset})


async def close(database: Database, session_id: str, user_id: str) -> Row | None:
    """The user's session, live or not, from now on expired."""
    return await database.fetch_one(_SQL["close"], {"session_id": session_id, "user_id": user_id})


async def thread(database: Database, thread_id: UUID) -> Row | None:
    """What a session's thread says: `status`, `interrupts` by LangGraph task, `revision`, `open_runs`."""
    return await database.fetch_one(_SQL["thread"], {"thread_id": thread_id})


async def of_thread(database: Database, thread_id: UUID) -> str | None:
    """The id of the session that has this thread."""
    row = await database.fetch_one(_SQL["of_thread"], {"thread_id": thread_id})
    return row["session_id"] if row else None


async def delete(database: Database, session_id: str, thread_id: UUID) -> None:
    """Delete the session with its thread, runs, events and checkpoints, in one transaction."""
    for last in (*[False] * (_ATTEMPTS - 1), True):
        try:
            async with database.connection() as connection, connection.transaction():
                await connection.execute(_SQL["lock"], {"session_id": session_id})
                await delete_threads(connection, [thread_id])
                return
        except psycopg.errors.DeadlockDetected:
            if last:
                raise


async def sweep(database: Database, *, grace_s: float, limit: int) -> int:
    """Delete up to `limit` sessions that expired more than `grace_s` ago; how many were deleted."""
    try:
        async with database.connection() as connection, connection.transaction():
            cursor = await connection.execute(_SQL["due"], {"grace_s": grace_s, "limit": limit})
            due = [row["thread_id"] for row in await cursor.fetchall()]
            if due:
                await delete_threads(connection, due)
            return len(due)
    except psycopg.errors.DeadlockDetected:
        # Whoever was in the way goes first; the next sweep takes them.
        return 0
