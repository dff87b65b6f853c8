"""Channels of the event protocol that graphs fill: tools, and those of their transformers (contract A.14)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.stream import StreamChannel, StreamTransformer, UpdatesTransformer

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import Chat, running, steps
from tests.acceptance.sdk.test_event_envelopes import command, opened, until


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail(a: int) -> int:
    """Fail."""
    raise ValueError("bad value")


def calling(name: str, **args: Any) -> StateGraph[Chat]:
    """A model that calls a tool."""
    call = {"name": name, "args": args, "id": "call_1"}

    async def ask(state: Chat) -> Chat:
        return {"messages": [AIMessage("", id="ai-1", tool_calls=[call])]}

    graph = StateGraph(Chat)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([add, fail], handle_tool_errors=False))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "tools")
    return graph


class Counted(StreamTransformer):
    """Counts states, under a name of its own."""

    required_stream_modes = ("values",)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._counts: StreamChannel[Any] = StreamChannel("counts")
        self._count = 0

    def init(self) -> dict[str, Any]:
        return {"counts": self._counts}

    def process(self, event: Any) -> bool:
        if event["method"] == "values":
            self._count += 1
            self._counts.push({"states": self._count})
        return True


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        graphs = found.app.graphs
        graphs.register("adding", calling("add", a=1, b=2))
        graphs.register("breaking", calling("fail", a=1))
        # Its updates would be told twice, if it were not the same.
        graphs.register("counting", steps().compile(transformers=[Counted, UpdatesTransformer]))
        yield found


async def told(agents: Agents, graph: str, input: Any, end: str, channels: list[str]) -> list[Any]:
    thread_id = str(uuid4())
    async with opened(agents, thread_id, channels=[*channels, "lifecycle"]) as found:
        answer = await command(agents, thread_id, "run.start", assistant_id=graph, input=input)
        assert answer["type"] == "success", answer
        return [e["params"]["data"] for e in await until(found, end) if e["method"] != "lifecycle"]


async def test_tools_tell_of_their_calls(agents: Agents):
    started, finished = await told(agents, "adding", {"messages": []}, "completed", ["tools"])
    assert (started["event"], started["tool_call_id"], started["tool_name"]) == ("tool-started", "call_1", "add")
    assert started["input"] == {"a": 1, "b": 2}
    assert (finished["event"], finished["tool_call_id"]) == ("tool-finished", "call_1")
    assert ToolMessage(**finished["output"]).content == "3"


async def test_a_tool_that_fails_says_so(agents: Agents):
    found = await told(agents, "breaking", {"messages": []}, "failed", ["tools"])
    assert [one["event"] for one in found] == ["tool-started", "tool-error"]
    assert "bad value" in found[-1]["message"]


async def test_a_tool_call_is_a_block_of_its_message(agents: Agents):
    found = await told(agents, "adding", {"messages": []}, "completed", ["messages"])
    blocks = [one["content"] for one in found if one["event"] == "content-block-finish"]
    assert {"type": "tool_call", "id": "call_1", "name": "add", "args": {"a": 1, "b": 2}}.items() <= blocks[-1].items()


async def test_transformers_of_a_graph_have_channels_of_their_names(agents: Agents):
    for channels in (["custom:counts"], ["custom"]):
        found = await told(agents, "counting", {"x": 1}, "completed", channels)
        assert found == [{"name": "counts", "payload": {"states": n}} for n in (1, 2, 3)]
    assert await told(agents, "counting", {"x": 1}, "completed", ["custom:other"]) == []
    updates = await told(agents, "counting", {"x": 1}, "completed", ["updates"])
    assert updates == [{"a": {"x": 2, "log": ["a"]}}, {"b": {"x": 3, "log": ["b"]}}]
