"""From samples to the figures that are printed: percentiles, medians of rounds, costs per run. Called by `report`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.database import Counters
from benchmarks.load import Sample


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one cell. `asked` is what `counted_runs` asked of PostgreSQL, None for a side without."""

    sample: Sample
    cpu_ms: float
    load_cpu_ms: float
    asked: Counters | None = None
    counted_runs: int = 0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all do not exceed (nearest rank); None of nothing."""
    return sorted(values)[max(1, math.ceil(len(values) * share)) - 1] if values else None


def ratio(one: float | None, other: float | None) -> float | None:
    """one ÷ other; None when either is missing or the other is nothing."""
    return None if one is None or not other else one / other


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are there."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def figures(rounds: Sequence[Round]) -> dict[str, float | None]:
    """The columns of a cell: rates and costs a run as medians of the rounds, percentiles of all runs together."""

    def per_run(name: str) -> float | None:
        return median(ratio(getattr(one.asked, name), one.counted_runs) for one in rounds if one.asked)

    def ms(name: str, share: float) -> float | None:
        found = percentile([value for one in rounds for value in getattr(one.sample, name)], share)
        return None if found is None else found * 1000

    samples = [one.sample for one in rounds]
    return {
        "runs/s": median(ratio(sample.runs or None, sample.seconds) for sample in samples),
        "p50 ms": ms("latencies", 0.5),
        "p99 ms": ms("latencies", 0.99),
        "CPU ms": median(ratio(one.cpu_ms, one.sample.runs) for one in rounds),
        "statements": per_run("statements"),
        "transactions": per_run("transactions"),
        "WAL bytes": per_run("wal_bytes"),
        "first event ms": ms("first_events", 0.5),
        "events/s": median(ratio(sample.events or None, sample.seconds) for sample in samples),
        "way back ms": ms("ways_back", 0.5),
        "load CPU %": median(ratio(one.load_cpu_ms / 10, one.sample.seconds) for one in rounds),
        "failed": sum(sample.failures for sample in samples) or None,
    }


def failure(rounds: Sequence[Round]) -> str:
    """What one of the runs that failed said; empty when none did."""
    return next((one.sample.failure for one in rounds if one.sample.failure), "")
