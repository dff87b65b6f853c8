"""A graph of a package: relative imports, a state of own types, a subgraph with a private one, a pause in it."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from .state import Inner, InnerState, Mood, Note, Sheet, State


def hide(state: InnerState) -> dict[str, Any]:
    return {"inner": Inner(hidden="yes")}


def ask(state: InnerState) -> dict[str, Any]:
    assert isinstance(state["inner"], Inner), state["inner"]
    return {"notes": [*state["notes"], Note(interrupt("more?"), Mood.WILD)]}


inner = StateGraph(InnerState)
inner.add_sequence([hide, ask])
inner.add_edge(START, "hide")


def write(state: State) -> dict[str, Any]:
    notes = state.get("notes", [])
    assert all(isinstance(note, Note) for note in notes), notes
    return {"notes": [*notes, Note("first")], "sheet": Sheet(title="one")}


def close(state: State) -> dict[str, Any]:
    assert isinstance(state["sheet"], Sheet), state["sheet"]
    return {"sheet": Sheet(title="all", notes=state["notes"])}


builder = StateGraph(State)
builder.add_node("write", write)
# `with_config` makes a copy, and the copy of a compiled graph has forgotten its types.
builder.add_node("inner", inner.compile().with_config(tags=["inner"]))
builder.add_node("close", close)
builder.add_edge(START, "write")
builder.add_edge("write", "inner")
builder.add_edge("inner", "close")
builder.add_edge("close", END)
graph = builder.compile().with_config(tags=["flow"])
