"""`GET /metrics`: what has been counted, and gauges that are looked up when somebody asks (contract A.1).

A process that shares its port with others tells of all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from langyard.gateway.parts import Parts
from langyard.gateway.wire import answer_json
from langyard.model.errors import LangyardError
from langyard.model.runs import Queue
from langyard.telemetry.metrics import Counted, Metrics

_COUNTED = {
    "blockages": "langgraph_worker_blockages_total",
    "blocked_seconds": "langgraph_worker_blocked_seconds_total",
    "retried": "langgraph_runs_retried_total",
    "handed_back": "langgraph_runs_handed_back_total",
    "lost": "langgraph_runs_lost_total",
    "recovered": "langgraph_runs_recovered_total",
    "quarantined": "langgraph_runs_quarantined_total",
    "abandoned": "langgraph_runs_abandoned_total",
    "effects_reused": "langgraph_effects_reused_total",
}
"""What a worker counts of itself, and under which name it is shown."""

_POOLS = (("connections", "size"), ("idle", "available"), ("max", "max"))

Gauges = dict[str, dict[tuple[str, ...], float]]
# However often a crowd of collectors asks, the database is asked once in this time.
_FRESH_S = 1.0
_WAIT_S = 2.0


class Vitals:
    """Looks up what nobody counts: queue, sessions, pools. A database that is away leaves its gauges out."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asking: asyncio.Task[tuple[Queue, int] | None] | None = None
        self._asked_at = float("-inf")

    async def queue(self) -> tuple[Queue, int] | None:
        """The queue and the number of active sessions, at most a second old; None when there is no answer."""
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked_at > _FRESH_S):
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask(), name="langyard vitals")
        done, _ = await asyncio.wait({self._asking}, timeout=_WAIT_S)
        return self._asking.result() if done else None

    async def _ask(self) -> tuple[Queue, int] | None:
        try:
            return await self._parts.runs.queue(), await self._parts.sessions.count_active()
        except LangyardError:
            return None

    def own(self) -> Counted:
        """What this process has counted, and its own gauges."""
        parts = self._parts
        slots, used = (parts.worker.slots, parts.worker.running) if parts.worker is not None else (0, 0)
        found = parts.metrics.snapshot()
        found.gauges = {
            "langgraph_worker_slots": {(): slots},
            "langgraph_worker_slots_used": {(): used},
            "langgraph_stream_readers": {(): parts.bus.open_readers},
            "lg_api_workers_max": {(): slots},
            "lg_api_workers_active": {(): used},
            "lg_api_workers_available": {(): slots - used},
        }
        if parts.worker is not None:
            for kept, name in _COUNTED.items():
                series = found.counts.setdefault(name, {})
                series[()] = series.get((), 0.0) + getattr(parts.worker.counters, kept)
        pools = parts.pools()
        for name, key in _POOLS:
            found.gauges[f"langgraph_postgres_pool_{name}"] = {(pool,): told[key] for pool, told in pools.items()}
            found.gauges[f"lg_api_pg_pool_{key}"] = {(): sum(told[key] for told in pools.values())}
        return found

    def _all(self) -> tuple[Metrics, Gauges]:
        """Of all processes of this port."""
        total, gauges = Metrics(), Gauges()
        siblings = self._parts.siblings
        for counted in (self.own(), *(siblings.others() if siblings is not None else ())):
            total.add(counted)
            for name, series in counted.gauges.items():
                summed = gauges.setdefault(name, {})
                for key, value in series.items():
                    summed[key] = summed.get(key, 0) + value
        return total, gauges

    async def text(self) -> bytes:
        """In Prometheus' text format."""
        total, gauges = self._all()
        return total.text(gauges | await self._shared())

    async def _shared(self) -> Gauges:
        """The gauges that are the same from every process."""
        found = Gauges()
        if (asked := await self.queue()) is not None:
            queue, sessions = asked
            found["langgraph_active_sessions"] = {(): sessions}
            for names, value in (
                (("langgraph_runs_pending", "lg_api_num_pending_runs"), queue.pending),
                (("langgraph_runs_running", "lg_api_num_running_runs"), queue.running),
                (("langgraph_queue_oldest_wait_seconds", "lg_api_pending_runs_wait_time_max"), queue.oldest_wait_s),
                (("langgraph_queue_median_wait_seconds", "lg_api_pending_runs_wait_time_med"), queue.median_wait_s),
                (
                    ("langgraph_queue_oldest_unblocked_wait_seconds", "lg_api_pending_unblocked_runs_wait_time_max"),
                    queue.oldest_unblocked_wait_s,
                ),
            ):
                found |= {name: {(): value or 0.0} for name in names}
        return found

    async def document(self) -> Mapping[str, Any]:
        """The same as JSON, in the Agent Server's form."""
        asked = await self.queue()
        total, gauges = self._all()
        slots, used = (int(gauges[f"langgraph_worker_slots{what}"][()]) for what in ("", "_used"))
        requests = total.counted("lg_api_http_requests_total")
        pools: dict[str, dict[str, int]] = {}
        for name, key in _POOLS:
            for (pool,), value in gauges[f"langgraph_postgres_pool_{name}"].items():
                pools.setdefault(pool, {})[key] = int(value)
        told: dict[str, Any] = {
            "workers": {"max": slots, "active": used, "available": slots - used},
            "api": {
                "http_requests_total": [
                    {"method": method, "path": path, "status": int(status), "count": int(count)}
                    for (method, path, status), count in sorted(requests.items())
                    if status.isdigit()
                ]
            },
            "postgres": {"pools": pools},
        }
        if asked is not None:
            queue = asked[0]
            told["queue"] = {
                "n_pending": queue.pending,
                "n_running": queue.running,
                "pending_runs_wait_time_max_secs": queue.oldest_wait_s,
                "pending_runs_wait_time_med_secs": queue.median_wait_s,
                "pending_unblocked_runs_wait_time_max_secs": queue.oldest_unblocked_wait_s,
                "graphs": {
                    name: {
                        "n_pending": graph.pending,
                        "n_running": graph.running,
                        "pending_runs_wait_time_max_secs": graph.oldest_wait_s,
                    }
                    for name, graph in queue.graphs.items()
                },
            }
        return told


def routes(parts: Parts) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["server"])
    vitals = Vitals(parts)
    text = {"description": "Prometheus' text format, or JSON with `format=json`.", "content": {"text/plain": {}}}

    @router.get("/metrics", responses={200: text})
    async def metrics(request: Request) -> Response:
        """What has been counted since the start, and how the queue stands."""
        if request.query_params.get("format") == "json":
            return answer_json(await vitals.document())
        return Response(await vitals.text(), media_type=CONTENT_TYPE_LATEST)

    return router
