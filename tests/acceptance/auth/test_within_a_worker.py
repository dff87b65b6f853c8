"""A graph that a `langyard worker` executes reaches the API in its own process, where nobody outside is answered."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.acceptance.serving import Served, Working, project

GRAPH = """
import os
from typing import Any
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client

client = get_client()


class State(TypedDict, total=False):
    found: Any


async def call(state: State) -> State:
    thread = await client.threads.create(metadata={"made": "within"})
    answer = await client.runs.wait(thread["thread_id"], "inner", input={})
    events = [part.event async for part in client.runs.stream(thread["thread_id"], "inner", input={})]
    return {"found": {"pid": os.getpid(), "inner": answer["found"], "events": events}}


graph = StateGraph(State)
graph.add_node("call", call)
graph.add_edge(START, "call")

inner = StateGraph(State)
inner.add_node("say", lambda state: {"found": "said"})
inner.add_edge(START, "say")
"""
AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if authorization != "Bearer ada":
        raise Auth.exceptions.HTTPException(401)
    return "ada"
"""


@pytest.mark.slow  # two processes and a database of their own
def test_a_node_in_a_worker_calls_the_api_of_its_process(tmp_path: Path):
    project(tmp_path, GRAPH, outer="./agent.py:graph", inner="./agent.py:inner")
    (tmp_path / "auth.py").write_text(AUTH, "utf-8")
    file = tmp_path / "langgraph.json"
    file.write_text(file.read_text("utf-8").rstrip()[:-1] + ', "auth": {"path": "./auth.py:auth"}}', "utf-8")
    with Served(tmp_path, "--no-worker") as server, Working(tmp_path) as worker:
        body = {"assistant_id": "outer", "input": {}}
        assert server.http.post("/runs/wait", json=body).status_code == 401
        answer = server.http.post("/runs/wait", json=body, headers={"Authorization": "Bearer ada"})
        found = answer.json()["found"]
        assert (found["pid"], found["inner"], found["events"][-1]) == (worker.process.pid, "said", "end")
        # From outside, a worker answers nothing but probes.
        assert httpx.post(f"{worker.address}/threads/search", json={}).status_code == 404
