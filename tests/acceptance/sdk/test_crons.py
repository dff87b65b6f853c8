"""Crons through the official SDK's `client.crons` (contract A.8)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from langgraph_sdk.errors import APIStatusError
from typing_extensions import TypedDict

from tests.acceptance.sdk.agents import Agents


class State(TypedDict, total=False):
    x: int


def adding() -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("add", lambda state: {"x": state.get("x", 0) + 1})
    graph.add_edge(START, "add")
    return graph


@pytest.fixture
async def cron_agents(agents: Agents) -> Agents:
    agents.app.graphs.register("adding", adding())
    return agents


async def refused(asked: Any) -> tuple[int, str]:
    """The status and the sentence of a refusal."""
    with pytest.raises(APIStatusError) as caught:
        await asked
    detail: str = json.loads(caught.value.response.text)["detail"]
    return caught.value.response.status_code, detail


def at(text: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(str(text))


async def test_a_cron_is_made_read_changed_found_counted_and_deleted(cron_agents: Agents):
    crons = cron_agents.sdk.crons
    assistant = await cron_agents.sdk.assistants.create("adding")
    end = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    made: Any = await crons.create(
        "adding", schedule="0 9 * * 1", timezone="America/New_York", input={"x": 1}, metadata={"kind": "daily"},
        config={"configurable": {"k": "v"}}, end_time=end,
    )  # fmt: skip
    assert set(made) == {
        "cron_id", "assistant_id", "thread_id", "user_id", "end_time", "schedule", "timezone", "payload",
        "next_run_date", "metadata", "on_run_completed", "enabled", "created_at", "updated_at",
    }  # fmt: skip
    assert UUID(made["cron_id"]).version == 7
    assert (made["thread_id"], made["user_id"], made["on_run_completed"], made["enabled"]) == (None, "", "delete", True)
    assert made["payload"]["assistant_id"] == made["assistant_id"]
    assert made["payload"]["input"] == {"x": 1}
    assert made["payload"]["config"]["configurable"] == {"k": "v", "cron_id": made["cron_id"]}
    assert at(made["end_time"]) == end
    http = cron_agents.served.http
    assert (await http.get(f"/runs/crons/{made['cron_id']}")).json() == made
    other: Any = await crons.create(assistant["assistant_id"], schedule="*/5 * * * *", enabled=False)

    async def found(**asked: Any) -> list[Any]:
        return [cron["cron_id"] for cron in await crons.search(**asked)]

    assert await found() == [other["cron_id"], made["cron_id"]]
    assert await found(sort_by="created_at", sort_order="asc", limit=1) == [made["cron_id"]]
    assert await found(assistant_id=assistant["assistant_id"]) == [other["cron_id"]]
    assert await found(assistant_id="adding") == [made["cron_id"]]
    assert await found(enabled=True) == [made["cron_id"]]
    assert await found(metadata={"kind": "daily"}) == [made["cron_id"]]
    assert await found(thread_id=str(uuid4())) == []
    assert await crons.search(select=["schedule"], limit=1) == [{"schedule": "*/5 * * * *"}]
    page = await http.post("/runs/crons/search", json={"limit": 1})
    assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("2", "1")
    last = await http.post("/runs/crons/search", json={"limit": 1, "offset": 1})
    assert last.headers["x-pagination-total"] == "2"
    assert "x-pagination-next" not in last.headers
    assert await crons.count() == 2
    assert await crons.count(assistant_id=assistant["assistant_id"]) == 1
    assert await crons.count(metadata={"kind": "daily"}) == 1

    await crons.delete(made["cron_id"])
    assert await refused(crons.delete(made["cron_id"])) == (404, "Not Found")
    gone = await http.get(f"/runs/crons/{made['cron_id']}")
    assert (gone.status_code, gone.json()["detail"]) == (404, "Not Found")
    assert await found() == [other["cron_id"]]


async def test_i40_the_timezone_decides_and_a_null_end_time_clears_it(cron_agents: Agents):
    crons = cron_agents.sdk.crons
    soon = dt.datetime.now(dt.UTC)
    # Noon is no hour that a change of clocks skips or repeats.
    made: Any = await crons.create("adding", schedule="0 12 * * *", timezone="Asia/Kolkata", end_time=soon)
    assert at(made["next_run_date"]).strftime("%H:%M%z") == "06:30+0000"
    assert made["end_time"] is not None
    moved: Any = await crons.update(made["cron_id"], timezone="Asia/Tokyo", end_time=None)
    assert at(moved["next_run_date"]).strftime("%H:%M%z") == "03:00+0000"
    assert moved["end_time"] is None
    assert moved["schedule"] == "0 12 * * *"
    assert at(moved["updated_at"]) > at(made["updated_at"])
    changed: Any = await crons.update(made["cron_id"], input={"x": 9}, metadata={"m": 1}, enabled=False)
    assert changed["payload"]["input"] == {"x": 9}
    assert changed["payload"]["config"]["configurable"] == {"cron_id": made["cron_id"]}
    assert (changed["metadata"], changed["enabled"]) == ({"m": 1}, False)
    assert changed["next_run_date"] == moved["next_run_date"]


async def test_what_is_wrong_is_said_in_the_contracts_words(cron_agents: Agents):
    crons, http = cron_agents.sdk.crons, cron_agents.served.http
    status, said = await refused(crons.create("adding", schedule="bad"))
    assert status == 422
    assert said.startswith("Invalid cron schedule: 'bad'. Reason: Invalid cron schedule. Ensure the schedule uses ")
    assert await refused(crons.create("adding", schedule="* * * * *", timezone="Mars/X")) == (
        422, "Invalid timezone: 'Mars/X'. Use IANA timezone format (e.g. 'America/New_York').",
    )  # fmt: skip
    assert await refused(crons.create("adding", schedule="0 0 30 2 *")) == (400, "failed to find next date")
    assert await refused(crons.create("nope", schedule="* * * * *")) == (404, "Assistant 'nope' not found")
    thread_id = str(uuid4())
    status, said = await refused(crons.create_for_thread(thread_id, "adding", schedule="* * * * *"))
    assert status == 404
    assert said.startswith(f"Thread with ID '{thread_id}' not found. Please verify the ID is correct and the thread")
    made: Any = await crons.create("adding", schedule="0 0 1 1 *")
    path = f"/runs/crons/{made['cron_id']}"
    empty = await http.patch(path, json={})
    assert (empty.status_code, empty.json()["detail"]) == (400, "Request body cannot be empty")
    missing = str(uuid4())
    assert await refused(crons.update(missing, enabled=False)) == (404, f"Cron '{missing}' not found")
    for method in ("GET", "DELETE", "PATCH"):
        answer = await http.request(method, "/runs/crons/nope", json={"enabled": True})
        assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid cron ID: must be a UUID")
    for body in (
        {"schedule": "* * * * *"},
        {"assistant_id": "adding"},
        {"assistant_id": "adding", "schedule": "* * * * *", "end_time": "soon"},
        {"assistant_id": "adding", "schedule": "* * * * *", "config": {"configurable": 1}},
        {"assistant_id": "adding", "schedule": "* * * * *", "stream_mode": "nonsense"},
        {"assistant_id": "adding", "schedule": "* * * * *", "on_run_completed": "burn"},
    ):
        answer = await http.post("/runs/crons", json=body)
        assert answer.status_code == 422, body
        assert isinstance(answer.json()["detail"], str)
    assert (await http.post("/runs/crons/search", json={"sort_by": "nonsense"})).status_code == 422
    assert (await http.patch(path, json={"schedule": "bad"})).status_code == 422
    assert (await http.get(path)).json() == made


async def test_a_cron_fires_within_a_second_of_its_slot_on_a_thread_that_is_kept(cron_agents: Agents, database: str):
    sdk = cron_agents.sdk
    made: Any = await sdk.crons.create(
        "adding", schedule="* * * * * *", input={"x": 1}, metadata={"kind": "tick"}, on_run_completed="keep"
    )
    threads: list[Any] = []
    async with asyncio.timeout(15):
        while not threads:
            threads = await sdk.threads.search(metadata={"kind": "tick"}, status="idle")
    await sdk.crons.delete(made["cron_id"])
    assert threads[0]["metadata"] == {"kind": "tick", "graph_id": "adding", "assistant_id": made["assistant_id"]}
    assert threads[0]["values"] == {"x": 2}
    (run,) = await sdk.runs.list(threads[0]["thread_id"])
    assert run["status"] == "success"
    kwargs: Any = run["kwargs"]
    assert kwargs["config"]["configurable"]["cron_id"] == made["cron_id"]
    assert "cron_id" not in (run["metadata"] or {})
    with psycopg.connect(database) as connection:
        late = connection.execute(
            "select extract(epoch from min(started_at) - %s) from langyard.runs", (at(made["next_run_date"]),)
        ).fetchone()
    assert late is not None
    assert 0 <= late[0] < 1


async def test_i40_a_cron_without_a_thread_leaves_none_behind(cron_agents: Agents, database: str):
    made: Any = await cron_agents.sdk.crons.create("adding", schedule="* * * * * *", input={"x": 1})
    http = cron_agents.served.http
    # It is deleted as soon as it has fired, which it tells nobody; a run of a later slot may be under way.
    async with asyncio.timeout(15):
        path = f"/runs/crons/{made['cron_id']}"
        while (await http.get(path)).json()["next_run_date"] == made["next_run_date"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await cron_agents.sdk.crons.delete(made["cron_id"])
        while await cron_agents.sdk.threads.search(metadata={"graph_id": "adding"}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_i40_crons_of_a_thread_go_on_with_it_and_are_gone_with_it(cron_agents: Agents):
    sdk = cron_agents.sdk
    thread = await sdk.threads.create()
    made: Any = await sdk.crons.create_for_thread(
        thread["thread_id"], "adding", schedule="* * * * * *", input={"x": 1}, multitask_strategy="enqueue"
    )
    assert (made["thread_id"], made["on_run_completed"]) == (thread["thread_id"], None)
    async with asyncio.timeout(20):
        values: Any = None
        while not values or values["x"] < 2:
            values = (await sdk.threads.get(thread["thread_id"]))["values"]
            await asyncio.sleep(0.05)
    of_assistant = await sdk.assistants.create("adding")
    await sdk.crons.create(of_assistant["assistant_id"], schedule="0 0 1 1 *")
    assert await sdk.crons.count() == 2
    await sdk.threads.delete(thread["thread_id"])
    await sdk.assistants.delete(of_assistant["assistant_id"])
    assert await sdk.crons.count() == 0
