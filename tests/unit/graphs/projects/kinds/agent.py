"""Every kind of graph that is no factory."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph

IMPORTS: list[str] = []
IMPORTS.append(__name__)


class State(TypedDict):
    x: int
    log: Annotated[list[str], operator.add]


async def add(state: State) -> dict[str, object]:
    return {"x": state["x"] + 1, "log": ["add"]}


builder = StateGraph(State)
builder.add_node("add", add)
builder.add_edge(START, "add")
builder.add_edge("add", END)
compiled = builder.compile()


@entrypoint()
async def functional(x: int) -> int:
    return x + 1
