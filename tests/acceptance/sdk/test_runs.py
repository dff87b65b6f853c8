"""Every method of the official SDK's `client.runs`, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


async def streamed(agents: Agents, thread_id: str | None, graph: str, **asked: Any) -> list[tuple[str, Any]]:
    return [(part.event, part.data) async for part in agents.sdk.runs.stream(thread_id, graph, **asked)]


async def test_wait_on_a_thread_gives_the_state(agents: Agents):
    thread = await agents.sdk.threads.create()
    assert await agents.sdk.runs.wait(thread["thread_id"], "steps", input={"x": 1}) == {"x": 3, "log": ["a", "b"]}
    assert await agents.sdk.runs.wait(thread["thread_id"], "steps", input={}) == {"x": 5, "log": ["a", "b", "a", "b"]}


async def test_wait_without_a_thread_gives_the_state(agents: Agents):
    assert await agents.sdk.runs.wait(None, "steps", input={"x": 1}) == {"x": 3, "log": ["a", "b"]}


async def test_a_stream_begins_with_metadata_and_ends_with_end(agents: Agents):
    thread = await agents.sdk.threads.create()
    made: list[Any] = []
    told = await streamed(
        agents,
        thread["thread_id"],
        "steps",
        input={"x": 1},
        stream_mode=["values", "updates"],
        on_run_created=made.append,
    )
    [run] = made
    assert run["thread_id"] == thread["thread_id"]
    assert told == [
        ("metadata", {"run_id": run["run_id"], "attempt": 1}),
        ("values", {"x": 1, "log": []}),
        ("updates", {"a": {"x": 2, "log": ["a"]}}),
        ("values", {"x": 2, "log": ["a"]}),
        ("updates", {"b": {"x": 3, "log": ["b"]}}),
        ("values", {"x": 3, "log": ["a", "b"]}),
        ("end", {"run_id": run["run_id"], "status": "success"}),
    ]
