"""The research workflow as a LangGraph: its nodes and how they follow each other. `langgraph.json` names `graph`."""

from __future__ import annotations

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from agents.nodes import analysis, approve, plan, report, research, send_out, summary, weigh, widen
from agents.state import Errand, Input, Output, State


def build() -> StateGraph[State, None, Input, Output]:
    """plan → research in parallel → weigh → (once: widen → research) → analysis and summary → report → (approve)."""
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    builder.add_node("plan", plan)
    builder.add_node("research", research, input_schema=Errand)
    builder.add_node("weigh", weigh)
    builder.add_node("widen", widen)
    builder.add_node("analysis", analysis)
    builder.add_node("summary", summary)
    builder.add_node("report", report)
    builder.add_node("approve", approve)

    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", send_out, ["research"])
    builder.add_conditional_edges("widen", send_out, ["research"])
    builder.add_edge("research", "weigh")
    builder.add_conditional_edges("weigh", after_weighing, ["widen", "analysis", "summary"])
    builder.add_edge(["analysis", "summary"], "report")
    builder.add_conditional_edges("report", after_report, ["approve", END])
    builder.add_conditional_edges("approve", after_approval, ["research", END])
    return builder


def after_weighing(state: State) -> list[Literal["widen", "analysis", "summary"]]:
    """Thin evidence widens the search, but only once: documents that do not answer are an answer too."""
    brief = state["brief"]
    return ["widen"] if brief["thin"] and not brief["widened"] else ["analysis", "summary"]


def after_report(state: State) -> str:
    """Without `approval` in the input the draft is the report."""
    return "approve" if state["brief"]["approval"] else END


async def after_approval(state: State) -> list[Send] | str:
    """A note of the reader is one more line of inquiry; an approved report is the end."""
    return await send_out(state) or END


graph = build().compile(name="research")
# What clients are shown of the state: the documents stay in the checkpoints and are not sent along with every event.
graph.stream_channels = [*Input.__annotations__, *Output.__annotations__]
