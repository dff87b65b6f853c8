"""Group start: what many requests want begun at the same moment goes out as one statement, one commit for many.

Called by the rules in `runs`, on their loop. Who was answered with others asks again with them: a group goes as soon as
it is as many as the last one, after `GATHER_S` at the latest. What comes while one is under way goes when that is back,
or after `PATIENCE_S`, for one may wait for a lock. What the common statement does not take is asked for by itself, as
if it had come alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langyard.model.errors import Unavailable
from langyard.model.runs import Caps, RunRequest
from langyard.postgres.arrays import Ints, Texts, Uuids
from langyard.postgres.database import SLOW, Database, Row
from langyard.postgres.queries import load
from langyard.postgres.starts.alone import Started, start, start_params, started

log = logging.getLogger(__name__)

_TOGETHER = load("starts")["start_together"]

# Seconds a request waits for others, and for those before it.
GATHER_S = 0.002
PATIENCE_S = 0.005
MOST = 32
# Bytes of a thread's values, as PostgreSQL keeps them, and of what a run is given: others would wait for it.
_LARGE = 32 * 1024


@dataclass(eq=False, slots=True)
class _Asked:
    """`answer` is the row of what was started with others, None when it is to be asked for by itself."""

    request: RunRequest
    worker_id: UUID
    answer: asyncio.Future[Row | None]
    group: asyncio.Task[None] | None = None

    def tell(self, row: Row | None) -> None:
        if not self.answer.done():  # else whoever asked has left
            self.answer.set_result(row)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Starts:
    """Used on one loop; `close` waits for the groups under way. `caps` are the project's."""

    def __init__(self, database: Database, caps: Caps | None = None) -> None:
        self._database = database
        self._caps = caps
        self._waiting: list[_Asked] = []
        self._last = 1
        self._due = False
        self._alarm: asyncio.TimerHandle | None = None
        self._groups: set[asyncio.Task[None]] = set()
        self._awaited: set[_Asked] = set()

    async def close(self) -> None:
        """Wait for what went together. What is asked for by itself is a matter of whoever asks."""
        await asyncio.gather(*self._groups)

    async def start(self, request: RunRequest, worker_id: UUID | None, *, events: bool) -> Started | None:
        """As `langyard.postgres.starts.start`, also when it is cancelled: then nothing of it is under way any more."""
        if worker_id is None or not self._goes_together(request):
            return await start(self._database, request, worker_id, events=events, caps=self._caps)
        loop = asyncio.get_running_loop()
        asked = _Asked(request, worker_id, loop.create_future())
        self._gather(asked)
        try:
            row = await self._answer(asked)
            if row is not None:
                return started(request, row)
            return await start(self._database, request, worker_id, events=events)
        finally:
            loop.call_soon(self._back, asked)  # those who ask again at once, and were answered with it, go together

    def _goes_together(self, request: RunRequest) -> bool:
        plain = request.after_s <= 0 and request.revision is None and self._caps is None
        return plain and request.multitask_strategy in ("enqueue", "reject")

    def _gather(self, asked: _Asked) -> None:
        loop = asyncio.get_running_loop()
        self._waiting.append(asked)
        if not self._awaited and len(self._waiting) >= self._last:
            if not self._due:  # others may come within this turn of the loop
                self._due = True
                loop.call_soon(self._go)
        elif self._alarm is None:
            self._alarm = loop.call_later(PATIENCE_S if self._awaited else GATHER_S, self._go)

    async def _answer(self, asked: _Asked) -> Row | None:
        try:
            return await asked.answer
        except asyncio.CancelledError:
            # Whoever leaves gives back a slot and a key, and must not do so before it is known what was stored.
            if asked.group is not None:
                await asyncio.wait([asked.group])
            raise

    def _go(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        asked, self._waiting = [one for one in self._waiting if not one.answer.done()], []
        self._alarm, self._due = None, False
        if not asked:
            return
        self._last = len(asked)
        self._awaited = set(asked)  # what is not back by now is late
        for first in range(0, len(asked), MOST):
            self._send(asked[first : first + MOST])

    def _send(self, asked: Sequence[_Asked]) -> None:
        if len(asked) == 1:
            asked[0].tell(None)
            return
        group = asyncio.create_task(self._start(asked), name="langyard starts")
        group.add_done_callback(self._groups.discard)
        self._groups.add(group)
        for one in asked:
            one.group = group

    def _back(self, asked: _Asked) -> None:
        if asked in self._awaited:
            self._awaited.remove(asked)
            if self._waiting and not self._awaited:
                self._go()

    async def _start(self, group: Sequence[_Asked]) -> None:
        try:
            found = await self._together(group)
        except Unavailable as error:
            for asked in group:
                asked.fail(error)
        else:
            for asked in group:
                asked.tell(found.get(asked.request.run_id))

    async def _together(self, group: Sequence[_Asked]) -> Mapping[UUID, Row]:
        """Rows of those that were started. Raises `Unavailable` when the database is away."""
        try:
            given = (start_params(asked.request, asked.worker_id) for asked in group)
            small = [one for one in given if len(one["kwargs"]) + len(one["metadata"]) < _LARGE]
            found = await self._database.fetch(_TOGETHER, _params(small)) if len(small) > 1 else []
        except Unavailable as error:
            if isinstance(error.__cause__, SLOW):
                return {}
            raise
        except Exception as error:  # one of them is not sent, taken or read; each by itself will show which, and why
            log.warning("runs are not started together", extra={"count": len(group), "error": type(error).__name__})
            return {}
        return {row["run_id"]: row for row in found}


def _params(params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def texts(name: str) -> Texts:
        return Texts(None if one[name] is None else str(one[name]) for one in params)

    def numbers(name: str) -> Ints:
        return Ints(one[name] for one in params)

    return {
        "large": _LARGE,
        "numbers": Ints(range(len(params))),
        "run_ids": Uuids(one["run_id"] for one in params),
        "worker_ids": Uuids(one["worker_id"] for one in params),
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
