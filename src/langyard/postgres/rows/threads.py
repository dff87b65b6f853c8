"""Threads in PostgreSQL. Called by the rules in `threads`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from langyard import serde
from langyard.model.filters import Filter
from langyard.model.runs import RunRequest
from langyard.postgres.arrays import Texts, Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load
from langyard.postgres.rows.deletion import delete_threads
from langyard.postgres.rows.filters import condition, conditions

_SQL = load("threads")
_ATTEMPTS = 5
_COPY = _SQL["copy"].replace("{copied}", load("checkpoints")["copied"].replace("{made}", "exists (select from made)"))
_COLUMNS = (
    't.thread_id, t.status, t.metadata, t.config, t."values"::text as "values", t.interrupts, t.error, t.created_at, '
    "t.updated_at, t.state_updated_at, t.ttl_strategy, extract(epoch from t.ttl)::float8 as ttl_s, "
    "greatest(t.expires_at, t.updated_at + t.ttl) as expires_at, t.open_runs, t.revision"
)
_JSON = {"values": 't."values"', "metadata": "t.metadata", "config": "t.config", "interrupts": "t.interrupts"}
_CONDITIONS: Mapping[str, LiteralString] = {
    "ids": "t.thread_id = any(%(ids)s)",
    "metadata": "t.metadata @> %(metadata)s::jsonb",
    "values": 't."values" @> %(values)s::jsonb',
    "status": "t.status = %(status)s",
}
# Ties are broken by the id, so that pages neither repeat nor miss a row. Each order has an index to be read in.
_ORDERS: Mapping[tuple[str, str], LiteralString] = {
    ("thread_id", "asc"): "t.thread_id",
    ("thread_id", "desc"): "t.thread_id desc",
    ("status", "asc"): "t.status, t.updated_at desc, t.thread_id",
    ("status", "desc"): "t.status desc, t.updated_at, t.thread_id",
    ("created_at", "asc"): "t.created_at, t.thread_id",
    ("created_at", "desc"): "t.created_at desc, t.thread_id desc",
    ("updated_at", "asc"): "t.updated_at, t.thread_id",
    ("updated_at", "desc"): "t.updated_at desc, t.thread_id desc",
    ("state_updated_at", "asc"): "t.state_updated_at, t.thread_id",
    ("state_updated_at", "desc"): "t.state_updated_at desc, t.thread_id desc",
}


async def create(
    database: Database, thread_id: UUID, metadata: Mapping[str, Any], ttl_s: float | None, strategy: str | None
) -> Row | None:
    """The new thread; None when there is one with this id."""
    params = {"thread_id": thread_id, "metadata": _text(metadata), "ttl_s": ttl_s, "strategy": strategy}
    return await database.fetch_one(_SQL["create"], params)


async def find(database: Database, thread_id: UUID) -> Row | None:
    """A thread."""
    return await database.fetch_one(_SQL["find"], {"thread_id": thread_id})


async def merge(
    database: Database, thread_id: UUID, metadata: Mapping[str, Any], ttl_s: float | None, strategy: str | None
) -> Row | None:
    """The thread after its metadata took these keys over; None when there is none."""
    params = {"thread_id": thread_id, "metadata": _text(metadata), "ttl_s": ttl_s, "strategy": strategy}
    return await database.fetch_one(_SQL["merge"], params)


async def search(
    database: Database,
    filters: Mapping[str, Any],
    *,
    order: tuple[str, str],
    limit: int,
    offset: int,
    extract: Sequence[tuple[str, Sequence[str]]] = (),
) -> list[Row]:
    """Threads that fit all filters (`ids`, `metadata`, `values`, `status`, and `allowed`, a `Filter`).

    Each of `extract`, a column and a path in it, comes back as `extract_<number>`.
    """
    extracts = (f'{_JSON[column]} #> %(path_{n})s as "extract_{n}"' for n, (column, _) in enumerate(extract))
    paths = {f"path_{n}": Texts(path) for n, (_, path) in enumerate(extract)}
    sql = search_sql("search", filters, order, ", ".join((_COLUMNS, *extracts)))
    return await database.fetch(sql, {**_params(filters), **paths, "limit": limit, "offset": offset})


async def count(database: Database, filters: Mapping[str, Any]) -> int:
    """How many threads fit all filters."""
    row = await database.fetch_one(search_sql("count", filters), _params(filters))
    return int(row["n"]) if row else 0


def search_sql(
    name: str, filters: Mapping[str, Any], order: tuple[str, str] = ("updated_at", "desc"), columns: str = _COLUMNS
) -> LiteralString:
    """The statement for just these filters: a plan that is made for all of them at once serves none."""
    found, _ = conditions(filters, _CONDITIONS, {"allowed": "t.metadata"})
    text = _SQL[name].replace("{conditions}", " and ".join(found) or "true").replace("{order}", _ORDERS[order])
    return text.replace("{columns}", columns)


async def copy(
    database: Database,
    source: UUID,
    target: UUID,
    metadata: Mapping[str, Any],
    *,
    ttl_s: float | None,
    strategy: str | None,
) -> Row | None:
    """A new thread with all the checkpoints of another, and this metadata besides its; None when there is no other."""
    params = {"source": str(source), "target": str(target), "metadata": _text(metadata)}
    row = await database.fetch_one(_COPY, {**params, "ttl_s": ttl_s, "strategy": strategy})
    return row if row is not None else await find(database, target)


async def open_runs(database: Database, thread_ids: Sequence[UUID]) -> list[UUID]:
    """The pending and running runs of these threads."""
    rows = await database.fetch(_SQL["open_runs"], {"thread_ids": Uuids(thread_ids)})
    return [row["run_id"] for row in rows]


async def delete(database: Database, thread_ids: Sequence[UUID]) -> int:
    """Delete threads with runs, events and checkpoints, in one transaction; how many there were."""
    for last in (*[False] * (_ATTEMPTS - 1), True):
        try:
            async with database.connection() as connection, connection.transaction():
                return await delete_threads(connection, thread_ids)
        except psycopg.errors.DeadlockDetected:
            # The sweep, or another deletion, came to the same thread from the other side.
            if last:
                raise
    raise AssertionError("unreachable")


async def of_assistant(database: Database, assistant_id: UUID, limit: int, allowed: Filter | None = None) -> list[UUID]:
    """Threads that an assistant's runs made or used last, those that pass `allowed` if it is given."""
    text, params = condition(allowed or Filter(), "t.metadata")
    sql = _SQL["of_assistant"].replace("{filter}", text)
    rows = await database.fetch(sql, {"assistant_id": str(assistant_id), "limit": limit, **params})
    return [row["thread_id"] for row in rows]


