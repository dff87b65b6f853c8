"""The rules of crons: a schedule that makes runs of an assistant (contract A.8). Called by the gateway and by `app`.

Any number of processes may watch the same crons: each slot makes one run. Slots that nobody was there for are made up
for by one run, late, however many they were.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from langyard.assistants import Assistant, Assistants
from langyard.crons.firing import firing_of, request_for
from langyard.crons.schedules import Schedule
from langyard.model.errors import BadRequest, Invalid, LangyardError, NotFound
from langyard.model.ids import uuid7
from langyard.model.reserved import own_metadata
from langyard.model.runs import Ttl
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import crons as rows
from langyard.postgres.rows.crons import Fired, Firing
from langyard.webhooks import Webhooks

log = logging.getLogger(__name__)

_BATCH = 50
_POLL_S = 1.0
_LONGEST = 200
_SCHEDULED = frozenset({"schedule", "timezone", "end_time", "enabled"})


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron as its row has it."""

    cron_id: UUID
    assistant_id: UUID
    thread_id: UUID | None
    user_id: str
    end_time: dt.datetime | None
    schedule: str
    timezone: str | None
    payload: Mapping[str, Any]
    next_run_date: dt.datetime | None
    metadata: Mapping[str, Any]
    on_run_completed: str | None
    enabled: bool
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Search:
    """Which crons, in which order. `filters`: `assistant_id`, `thread_id`, `enabled`, `metadata`."""

    filters: Mapping[str, Any] = field(default_factory=dict)
    sort_by: str = "created_at"
    sort_order: str = "desc"
    limit: int = 10
    offset: int = 0


