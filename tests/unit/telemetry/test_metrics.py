"""The table of metrics, what is counted, and what `/metrics` says of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from langyard.telemetry.metrics import TABLE, Metrics
from tests.unit.gateway.serving import Served, serve


@pytest.fixture
async def served(database: str) -> AsyncIterator[Served]:
    async with serve(database) as found:
        yield found


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_table_is_named_as_prometheus_wants():
    for name, row in TABLE.items():
        assert re.fullmatch(r"(langgraph|lg_api)_[a-z_]+", name), name
        assert (row.kind == "counter") == name.endswith("_total"), name
        assert row.help.endswith("."), name
        assert (row.kind == "histogram") == bool(row.buckets), name
        assert list(row.buckets) == sorted(row.buckets), name


def test_counts_and_spreads():
    metrics = Metrics()
    metrics.count("langgraph_requests_total", "/threads", "GET")
    metrics.count("langgraph_requests_total", "/threads", "GET", by=2)
    metrics.observe("langgraph_request_duration_seconds", 0.02, "/threads")
    metrics.observe("langgraph_request_duration_seconds", 0.025, "/threads")
    metrics.observe("langgraph_request_duration_seconds", 1000.0, "/threads")
    found = samples(metrics.text({"langgraph_active_sessions": {(): 3}}).decode())
    at = ("endpoint", "/threads")
    assert found["langgraph_requests_total", (at, ("method", "GET"))] == 3
    assert found["langgraph_request_duration_seconds_bucket", (at, ("le", "0.01"))] == 0
    assert found["langgraph_request_duration_seconds_bucket", (at, ("le", "0.025"))] == 2
    assert found["langgraph_request_duration_seconds_bucket", (at, ("le", "60.0"))] == 2
    assert found["langgraph_request_duration_seconds_bucket", (at, ("le", "+Inf"))] == 3
    assert found["langgraph_request_duration_seconds_count", (at,)] == 3
    assert found["langgraph_request_duration_seconds_sum", (at,)] == pytest.approx(1000.045)
    assert found["langgraph_active_sessions", ()] == 3


def test_what_is_not_in_the_table_cannot_be_counted():
    with pytest.raises(KeyError):
        Metrics().count("langgraph_made_up_total")
    with pytest.raises(ValueError, match="workflow_type, status"):
        Metrics().count("langgraph_runs_total", "echo")


def test_no_label_makes_series_without_end():
    metrics = Metrics()
    for number in range(2000):
        metrics.count("langgraph_errors_total", f"Error{number}")
    series = metrics.counted("langgraph_errors_total")
    assert len(series) == 501
    assert series["other",] == 1500


async def test_a_server_says_what_it_did(served: Served):
    assert (await served.execute("echo", {"x": 1}, session_id="a")).status_code == 200
    assert (await served.execute("fail")).status_code == 500
    for path in ("/nothing/here", "/nothing/there"):
        assert (await served.http.get(path)).status_code == 404
    assert (await served.http.head("/ok")).status_code == 200
    answer = await served.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = samples(answer.text)
    execute = ("endpoint", "/workflow/execute")
    assert found["langgraph_requests_total", (execute, ("method", "POST"))] == 2
    assert found["langgraph_request_duration_seconds_count", (execute,)] == 2
    assert found["langgraph_requests_total", (("endpoint", "none"), ("method", "GET"))] == 2
    assert found["langgraph_requests_total", (("endpoint", "/ok"), ("method", "HEAD"))] == 1
    assert found["langgraph_workflow_execution_seconds_count", (("workflow_type", "echo"),)] == 1
    assert found["langgraph_runs_total", (("status", "error"), ("workflow_type", "fail"))] == 1
    assert found["langgraph_errors_total", (("error_type", "http_500"),)] == 1
    assert found["langgraph_active_sessions", ()] == 2
    for name in ("runs_retried", "runs_quarantined", "worker_blockages", "worker_blocked_seconds", "effects_reused"):
        assert found[f"langgraph_{name}_total", ()] == 0, name
    assert found["langgraph_worker_slots", ()] == 8
    assert found["langgraph_worker_slots_used", ()] == 0
    assert found["langgraph_runs_pending", ()] == 0
    assert found["langgraph_postgres_pool_connections", (("pool", "gateway"),)] >= 1
    assert found["langgraph_postgres_pool_max", (("pool", "worker"),)] == 5


async def test_the_same_as_json(served: Served):
    running = asyncio.create_task(served.execute("gate"))
    await served.gate.reached()
    told = (await served.http.get("/metrics", params={"format": "json"})).json()
    assert told["workers"] == {"max": 8, "active": 1, "available": 7}
    assert told["queue"]["n_running"] == 1
    assert told["queue"]["n_pending"] == 0
    assert told["queue"]["pending_runs_wait_time_max_secs"] is None
    served.gate.open.set()
    assert (await running).status_code == 200
    told = (await served.http.get("/metrics", params={"format": "json"})).json()
    counted = {(row["method"], row["path"], row["status"]): row["count"] for row in told["api"]["http_requests_total"]}
    assert counted["POST", "/workflow/execute", 200] == 1
    assert counted["GET", "/metrics", 200] == 1


async def test_a_database_that_is_away_leaves_out_only_what_it_would_say(served: Served):
    await served.app.database.close()
    answer = await served.http.get("/metrics")
    assert answer.status_code == 200
    found = samples(answer.text)
    assert ("langgraph_runs_pending", ()) not in found
    assert found["langgraph_worker_slots", ()] == 8
