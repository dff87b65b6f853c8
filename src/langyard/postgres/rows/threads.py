"""Threads in PostgreSQL. Called by the rules in `threads`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_SQL = load("threads")


async def create(
    database: Database, thread_id: UUID, metadata: Mapping[str, Any], ttl_s: float | None, strategy: str | None
) -> Row | None:
    """The new thread; None when there is one with this id."""
    params = {
        "thread_id": thread_id,
        "metadata": serde.dumps(metadata).decode(),
        "ttl_s": ttl_s,
        "strategy": strategy,
    }
    return await database.fetch_one(_SQL["create"], params)


async def find(database: Database, thread_id: UUID) -> Row | None:
    """A thread."""
    return await database.fetch_one(_SQL["find"], {"thread_id": thread_id})
