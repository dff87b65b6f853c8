"""Keeps so many virtual users busy, each with one run at a time on a thread of its own. Called by the sides."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

MOST_RUNS = 1_000_000
GIVE_UP_AFTER = 3
REQUEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run as its user saw it. Seconds; `way_back` is from the end of the last node to the answer, where known."""

    first_event: float | None = None
    way_back: float | None = None
    events: int = 0


class RunFailed(Exception):
    """The side answered, but not with a finished run; the text is the beginning of what it said."""


Run = Callable[[], Awaitable[Outcome]]


@dataclass(slots=True)
class Sample:
    """All runs of a period. Times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_events: list[float] = field(default_factory=list)
    ways_back: list[float] = field(default_factory=list)
    events: int = 0
    failures: int = 0
    failure: str = ""

    @property
    def runs(self) -> int:
        """How many ended well."""
        return len(self.latencies)

    def note(self, latency: float, outcome: Outcome) -> None:
        """Takes one finished run in."""
        self.latencies.append(latency)
        self.events += outcome.events
        if outcome.first_event is not None:
            self.first_events.append(outcome.first_event)
        if outcome.way_back is not None:
            self.ways_back.append(outcome.way_back)


async def drive(users: Sequence[Run], seconds: float = math.inf, runs: int = MOST_RUNS) -> Sample:
    """Every user runs once at least, and until `seconds` are over or `runs` done; who fails thrice in a row leaves."""
    sample = Sample()
    begun = time.perf_counter()

    async def use(run: Run) -> None:
        failed = 0
        for _ in range(runs):
            started = time.perf_counter()
            try:
                outcome = await run()
            except (RunFailed, OSError, TimeoutError) as error:
                sample.failures += 1
                sample.failure = f"{type(error).__name__}: {error}"[:300]
                failed += 1
            else:
                sample.note(time.perf_counter() - started, outcome)
                failed = 0
            if failed == GIVE_UP_AFTER or time.perf_counter() - begun >= seconds:
                return

    await asyncio.gather(*(use(run) for run in users))
    sample.seconds = time.perf_counter() - begun
    return sample
