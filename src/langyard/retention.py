"""Throws away what has had its time: one chore of each process, made by `app`, for all that is swept.

Every sweep works in small transactions and passes over what another process is at (`skip locked`), so that any number
of processes share the work without knowing of each other. They begin at different moments, by chance.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langyard.items import Items
from langyard.postgres.database import Database
from langyard.postgres.rows import events, runs
from langyard.sessions import Sessions
from langyard.telemetry.chores import survived
from langyard.threads import Threads

log = logging.getLogger(__name__)

_RUNS = 500
_EVENTS = 5000


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. What is read again after a run's end is kept for `events_s`; the row of an ended run for `runs_s`, 0 for
    as long as its thread. The others say how often is swept, and how many threads at most."""

    events_s: float = 600.0
    runs_s: float = 0.0
    sweep_s: float = 60.0
    sessions_every_s: float = 60.0
    threads_every_s: float = 300.0
    items_every_s: float = 300.0
    threads_at_once: int = 10_000


class Retention:
    """`watch` is for one chore of each process; each `sweep_…` may be called at any time and says how many are gone."""

    def __init__(self, database: Database, times: Times, threads: Threads, sessions: Sessions, items: Items) -> None:
        self._database = database
        self._times = times
        self._threads = threads
        self._sessions = sessions
        self._items = items

    async def watch(self) -> None:
        """Sweep everything, each at its own pace, for ever."""
        times = self._times
        async with asyncio.TaskGroup() as group:
            for name, every_s, sweep in (
                ("sessions", times.sessions_every_s, self._sessions.sweep),
                ("threads", times.threads_every_s, self.sweep_threads),
                ("items", times.items_every_s, self._items.sweep),
                ("runs", times.sweep_s, self.sweep_runs),
                ("events", times.sweep_s, self.sweep_events),
            ):
                group.create_task(_repeat(name, every_s, sweep), name=f"langyard {name} sweep")

    async def sweep_threads(self) -> int:
        """Threads whose time to live is over."""
        return await self._threads.sweep(self._times.threads_at_once)

    async def sweep_runs(self) -> int:
        """Temporary runs nobody will come for any more, states kept for readers of one run, rows past their time."""
        times, database = self._times, self._database
        gone = await _drained(_RUNS, lambda: runs.sweep(database, grace_s=times.events_s, limit=_RUNS))
        await _drained(_RUNS, lambda: runs.forget_outcomes(database, after_s=times.events_s, limit=_RUNS))
        if times.runs_s > 0:
            gone += await _drained(_RUNS, lambda: runs.expire(database, after_s=times.runs_s, limit=_RUNS))
        return gone

    async def sweep_events(self) -> int:
        """Events of runs that ended long enough ago."""
        retention_s = self._times.events_s
        return await _drained(_EVENTS, lambda: events.sweep(self._database, retention_s=retention_s, limit=_EVENTS))


async def _repeat(name: str, every_s: float, sweep: Callable[[], Awaitable[int]]) -> None:
    await asyncio.sleep(random.uniform(0, every_s))
    while True:
        if gone := await survived(log, f"sweep {name}", sweep()):
            log.debug("swept", extra={"of": name, "gone": gone})
        await asyncio.sleep(every_s * random.uniform(0.9, 1.1))


async def _drained(batch: int, sweep: Callable[[], Awaitable[int]]) -> int:
    """Sweep batch after batch until one is not full."""
    gone = found = await sweep()
    while found >= batch:
        gone += (found := await sweep())
    return gone