async def sweep(database: Database, limit: int, *, paused: bool = False) -> tuple[int, list[UUID]]:
    """Delete what is due among up to `limit` expired threads: how many were looked at, and whose history is due.

    Those that wait for an answer only with `paused`.
    """
    try:
        async with database.connection() as connection, connection.transaction():
            cursor = await connection.execute(_SQL["due"], {"limit": limit, "paused": paused})
            due = await cursor.fetchall()
            over = [(row["thread_id"], row["ttl_strategy"]) for row in due if row["expired"]]
            if gone := [thread_id for thread_id, strategy in over if strategy == "delete"]:
                await delete_threads(connection, gone)
            return len(due), [thread_id for thread_id, strategy in over if strategy == "keep_latest"]
    except psycopg.errors.DeadlockDetected:
        # Somebody is deleting one of them by hand; the next sweep finds the others.
        return 0, []


async def storage(database: Database, thread_id: UUID) -> Row:
    """What a thread's checkpoints take, counted and in bytes."""
    row = await database.fetch_one(_SQL["storage"], {"name": str(thread_id)})
    assert row is not None
    return row


def _params(filters: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in filters.items() if not isinstance(value, Filter)}
    params = {name: _text(value) if isinstance(value, Mapping) else value for name, value in given.items()}
    params |= conditions(filters, _CONDITIONS, {"allowed": "t.metadata"})[1]
    return {**params, "ids": Uuids(filters["ids"])} if "ids" in filters else params


def _text(value: Mapping[str, Any]) -> str:
    return serde.dumps(value).decode()


async def standing(database: Database, request: RunRequest) -> Row | None:
    """What was said of the thread that a run is to be made on, and its metadata; None when there is none yet."""
    params = {"thread_id": request.thread_id, "session_id": request.session_id}
    return await database.fetch_one(_SQL["standing"], params)


async def keep_standing(database: Database, thread_id: UUID, priority: int, fairness_group: str | None) -> None:
    """Keep what was said of a thread, unless somebody was first."""
    params = {"thread_id": thread_id, "priority": priority, "fairness_group": fairness_group}
    await database.execute(_SQL["keep_standing"], params)
