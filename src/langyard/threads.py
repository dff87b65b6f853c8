"""The rules of threads: lines of state that runs extend, one at a time. Called by the gateway and the rules above."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from langyard.model.errors import Conflict, NotFound
from langyard.model.ids import uuid7
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import threads as rows

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
TtlStrategy = Literal["delete", "keep_latest"]


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long a thread is kept after its last use, and what then happens to it."""

    seconds: float
    strategy: TtlStrategy = "delete"
    expires_at: dt.datetime | None = None


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


class Threads:
    """All threads of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        thread_id: UUID | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: Ttl | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        user_id: str | None = None,
    ) -> Thread:
        """A new thread, or with `do_nothing` the one there is. Raises `Conflict` (`thread_exists`)."""
        wanted = thread_id or uuid7()
        row = await rows.create(
            self._database, wanted, metadata or {}, ttl.seconds if ttl else None, ttl.strategy if ttl else None
        )
        if row is None and if_exists == "do_nothing":
            row = await rows.find(self._database, wanted)
        if row is None:
            raise Conflict(f"Thread with ID {wanted} already exists", code="thread_exists")
        return _thread(row)

    async def get(self, thread_id: UUID, user_id: str | None = None) -> Thread:
        """Raises `NotFound` (`thread_not_found`)."""
        row = await rows.find(self._database, thread_id)
        if row is None:
            raise NotFound(f"Thread with ID {thread_id} not found", code="thread_not_found")
        return _thread(row)


def _thread(row: Row) -> Thread:
    known = {name: row[name] for name in Thread.__dataclass_fields__ if name in row}
    ttl = None if row["ttl_s"] is None else Ttl(row["ttl_s"], row["ttl_strategy"], row["expires_at"])
    return Thread(**known, ttl=ttl)
