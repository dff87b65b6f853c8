"""The bound of the queue: how many runs may wait before starting one more is refused, and when to come again.

What is known of the queue is at most a second old and is the same database for all processes; what this process has let
in since then is counted on top, so that a burst within the second is not let in whole. Made by `app`, asked by `runs`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from langyard.model.errors import Limited
from langyard.model.runs import RunRequest
from langyard.postgres import runs as rows
from langyard.postgres.database import Database
from langyard.telemetry.chores import survived

log = logging.getLogger(__name__)

_EVERY_S, _SOON_S = 1.0, 0.1
_WINDOW_S = 60.0
# Nobody is sent away for less than a second, or for longer than a minute on the strength of a minute's measurement.
_LEAST_S, _MOST_S = 1.0, 60.0


class Drain:
    """How fast runs end on all workers together, from what each says it has ended so far."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Mapping[UUID, int]]] = deque()

    def note(self, at: float, ended: Mapping[UUID, int]) -> None:
        """What the workers that live say at a moment of a monotonic clock."""
        self._seen.append((at, dict(ended)))
        while len(self._seen) > 2 and at - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Runs a second over the last minute, or as much of it as was seen. A worker counts from when it was seen."""
        if len(self._seen) < 2:
            return 0.0
        ended, before = 0, self._seen[0][1]
        for _, now in list(self._seen)[1:]:
            ended += sum(max(0, count - before[worker]) for worker, count in now.items() if worker in before)
            before = now
        return ended / max(self._seen[-1][0] - self._seen[0][0], 0.001)


class QueueBound:
    """At most `most` runs wait; who has none waiting is let in beyond that, up to twice as many."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._drain = Drain()
        self._depth = 0
        self._joined = 0
        self._entering = 0

    async def watch(self) -> None:
        """For ever: look at the queue once a second."""
        while True:
            await survived(log, "see how long the queue is", self.look())
            # Who came while we looked may be counted twice, so we look again soon.
            await asyncio.sleep(_SOON_S if self._joined else _EVERY_S)

    async def look(self) -> None:
        """See how long the queue is, and how fast it drains."""
        joined = self._joined
        depth, ended = await rows.depth(self._database, most=2 * self._most + 1000)
        self._depth = depth
        self._joined -= joined
        self._drain.note(time.monotonic(), ended)

    @property
    def waiting(self) -> int:
        """The runs that wait, as far as is known here."""
        return self._depth + self._joined + self._entering

    async def check(self, request: RunRequest) -> None:
        """Raises `Limited` (`queue_full`) when this run must not be started now."""
        if self.waiting < self._most:
            return
        if self.waiting < 2 * self._most and not await rows.is_waiting(self._database, request):
            return
        raise self._full()

    def check_many(self, count: int) -> None:
        """Raises `Limited` when so many runs have no room together."""
        if self.waiting + count > self._most:
            raise self._full()

    @contextmanager
    def entering(self) -> Iterator[None]:
        """While a run is stored that will have to wait."""
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1

    def joined(self) -> None:
        """One more waits."""
        self._joined += 1

    def _full(self) -> Limited:
        rate = self._drain.per_second
        over = self.waiting - self._most + 1
        wait_s = min(_MOST_S, max(_LEAST_S, over / rate)) if rate > 0 else _MOST_S
        return Limited(
            f"{self._most} runs or more wait already, as many as may; send the request again in "
            f"{math.ceil(wait_s)} seconds.",
            code="queue_full",
            retry_after=wait_s,
        )
