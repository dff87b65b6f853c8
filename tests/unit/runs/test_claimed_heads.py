"""The checkpoint that comes with a claim is the latest, however long the claim took after its snapshot."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest

from langyard.model.ids import uuid7
from langyard.model.runs import Caps, ClaimedRun, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.database import Database
from langyard.postgres.queries import load
from langyard.postgres.writer import Finish, Lease, Writer
from tests.unit.runs.bench import BLOCKED, Bench

DONE = Finish(
    status="success", thread_status="idle", values=b"{}", interrupts=b"{}", config=b'{"tags": ["of the last run"]}'
)


async def put(writer: Writer, run: ClaimedRun, name: str, *, end: bool) -> None:
    lease = Lease(run.run_id, run.thread_id, run.fence)
    batch = writer.batch()
    index = batch.index(lease)
    document = json.dumps({"v": 4, "id": name, "channel_versions": {}, "versions_seen": {}}).encode()
    batch.checkpoints[str(run.thread_id), "", name] = (index, None, document, b"{}")
    if end:
        batch.finishes[run.run_id] = (index, DONE)
    await writer.commit(lease)


async def begins_at(bench: Bench, writer: Writer, run: ClaimedRun) -> str | None:
    """What LangGraph is given when the run asks for the latest checkpoint."""
    lease = Lease(run.run_id, run.thread_id, run.fence)
    saver = Checkpointer(
        bench.database, writer, Scope(lease=lease, head=dict(run.head) if run.head else None, fresh=run.fresh)
    )
    found = await saver.aget_tuple({"configurable": {"thread_id": str(run.thread_id)}})
    return found.checkpoint["id"] if found is not None else None


async def until(database: Database, condition: str) -> None:
    async with asyncio.timeout(30):
        while True:
            if await database.fetch(condition):
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("before", [None, "c1"])
async def test_a_claim_that_waited_for_its_turn_at_a_cap(bench: Bench, before: str | None):
    """The run before it goes on, and ends, while the claim waits for another claimer of the same graph."""
    writer = Writer(bench.database)
    writer.start()
    first = await bench.start(claimed=True)
    if before:
        await put(writer, first, before, end=False)
    second = await bench.start()
    async with bench.database.connection() as other, other.transaction():
        await other.execute("select pg_advisory_xact_lock(7301, hashtext('g'))")
        claim = rows.claim(bench.database, bench.worker_id, ["g"], 10, Caps({"g": 5}))
        late = asyncio.create_task(claim)
        await until(bench.database, BLOCKED)
        await put(writer, first, "c2", end=True)
    [claimed] = await late
    assert claimed.run_id == second.run_id
    assert await begins_at(bench, writer, claimed) == "c2"
    assert claimed.thread_config == {"tags": ["of the last run"]}
    await writer.close()


SLOW = (
    """create function langyard.slow() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$""",
    """create trigger slow before update on langyard.runs for each row when (old.run_id = '{run_id}')
    execute function langyard.slow()""",
)


async def test_a_claim_during_which_a_run_that_was_asked_for_before_came_and_went(bench: Bench):
    """One whose transaction is the older comes first, although nobody could see it when the claim began."""
    writer = Writer(bench.database)
    writer.start()
    await put(writer, await bench.start(claimed=True), "c1", end=True)
    async with bench.database.connection() as other, bench.database.connection() as starting:
        await starting.execute("begin")
        await starting.execute("select now()")
        late = await bench.start()
        for statement in SLOW:
            await other.execute(statement.format(run_id=late.run_id).encode())
        async with other.transaction():
            await other.execute("select pg_advisory_xact_lock(42)")
            claim = asyncio.create_task(bench.claim())
            await until(bench.database, BLOCKED)
            request = RunRequest(run_id=uuid7(), graph_id="g", kwargs={"input": {}}, thread_id=bench.thread_id)
            await starting.execute(load("runs")["start"], starts.start_params(request, None))
            await starting.execute("commit")
            [early] = await bench.claim()
            assert early.run_id == request.run_id
            await put(writer, early, "c2", end=True)
    [claimed] = await claim
    assert claimed.run_id == late.run_id
    assert await begins_at(bench, writer, claimed) == "c2"
    assert claimed.thread_config == {"tags": ["of the last run"]}
    await writer.close()


async def test_a_thread_that_only_the_official_saver_knew_goes_on_where_it_was(bench: Bench):
    thread = str(bench.thread_id)
    document = json.dumps({"v": 4, "id": "c0", "channel_versions": {}, "versions_seen": {}})
    await bench.database.execute(
        "insert into checkpoints (thread_id, checkpoint_id, checkpoint) values (%(id)s, 'c0', %(document)s::jsonb)",
        {"id": thread, "document": document},
    )
    writer = Writer(bench.database)
    writer.start()
    assert await begins_at(bench, writer, await bench.start(claimed=True)) == "c0"
    await writer.close()


async def test_a_thread_that_nobody_knew_is_not_asked_for(bench: Bench):
    run = await bench.start(claimed=True)
    assert (run.fresh, run.head) == (True, None)


async def test_a_claim_that_takes_too_long_for_many_is_made_for_one(bench: Bench):
    """What comes along with thirty runs may be more than the server's own limit on statements lets through."""
    for _ in range(5):
        bench.thread_id = uuid4()
        await bench.start()
    await bench.database.execute(
        "create function langyard.slow() returns trigger language plpgsql as "
        "$$ begin perform pg_sleep(0.3); return new; end $$"
    )
    await bench.database.execute(
        "create trigger slow before update on langyard.runs for each row execute function langyard.slow()"
    )
    limited = Database(f"{bench.url}&options=-c%20statement_timeout%3D1000", name="limited", max_size=1)
    await limited.open()
    assert len(await rows.claim(limited, bench.worker_id, ["g"], 5)) == 1
    await limited.close()


async def test_a_large_state_is_read_by_the_run_that_needs_it(bench: Bench):
    """And not by the claim, for which all the others wait."""
    writer = Writer(bench.database)
    writer.start()
    await put(writer, await bench.start(claimed=True), "c1", end=True)
    await bench.start()
    await bench.database.execute(
        """update langyard.threads set "values" = (select jsonb_object_agg(n, gen_random_uuid())
           from generate_series(1, 20000) n)"""
    )
    [claimed] = await bench.claim()
    assert (claimed.head, claimed.fresh) == (None, False)
    assert await begins_at(bench, writer, claimed) == "c1"
    assert claimed.thread_config == {"tags": ["of the last run"]}
    await writer.close()
