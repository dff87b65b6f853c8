"""LangGraph's own RemoteGraph against Langyard, by its newest streaming (`stream_events`, v3; contract A.14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running

DEADLINE_S = 40.0
HI = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


def remote(agents: Agents, name: str) -> Any:
    return RemoteGraph(name, url=str(agents.served.http.base_url))


async def config(agents: Agents) -> Any:
    return {"configurable": {"thread_id": (await agents.sdk.threads.create())["thread_id"]}}


async def test_values_and_output_of_a_remote_graph(agents: Agents):
    async with asyncio.timeout(DEADLINE_S):
        run = await remote(agents, "steps").astream_events({"x": 1}, await config(agents), version="v3")
        async with run:
            values = [value async for value in run.values]
            assert await run.output() == {"x": 3, "log": ["a", "b"]}
        assert values[-1] == {"x": 3, "log": ["a", "b"]}


async def test_updates_and_custom_data_of_a_remote_graph(agents: Agents):
    async with asyncio.timeout(DEADLINE_S):
        run = await remote(agents, "narrating").astream_events({"x": 1}, await config(agents), version="v3")
        async with run:
            assert [told async for told in run.extensions["custom"]] == [{"n": 1}, "two"]
        run = await remote(agents, "steps").astream_events({"x": 1}, await config(agents), version="v3")
        async with run:
            assert [told async for told in run.extensions["updates"]] == [
                {"a": {"x": 2, "log": ["a"]}},
                {"b": {"x": 3, "log": ["b"]}},
            ]


async def test_messages_of_a_remote_graph(agents: Agents):
    async with asyncio.timeout(DEADLINE_S):
        run = await remote(agents, "speaking").astream_events(HI, await config(agents), version="v3")
        async with run:
            [message] = [message async for message in run.messages]
            assert "".join([delta async for delta in message.text]) == "hello brave new world"


async def test_i38_a_remote_graph_is_interrupted_and_resumed(agents: Agents):
    place = await config(agents)
    async with asyncio.timeout(DEADLINE_S):
        run = await remote(agents, "asking").astream_events({"x": 1}, place, version="v3")
        async with run:
            async for _ in run.values:
                pass
            assert await run.interrupted()
        run = await remote(agents, "asking").astream_events(Command(resume="yes"), place, version="v3")
        async with run:
            assert (await run.output())["log"] == ["a", "ans=yes"]
