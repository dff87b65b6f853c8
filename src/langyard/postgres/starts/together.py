"""Group start: what many requests want begun at the same moment goes out as one statement, one commit for many.

Called by the rules in `runs`, on their loop. Who was answered with others asks again with them: a group goes as soon as
it is as many as the last one, after `GATHER_S` at the latest. What comes while one is under way goes when that is back,
or after `PATIENCE_S`, for one may wait for a lock. What the common statement does not take is asked for by itself, as
if it had come alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from langyard.model.errors import Unavailable
from langyard.model.runs import Caps, RunRequest
from langyard.postgres.arrays import Ints, Texts, Uuids
from langyard.postgres.database import SLOW, Database, Row
from langyard.postgres.queries import load
from langyard.postgres.starts.alone import Started, start, start_params, started

_TOGETHER = load("starts")["start_together"]

# Seconds a request waits for others, and for those before it.
GATHER_S = 0.002
PATIENCE_S = 0.005
MOST = 32
# Bytes of a thread's values, as PostgreSQL keeps them.
_LARGE = 32 * 1024


@dataclass(eq=False, slots=True)
class _Asked:
    request: RunRequest
    worker_id: UUID
    events: bool
    answer: asyncio.Future[Started | None]

    def tell(self, started: Started | None) -> None:
        if not self.answer.done():  # else whoever asked has left
            self.answer.set_result(started)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Starts:
    """Used on one loop; `close` waits for what is under way. `caps` are the project's."""

    def __init__(self, database: Database, caps: Caps | None = None) -> None:
        self._database = database
        self._caps = caps
        self._waiting: list[_Asked] = []
        self._last = 1
        self._due = False
        self._alarm: asyncio.TimerHandle | None = None
        self._groups: set[asyncio.Task[None]] = set()
        self._awaited: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._groups)

    async def start(self, request: RunRequest, worker_id: UUID | None, *, events: bool) -> Started | None:
        """As `langyard.postgres.starts.start`."""
        if worker_id is None or not self._goes_together(request):
            return await start(self._database, request, worker_id, events=events, caps=self._caps)
        loop = asyncio.get_running_loop()
        asked = _Asked(request, worker_id, events, loop.create_future())
        self._waiting.append(asked)
        if not self._awaited and len(self._waiting) >= self._last:
            if not self._due:  # others may come within this turn of the loop
                self._due = True
                loop.call_soon(self._go)
        elif self._alarm is None:
            self._alarm = loop.call_later(PATIENCE_S if self._awaited else GATHER_S, self._go)
        return await asked.answer

    def _goes_together(self, request: RunRequest) -> bool:
        plain = request.after_s <= 0 and request.revision is None and self._caps is None
        return plain and request.multitask_strategy in ("enqueue", "reject")

    def _go(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        asked, self._waiting = [one for one in self._waiting if not one.answer.done()], []
        self._alarm, self._due, self._last = None, False, len(asked) or self._last
        self._awaited = set()  # what is not back by now is late
        for first in range(0, len(asked), MOST):
            group = asyncio.create_task(self._start(asked[first : first + MOST]), name="langyard starts")
            group.add_done_callback(self._back)
            self._groups.add(group)
            self._awaited.add(group)

    def _back(self, group: asyncio.Task[None]) -> None:
        self._groups.discard(group)
        self._awaited.discard(group)
        if self._waiting and not self._awaited:
            self._go()

    async def _start(self, group: Sequence[_Asked]) -> None:
        try:
            found = await self._together(group) if len(group) > 1 else {}
        except Exception as error:  # whatever it is, nobody may wait for ever
            for asked in group:
                asked.fail(error)
            return
        alone = []
        for asked in group:
            row = found.get(asked.request.run_id)
            if row is None:
                alone.append(self._alone(asked))
            else:
                asked.tell(started(asked.request, row))
        if len(alone) == 1:
            await alone[0]
        else:
            await asyncio.gather(*alone)

    async def _alone(self, asked: _Asked) -> None:
        try:
            asked.tell(await start(self._database, asked.request, asked.worker_id, events=asked.events))
        except Exception as error:  # whoever asked has to deal with it
            asked.fail(error)

    async def _together(self, group: Sequence[_Asked]) -> Mapping[UUID, Row]:
        """Rows of those that were started. Raises `Unavailable` when the database is away."""
        try:
            found = await self._database.fetch(_TOGETHER, _params(group))
        except psycopg.Error:
            return {}  # one of them is not taken; each by itself will show which, and why
        except Unavailable as error:
            if isinstance(error.__cause__, SLOW):
                return {}
            raise
        return {row["run_id"]: row for row in found}


def _params(group: Sequence[_Asked]) -> dict[str, Any]:
    params = [start_params(asked.request, asked.worker_id) for asked in group]

    def texts(name: str) -> Texts:
        return Texts(None if one[name] is None else str(one[name]) for one in params)

    def numbers(name: str) -> Ints:
        return Ints(one[name] for one in params)

    return {
        "worker_id": group[0].worker_id,
        "large": _LARGE,
        "numbers": Ints(range(len(params))),
        "run_ids": Uuids(one["run_id"] for one in params),
        "thread_ids": texts("thread_id"),
        "session_ids": texts("session_id"),
        "assistant_ids": texts("assistant_id"),
        "graph_ids": texts("graph_id"),
        "user_ids": texts("user_id"),
        "kwargs": texts("kwargs"),
        "metadata": texts("metadata"),
        "inherited": texts("inherited"),
        "thread_metadata": texts("thread_metadata"),
        "graph_metadata": texts("graph_metadata"),
        "strategies": texts("multitask_strategy"),
        "priorities": numbers("priority"),
        "fairness_groups": texts("fairness_group"),
        "lasting": numbers("lasting"),
        "webhooks": numbers("webhook"),
        "temporary": numbers("temporary"),
    }
