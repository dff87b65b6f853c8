"""Values of channels go with the checkpoints that alone name them, and stay for those that others name as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from langyard.model.runs import ClaimedRun
from langyard.postgres import runs as rows
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.queries import load
from langyard.postgres.rows import runs as agent_rows
from langyard.postgres.writer import Finish, Lease, Writer
from tests.unit.runs.bench import Bench

DONE = Finish(status="success", thread_status="idle", values=b"{}", interrupts=b"{}")


async def put(bench: Bench, writer: Writer, run: ClaimedRun, versions: dict[str, str], *, end: bool) -> None:
    """A checkpoint of the run that names these values, those it makes among them, and the run's end."""
    lease = Lease(run.run_id, run.thread_id, run.fence)
    batch = writer.batch()
    index, thread = batch.index(lease), str(run.thread_id)
    document = json.dumps({"v": 4, "channel_versions": versions}).encode()
    notes = json.dumps({"run_id": str(run.run_id)}).encode()
    batch.checkpoints[thread, "", f"checkpoint of {run.run_id}"] = (index, None, document, notes)
    for channel, version in versions.items():
        batch.blobs[thread, "", channel, version] = (index, "bytes", b"x")
    if end:
        batch.finishes[run.run_id] = (index, DONE)
    await writer.commit(lease)


async def values(bench: Bench) -> list[tuple[Any, Any]]:
    sql = "select channel, version from checkpoint_blobs where thread_id = %(id)s order by channel, version"
    return [(row["channel"], row["version"]) for row in await bench.database.fetch(sql, {"id": str(bench.thread_id)})]


@pytest.mark.parametrize("by", ["rollback", "deletion"])
async def test_values_that_only_a_run_that_is_gone_has_named_go_with_it(bench: Bench, by: str):
    writer = Writer(bench.database)
    writer.start()
    first = await bench.start(claimed=True)
    await put(bench, writer, first, {"kept": "1", "changed": "1"}, end=True)
    second = await bench.start(claimed=True)
    await put(bench, writer, second, {"kept": "1", "changed": "2", "own": "2"}, end=by == "deletion")
    await writer.close()
    assert len(await values(bench)) == 4
    if by == "rollback":
        assert await rows.roll_back(bench.database, second.run_id, second.fence, b"{}")
    else:
        assert await agent_rows.delete(bench.database, second.run_id)
    assert await values(bench) == [("changed", "1"), ("kept", "1")]


async def test_the_checkpoint_that_came_with_a_claim_is_that_of_its_own_thread_alone(bench: Bench):
    writer = Writer(bench.database)
    writer.start()
    await put(bench, writer, await bench.start(claimed=True), {"log": "1"}, end=True)
    run = await bench.start(claimed=True)
    assert run.head is not None
    lease = Lease(run.run_id, run.thread_id, run.fence)
    saver = Checkpointer(bench.database, writer, Scope(lease=lease, head=dict(run.head)))
    own = await saver.aget_tuple({"configurable": {"thread_id": str(run.thread_id)}})
    assert own is not None
    assert own.checkpoint["channel_versions"] == {"log": "1"}
    # A node may have a graph run on a thread of its own, before this run has written anything (`durability="exit"`).
    assert await saver.aget_tuple({"configurable": {"thread_id": str(uuid4())}}) is None
    await writer.close()


async def test_a_run_from_the_queue_comes_with_its_checkpoint(bench: Bench):
    writer = Writer(bench.database)
    writer.start()
    await bench.start()
    [first] = await bench.claim()
    assert first.fresh
    assert first.head is None
    await put(bench, writer, first, {"log": "1"}, end=True)
    await bench.start()
    [second] = await bench.claim()
    assert not second.fresh
    assert second.head is not None
    assert second.head["checkpoint_id"] == f"checkpoint of {first.run_id}"
    await writer.close()


async def test_a_checkpoint_that_was_read_before_another_had_the_run_is_not_used(bench: Bench):
    """A claim whose snapshot is older than a whole execution of the run elsewhere."""
    writer = Writer(bench.database)
    writer.start()
    run = await bench.start()
    slow = (
        "select r.run_id from langyard.runs r, lateral (select pg_sleep(1)) as late "
        "where r.run_id = %(run_id)s and r.status = 'pending' for update of r"
    )
    claim = load("runs")["claim"].format(candidates=slow)
    params = {"run_id": run.run_id, "worker_id": bench.worker_id}
    late = asyncio.create_task(bench.database.fetch(claim, params))
    await asyncio.sleep(0.2)
    [early] = await bench.claim()
    await put(bench, writer, early, {"log": "1"}, end=False)
    await rows.hand_back(bench.database, bench.worker_id)
    [row] = await late
    assert not row["current"]
    claimed = rows.claimed_of(row)
    assert claimed.fence == early.fence + 2
    assert (claimed.head, claimed.fresh) == (None, False)
    await writer.close()
