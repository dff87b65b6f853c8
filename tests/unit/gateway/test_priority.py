"""`priority` on every way to start a run: kept with the run, its bounds held, the urgent first when runs wait."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.unit.gateway.serving import Served, serve, until


def runs(database: str, order: str = "created_at") -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        sql = f"select priority, status from langyard.runs where graph_id <> 'gate' order by {order}"
        return connection.execute(sql.encode()).fetchall()


async def test_the_urgent_go_first_when_there_is_one_slot(database: str):
    async with serve(database, worker={"slots": 1}) as served:
        await served.http.post("/runs", json={"assistant_id": "gate", "input": {}})
        await served.gate.reached()
        for priority in (5, 0, -5, 2, -1):
            body = {"assistant_id": "echo", "input": {"x": 1}, "priority": priority, "on_completion": "keep"}
            assert (await served.http.post("/runs", json=body)).status_code == 200
        served.gate.open.set()
        await until(lambda: [status for _, status in runs(database)] == ["success"] * 5)
        assert [priority for priority, _ in runs(database, "started_at")] == [-5, -1, 0, 2, 5]


async def test_every_way_to_start_a_run_takes_one(served: Served, database: str):
    asked = {"assistant_id": "echo", "input": {"x": 1}, "on_completion": "keep"}
    thread_id = (await served.http.post("/threads", json={})).json()["thread_id"]
    on_thread = [f"/threads/{thread_id}/runs", f"/threads/{thread_id}/runs/wait", f"/threads/{thread_id}/runs/stream"]
    for number, route in enumerate(["/runs", "/runs/wait", "/runs/stream", *on_thread]):
        assert (await served.http.post(route, json={**asked, "priority": number - 5})).status_code == 200
    assert (await served.http.post("/runs/batch", json=[{**asked, "priority": 1}, asked])).status_code == 200
    assert (await served.execute("echo", {"x": 1}, priority=3)).status_code == 200
    assert [priority for priority, _ in runs(database)] == [-5, -4, -3, -2, -1, 0, 1, 0, 3]
    cron = {**asked, "schedule": "0 0 1 1 *", "priority": 4}
    made = await served.http.post("/runs/crons", json=cron)
    assert (made.status_code, made.json()["payload"]["priority"]) == (200, 4)


@pytest.mark.parametrize("priority", [-6, 6, 1.5, "1", True])
async def test_what_is_no_priority_is_refused(served: Served, database: str, priority: Any):
    body = {"assistant_id": "echo", "input": {}, "priority": priority}
    for route in ("/runs", "/runs/wait", "/runs/stream"):
        refused = await served.http.post(route, json=body)
        assert refused.status_code == 422
        assert "priority" in refused.json()["detail"]
    assert (await served.execute("echo", priority=priority)).status_code == 422
    assert runs(database) == []
