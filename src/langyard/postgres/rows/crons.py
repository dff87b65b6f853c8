"""Crons in PostgreSQL. Called by the rules in `crons`."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from langyard import serde
from langyard.model.filters import Filter
from langyard.model.runs import RunRequest
from langyard.postgres.database import AWAY, Connection, Database, Row
from langyard.postgres.queries import load
from langyard.postgres.rows.filters import conditions
from langyard.postgres.starts import start_params, superseding

log = logging.getLogger(__name__)

_SQL = load("crons")
_RUNS = load("runs")
_CONDITIONS: Mapping[str, LiteralString] = {
    "assistant_id": "c.assistant_id = %(assistant_id)s",
    "thread_id": "c.thread_id = %(thread_id)s",
    "enabled": "c.enabled = %(enabled)s",
    "metadata": "c.metadata @> %(metadata)s::jsonb",
    # A cron on a thread is as visible as its thread.
    "allowed_thread": "(c.thread_id is null or exists "
    "(select from langyard.threads t where t.thread_id = c.thread_id and {filter}))",
}
_FILTERED: Mapping[str, LiteralString] = {"allowed": "c.metadata", "allowed_thread": "t.metadata"}
_SORTS = ("cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at")
_ORDERS: Mapping[tuple[str, str], LiteralString] = {
    (column, order): f"c.{column} {order}" + ("" if column == "cron_id" else f", c.cron_id {order}")
    for column in _SORTS
    for order in ("asc", "desc")
}


@dataclass(frozen=True, slots=True)
class Firing:
    """What becomes of a slot: the run to make, if any, and when the cron is due next, None for never again."""

    request: RunRequest | None
    next_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Fired:
    """A slot that was taken, and the run that was made for it, if one was."""

    cron_id: UUID
    slot: dt.datetime
    run_id: UUID | None


async def create(database: Database, fields: Mapping[str, Any]) -> Row | None:
    """The new cron; None when its thread or its assistant is gone."""
    try:
        return await database.fetch_one(_SQL["create"], _params(fields))
    except psycopg.errors.ForeignKeyViolation:
        return None
    except psycopg.errors.UniqueViolation:
        # The first attempt of this very statement was committed before its connection died.
        return await find(database, fields["cron_id"])


async def find(database: Database, cron_id: UUID) -> Row | None:
    """A cron."""
    return await database.fetch_one(_SQL["find"], {"cron_id": cron_id})


async def change(database: Database, cron_id: UUID, changed: Callable[[Row], Mapping[str, Any]]) -> Row | None:
    """The cron with the fields that `changed` makes of its row; None when there is none."""
    async with database.connection() as connection, connection.transaction():
        cursor = await connection.execute(_SQL["lock"], {"cron_id": cron_id})
        row = await cursor.fetchone()
        if row is None:
            return None
        cursor = await connection.execute(_SQL["put"], _params({**row, **changed(row)}))
        return await cursor.fetchone()


async def delete(database: Database, cron_id: UUID) -> bool:
    """Whether there was such a cron; now there is none."""
    return await database.fetch_one(_SQL["delete"], {"cron_id": cron_id}) is not None


async def search(
    database: Database, filters: Mapping[str, Any], *, order: tuple[str, str], limit: int, offset: int
) -> list[Row]:
    """Crons that fit all filters (`assistant_id`, `thread_id`, `enabled`, `metadata`, `allowed`, `allowed_thread`)."""
    sql = search_sql("search", filters, order)
    return await database.fetch(sql, {**_filters(filters), "limit": limit, "offset": offset})


async def count(database: Database, filters: Mapping[str, Any]) -> int:
    """How many crons fit all filters."""
    row = await database.fetch_one(search_sql("count", filters), _filters(filters))
    return int(row["n"]) if row else 0


def search_sql(name: str, filters: Mapping[str, Any], order: tuple[str, str] = ("created_at", "desc")) -> LiteralString:
    """The statement for just these filters."""
    found, _ = conditions(filters, _CONDITIONS, _FILTERED)
    return _SQL[name].replace("{conditions}", " and ".join(found) or "true").replace("{order}", _ORDERS[order])


async def wait_s(database: Database) -> float | None:
    """Seconds until a cron is due, negative when one is; None when none ever will be."""
    row = await database.fetch_one(_SQL["wait"])
    return row["seconds"] if row else None


async def fire(
    database: Database, plan: Callable[[Row], Firing], *, now: dt.datetime | None, limit: int
) -> list[Fired]:
    """Take up to `limit` slots that are due at `now` (None: by the database's clock) and do as `plan` says of each.

    A slot is taken, its run made and its cron moved on in one transaction, a transaction for each: whatever happens,
    there is never a second run for it. A run that the database refuses costs its own slot only.
    """
    found = await database.fetch(_SQL["due"], {"now": now, "limit": limit})
    fired = [await _fire(database, plan, row["cron_id"], now) for row in found]
    return [one for one in fired if one is not None]


async def _fire(
    database: Database, plan: Callable[[Row], Firing], cron_id: UUID, now: dt.datetime | None
) -> Fired | None:
    """The cron's row comes last, behind the runs and the thread: a deletion of the thread takes it last as well."""
    fired: Fired | None = None
    async with database.connection() as connection, connection.transaction():
        cursor = await connection.execute(_SQL["take"], {"cron_id": cron_id})
        if not (await cursor.fetchone() or {}).get("taken"):
            return None
        cursor = await connection.execute(_SQL["slot"], {"cron_id": cron_id, "now": now})
        row = await cursor.fetchone()
        if row is None:
            return None
        firing = plan(row)
        made = firing.request is not None and await _start(connection, firing.request)
        run_id = firing.request.run_id if firing.request is not None and made else None
        fired = Fired(cron_id, row["next_run_date"], run_id)
        moved = {"cron_id": cron_id, "slot": row["next_run_date"], "next_run_date": firing.next_at}
        if not (await connection.execute(_SQL["advance"], moved)).rowcount:
            # Changed, or gone, in this moment: as it is now it has not fired.
            fired = None
            raise psycopg.Rollback
    return fired


async def _start(connection: Connection, request: RunRequest) -> bool:
    try:
        async with connection.transaction():
            if request.multitask_strategy in ("interrupt", "rollback") and not request.may_create:
                params = {"thread_id": request.thread_id, **superseding(request)}
                await connection.execute(_RUNS["alone"], params)
                await connection.execute(_RUNS["supersede"], params)
            cursor = await connection.execute(_RUNS["start"], start_params(request, None))
            return await cursor.fetchone() is not None
    except psycopg.Error as error:
        if isinstance(error, AWAY):
            raise
        log.exception("a cron's run was refused by the database")
        return False


def _params(fields: Mapping[str, Any]) -> dict[str, Any]:
    texts = {
        "payload": serde.dumps(fields["payload"], nul=True).decode(),
        "metadata": serde.dumps(fields["metadata"]).decode(),
    }
    return {**fields, **texts}


def _filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in filters.items() if not isinstance(value, Filter)}
    params = {n: serde.dumps(value).decode() if isinstance(value, Mapping) else value for n, value in given.items()}
    return params | conditions(filters, _CONDITIONS, _FILTERED)[1]
