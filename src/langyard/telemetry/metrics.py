"""The table of metrics, and the counters of one process. Every room counts here; the gateway's `/metrics` reads.

Counting is a dictionary and a lock: no I/O, no label object, some hundreds of nanoseconds. A metric that is not in the
table cannot be counted. Gauges are asked for when somebody looks, so they cost nothing meanwhile.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

_HTTP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RUN_S = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Labels come from routes, graphs and classes of errors. Should one of them grow all the same, the rest is counted here.
_MOST = 500
_REST = "other"

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """One row of the table; seconds and bytes are in the name, `buckets` are upper bounds in the metric's unit."""

    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


TABLE: Mapping[str, Described] = {
    "langgraph_requests_total": Described("counter", "Requests answered.", ("endpoint", "method")),
    "langgraph_request_duration_seconds": Described(
        "histogram", "Time from a request to the start of its answer.", ("endpoint",), _HTTP_S
    ),
    "langgraph_workflow_execution_seconds": Described(
        "histogram", "Time from a run's claim to its committed end.", ("workflow_type",), _RUN_S
    ),
    "langgraph_errors_total": Described(
        "counter", "Runs that ended as an error or a time-out, and requests the server failed.", ("error_type",)
    ),
    "langgraph_runs_total": Described("counter", "Runs that ended here.", ("workflow_type", "status")),
    "langgraph_runs_retried_total": Described(
        "counter", "Attempts that the infrastructure failed and that are repeated."
    ),
    "langgraph_runs_recovered_total": Described("counter", "Runs taken over from workers that had died."),
    "langgraph_runs_lost_total": Described("counter", "Runs that another worker took from this one."),
    "langgraph_runs_handed_back_total": Described("counter", "Runs given back unfinished by a stopping worker."),
    "langgraph_runs_quarantined_total": Described("counter", "Runs under which workers died too often."),
    "langgraph_runs_abandoned_total": Described("counter", "Runs ended without their node, which would not stop."),
    "langgraph_effects_reused_total": Described("counter", "Outside calls whose record was used instead."),
    "langgraph_worker_blockages_total": Described("counter", "Times that a node blocked the worker's loop."),
    "langgraph_worker_blocked_seconds_total": Described(
        "counter", "Seconds for which nodes blocked the worker's loop."
    ),
    "langgraph_active_sessions": Described("gauge", "Sessions that have not expired."),
    "langgraph_runs_pending": Described("gauge", "Runs that wait for a worker."),
    "langgraph_runs_running": Described("gauge", "Runs under way, on all workers."),
    "langgraph_queue_oldest_wait_seconds": Described("gauge", "How long the oldest pending run has waited."),
    "langgraph_queue_median_wait_seconds": Described("gauge", "How long half of the pending runs have waited."),
    "langgraph_queue_oldest_unblocked_wait_seconds": Described(
        "gauge", "The same of runs on whose thread nothing runs: they wait for a worker alone."
    ),
    "langgraph_worker_slots": Described("gauge", "Runs this process may execute at once."),
    "langgraph_worker_slots_used": Described("gauge", "Runs this process executes now."),
    "langgraph_postgres_pool_connections": Described("gauge", "Connections of this process.", ("pool",)),
    "langgraph_postgres_pool_idle": Described("gauge", "Those of them that wait for work.", ("pool",)),
    "langgraph_postgres_pool_max": Described("gauge", "The most this process opens.", ("pool",)),
    "langgraph_stream_readers": Described("gauge", "Streams and waiting answers open in this process."),
    # Under the Agent Server's own names (contract A.1), for dashboards that know it.
    "lg_api_http_requests_total": Described("counter", "Requests answered.", ("method", "path", "status")),
    "lg_api_http_requests_latency_seconds": Described(
        "histogram", "Time from a request to the start of its answer.", ("method", "path"), _HTTP_S
    ),
    "lg_api_workers_max": Described("gauge", "Runs this process may execute at once."),
    "lg_api_workers_active": Described("gauge", "Runs this process executes now."),
    "lg_api_workers_available": Described("gauge", "Free slots of this process."),
    "lg_api_num_pending_runs": Described("gauge", "Runs that wait for a worker."),
    "lg_api_num_running_runs": Described("gauge", "Runs under way."),
    "lg_api_pending_runs_wait_time_max": Described("gauge", "Seconds the oldest pending run has waited."),
    "lg_api_pending_runs_wait_time_med": Described("gauge", "Seconds half of the pending runs have waited."),
    "lg_api_pending_unblocked_runs_wait_time_max": Described("gauge", "Seconds the oldest unblocked run has waited."),
    "lg_api_pg_pool_max": Described("gauge", "The most connections this process opens."),
    "lg_api_pg_pool_size": Described("gauge", "Connections of this process."),
    "lg_api_pg_pool_available": Described("gauge", "Those of them that wait for work."),
}
"""Every metric, by name. Dashboards and alerts may use these names and no other."""


