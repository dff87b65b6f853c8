"""A run that wants stored what the database does not take ends, once, and takes no other run along."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from tests.unit.gateway.serving import until
from tests.unit.worker.running import yard

# Beyond what an index of PostgreSQL can hold.
LONG = secrets.token_hex(8000)


async def test_a_run_whose_state_is_refused_ends_in_an_error_and_others_go_on(database: str):
    calls = 0

    async def node(state: Any) -> Any:
        nonlocal calls
        calls += 1
        return {LONG: [calls]}

    graph = StateGraph(TypedDict("Odd", {"x": int, LONG: list[int]}))  # type: ignore[operator]
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    async with yard(database) as made:
        made.app.graphs.register("odd", graph)
        other = (await made.sdk.threads.create())["thread_id"]
        beside = (await made.sdk.runs.create(other, "waiting", input={}))["run_id"]
        await made.begun()
        thread = (await made.sdk.threads.create())["thread_id"]
        async with asyncio.timeout(20):
            told = await made.sdk.runs.wait(thread, "odd", input={"x": 1}, raise_error=False)
        assert "__error__" in told
        (run,) = made.rows("select * from langyard.runs where thread_id = %s", thread)
        assert (run["status"], run["error"]["error"], run["fence"]) == ("error", "ProgramLimitExceeded", 1)
        assert (made.thread(thread)["status"], made.thread(thread)["open_runs"], calls) == ("error", 0, 1)
        made.trouble.release.set()
        assert (await made.until(beside, "success", "error"))["status"] == "success"


async def test_a_run_that_wants_too_much_stored_ends_with_a_sentence(database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("langyard.postgres.writer._LARGE", 100_000)
    monkeypatch.setattr("langyard.postgres.writer._LARGEST", 200_000)
    large = StateGraph(TypedDict("Large", {"x": list[str]}))  # type: ignore[operator]
    large.add_node("node", lambda state: {"x": ["much"] * 100_000})
    large.add_edge(START, "node")
    async with yard(database) as made:
        made.app.graphs.register("large", large)
        thread = (await made.sdk.threads.create())["thread_id"]
        async with asyncio.timeout(20):
            told = await made.sdk.runs.wait(thread, "large", input={"x": []}, raise_error=False)
        assert told["__error__"]["error"] == "state_too_large"
        assert "PostgreSQL takes less than 1,074 MB" in told["__error__"]["message"]
        assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("error", 0)


async def test_no_loop_dies_of_what_nobody_thought_of(database: str, caplog: pytest.LogCaptureFixture):
    async with yard(database, worker={"poll_seconds": 0.05, "sweep_seconds": 0.05}) as made:
        made.rows("alter table langyard.runs rename column fence to elsewhere")
        await until(lambda: made.app._listener.listening)
        made.rows("select pg_notify('langyard', 'end of something')")
        chores = ("claim runs", "look for dead workers", "see what is wanted of runs")
        await until(lambda: all(f"could not {chore}" in caplog.messages for chore in chores))
        await until(lambda: "a notification is not understood" in caplog.messages)
        made.rows("alter table langyard.runs rename column elsewhere to fence")
        thread = (await made.sdk.threads.create())["thread_id"]
        run = (await made.sdk.runs.create(thread, "waiting", input={}, after_seconds=0.01))["run_id"]
        await made.begun()
        # By hand, as another process does it: the chore that looks sees it.
        made.rows("update langyard.runs set cancel_action = 'interrupt', cancel_reason = 'x' where run_id = %s", run)
        await made.until(run, "interrupted")
