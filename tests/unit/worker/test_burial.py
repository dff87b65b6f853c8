"""What becomes of the runs of a worker that died: again, for the last time, or as somebody had wanted before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.serving import until
from tests.unit.worker.running import Yard, yard


@pytest.fixture
async def made(database: str) -> AsyncIterator[Yard]:
    # It must not bury by itself: the tests do, and look.
    async with yard(database, worker={"sweep_seconds": 3600.0}) as found:
        yield found


async def begin(made: Yard, graph: str = "waiting") -> tuple[str, str]:
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, graph, input={}))["run_id"]
    await made.begun()
    # Its checkpoint may be on its way still, and would be refused of one that is buried.
    await until(lambda: made.rows("select 1 from checkpoints where thread_id = %s", thread) != [])
    return thread, run


async def test_a_run_goes_on_and_its_next_attempt_is_told_to_a_reader(made: Yard):
    thread = (await made.sdk.threads.create())["thread_id"]
    stream = made.sdk.runs.stream(thread, "waiting", input={}, stream_mode="values")
    first = await anext(stream)
    run = first.data["run_id"]
    await made.begun()
    assert [(str(found), status) for found, status in await made.bury(run)] == [(run, "pending")]
    assert (made.run(run)["deaths"], made.thread(thread)["status"]) == (1, "busy")
    made.trouble.release.set()
    told = [(part.event, part.data) async for part in stream]
    assert ("metadata", {"run_id": run, "attempt": 2}) in told
    assert (told[-1][0], told[-1][1]["status"]) == ("end", "success")
    assert made.run(run)["attempt"] == 2


async def test_after_the_last_death_it_is_in_quarantine_and_never_claimed_again(made: Yard):
    thread, run = await begin(made)
    assert (await made.bury(run, max_attempts=1))[0][1] == "error"
    found = made.run(run)
    assert (found["status"], found["error"]["error"], found["quarantined_at"] is not None) == (
        "error",
        "WorkerLost",
        True,
    )
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("error", 0)
    made.trouble.release.set()
    assert (await made.sdk.runs.join(thread, run))["__error__"]["error"] == "WorkerLost"
    # The thread is free for the next run, and the dead worker's late end was refused.
    assert (await made.sdk.runs.wait(thread, "failing", input={}))["x"] == 1
    assert made.run(run)["status"] == "error"


async def test_a_cancelled_run_whose_worker_dies_is_not_tried_again(made: Yard):
    thread, run = await begin(made)
    made.rows("update langyard.runs set cancel_action = 'interrupt', cancel_reason = 'enough' where run_id = %s", run)
    await made.bury(run)
    await made.until(run, "interrupted")
    assert made.run(run)["error"] == {"error": "UserInterrupt", "message": "enough"}
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("interrupted", 0)


async def test_a_run_to_be_rolled_back_whose_worker_dies_leaves_no_trace(made: Yard):
    thread, run = await begin(made)
    made.rows("update langyard.runs set cancel_action = 'rollback' where run_id = %s", run)
    await made.bury(run)
    await until(lambda: made.rows("select 1 from langyard.runs where run_id = %s", run) == [])
    assert made.rows("select 1 from checkpoints where thread_id = %s", thread) == []
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("idle", 0)


async def test_what_was_claimed_in_the_moment_of_stopping_is_handed_back_and_nobody_has_died(made: Yard):
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, "waiting", input={}, after_seconds=3600))["run_id"]
    assert made.app.worker is not None
    made.rows(
        "update langyard.runs set status = 'running', worker_id = %s, fence = fence + 1, attempt = attempt + 1, "
        "started_at = now() where run_id = %s",
        made.app.worker.worker_id, run,
    )  # fmt: skip
    await asyncio.to_thread(made.app.worker.stop)
    found = made.run(run)
    assert (found["status"], found["deaths"], found["attempt"], found["fence"]) == ("pending", 0, 0, 2)
