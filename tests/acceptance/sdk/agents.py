"""Graphs as users write them, and a server that has them, for the tests with the official SDK."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk import get_client
from typing_extensions import TypedDict

from langyard.app import App
from langyard.model.ids import uuid7
from langyard.model.runs import RunEnd, RunRequest
from tests.unit.gateway.serving import Served, serve


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    x: int
    inner: str


def parent() -> StateGraph[State]:
    """A graph whose one node is a graph that asks."""

    def inner1(state: Inner) -> Inner:
        return {"inner": interrupt("inner?")}

    kid = StateGraph(Inner)
    kid.add_node("inner1", inner1)
    kid.add_edge(START, "inner1")
    graph = StateGraph(State)
    graph.add_node("child", kid.compile())
    graph.add_edge(START, "child")
    graph.add_edge("child", END)
    return graph


def branching() -> StateGraph[State]:
    """One node, then either of two by the value of x."""
    graph = StateGraph(State)
    graph.add_node("a", lambda state: {"log": ["a"]})
    graph.add_node("b", lambda state: {"log": ["b"]})
    graph.add_node("c", lambda state: {"log": ["c"]})
    graph.add_edge(START, "a")
    graph.add_conditional_edges("a", lambda state: "b" if state.get("x", 0) > 0 else "c", ["b", "c"])
    return graph


def factory(config: RunnableConfig) -> StateGraph[State]:
    """A graph whose nodes the assistant's configuration names."""
    graph = StateGraph(State)
    name = config.get("configurable", {}).get("node", "plain")
    if name == "broken":
        raise RuntimeError("the password is hunter2")
    graph.add_node(name, lambda state: {"log": [name]})
    graph.add_edge(START, name)
    return graph


@dataclass
class Agents:
    """A server in this process, the SDK's client of it, and a way to run a graph without the routes of runs."""

    served: Served
    sdk: Any  # the SDK's own types lack keys that servers send, and say dict where they send a list

    @property
    def app(self) -> App:
        return self.served.app

    async def start(self, graph_id: str, thread_id: str, kwargs: dict[str, Any], **more: Any) -> UUID:
        run_id = uuid7()
        request = RunRequest(
            run_id=run_id, graph_id=graph_id, kwargs=kwargs, thread_id=UUID(thread_id), may_create=True, **more
        )
        started = await self.app.runs.start(request, events=False)
        assert started is not None
        started.reader.close()
        return run_id

    async def run(self, graph_id: str, thread_id: str, input: Any = None, **more: Any) -> RunEnd:
        return await self.app.runs.wait(await self.start(graph_id, thread_id, {"input": input or {}}, **more))

    async def run_on(self, thread_id: str, graph_id: str = "branching") -> RunEnd:
        """Go on from where the thread stands, without an input."""
        return await self.app.runs.wait(await self.start(graph_id, thread_id, {"input": None}))


@asynccontextmanager
async def serving(database: str, **settings: Any) -> AsyncIterator[Agents]:
    """The graphs of the gateway's own tests, and `parent`, `branching` and `factory`, registered late."""
    async with serve(database, **settings) as served:
        for name, graph in {"parent": parent(), "branching": branching(), "factory": factory}.items():
            served.app.graphs.register(name, graph, description=f"What {name} does.")
        async with get_client(url=str(served.http.base_url)) as sdk:
            yield Agents(served, sdk)
