"""Assistants and their versions in PostgreSQL. Called by the rules in `assistants`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from langyard.postgres.arrays import Texts, Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_SQL = load("assistants")


async def sync(database: Database, system: Sequence[tuple[UUID, str, str, str | None]]) -> list[Row]:
    """The rows of the system assistants, each `(assistant_id, graph_id, name, description)`, made where missing."""
    ids = Uuids(row[0] for row in system)
    params = {
        "assistant_ids": ids,
        "graph_ids": Texts(row[1] for row in system),
        "names": Texts(row[2] for row in system),
        "descriptions": Texts(row[3] for row in system),
    }
    await database.execute(_SQL["sync"], params)
    return await database.fetch(_SQL["some"], {"assistant_ids": ids})


async def find(database: Database, assistant_id: UUID) -> Row | None:
    """An assistant."""
    return await database.fetch_one(_SQL["find"], {"assistant_id": assistant_id})
