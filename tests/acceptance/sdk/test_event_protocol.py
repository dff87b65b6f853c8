"""The event protocol as the SDK speaks it: threads streamed over server-sent events and WebSockets (contract A.14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running

DEADLINE_S = 40.0
TRANSPORTS = pytest.mark.parametrize("transport", ["sse", "websocket"])


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


def client(agents: Agents) -> Any:
    return get_client(url=str(agents.served.http.base_url))


@TRANSPORTS
async def test_a_run_gives_values_and_its_output(agents: Agents, transport: str):
    async with (
        asyncio.timeout(DEADLINE_S),
        client(agents) as sdk,
        sdk.threads.stream(assistant_id="steps", transport=transport) as thread,
    ):
        started = await thread.run.start(input={"x": 1})
        assert started["run_id"]
        seen = [values async for values in thread.values]
        assert await thread.output == {"x": 3, "log": ["a", "b"]}
        assert seen[-1] == {"x": 3, "log": ["a", "b"]}


@TRANSPORTS
async def test_messages_come_in_content_blocks(agents: Agents, transport: str):
    async with (
        asyncio.timeout(DEADLINE_S),
        client(agents) as sdk,
        sdk.threads.stream(assistant_id="speaking", transport=transport) as thread,
    ):
        await thread.run.start(input={"messages": [{"role": "user", "content": "hi"}]})
        [message] = [message async for message in thread.messages]
        assert [delta async for delta in message.text] == ["hello", " ", "brave", " ", "new", " ", "world"]
        output = await thread.output
        assert output["messages"][-1]["content"] == [{"type": "text", "text": "hello brave new world", "index": 0}]


@TRANSPORTS
async def test_i38_an_interrupt_is_asked_and_answered(agents: Agents, transport: str):
    async with (
        asyncio.timeout(DEADLINE_S),
        client(agents) as sdk,
        sdk.threads.stream(assistant_id="asking", transport=transport) as thread,
    ):
        await thread.run.start(input={"x": 1})
        async for _ in thread.values:
            pass
        assert [asked["value"] for asked in thread.interrupts] == [{"question": "ok?"}]
        await thread.run.respond("yes")
        assert await thread.output == {"x": 2, "log": ["a", "ans=yes"]}


async def test_i38_an_input_on_a_thread_that_waits_is_the_answer(agents: Agents):
    thread_id = str(uuid4())
    await command(agents, thread_id, "run.start", assistant_id="asking", input={"x": 1})
    await until_ended(agents, thread_id)
    await command(agents, thread_id, "run.start", assistant_id="asking", input="by input")
    await until_ended(agents, thread_id)
    assert (await agents.sdk.threads.get_state(thread_id))["values"]["log"] == ["a", "ans=by input"]


@TRANSPORTS
async def test_subgraphs_are_found_and_heard(agents: Agents, transport: str):
    async with (
        asyncio.timeout(DEADLINE_S),
        client(agents) as sdk,
        sdk.threads.stream(assistant_id="nested", transport=transport) as thread,
    ):
        await thread.run.start(input={"messages": [{"role": "user", "content": "hi"}]})
        [kid] = [kid async for kid in thread.subgraphs]
        assert (kid.graph_name, kid.status) == ("kid", "completed")
        [message] = [message async for message in kid.messages]
        assert "".join([delta async for delta in message.text]) == "hello brave new world"


async def test_a_failure_is_told(agents: Agents):
    async with (
        asyncio.timeout(DEADLINE_S),
        client(agents) as sdk,
        sdk.threads.stream(assistant_id="value-error") as thread,
    ):
        await thread.run.start(input={"x": 1})
        with pytest.raises(RuntimeError, match="bad value"):
            await thread.output


async def test_a_second_turn_on_the_same_thread(agents: Agents):
    thread_id = str(uuid4())
    for turn in (1, 2):
        async with (
            asyncio.timeout(DEADLINE_S),
            client(agents) as sdk,
            sdk.threads.stream(thread_id=thread_id, assistant_id="sleeping") as thread,
        ):
            await thread.run.start(input={"x": 300})
            assert await thread.output == {"x": 300, "log": ["slept"] * turn}


async def command(agents: Agents, thread_id: str, method: str, **params: Any) -> dict[str, Any]:
    answer = await agents.served.http.post(
        f"/threads/{thread_id}/commands", json={"id": 7, "method": method, "params": params}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["id"] == 7
    return found


async def until_ended(agents: Agents, thread_id: str) -> None:
    for run in await agents.sdk.runs.list(thread_id):
        await agents.sdk.runs.join(thread_id, run["run_id"])
