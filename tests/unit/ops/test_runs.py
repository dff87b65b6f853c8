"""Looking after runs: what is found, driven again from where, and put right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from langyard.model.errors import Conflict, NotFound
from langyard.ops import runs as ops
from tests.unit.gateway.serving import until
from tests.unit.worker.running import Yard, yard


@pytest.fixture
async def made(database: str) -> AsyncIterator[Yard]:
    async with yard(database, worker={"sweep_seconds": 3600.0}) as found:
        yield found


async def begin(made: Yard, graph: str = "waiting") -> tuple[str, str]:
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, graph, input={}))["run_id"]
    await made.begun()
    return thread, run


async def quarantine(made: Yard) -> tuple[str, str]:
    """A run in quarantine, whose worker died in its second node."""
    thread, run = await begin(made)
    await until(lambda: len(made.rows("select 1 from checkpoints where thread_id = %s", thread)) >= 3)
    await made.bury(run, max_attempts=1)
    made.trouble.release.set()
    await until(lambda: made.app.worker is not None and made.app.worker.running == 0)
    return thread, run


async def test_runs_are_found_by_what_they_are(made: Yard):
    thread, run = await quarantine(made)
    other = (await made.sdk.threads.create())["thread_id"]
    await made.sdk.runs.wait(other, "failing", input={})

    async def ids(**wanted: object) -> list[str]:
        found = await ops.search(made.app.database, ops.Wanted(**wanted))  # type: ignore[arg-type]
        return [str(row["run_id"]) for row in found]

    assert len(await ids()) == 2
    assert (await ids())[-1] == run
    assert await ids(quarantined=True) == await ids(status="error") == await ids(graph_id="waiting") == [run]
    assert await ids(thread_id=UUID(thread)) == [run]
    assert await ids(older_s=3600.0) == []
    assert len(await ids(limit=1)) == 1


async def test_a_run_is_shown_with_all_that_is_known(made: Yard):
    _thread, run = await quarantine(made)
    shown = await ops.show(made.app.database, UUID(run))
    assert (shown["status"], shown["deaths"], shown["error"]["error"]) == ("error", 1, "WorkerLost")
    assert shown["thread_status"] == "error"
    assert [(each["step"], each["run_id"]) for each in shown["checkpoints"]] == [(1, run), (0, run), (-1, run)]
    with pytest.raises(NotFound):
        await ops.show(made.app.database, uuid4())


async def test_driven_again_a_run_goes_on_from_its_last_checkpoint(made: Yard):
    thread, run = await quarantine(made)
    again = await ops.retry(made.app.database, UUID(run))
    found = await made.until(str(again), "success")
    assert found["metadata"]["retry_of"] == run
    assert (await made.sdk.threads.get_state(thread))["values"] == {"x": 1}
    sources = made.rows("select metadata ->> 'source' as source from checkpoints where thread_id = %s", thread)
    assert [row["source"] for row in sources].count("input") == 1, "the input was not taken in twice"
    assert made.run(run)["status"] == "error", "what was stays on record"


async def test_driven_again_from_a_chosen_checkpoint(made: Yard):
    _thread, run = await quarantine(made)
    first = (await ops.show(made.app.database, UUID(run)))["checkpoints"][-1]["checkpoint_id"]
    again = await ops.retry(made.app.database, UUID(run), checkpoint_id=first)
    await made.until(str(again), "success")
    parents = made.rows(
        "select parent_checkpoint_id as p from checkpoints where metadata ->> 'run_id' = %s", str(again)
    )
    assert first in [row["p"] for row in parents]
    with pytest.raises(NotFound):
        await ops.retry(made.app.database, UUID(run), checkpoint_id="none")


async def test_what_runs_is_not_driven_again_and_what_is_over_not_stopped(made: Yard):
    _thread, run = await begin(made)
    with pytest.raises(Conflict):
        await ops.retry(made.app.database, UUID(run))
    assert await ops.cancel(made.app.database, UUID(run)) == "asked"
    await made.until(run, "interrupted")
    assert made.run(run)["cancel_reason"] == ops.REASON
    with pytest.raises(Conflict):
        await ops.cancel(made.app.database, UUID(run))
    with pytest.raises(NotFound):
        await ops.cancel(made.app.database, uuid4())


async def test_what_is_wrong_is_said_and_then_put_right(made: Yard):
    repair = ops.repair
    assert await repair(made.app.database, ttl_s=4.0, max_attempts=3) == []
    stuck = (await made.sdk.threads.create())["thread_id"]
    made.rows("update langyard.threads set status = 'busy', open_runs = 2 where thread_id = %s", stuck)
    thread, run = await begin(made)
    made.rows("update langyard.threads set open_runs = 5 where thread_id = %s", thread)
    made.rows("update langyard.runs set worker_id = gen_random_uuid() where run_id = %s", run)

    said = await repair(made.app.database, ttl_s=4.0, max_attempts=3, dry_run=True)
    assert {(each.what, str(each.id)) for each in said} == {
        ("running without a worker", run),
        ("thread busy with 2 open runs counted, 0 there", stuck),
        ("thread busy with 5 open runs counted, 1 there", thread),
    }
    assert made.thread(stuck)["open_runs"] == 2, "nothing was changed"

    done = await repair(made.app.database, ttl_s=4.0, max_attempts=3)
    assert {(str(each.id), each.done) for each in done} == {
        (run, "is pending"),
        (stuck, "is idle with 0 open"),
        (thread, "is busy with 1 open"),
    }
    made.trouble.release.set()
    await made.until(run, "success")
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("idle", 0)
    assert (await made.sdk.runs.wait(stuck, "failing", input={}))["x"] == 1
    assert await repair(made.app.database, ttl_s=4.0, max_attempts=3) == []
