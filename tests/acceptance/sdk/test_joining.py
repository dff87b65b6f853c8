"""Joining a run's stream, live and after its end, from this process and from another (contract A.6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running
from tests.unit.gateway.serving import events

DEADLINE_S = 40.0
STEPS = ["metadata", "values", "updates", "values", "updates", "values", "end"]
MODES = ["values", "updates"]


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


@pytest.fixture(params=["this process", "another"])
async def reading(request: pytest.FixtureRequest, database: str, agents: Agents) -> AsyncIterator[Agents]:
    """The server through which a run is joined."""
    if request.param == "this process":
        yield agents
    else:
        async with running(database) as other:
            yield other


async def read(agents: Agents, path: str, after: str | None = None) -> list[tuple[str | None, str, Any]]:
    """A stream to its end as (id, name, data)."""
    found: list[tuple[str | None, str, Any]] = []
    headers = {} if after is None else {"Last-Event-ID": after}
    async with asyncio.timeout(DEADLINE_S), agents.served.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        text = (await answer.aread()).decode()
    for event in text.split("\r\n\r\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\r\n") if not line.startswith(":") and line)
        if fields:
            found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


async def made(agents: Agents, graph: str = "steps", input: Any = None, **asked: Any) -> str:
    """The path of a run's stream."""
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    run = await agents.sdk.runs.create(thread_id, graph, input=input or {"x": 1}, stream_mode=MODES, **asked)
    return f"/threads/{thread_id}/runs/{run['run_id']}/stream"


async def ended(agents: Agents, **asked: Any) -> str:
    """The same of a run that is over."""
    path = await made(agents, **asked)
    await agents.served.http.get(path.replace("/stream", "/join"))
    return path


@asynccontextmanager
async def opened(agents: Agents, path: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    async with asyncio.timeout(DEADLINE_S), agents.served.http.stream("GET", path) as answer:
        yield events(answer)


async def test_a_run_that_is_over_and_was_not_kept_closes_at_once(agents: Agents, reading: Agents):
    path = await ended(agents)
    run_id = path.split("/")[4]
    for after in (None, "-1"):
        assert await read(reading, path, after) == [(None, "end", {"run_id": run_id, "status": "success"})]


@pytest.mark.parametrize("everything", ["-1", "-", "0", "0-0"])
async def test_i32_a_run_that_was_kept_is_read_again_after_its_end(agents: Agents, reading: Agents, everything: str):
    path = await ended(agents, stream_resumable=True)
    found = await read(reading, path, everything)
    assert [name for _, name, _ in found] == STEPS
    ids = [event_id for event_id, _, _ in found]
    assert None not in ids
    assert len(set(ids)) == len(STEPS)
    for place in (0, 3, 5):
        assert await read(reading, path, ids[place]) == found[place + 1 :]


async def test_i32_without_an_id_a_reader_has_what_comes_from_now_on(agents: Agents, reading: Agents):
    path = await made(agents, "sleeping", {"x": 1500}, stream_resumable=True)
    async with opened(reading, path) as found:
        seen = [name async for name, _ in found if name != ":"]
    assert seen[-3:] == ["updates", "values", "end"]
    assert "metadata" not in seen or seen[0] == "metadata"
    assert [name for _, name, _ in await read(reading, path, "-1")] == [
        "metadata",
        "values",
        "updates",
        "values",
        "end",
    ]


@pytest.mark.parametrize(
    "query", ["stream_mode=updates", 'stream_mode=["updates"]', "stream_mode=custom&stream_mode=updates"]
)
async def test_i31_i32_a_mode_filter_drops_everything_else_metadata_too(agents: Agents, reading: Agents, query: str):
    path = await ended(agents, stream_resumable=True)
    found = await read(reading, f"{path}?{query}", "-1")
    assert [name for _, name, _ in found] == ["updates", "updates", "end"]


async def test_i31_messages_and_subgraphs_pass_a_filter_by_their_mode(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    run = await agents.sdk.runs.create(
        thread_id, "nested", input={"messages": []}, stream_mode=["messages", "values"], stream_subgraphs=True,
        stream_resumable=True,
    )  # fmt: skip
    await agents.sdk.runs.join(thread_id, run["run_id"])
    path = f"/threads/{thread_id}/runs/{run['run_id']}/stream"
    names = {name.partition("|")[0] for _, name, _ in await read(agents, f"{path}?stream_mode=messages", "-1")}
    assert names == {"messages/metadata", "messages/partial", "end"}
    values = [name for _, name, _ in await read(agents, f"{path}?stream_mode=values", "-1")]
    assert any(name.startswith("values|kid:") for name in values)


async def test_an_id_that_is_none_gets_nothing(agents: Agents):
    path = await ended(agents, stream_resumable=True)
    assert await read(agents, path, "garbage") == []


async def test_what_is_not_there_is_an_error_in_the_stream(agents: Agents):
    path = await ended(agents)
    missing = path.replace(path.split("/")[4], "00000000-0000-4000-8000-000000000000")
    assert await read(agents, missing) == [(None, "error", {"error": "HTTPException", "message": "404: Run not found"})]


async def test_several_join_and_each_has_every_event(database: str, agents: Agents):
    async with running(database) as other:
        path = await made(agents, "sleeping", {"x": 1000}, stream_resumable=True)
        joined = await asyncio.gather(*(read(server, path, "-1") for server in (agents, other, other, agents)))
    assert all(found == joined[0] for found in joined)
    assert [name for _, name, _ in joined[0]] == ["metadata", "values", "updates", "values", "end"]


async def test_i30_a_joiner_that_leaves_stops_the_run_only_if_it_says_so(agents: Agents):
    for query, status in (("", "success"), ("?cancel_on_disconnect=1", "interrupted")):
        path = await made(agents, "sleeping", {"x": 1500 if not query else 60_000})
        _, _, thread_id, _, run_id, _ = path.split("/")
        async with asyncio.timeout(DEADLINE_S):
            async with agents.served.http.stream("GET", path + query) as answer:
                assert answer.status_code == 200
            await agents.sdk.runs.join(thread_id, run_id)
        assert (await agents.sdk.runs.get(thread_id, run_id))["status"] == status
        error = (await agents.sdk.threads.get(thread_id))["error"]
        left = "client disconnected from the run stream (on_disconnect=cancel)"
        assert (error is None) if not query else error["message"] == left


async def test_i06_the_sdk_comes_back_to_a_stream_that_broke(agents: Agents):
    """What the SDK does after a drop: the run's Location with the last id it has seen."""
    path = await ended(agents, stream_resumable=True)
    found = await read(agents, path, "-1")
    _, _, thread_id, _, run_id, _ = path.split("/")
    parts = agents.sdk.runs.join_stream(thread_id, run_id, last_event_id=found[2][0], stream_mode=MODES)
    assert [part.event async for part in parts] == [name for _, name, _ in found[3:]]
