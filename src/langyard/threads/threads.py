"""Threads as such: made, found, changed, copied, deleted, swept. Called by the gateway and the rules above."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

from langyard.model.errors import Conflict, NotFound
from langyard.model.filters import Filter
from langyard.model.ids import uuid7
from langyard.model.reserved import own_metadata
from langyard.model.runs import Ttl
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import threads as rows
from langyard.postgres.rows.pruning import keep_latest

log = logging.getLogger(__name__)

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as its row has it. `values` is JSON text, as the last run or update left them."""

    thread_id: UUID
    status: ThreadStatus
    metadata: Mapping[str, Any]
    config: Mapping[str, Any]
    values: str | None
    interrupts: Mapping[str, Any]
    error: Mapping[str, Any] | None
    created_at: dt.datetime
    updated_at: dt.datetime
    state_updated_at: dt.datetime
    open_runs: int = 0
    revision: int = 0
    ttl: Ttl | None = None
    extracted: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Which threads, in which order. `filters`: `ids`, `metadata`, `values`, `status`; `extract`: alias to path."""

    filters: Mapping[str, Any] = field(default_factory=dict)
    sort_by: str = "updated_at"
    sort_order: str = "desc"
    limit: int = 10
    offset: int = 0
    extract: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Threads:
    """All threads of the database. `ttl` is what one gets that is made without; the sweep deletes those that wait for
    an answer only with `expire_paused`."""

    def __init__(self, database: Database, *, ttl: Ttl | None = None, expire_paused: bool = False) -> None:
        self._database = database
        self._ttl = ttl
        self._expire_paused = expire_paused

    async def create(
        self,
        thread_id: UUID | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: Ttl | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
    ) -> Thread:
        """A new thread, or with `do_nothing` the one there is. Raises `Conflict` (`thread_exists`)."""
        wanted, ttl = thread_id or uuid7(), ttl or self._ttl
        seconds, strategy = (ttl.seconds, ttl.strategy) if ttl else (None, None)
        row = await rows.create(self._database, wanted, own_metadata(metadata or {}), seconds, strategy)
        if row is None and (if_exists == "do_nothing" or thread_id is None):
            # A new id is taken only by this very call, whose first answer was lost with its connection.
            row = await rows.find(self._database, wanted)
        if row is None:
            raise Conflict(f"Thread with ID {wanted} already exists", code="thread_exists")
        return _thread(row)

    async def get(self, thread_id: UUID) -> Thread:
        """Raises `NotFound` (`thread_not_found`)."""
        row = await rows.find(self._database, thread_id)
        if row is None:
            raise not_found(thread_id)
        return _thread(row)

    async def update(self, thread_id: UUID, metadata: Mapping[str, Any], ttl: Ttl | None = None) -> Thread:
        """The thread after its metadata took these keys over. Raises `NotFound`."""
        seconds, strategy = (ttl.seconds, ttl.strategy) if ttl else (None, None)
        row = await rows.merge(self._database, thread_id, own_metadata(metadata), seconds, strategy)
        if row is None:
            raise NotFound("Not Found", code="thread_not_found")
        return _thread(row)

    async def search(self, wanted: Search) -> list[Thread]:
        """The threads that fit all filters."""
        paths = list(wanted.extract.values())
        found = await rows.search(
            self._database,
            wanted.filters,
            order=(wanted.sort_by, wanted.sort_order),
            limit=wanted.limit,
            offset=wanted.offset,
            extract=[(path[0], path[1:]) for path in paths],
        )
        return [_thread(row, list(wanted.extract)) for row in found]

    async def count(self, filters: Mapping[str, Any]) -> int:
        """How many threads fit all filters."""
        return await rows.count(self._database, filters)

    async def copy(self, thread_id: UUID, metadata: Mapping[str, Any] | None = None) -> Thread:
        """A new thread with the same metadata, values and whole history, and with `metadata` over its own.

        Raises `Conflict` when there is no source.
        """
        seconds, strategy = (self._ttl.seconds, self._ttl.strategy) if self._ttl else (None, None)
        more = own_metadata(metadata or {})
        row = await rows.copy(self._database, thread_id, uuid4(), more, ttl_s=seconds, strategy=strategy)
        if row is None:
            raise Conflict("Conflict", code="thread_not_found")
        return _thread(row)

    async def open_runs(self, thread_ids: Sequence[UUID]) -> list[UUID]:
        """Their pending and running runs: what is to be stopped before the threads are deleted."""
        return await rows.open_runs(self._database, thread_ids)

    async def of_assistant(self, assistant_id: UUID, allowed: Filter | None = None, limit: int = 1000) -> list[UUID]:
        """Threads that this assistant's runs made or used last, those that pass `allowed` if it is given."""
        return await rows.of_assistant(self._database, assistant_id, limit, allowed)

    async def delete(self, thread_ids: Sequence[UUID]) -> int:
        """Delete those there are, each with all that belongs to it; how many there were."""
        deleted = 0
        for start in range(0, len(thread_ids), _BATCH):
            deleted += await rows.delete(self._database, thread_ids[start : start + _BATCH])
        return deleted

    async def keep_latest(self, thread_ids: Sequence[UUID]) -> int:
        """Delete the history of these threads but for its latest state; how many there were with nothing running."""
        kept = 0
        for thread_id in thread_ids:
            kept += await keep_latest(self._database, thread_id)
        return kept

    async def storage(self, thread_id: UUID) -> Mapping[str, Any]:
        """What its checkpoints take, by kind. Raises `NotFound`."""
        await self.get(thread_id)
        return await rows.storage(self._database, thread_id)

    async def sweep(self, limit: int = 10_000) -> int:
        """Do what is due to up to `limit` expired threads, few at a time; how many were looked at."""
        swept = 0
        while swept < limit:
            batch = min(_BATCH, limit - swept)
            looked_at, due = await rows.sweep(self._database, batch, paused=self._expire_paused)
            await self.keep_latest(due)
            swept += looked_at
            if looked_at < batch:
                break
        return swept


def not_found(thread_id: UUID) -> NotFound:
    """What is said of a thread that is not there."""
    return NotFound(f"Thread with ID {thread_id} not found", code="thread_not_found")


def _thread(row: Row, aliases: Sequence[str] = ()) -> Thread:
    known = {name: row[name] for name in Thread.__dataclass_fields__ if name in row}
    ttl = None if row["ttl_s"] is None else Ttl(row["ttl_s"], row["ttl_strategy"], row["expires_at"])
    extracted = {alias: row[f"extract_{number}"] for number, alias in enumerate(aliases)} if aliases else None
    return Thread(**known, ttl=ttl, extracted=extracted)