Series = dict[str, dict[Labels, float]]


@dataclass(slots=True)
class Counted:
    """All series of one process at a moment: sums since its start; of histograms the numbers per bucket, one beyond the
    last, and the sum of values; gauges as they stand."""

    counts: Series = field(default_factory=dict)
    spreads: dict[str, dict[Labels, list[float]]] = field(default_factory=dict)
    gauges: Series = field(default_factory=dict)


class Metrics:
    """What one process has counted since it started. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = {}
        self._spreads: dict[str, dict[Labels, list[float]]] = {}

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; `labels` in the table's order. Raises `KeyError` for a name that the table has not."""
        row = TABLE[name]
        with self._lock:
            series = self._counts.setdefault(name, {})
            key = _bounded(series, labels, row)
            series[key] = series.get(key, 0.0) + by

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram, in the unit of its name."""
        row = TABLE[name]
        with self._lock:
            series = self._spreads.setdefault(name, {})
            key = _bounded(series, labels, row)
            # One place a bucket, one beyond the last, and the sum.
            spread = series.get(key)
            if spread is None:
                spread = series[key] = [0.0] * (len(row.buckets) + 2)
            spread[bisect_left(row.buckets, value)] += 1
            spread[-1] += value

    def counted(self, name: str) -> dict[Labels, float]:
        """A counter's series as they stand."""
        with self._lock:
            return dict(self._counts.get(name, {}))

    def add(self, counted: Counted) -> None:
        """Add what another process has counted; its gauges are left out, as is what this table has otherwise."""
        for name, series in counted.counts.items():
            for key, value in series.items():
                if name in TABLE and len(key) == len(TABLE[name].labels):
                    self.count(name, *key, by=value)
        with self._lock:
            for name, spreads in counted.spreads.items():
                row = TABLE.get(name)
                for key, spread in spreads.items():
                    if row is None or len(key) != len(row.labels) or len(spread) != len(row.buckets) + 2:
                        continue
                    mine = self._spreads.setdefault(name, {})
                    bounded = _bounded(mine, key, row)
                    mine[bounded] = [a + b for a, b in zip(mine.get(bounded, [0.0] * len(spread)), spread, strict=True)]

    def snapshot(self) -> Counted:
        """Everything counted, as it stands."""
        with self._lock:
            return Counted(
                {name: dict(series) for name, series in self._counts.items()},
                {name: {key: list(spread) for key, spread in series.items()} for name, series in self._spreads.items()},
            )

    def families(self, gauges: Mapping[str, Mapping[Labels, float]]) -> Iterator[Metric]:
        """Everything there is, in the table's order."""
        found = self.snapshot()
        for name, row in TABLE.items():
            if row.kind == "counter":
                counter = CounterMetricFamily(name.removesuffix("_total"), row.help, labels=row.labels)
                for key, value in found.counts.get(name, {}).items():
                    counter.add_metric(key, value)
                yield counter
            elif row.kind == "histogram":
                histogram = HistogramMetricFamily(name, row.help, labels=row.labels)
                for key, spread in found.spreads.get(name, {}).items():
                    histogram.add_metric(key, _cumulated(row.buckets, spread), spread[-1])
                yield histogram
            elif name in gauges:
                gauge = GaugeMetricFamily(name, row.help, labels=row.labels)
                for key, value in gauges[name].items():
                    gauge.add_metric(key, value)
                yield gauge

    def text(self, gauges: Mapping[str, Mapping[Labels, float]]) -> bytes:
        """The same in Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Now(self.families(gauges)))
        return generate_latest(registry)


class _Now:
    """A collector of what was gathered for this one answer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families


def _bounded(series: Mapping[Labels, Any], labels: Labels, row: Described) -> Labels:
    if len(labels) != len(row.labels):
        raise ValueError(f"{len(row.labels)} labels are wanted: {', '.join(row.labels)}")
    if labels in series or len(series) < _MOST:
        return labels
    return (_REST,) * len(labels)


def _cumulated(bounds: Sequence[float], spread: Sequence[float]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    total = 0.0
    for bound, number in zip((*map(str, bounds), "+Inf"), spread, strict=False):
        total += number
        found.append((bound, total))
    return found
