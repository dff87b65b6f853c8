"""The project's `Priority` object: asked once a thread, kept with it, and no run is lost when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from langyard.app import build
from langyard.config import read_project
from langyard.model.errors import ConfigurationError
from tests.unit.gateway.serving import serve

GRAPH = """
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    x: int

agent = StateGraph(State).add_node("add", lambda state: {"x": state.get("x", 0) + 1}).add_edge(START, "add")
"""
PRIORITY = """
import asyncio
from langgraph_sdk import Priority

priority, empty, asked = Priority(), Priority(), []

@priority.assign
async def assign(ctx):
    asked.append(ctx)
    await asyncio.sleep(0)
    match ctx.run_metadata.get("say"):
        case "fail":
            raise RuntimeError("no")
        case "wrong":
            return {"priority": 6}
        case "nothing":
            return None
    return {"priority": -3 if ctx.graph_id == "agent" else 0, "fairness_group": ctx.thread_metadata.get("org")}
"""


def project(folder: Path, target: str = "./priority.py:priority") -> Any:
    (folder / "agent.py").write_text(GRAPH)
    (folder / "priority.py").write_text(PRIORITY)
    content = {"graphs": {"agent": "./agent.py:agent"}, "priority": {"path": target}}
    (folder / "langgraph.json").write_text(json.dumps(content))
    return read_project(folder / "langgraph.json")


def runs(database: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        sql = "select priority, fairness_group from langyard.runs order by created_at"
        return connection.execute(sql.encode()).fetchall()


@pytest.mark.filterwarnings("ignore:The Priority API is in beta")
async def test_it_says_once_how_urgent_a_thread_is(database: str, tmp_path: Path):
    async with serve(database, project=project(tmp_path)) as served:
        thread = (await served.http.post("/threads", json={"metadata": {"org": "acme"}})).json()["thread_id"]
        for say in (None, "fail", "wrong"):
            body = {"assistant_id": "agent", "input": {"x": 1}, "metadata": {"say": say}}
            assert (await served.http.post(f"/threads/{thread}/runs/wait", json=body)).status_code == 200
        # What was said at the first run holds: it would have failed afterwards.
        assert runs(database) == [(-3, "acme")] * 3
        refused = await served.http.post(f"/threads/{thread}/runs", json={**body, "priority": -5})
        assert (refused.status_code, "priority" in refused.json()["detail"]) == (422, True)


@pytest.mark.filterwarnings("ignore:The Priority API is in beta")
async def test_where_it_fails_the_run_goes_on_and_it_is_asked_again(database: str, tmp_path: Path):
    async with serve(database, project=project(tmp_path)) as served:
        thread = str(uuid4())
        for say in ("fail", "wrong", None, None):
            body = {"assistant_id": "agent", "input": {}, "metadata": {"say": say}, "if_not_exists": "create"}
            assert (await served.http.post(f"/threads/{thread}/runs/wait", json=body)).status_code == 200
        assert runs(database) == [(0, None), (0, None), (-3, None), (-3, None)]
        body = {"assistant_id": "agent", "input": {}, "on_completion": "keep", "metadata": {"say": "nothing"}}
        assert (await served.http.post("/runs/wait", json=body)).status_code == 200
        assert (await served.execute("agent", {"x": 1})).status_code == 200
        assert runs(database)[4:] == [(0, None), (-3, None)]


@pytest.mark.filterwarnings("ignore:The Priority API is in beta")
@pytest.mark.parametrize("target", ["./priority.py:asked", "./priority.py:empty", "./priority.py:none", "./no.py:x"])
def test_what_assigns_no_priorities_stops_the_start(tmp_path: Path, target: str):
    from langyard.config import Settings

    with pytest.raises(ConfigurationError, match=r"`priority\.path`"):
        build(Settings(), project(tmp_path, target))
