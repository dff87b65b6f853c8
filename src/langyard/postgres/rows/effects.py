"""What nodes have done outside, in PostgreSQL: once a run and key, or a thread and key. For the worker's effects."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from langyard.postgres.database import Database
from langyard.postgres.queries import load

_SQL = load("effects")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose effect it is: a run's, at the fence of its lease, or with `of_thread` its thread's."""

    run_id: UUID
    thread_id: UUID
    fence: int
    key: str
    of_thread: bool


async def find(database: Database, place: Place) -> tuple[str, bytes] | None:
    """The recorded result as type and bytes; None when there is none."""
    row = await database.fetch_one(_SQL["find"], _params(place))
    return (row["type"], row["value"]) if row else None


async def record(database: Database, place: Place, kind: str, value: bytes) -> bool:
    """Record a result; False when the lease is gone, and nothing was recorded."""
    params = {**_params(place), "type": kind, "value": value}
    return await database.fetch_one(_SQL["record"], params) is not None


def _params(place: Place) -> dict[str, object]:
    return {name: getattr(place, name) for name in Place.__dataclass_fields__}
