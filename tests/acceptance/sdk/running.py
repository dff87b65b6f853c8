"""Graphs whose runs the tests watch: a subgraph that speaks, a model that streams, one that fails in its own words."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from langgraph_sdk import get_client
from typing_extensions import TypedDict

from tests.acceptance.sdk.agents import Agents
from tests.unit.gateway.serving import serve


class Steps(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


class Kid(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Shown(TypedDict, total=False):
    x: int


class OwnError(Exception):
    """An error whose words are nobody's business."""


@dataclass
class Told:
    flag: bool = False
    user_name: str = "nobody"


def steps() -> StateGraph[Steps]:
    """The contract's toy: a then b."""
    graph = StateGraph(Steps)
    graph.add_node("a", lambda state: {"x": state.get("x", 0) + 1, "log": ["a"]})
    graph.add_node("b", lambda state: {"x": state.get("x", 0) + 1, "log": ["b"]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    return graph


def asking(*, both: bool = False) -> StateGraph[Steps]:
    """a, then a question; with `both` two questions at once."""
    graph = StateGraph(Steps)
    graph.add_node("a", lambda state: {"x": state.get("x", 0) + 1, "log": ["a"]})
    graph.add_node("ask", lambda state: {"log": [f"ans={interrupt({'question': 'ok?'})}"]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "ask")
    if both:
        graph.add_node("ask2", lambda state: {"log": [f"ans2={interrupt('really?')}"]})
        graph.add_edge("a", "ask2")
    return graph


def _say(words: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(content=words, id="lc-1")]))


def speaking() -> StateGraph[Chat]:
    """A model that streams word by word."""

    async def speak(state: Chat) -> Chat:
        return {"messages": [await _say("hello brave new world").ainvoke(state["messages"])]}

    graph = StateGraph(Chat)
    graph.add_node("speak", speak)
    graph.add_edge(START, "speak")
    return graph


def nested() -> StateGraph[Chat]:
    """The same in a subgraph, which tells of itself besides."""

    async def tell(state: Chat) -> Chat:
        get_stream_writer()({"kid": "tells"})
        return {}

    kid = speaking()
    kid.add_node("tell", tell)
    kid.add_edge("speak", "tell")
    graph = StateGraph(Chat)
    graph.add_node("kid", kid.compile())
    graph.add_edge(START, "kid")
    return graph


def narrating() -> StateGraph[Steps]:
    """Events of its own."""

    async def narrate(state: Steps) -> Steps:
        writer = get_stream_writer()
        writer({"n": 1})
        writer("two")
        return {"log": ["told"]}

    graph = StateGraph(Steps)
    graph.add_node("narrate", narrate)
    graph.add_edge(START, "narrate")
    return graph


def failing(error: type[Exception]) -> StateGraph[Steps]:
    async def fail(state: Steps) -> Steps:
        raise error("bad value")

    graph = StateGraph(Steps)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    return graph


def configured() -> StateGraph[Any, Told]:
    """What the node sees of config and context."""

    async def look(state: Any, config: RunnableConfig, runtime: Runtime[Told]) -> dict[str, Any]:
        context = runtime.context
        seen = {
            "tags": config.get("tags"),
            "limit": config.get("recursion_limit"),
            "configurable": {k: v for k, v in config["configurable"].items() if not k.startswith("__")},
            "metadata": dict(config.get("metadata") or {}),
            "context": {"flag": context.flag, "user_name": context.user_name},
        }
        return {"seen": seen}

    class Seen(TypedDict, total=False):
        seen: dict[str, Any]

    graph: StateGraph[Any, Told] = StateGraph(Seen, context_schema=Told)
    graph.add_node("look", look)  # type: ignore[arg-type]  # a node of any state
    graph.add_edge(START, "look")
    return graph


def narrow() -> StateGraph[Any]:
    """A graph that gives out less than it holds."""
    graph = StateGraph(Steps, output_schema=Shown)
    graph.add_node("a", lambda state: {"x": state.get("x", 0) + 1, "log": ["a"]})
    graph.add_edge(START, "a")
    return graph


async def slow(state: Steps) -> Steps:
    await asyncio.sleep(state.get("x", 0) / 1000)
    return {"log": ["slept"]}


def sleeping() -> StateGraph[Steps]:
    graph = StateGraph(Steps)
    graph.add_node("sleep", slow)
    graph.add_edge(START, "sleep")
    return graph


GRAPHS: dict[str, Any] = {
    "steps": steps(),
    "asking": asking(),
    "asking-both": asking(both=True),
    "speaking": speaking(),
    "nested": nested(),
    "narrating": narrating(),
    "value-error": failing(ValueError),
    "own-error": failing(OwnError),
    "configured": configured(),
    "narrow": narrow(),
    "sleeping": sleeping(),
}


@asynccontextmanager
async def running(database: str, **settings: Any) -> AsyncIterator[Agents]:
    """A server with these graphs besides those of the gateway's own tests."""
    async with serve(database, **settings) as served:
        for name, graph in GRAPHS.items():
            served.app.graphs.register(name, graph)
        async with get_client(url=str(served.http.base_url)) as sdk:
            yield Agents(served, sdk)
