"""Runs that are told to stop do: between two steps, by a cancelled node, or without a node that does not let go."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from langgraph.graph import START, StateGraph

from tests.unit.gateway.serving import until
from tests.unit.worker.running import State, Yard, yard


@pytest.fixture
async def made(database: str) -> AsyncIterator[Yard]:
    async with yard(database, worker={"cancel_grace_seconds": 0.3}, runs={"timeout_seconds": 30.0}) as found:
        yield found


@pytest.mark.parametrize("graph", ["waiting", "threaded", "stubborn"])
async def test_a_cancelled_run_ends_whatever_its_node_does(made: Yard, graph: str):
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, graph, input={}))["run_id"]
    await made.begun()
    async with asyncio.timeout(15):
        await made.sdk.runs.cancel(thread, run, wait=True)
    found = made.run(run)
    assert (found["status"], found["error"]["error"]) == ("interrupted", "UserInterrupt")
    assert found["cancel_reason"] == found["error"]["message"] != ""
    row = made.thread(thread)
    assert (row["status"], row["open_runs"], row["values"]) == ("interrupted", 0, {"x": 0})
    # What the node gives after all is refused.
    before = made.rows("select count(*) from checkpoints where thread_id = %s", thread)
    made.trouble.release.set()
    await asyncio.sleep(0.2)
    assert made.rows("select count(*) from checkpoints where thread_id = %s", thread) == before
    assert (await made.sdk.threads.get_state(thread))["values"] == {"x": 0}
    assert made.app.worker is not None
    assert made.app.worker.counters.abandoned == (1 if graph == "stubborn" else 0)
    assert made.app.worker.running == 0


@pytest.mark.parametrize("graph", ["waiting", "threaded", "stubborn"])
async def test_a_run_beyond_its_time_ends(database: str, graph: str):
    settings = {"worker": {"cancel_grace_seconds": 0.2}, "runs": {"timeout_seconds": 0.4}}
    async with yard(database, **settings) as made:
        thread = (await made.sdk.threads.create())["thread_id"]
        async with asyncio.timeout(15):
            answer = await made.sdk.runs.wait(thread, graph, input={}, raise_error=False)
        assert answer["__error__"]["error"] == "TimeoutError"
        assert made.rows("select status from langyard.runs")[0]["status"] == "timeout"
        assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("error", 0)


async def test_a_node_that_cancels_itself_fails_its_run(made: Yard):
    made.trouble.failures = [asyncio.CancelledError()]
    thread = (await made.sdk.threads.create())["thread_id"]
    async with asyncio.timeout(15):
        answer = await made.sdk.runs.wait(thread, "failing", input={}, raise_error=False)
    assert answer["__error__"]["error"] == "NodeCancelledError"


async def test_a_blocked_loop_is_told_of_once_with_its_stack_and_its_run(
    database: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "langyard.worker.upkeep.watchdog")
    async with yard(database, worker={"watchdog_seconds": 0.1}) as made:
        thread = (await made.sdk.threads.create())["thread_id"]
        await made.sdk.runs.wait(thread, "blocking", input={})
        assert made.app.worker is not None
        counters = made.app.worker.counters
        # A machine under load may block the loop by itself, besides.
        blocked = [record.__dict__ for record in caplog.records if record.message == "loop_blocked"]
        assert len(blocked) == counters.blockages
        (facts,) = [each for each in blocked if "in blocking" in each["stack"]]
        assert "time.sleep(0.6)" in facts["stack"]
        assert (facts["workflow_type"], facts["run_id"]) == (
            "blocking", str(made.rows("select run_id from langyard.runs")[0]["run_id"])
        )  # fmt: skip
        await until(lambda: counters.blocked_seconds > 0)
        assert counters.blocked_seconds > 0.3


@pytest.mark.parametrize("begun", [True, False])
async def test_a_temporary_run_that_is_rolled_back_takes_its_thread_along(made: Yard, begun: bool):
    later = {} if begun else {"after_seconds": 3600}
    run = await made.sdk.runs.create(None, "waiting", input={}, **later)
    if begun:
        await made.begun()
    assert made.rows("select thread_id from langyard.threads") != []
    # As who waits for it elsewhere is told.
    made.rows("update langyard.runs set watched = true")
    assert made.app.runs is not None
    assert await made.app.runs.cancel(UUID(run["run_id"]), action="rollback", reason="test")
    await until(lambda: made.rows("select run_id from langyard.runs") == [])
    assert made.rows("select thread_id from langyard.threads") == []


async def test_nodes_that_hang_in_their_threads_leave_room_for_others(database: str):
    async with yard(database, worker={"slots": 8, "cancel_grace_seconds": 0.1}) as made:
        inside = threading.Semaphore(0)

        def hanging(state: State) -> State:
            inside.release()
            made.trouble.release.wait(60)
            return {"x": 1}

        graph = StateGraph(State)
        graph.add_node("hanging", hanging)
        graph.add_edge(START, "hanging")
        made.app.graphs.register("hanging", graph)
        made_runs = [await made.sdk.runs.create(None, "hanging", input={}) for _ in range(8)]
        for _ in made_runs:
            assert await asyncio.to_thread(inside.acquire, timeout=20)
        for run in made_runs:
            await made.sdk.runs.cancel(run["thread_id"], run["run_id"], wait=True)
        # All eight threads are taken by nodes that nobody waits for any more.
        async with asyncio.timeout(20):
            assert (await made.sdk.runs.wait(None, "failing", input={}))["x"] == 1
