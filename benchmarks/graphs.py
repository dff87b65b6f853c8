"""The graphs every side runs: small, deterministic, calling no model. Loaded by each server and by `sides/bare.py`.

A thread is used again and again, so each graph starts its state anew: its hundredth run costs what the first did.
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, RemoveMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Overwrite, Send
from typing_extensions import TypedDict

TOKENS = 200
BRANCHES = 20
STEPS = 5
STATE_BYTES = 256 * 1024
MESSAGES_PER_STEP = 16
_TEXT = ("lorem ipsum dolor sit amet " * 200)[: STATE_BYTES // (STEPS * MESSAGES_PER_STEP)]

INPUTS: dict[str, dict[str, Any]] = {
    "echo": {"text": "hello"},
    "chain10": {"count": 0},
    "fan": {"total": 0},
    "tokens": {"pause_ms": 0},
    "tokens-5ms": {"pause_ms": 5},
    "bigstate": {"step": 0},
    "sleep": {"seconds": 1.0},
}
"""What each scenario sends; `tokens-5ms` is the graph `tokens` with a pause between two tokens."""


def graph_of(scenario: str) -> str:
    """The graph in `langgraph.json` that a scenario runs."""
    return scenario.partition("-")[0]


class State(TypedDict, total=False):
    """Of the graphs whose nodes only replace. `finished_at` is the monotonic clock, one for all processes, at the end
    of echo's node: it tells the way back."""

    text: str
    finished_at: float
    count: int
    pause_ms: int
    reply: str
    seconds: float


async def _echo(state: State) -> State:
    return {"text": state["text"], "finished_at": time.monotonic()}


async def _add_one(state: State) -> State:
    return {"count": state["count"] + 1}


class FanState(TypedDict, total=False):
    """`parts` is filled by the parallel nodes; the first node empties what the run before left."""

    total: int
    parts: Annotated[list[int], operator.add]


async def _spread(state: FanState) -> dict[str, Any]:
    return {"parts": Overwrite([])}


def _branches(state: FanState) -> list[Send]:
    return [Send("part", {"total": number}) for number in range(BRANCHES)]


async def _part(state: FanState) -> FanState:
    return {"parts": [state["total"]]}


async def _join(state: FanState) -> FanState:
    return {"total": sum(state["parts"])}


class Talker(BaseChatModel):
    """A chat model that says `TOKENS` short words, `pause_ms` apart, and asks nobody."""

    pause_ms: int = 0

    @property
    def _llm_type(self) -> str:
        return "talker"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("word " * TOKENS))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(TOKENS):
            if self.pause_ms:
                await asyncio.sleep(self.pause_ms / 1000)
            yield ChatGenerationChunk(message=AIMessageChunk(content="word "))


async def _talk(state: State) -> State:
    said = [str(chunk.content) async for chunk in Talker(pause_ms=state["pause_ms"]).astream("talk")]
    return {"reply": "".join(said)}


class BigState(TypedDict, total=False):
    """Messages that reach `STATE_BYTES` after `STEPS` nodes."""

    step: int
    messages: Annotated[list[AnyMessage], add_messages]


async def _grow(state: BigState) -> dict[str, Any]:
    step = state["step"] + 1
    fresh: list[BaseMessage] = [RemoveMessage(REMOVE_ALL_MESSAGES)] if step == 1 else []
    fresh += [AIMessage(_TEXT, id=f"{step}-{index}") for index in range(MESSAGES_PER_STEP)]
    return {"step": step, "messages": fresh}


async def _sleep(state: State) -> None:
    await asyncio.sleep(state["seconds"])


def _line(state: type, node: Any, length: int) -> Any:
    """`length` times the same node in a row."""
    nodes = [(f"step{number}", node) for number in range(1, length + 1)]
    builder: StateGraph[Any] = StateGraph(state)
    return builder.add_sequence(nodes).add_edge(START, "step1").compile()


def _fan() -> Any:
    builder = StateGraph(FanState)
    builder.add_node("spread", _spread).add_node("part", _part).add_node("join", _join)
    builder.add_edge(START, "spread").add_conditional_edges("spread", _branches, ["part"])
    return builder.add_edge("part", "join").compile()


echo = _line(State, _echo, 1)
chain10 = _line(State, _add_one, 10)
fan = _fan()
tokens = _line(State, _talk, 1)
bigstate = _line(BigState, _grow, STEPS)
sleep = _line(State, _sleep, 1)

GRAPHS = {"echo": echo, "chain10": chain10, "fan": fan, "tokens": tokens, "bigstate": bigstate, "sleep": sleep}