class Crons:
    """All crons of the database. `watch` is for one chore of each process that is to fire them. `ttl` is how long
    threads are kept that crons make and leave."""

    def __init__(
        self, database: Database, assistants: Assistants, webhooks: Webhooks | None = None, *, ttl: Ttl | None = None
    ) -> None:
        self._database = database
        self._assistants = assistants
        self._webhooks = webhooks or Webhooks()
        self._ttl = ttl

    async def create(
        self,
        payload: Mapping[str, Any],
        *,
        cron_id: UUID | None = None,
        thread_id: UUID | None = None,
        end_time: dt.datetime | None = None,
        user_id: str | None = None,
    ) -> Cron:
        """A cron that asks for what `payload` says in the Agent Server's words: on a thread, or on a new one each time.

        Raises `Invalid` for a schedule or timezone that is none, `BadRequest` when it would never fire or contradicts
        itself, `NotFound` (`assistant_not_found`, `thread_not_found`).
        """
        await self._webhooks.check(payload.get("webhook"))
        assistant = await self.assistant(payload["assistant_id"])
        cron_id, now = cron_id or uuid7(), dt.datetime.now(dt.UTC)
        completed = None if thread_id is not None else payload.get("on_run_completed") or "delete"
        row = {
            "cron_id": cron_id,
            "assistant_id": assistant.assistant_id,
            "thread_id": thread_id,
            "user_id": user_id or "",
            "schedule": payload["schedule"],
            "timezone": payload.get("timezone"),
            "end_time": end_time,
            "payload": _payload({**payload, "assistant_id": str(assistant.assistant_id)}, cron_id),
            "metadata": own_metadata(payload.get("metadata") or {}),
            "on_run_completed": completed,
            "enabled": payload.get("enabled") is not False,
        }
        row["next_run_date"] = _next(row, now)
        request_for(row, assistant)
        made = await rows.create(self._database, row)
        if made is not None:
            return _cron(made)
        if thread_id is None:
            raise _no_assistant(payload["assistant_id"])
        raise self.no_thread(thread_id)

    async def get(self, cron_id: UUID) -> Cron:
        """Raises `NotFound` (`cron_not_found`)."""
        row = await rows.find(self._database, cron_id)
        if row is None:
            raise NotFound("Not Found", code="cron_not_found")
        return _cron(row)

    async def update(
        self,
        cron_id: UUID,
        changes: Mapping[str, Any],
        *,
        end_time: dt.datetime | None = None,
    ) -> Cron:
        """The cron with these fields, each replaced as a whole but for metadata, which is merged; `end_time` counts if
        `changes` names it.

        Raises as `create` does, and `NotFound` (`cron_not_found`).
        """
        await self._webhooks.check(changes.get("webhook"))
        now = dt.datetime.now(dt.UTC)

        def changed(row: Row) -> Mapping[str, Any]:
            new = {key: changes[key] for key in ("schedule", "timezone", "enabled") if changes.get(key) is not None}
            if "end_time" in changes:
                new["end_time"] = end_time
            if changes.get("metadata") is not None:
                new["metadata"] = {**row["metadata"], **own_metadata(changes["metadata"])}
            if changes.get("on_run_completed") is not None and row["thread_id"] is None:
                new["on_run_completed"] = changes["on_run_completed"]
            new["payload"] = _payload({**row["payload"], **changes}, cron_id)
            if _SCHEDULED & changes.keys():
                new["next_run_date"] = _next({**row, **new}, now)
            return new

        row = await rows.change(self._database, cron_id, changed)
        if row is None:
            raise NotFound(f"Cron '{cron_id}' not found", code="cron_not_found")
        return _cron(row)

    async def delete(self, cron_id: UUID) -> None:
        """Delete it; a run it has made goes on. Raises `NotFound` (`cron_not_found`)."""
        if not await rows.delete(self._database, cron_id):
            raise NotFound("Not Found", code="cron_not_found")

    async def search(self, wanted: Search) -> list[Cron]:
        """The crons that fit all filters."""
        order = (wanted.sort_by, wanted.sort_order)
        found = await rows.search(self._database, wanted.filters, order=order, limit=wanted.limit, offset=wanted.offset)
        return [_cron(row) for row in found]

    async def count(self, filters: Mapping[str, Any]) -> int:
        """How many crons fit all filters."""
        return await rows.count(self._database, filters)

    async def watch(self) -> None:
        """Fire what is due, for ever: within moments of its slot, for it is slept until the next one is due.

        A slot that another process has just added is seen within a second. An absent database is waited for.
        """
        while True:
            wait_s: float | None = None
            try:
                wait_s = await rows.wait_s(self._database)
                while wait_s is not None and wait_s <= 0 and len(await self.tick()) == _BATCH:
                    pass
            except LangyardError as error:
                log.warning("cannot fire crons: %s", error.detail)
            except Exception:  # a scheduler that dies is noticed days later: whatever it was, it goes on
                log.exception("crons could not be fired")
            await asyncio.sleep(_POLL_S if wait_s is None else min(max(wait_s, 0.01), _POLL_S))

    async def tick(self, now: dt.datetime | None = None) -> list[Fired]:
        """Fire what is due at `now`, by the database's clock if not given; the slots that were taken here."""
        return await rows.fire(self._database, self._firing, now=now, limit=_BATCH)

    def _firing(self, row: Row) -> Firing:
        found = firing_of(row)
        return found if found.request is None else replace(found, request=replace(found.request, ttl=self._ttl))

    async def assistant(self, wanted: str) -> Assistant:
        """The assistant that a cron is to be made of. Raises `NotFound` (`assistant_not_found`)."""
        try:
            return await self._assistants.resolve(wanted)
        except (Invalid, NotFound):
            raise _no_assistant(wanted) from None

    @staticmethod
    def no_thread(thread_id: UUID) -> NotFound:
        """What is said of a thread that is not there, or not for the one who asks."""
        return NotFound(
            f"Thread with ID '{thread_id}' not found. Please verify the ID is correct and the thread hasn't been "
            "deleted or expired.",
            code="thread_not_found",
        )


def _payload(given: Mapping[str, Any], cron_id: UUID) -> dict[str, Any]:
    config = given.get("config") or {}
    configurable = {**(config.get("configurable") or {}), "cron_id": str(cron_id)}
    return {**given, "config": {**config, "configurable": configurable}}


def _next(row: Mapping[str, Any], now: dt.datetime) -> dt.datetime:
    found = Schedule(row["schedule"], row["timezone"]).after(now)
    if found is None:
        raise BadRequest("failed to find next date", code="invalid_schedule")
    return found


def _no_assistant(wanted: str) -> NotFound:
    return NotFound(f"Assistant '{wanted[:_LONGEST]}' not found", code="assistant_not_found")


def _cron(row: Row) -> Cron:
    return Cron(**{name: row[name] for name in Cron.__dataclass_fields__})
