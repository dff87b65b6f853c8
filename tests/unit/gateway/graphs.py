"""The graphs the gateway's tests run: what a user's might do, well or badly. Registered by `serving`."""

from __future__ import annotations

import asyncio
import itertools
import operator
import threading
from typing import Annotated, Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt


class State(TypedDict, total=False):
    x: int
    text: str
    log: Annotated[list[Any], operator.add]


class Gate:
    """A node that waits: `begun` tells that it has been reached, `open` lets it go on. Two loops use it: threading."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 20), "the node was not reached"

    async def node(self, state: State) -> State:
        self.begun.set()
        assert await asyncio.to_thread(self.open.wait, 60), "the gate was never opened"
        return {"log": ["through"]}


def _graph(**nodes: Any) -> StateGraph[State]:
    """The nodes in a row."""
    graph = StateGraph(State)
    names = [START, *nodes, END]
    for name, node in nodes.items():
        graph.add_node(name, node)
    for one, following in itertools.pairwise(names):
        graph.add_edge(one, following)
    return graph


async def _echo(state: State) -> State:
    return {"x": state.get("x", 0) + 1, "log": [f"x={state.get('x', 0)}"]}


async def _narrate(state: State) -> State:
    get_stream_writer()({"progress": "halfway", "Ünïcode": "進捗\x00"})
    return {"log": ["told"]}


async def _ask(state: State) -> State:
    return {"log": [interrupt({"question": "may I?"})]}


async def _fail(state: State) -> State:
    raise RuntimeError("the password is hunter2")


async def _return_strange(state: State) -> State:
    return {"log": [{1, 2}, float("nan"), b"bytes", "nul\x00"]}


async def _measure(state: State) -> State:
    """What the graph itself sees, before anything is written for a client."""
    first, *rest = state["log"][-4:]
    return {"log": [{"length": len(state["text"]), "log": [len(first["nested"]), *rest]}]}


async def _hang(state: State) -> State:
    await asyncio.Event().wait()
    return {}


def _two_questions() -> StateGraph[State]:
    async def ask(state: State) -> State:
        return {"log": [interrupt(state["text"])]}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda _: [Send("ask", {"text": "left?"}), Send("ask", {"text": "right?"})])
    return graph


def _loop() -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("again", lambda state: Command(goto="again"))
    graph.add_edge(START, "again")
    return graph


def graphs(gate: Gate) -> dict[str, Any]:
    """Every graph by the name of its workflow."""
    return {
        "echo": _graph(first=_echo),
        "narrate": _graph(speak=_narrate, count=_echo),
        "ask": _graph(ask=_ask, count=_echo),
        "ask-two": _two_questions(),
        "paused": _graph(first=_echo, second=_echo).compile(interrupt_before=["second"]),
        "fail": _graph(first=_echo, fail=_fail),
        "loop": _loop(),
        "hang": _graph(hang=_hang),
        "gate": _graph(first=_echo, gate=gate.node),
        "measure": _graph(measure=_measure),
        "strange": _graph(strange=_return_strange),
    }
