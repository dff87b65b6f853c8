"""LangGraph's RemoteGraph on a real server: called, streamed, read, changed, resumed, and as a node."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


def remote(agents: Agents, name: str) -> RemoteGraph:
    return RemoteGraph(name, url=str(agents.served.http.base_url))


def on_thread() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid4())}}


async def test_it_is_called_like_a_graph_on_a_thread_that_is_made_for_it(agents: Agents):
    graph, config = remote(agents, "steps"), on_thread()
    assert await graph.ainvoke({"x": 1}, config) == {"x": 3, "log": ["a", "b"]}
    assert await graph.ainvoke({"x": 5}) == {"x": 7, "log": ["a", "b"]}
    with pytest.raises(RemoteException, match="bad value"):
        await remote(agents, "value-error").ainvoke({"x": 1}, on_thread())


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "custom", "debug", "tasks", "checkpoints"])
async def test_it_streams_every_mode(agents: Agents, mode: Any):
    name, given = {
        "messages": ("speaking", {"messages": [{"role": "user", "content": "hi"}]}),
        "custom": ("narrating", {}),
    }.get(mode, ("steps", {"x": 1}))
    told: list[Any] = [part async for part in remote(agents, name).astream(given, on_thread(), stream_mode=mode)]
    if mode == "values":
        assert [part["x"] for part in told] == [1, 2, 3]
    elif mode == "updates":
        assert [list(part) for part in told] == [["a"], ["b"]]
    elif mode == "messages":
        assert "".join(chunk["content"] for chunk, _ in told) == "hello brave new world"
    elif mode == "custom":
        assert told == [{"n": 1}, "two"]
    else:
        assert len(told) >= 4
    both: list[Any] = [
        part async for part in remote(agents, name).astream(given, on_thread(), stream_mode=["values", "updates"])
    ]
    assert {part[0] for part in both} == {"values", "updates"}


async def test_subgraphs_are_streamed_by_their_namespaces(agents: Agents):
    given = {"messages": [{"role": "user", "content": "hi"}]}
    told = [part async for part in remote(agents, "nested").astream(given, on_thread(), subgraphs=True)]
    assert {namespace[0].partition(":")[0] for namespace, _ in told if namespace} == {"kid"}


async def test_its_state_is_read_followed_back_and_changed(agents: Agents):
    graph, config = remote(agents, "steps"), on_thread()
    await graph.ainvoke({"x": 1}, config)
    state = await graph.aget_state(config)
    assert (state.values, state.next) == ({"x": 3, "log": ["a", "b"]}, ())
    history = [found async for found in graph.aget_state_history(config, limit=10)]
    assert [found.values.get("x") for found in history] == [3, 2, 1, None]
    earlier = [found async for found in graph.aget_state_history(config, limit=10, before=history[1].config)]
    assert [found.values.get("x") for found in earlier] == [1, None]
    assert (await graph.aget_state(history[1].config)).values["x"] == 2
    changed = await graph.aupdate_state(history[1].config, {"x": 40}, as_node="a")
    assert (await graph.aget_state(changed)).next == ("b",)
    assert await graph.ainvoke(None, config) == {"x": 41, "log": ["a", "b"]}


async def test_it_is_drawn(agents: Agents):
    drawn = await remote(agents, "steps").aget_graph()
    assert set(drawn.nodes) == {"__start__", "a", "b", "__end__"}
    assert {(edge.source, edge.target) for edge in drawn.edges} == {
        ("__start__", "a"), ("a", "b"), ("b", "__end__"),
    }  # fmt: skip


async def test_an_interrupt_comes_out_and_is_answered(agents: Agents):
    graph, config = remote(agents, "asking"), on_thread()
    asked = await graph.ainvoke({"x": 1}, config)
    assert [one["value"] for one in asked["__interrupt__"]] == [{"question": "ok?"}]
    assert [one.value for one in (await graph.aget_state(config)).interrupts] == [{"question": "ok?"}]
    assert (await graph.ainvoke(Command(resume="yes"), config))["log"] == ["a", "ans=yes"]


def around(graph: RemoteGraph) -> Any:
    """A graph of this process with a node that runs there."""
    whole = StateGraph(State)
    whole.add_node("far", graph)
    whole.add_node("near", lambda state: {"log": ["near"]})
    whole.add_edge(START, "far")
    whole.add_edge("far", "near")
    return whole.compile(checkpointer=InMemorySaver())


async def test_as_a_node_of_another_graph_it_runs_and_streams(agents: Agents):
    whole = around(remote(agents, "steps"))
    told = [part async for part in whole.astream({"x": 1}, on_thread(), subgraphs=True, stream_mode="updates")]
    assert [list(part) for namespace, part in told if namespace] == [["a"], ["b"]]
    assert [list(part) for namespace, part in told if not namespace] == [["far"], ["near"]]
    assert (await whole.ainvoke({"x": 1}, on_thread()))["x"] == 3


async def test_as_a_node_of_another_graph_it_asks_through_it(agents: Agents):
    whole, config = around(remote(agents, "asking")), on_thread()
    asked = await whole.ainvoke({"x": 1}, config)
    assert [one.value for one in asked["__interrupt__"]] == [{"question": "ok?"}]
    state = await whole.aget_state(config)
    assert (state.next, [one.value for one in state.interrupts]) == (("far",), [{"question": "ok?"}])
