"""Assistants and their versions in PostgreSQL. Called by the rules in `assistants`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from langyard import serde
from langyard.model.filters import Filter
from langyard.postgres.arrays import Texts, Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load
from langyard.postgres.rows.filters import conditions

_SQL = load("assistants")
_CONDITIONS: Mapping[str, LiteralString] = {
    "metadata": "a.metadata @> %(metadata)s::jsonb",
    "graph_id": "a.graph_id = %(graph_id)s",
    "name": "position(lower(%(name)s) in lower(a.name)) > 0",
}
# An assistant's name as that of a tool, which an index holds in these very words.
_TOOL: LiteralString = "left(regexp_replace(a.name, '[^A-Za-z0-9_.-]+', '_', 'g'), 128) = %(tool)s"
_SORTS = ("assistant_id", "graph_id", "name", "created_at", "updated_at")
_SORTED_BY = {"name": "lower(a.name)"}
_ORDERS: Mapping[tuple[str, str], str] = {
    (column, order): f"{_SORTED_BY.get(column, f'a.{column}')} {order}"
    + ("" if column == "assistant_id" else f", a.assistant_id {order}")
    for column in _SORTS
    for order in ("asc", "desc")
}


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


async def create(database: Database, assistant_id: UUID, fields: Mapping[str, Any]) -> Row | None:
    """The new assistant, version 1; None when there is one with this id."""
    return await database.fetch_one(_SQL["create"], {"assistant_id": assistant_id, **_params(fields)})


async def change(database: Database, assistant_id: UUID, changed: Callable[[Row], Mapping[str, Any]]) -> Row | None:
    """A new version of the assistant, with the fields that `changed` makes of its row. None when there is none."""
    async with database.connection() as connection, connection.transaction():
        cursor = await connection.execute(_SQL["lock"], {"assistant_id": assistant_id})
        row = await cursor.fetchone()
        if row is None:
            return None
        cursor = await connection.execute(_SQL["newest"], {"assistant_id": assistant_id})
        newest = await cursor.fetchone()
        fields = {**_params(changed(row)), "version": (newest["newest"] if newest else 0) + 1}
        cursor = await connection.execute(_SQL["put"], {"assistant_id": assistant_id, **fields})
        return await cursor.fetchone()


async def activate(database: Database, assistant_id: UUID, version: int) -> Row | None:
    """The assistant as it was at a version; None when there is no such version."""
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_SQL["lock"], {"assistant_id": assistant_id})
        cursor = await connection.execute(_SQL["version"], {"assistant_id": assistant_id, "version": version})
        row = await cursor.fetchone()
        if row is None:
            return None
        cursor = await connection.execute(
            _SQL["put"], {"assistant_id": assistant_id, "version": version, **_params(row)}
        )
        return await cursor.fetchone()


async def versions(
    database: Database, assistant_id: UUID, metadata: Mapping[str, Any] | None, limit: int, offset: int
) -> list[Row]:
    """Its versions, newest first."""
    params = {
        "assistant_id": assistant_id,
        "metadata": serde.dumps(metadata).decode() if metadata else None,
        "limit": limit,
        "offset": offset,
    }
    return await database.fetch(_SQL["versions"], params)


async def search(
    database: Database, filters: Mapping[str, Any], *, order: tuple[str, str], limit: int, offset: int
) -> list[Row]:
    """Assistants that fit all filters (`metadata`, `graph_id`, `name` as a part of it in any case, `allowed`)."""
    sql = search_sql("search", filters, order)
    return await database.fetch(sql, {**_filters(filters), "limit": limit, "offset": offset})


async def tools(database: Database, name: str, filters: Mapping[str, Any]) -> list[Row]:
    """Up to two assistants that fit all filters and whose name, as that of a tool, is this."""
    return await database.fetch(tools_sql(filters), {**_filters(filters), "tool": name})


async def count(database: Database, filters: Mapping[str, Any]) -> int:
    """How many assistants fit all filters."""
    row = await database.fetch_one(search_sql("count", filters), _filters(filters))
    return int(row["n"]) if row else 0


def search_sql(name: str, filters: Mapping[str, Any], order: tuple[str, str] = ("created_at", "desc")) -> LiteralString:
    """The statement for just these filters."""
    found, _ = conditions(filters, _CONDITIONS, {"allowed": "a.metadata"})
    return _SQL[name].replace("{conditions}", " and ".join(found) or "true").replace("{order}", _ORDERS[order])


def tools_sql(filters: Mapping[str, Any]) -> LiteralString:
    """The statement for just these filters."""
    found, _ = conditions(filters, _CONDITIONS, {"allowed": "a.metadata"})
    return _SQL["tools"].replace("{conditions}", " and ".join([_TOOL, *found]))


async def open_runs(database: Database, assistant_id: UUID) -> list[UUID]:
    """Its pending and running runs."""
    return [row["run_id"] for row in await database.fetch(_SQL["open_runs"], {"assistant_id": assistant_id})]


async def delete(database: Database, assistant_id: UUID) -> bool:
    """Whether there was such an assistant; now there is none."""
    return await database.fetch_one(_SQL["delete"], {"assistant_id": assistant_id}) is not None


def _params(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: fields[name] for name in ("graph_id", "name", "description")}
    return {**plain, **{name: serde.dumps(fields[name]).decode() for name in ("config", "context", "metadata")}}


def _filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in filters.items() if not isinstance(value, Filter)}
    params = {n: serde.dumps(value).decode() if isinstance(value, Mapping) else value for n, value in given.items()}
    return params | conditions(filters, _CONDITIONS, {"allowed": "a.metadata"})[1]
