"""Filters on metadata as conditions of statements, of searches and of single rows. For the rules and the gateway.

What a filter holds travels as parameters, never as text of the statement; containment is what the indexes on metadata
are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from langyard import serde
from langyard.model.filters import Filter
from langyard.postgres.arrays import Uuids
from langyard.postgres.database import Database
from langyard.postgres.queries import load

_SQL = load("filters")


def condition(
    wanted: Filter, column: LiteralString, prefix: LiteralString = "allowed"
) -> tuple[LiteralString, dict[str, str]]:
    """The condition on a column of metadata, and the parameters it needs, whose names begin with `prefix`."""
    params: dict[str, str] = {}

    def given(value: object) -> LiteralString:
        # Names are numbers behind a prefix of ours: nothing of what is given gets into the text.
        name = f"{prefix}_{len(params)}"
        params[name] = serde.dumps(value).decode()
        return name

    def text(one: Filter) -> LiteralString:
        parts: list[LiteralString] = [f"{column} @> %({given(one.has)})s::jsonb"] if one.has else []
        for key, value in one.equals.items():
            parts.append(f"{column} -> (%({given(key)})s::jsonb #>> '{{}}') = %({given(value)})s::jsonb")
        parts += [text(part) for part in one.every]
        parts += ["(" + " or ".join(text(part) for part in group) + ")" for group in one.some]
        return "(" + " and ".join(parts or ["true"]) + ")"

    return text(wanted), params


def conditions(
    filters: Mapping[str, Any], known: Mapping[str, LiteralString], columns: Mapping[str, LiteralString]
) -> tuple[list[LiteralString], dict[str, str]]:
    """The conditions of a search: those `known` by name, and each `Filter` on the one of `columns` of its name."""
    found: list[LiteralString] = []
    params: dict[str, str] = {}
    for name, value in filters.items():
        if isinstance(value, Filter):
            text, more = condition(value, columns[name], name)
            found.append(known[name].replace("{filter}", text) if name in known else text)
            params.update(more)
        else:
            found.append(known[name])
    return found, params


async def thread_passes(database: Database, thread_id: UUID, wanted: Filter) -> bool | None:
    """Whether a thread passes; None when there is none."""
    return await _passes(database, "thread", "t.metadata", {"thread_id": thread_id}, wanted)


async def assistant_passes(database: Database, assistant_id: UUID, wanted: Filter) -> bool | None:
    """Whether an assistant passes; None when there is none."""
    return await _passes(database, "assistant", "a.metadata", {"assistant_id": assistant_id}, wanted)


async def cron_passes(database: Database, cron_id: UUID, wanted: Filter) -> bool | None:
    """Whether a cron passes; None when there is none."""
    return await _passes(database, "cron", "c.metadata", {"cron_id": cron_id}, wanted)


async def passing_threads(database: Database, thread_ids: Sequence[UUID], wanted: Filter) -> list[UUID]:
    """Those of the threads that are there and pass."""
    text, params = condition(wanted, "t.metadata")
    sql = _SQL["threads"].replace("{filter}", text)
    found = await database.fetch(sql, {**params, "thread_ids": Uuids(thread_ids)})
    return [row["thread_id"] for row in found]


async def thread_of(database: Database, run_id: UUID) -> UUID | None:
    """The thread of a run, if there is such a run."""
    row = await database.fetch_one(_SQL["thread_of"], {"run_id": run_id})
    return row["thread_id"] if row is not None else None


async def _passes(
    database: Database, name: str, column: LiteralString, params: Mapping[str, Any], wanted: Filter
) -> bool | None:
    text, more = condition(wanted, column)
    row = await database.fetch_one(_SQL[name].replace("{filter}", text), {**params, **more})
    return bool(row["passes"]) if row is not None else None
