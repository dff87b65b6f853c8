"""Values of channels go with the checkpoints that alone name them, and stay for those that others name as well."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from langyard.model.runs import ClaimedRun
from langyard.postgres import runs as rows
from langyard.postgres.checkpoints import Checkpointer, Scope
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
