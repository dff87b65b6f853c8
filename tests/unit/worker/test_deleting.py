"""A run that is deleted takes nothing with it that a run under way builds on."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from tests.unit.worker.running import yard


class Kept(TypedDict, total=False):
    asked: str
    found: list[int]


async def test_what_a_deleted_run_has_found_stays_with_the_run_that_goes_on_from_it(database: str):
    async with yard(database) as made:

        async def node(state: Kept) -> Any:
            if state["asked"] == "find":
                return {"found": [1, 2, 3]}
            made.trouble.entered.set()
            await asyncio.to_thread(made.trouble.release.wait, 60)
            return {"asked": "nothing"}

        graph = StateGraph(Kept)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        made.app.graphs.register("kept", graph)
        thread = (await made.sdk.threads.create())["thread_id"]
        await made.sdk.runs.wait(thread, "kept", input={"asked": "find"})
        (first,) = await made.sdk.runs.list(thread)
        run = await made.sdk.runs.create(thread, "kept", input={"asked": "wait"}, durability="exit")
        await made.begun()
        await made.sdk.runs.delete(thread, first["run_id"])
        made.trouble.release.set()
        await made.sdk.runs.join(thread, run["run_id"])
        state = await made.sdk.threads.get_state(thread)
        assert state["values"] == {"asked": "nothing", "found": [1, 2, 3]}
