"""A program, run by `test_graph`: a run pauses in one process's saver and goes on in another's, strict about types."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

if sys.argv[1:] == ["late"]:
    import langgraph.graph  # noqa: F401 - imported before Langyard, LangGraph itself is not strict

import langyard  # noqa: F401, I001 - first, and so LangGraph is strict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from tests.unit.graphs.loading import PROJECTS, loaded


async def main() -> None:
    assert _msgpack.STRICT_MSGPACK_ENABLED is (sys.argv[1:] != ["late"])
    graph = loaded(PROJECTS / "package", strict=True).get("flow")
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    config: Any = {"configurable": {"thread_id": "t"}}
    async with graph.open(config, checkpointer=saver) as opened:
        await opened.ainvoke({"notes": []}, config)
    async with graph.open(config, checkpointer=saver) as opened:
        result = await opened.ainvoke(Command(resume="second"), config)
    async with graph.open(config, access="threads.read", checkpointer=saver) as opened:
        state = await opened.aget_state(config)
    for values in (result, state.values):
        print(*(type(value).__name__ for value in (*values["notes"], values["sheet"])), values["notes"][1].mood)

    # The saver itself knows none of it: only what a graph's own schemas name is revived.
    stranger = await saver.aget_tuple(config)
    assert stranger is not None
    print(type(stranger.checkpoint["channel_values"]["sheet"]).__name__)


asyncio.run(main())
