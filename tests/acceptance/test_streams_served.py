"""Streams that never end, on real processes: read in one, executed in another, and closed when the server stops."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.acceptance.serving import Served, project

GRAPH = """
from typing import TypedDict
from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    text: str

async def note(state: State) -> State:
    return {"text": state["text"] + "!"}

echo = StateGraph(State).add_node(note).set_entry_point("note").compile()
"""
GRACE_S = 20.0


def read(server: Served, thread_id: str, opened: threading.Event, lines: list[str]) -> None:
    body = {"channels": ["values", "lifecycle"]}
    path = f"{server.address}/threads/{thread_id}/stream/events"
    with httpx.stream("POST", path, json=body, timeout=60) as answer:
        opened.set()
        lines.extend(answer.iter_lines())


def envelopes(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_a_thread_is_read_through_a_process_that_executes_nothing_and_let_go_when_it_stops(
    database: str, tmp_path: Path
):
    settings = {"DATABASE_URL": database, "LANGYARD_DRAIN_GRACE_SECONDS": str(GRACE_S)}
    folder = project(tmp_path, GRAPH, echo="./agent.py:echo")
    thread_id, opened, lines = str(uuid4()), threading.Event(), []  # type: ignore[var-annotated]
    with Served(folder, **settings) as worker, Served(folder, "--no-worker", **settings) as gateway:
        reading = threading.Thread(target=read, args=(gateway, thread_id, opened, lines))
        reading.start()
        assert opened.wait(30)
        socket_path = gateway.address.replace("http", "ws") + f"/threads/{thread_id}/stream/events"
        with connect(socket_path, max_size=2**24) as socket:
            subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}}
            socket.send(json.dumps(subscribe))
            assert json.loads(socket.recv(30))["type"] == "success"
            start = {"id": 2, "method": "run.start", "params": {"assistant_id": "echo", "input": {"text": "hi"}}}
            assert worker.http.post(f"/threads/{thread_id}/commands", json=start).json()["type"] == "success"
            said = [json.loads(socket.recv(30))["params"]["data"]["event"] for _ in range(2)]
            assert said == ["running", "completed"]
            began = time.monotonic()
            assert gateway.stop(timeout_s=GRACE_S) == 0
            # Whoever reads does not hold the server up for its whole grace.
            assert time.monotonic() - began < GRACE_S
            with pytest.raises(ConnectionClosed):
                socket.recv(30)
        reading.join(30)
        assert not reading.is_alive()
        found = envelopes(lines)
        assert [envelope["method"] for envelope in found] == ["lifecycle", "values", "values", "lifecycle"]
        assert found[-2]["params"]["data"] == {"text": "hi!"}
