"""Graphs that answer the same on every server: one for each thing a client can see of a graph."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict


class Steps(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Shown(TypedDict, total=False):
    x: int


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


class Seen(TypedDict, total=False):
    seen: dict[str, Any]


class OwnError(Exception):
    """An error of a kind that no server knows."""


@dataclass
class Told:
    flag: bool = False
    user_name: str = "nobody"


def _count(name: str) -> Any:
    async def node(state: Steps) -> Steps:
        return {"x": state.get("x", 0) + 1, "log": [name]}

    return node


def _steps() -> StateGraph[Steps]:
    graph = StateGraph(Steps)
    graph.add_node("a", _count("a"))
    graph.add_node("b", _count("b"))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", END)
    return graph


def _asking(*, both: bool = False) -> StateGraph[Steps]:
    async def ask(state: Steps) -> Steps:
        return {"log": [f"ans={interrupt({'question': 'ok?'})}"]}

    async def ask2(state: Steps) -> Steps:
        return {"log": [f"ans2={interrupt('really?')}"]}

    graph = StateGraph(Steps)
    graph.add_node("a", _count("a"))
    graph.add_node("ask", ask)
    graph.add_edge(START, "a")
    graph.add_edge("a", "ask")
    if both:
        graph.add_node("ask2", ask2)
        graph.add_edge("a", "ask2")
    return graph


def _speaking() -> StateGraph[Chat]:
    async def speak(state: Chat) -> Chat:
        model = GenericFakeChatModel(messages=iter([AIMessage(content="hello brave new world", id="lc-1")]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(Chat)
    graph.add_node("speak", speak)
    graph.add_edge(START, "speak")
    return graph


def _nested() -> StateGraph[Chat]:
    async def tell(state: Chat) -> Chat:
        get_stream_writer()({"kid": "tells"})
        return {}

    kid = _speaking()
    kid.add_node("tell", tell)
    kid.add_edge("speak", "tell")
    graph = StateGraph(Chat)
    graph.add_node("kid", kid.compile())
    graph.add_edge(START, "kid")
    return graph


def _parent() -> StateGraph[Steps]:
    async def inner(state: Steps) -> Steps:
        return {"log": [str(interrupt("inner?"))]}

    kid = StateGraph(Steps)
    kid.add_node("inner", inner)
    kid.add_edge(START, "inner")
    graph = StateGraph(Steps)
    graph.add_node("child", kid.compile())
    graph.add_edge(START, "child")
    graph.add_edge("child", END)
    return graph


def _narrating() -> StateGraph[Steps]:
    async def narrate(state: Steps) -> Steps:
        writer = get_stream_writer()
        writer({"n": 1})
        writer("two")
        return {"log": ["told"]}

    graph = StateGraph(Steps)
    graph.add_node("narrate", narrate)
    graph.add_edge(START, "narrate")
    return graph


def _failing(error: type[Exception]) -> StateGraph[Steps]:
    async def fail(state: Steps) -> Steps:
        raise error("bad value")

    graph = StateGraph(Steps)
    graph.add_node("a", _count("a"))
    graph.add_node("fail", fail)
    graph.add_edge(START, "a")
    graph.add_edge("a", "fail")
    return graph


def _configured() -> StateGraph[Seen, Told]:
    async def look(state: Seen, config: RunnableConfig, runtime: Runtime[Told]) -> Seen:
        context = runtime.context
        given = config["configurable"]
        return {
            "seen": {
                "tags": config.get("tags"),
                "limit": config.get("recursion_limit"),
                "configurable": {name: given[name] for name in sorted(given) if name in ("user_name", "flag", "more")},
                "spoofed": str(given.get("langgraph_auth_user")),
                "header": given.get("x-foo"),
                "metadata": {name: (config.get("metadata") or {}).get(name) for name in ("m", "graph_id", "user_name")},
                "context": {"flag": context.flag, "user_name": context.user_name},
            }
        }

    graph: StateGraph[Seen, Told] = StateGraph(Seen, context_schema=Told)
    graph.add_node("look", look)  # type: ignore[arg-type]  # a node of any state
    graph.add_edge(START, "look")
    return graph


def _narrow() -> StateGraph[Any]:
    graph = StateGraph(Steps, output_schema=Shown)
    graph.add_node("a", _count("a"))
    graph.add_edge(START, "a")
    return graph


def _sleeping() -> StateGraph[Steps]:
    async def sleep(state: Steps) -> Steps:
        await asyncio.sleep(state.get("x", 0) / 1000)
        return {"log": ["slept"]}

    graph = StateGraph(Steps)
    graph.add_node("a", _count("a"))
    graph.add_node("sleep", sleep)
    graph.add_edge(START, "a")
    graph.add_edge("a", "sleep")
    return graph


def _branching() -> StateGraph[Steps]:
    async def choose(state: Steps) -> Command[Any]:
        return Command(goto="b" if state.get("x", 0) > 0 else "c", update={"log": ["chose"]})

    graph = StateGraph(Steps)
    graph.add_node("choose", choose, destinations=("b", "c"))
    graph.add_node("b", _count("b"))
    graph.add_node("c", _count("c"))
    graph.add_edge(START, "choose")
    return graph


def factory(config: RunnableConfig) -> StateGraph[Steps]:
    """A graph whose node the assistant's configuration names."""
    name = config.get("configurable", {}).get("node", "plain")
    graph = StateGraph(Steps)
    graph.add_node(name, _count(name))
    graph.add_edge(START, name)
    return graph


steps = _steps().compile()
asking = _asking().compile()
asking_both = _asking(both=True).compile()
speaking = _speaking().compile(name="Speaker")
nested = _nested().compile()
parent = _parent().compile()
narrating = _narrating().compile()
value_error = _failing(ValueError).compile()
own_error = _failing(OwnError).compile()
configured = _configured().compile()
narrow = _narrow().compile()
sleeping = _sleeping().compile()
branching = _branching().compile()
