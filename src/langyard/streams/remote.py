"""Events of runs that another process executes: read from the log, given to this process's readers.

One query a run however many read it here; a notification makes it early, `poll_s` is the floor. No connection is held.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

from langyard.model.errors import Unavailable
from langyard.postgres import events as log_rows
from langyard.postgres.database import Database
from langyard.streams.local import LocalBus

log = logging.getLogger(__name__)


class RemoteEvents:
    """Follows runs on behalf of the local bus. Used on the gateway's loop."""

    def __init__(self, database: Database, bus: LocalBus, *, poll_s: float) -> None:
        self._database = database
        self._bus = bus
        self._poll_s = poll_s
        self._seen: dict[UUID, int] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll for what notifications miss."""
        self._polling = asyncio.create_task(self._poll(), name="langyard remote events")

    async def close(self) -> None:
        """Stop."""
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling

    def follow(self, run_id: UUID, after: int) -> None:
        """Bring the run's events above `after`; readers who have seen further skip what they know."""
        self._seen[run_id] = min(after, self._seen.get(run_id, after))

    def follows(self, run_id: UUID) -> bool:
        """Whether this run's events come from the log."""
        return run_id in self._seen

    async def pull(self, run_id: UUID) -> None:
        """Read on and hand out; does nothing for a run nobody follows."""
        lock = self._locks.setdefault(run_id, asyncio.Lock())
        async with lock:
            while (after := self._seen.get(run_id)) is not None:
                found = await log_rows.read(self._database, run_id, after)
                for event in found:
                    self._bus.publish(run_id, event)
                if not found:
                    return
                self._seen[run_id] = found[-1].seq

    def forget(self, run_id: UUID) -> None:
        """The run ended, or nobody reads it here any more."""
        self._seen.pop(run_id, None)
        self._locks.pop(run_id, None)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            for run_id in list(self._seen):
                if not self._bus.wanted(run_id):
                    self.forget(run_id)
                    continue
                with suppress(Unavailable):
                    await self.pull(run_id)
