"""A run that takes the place of others meets whoever came from the other side."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg.rows import dict_row

from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres import starts
from langyard.postgres.database import Database
from langyard.postgres.rows import threads
from langyard.postgres.rows.deletion import delete_threads
from tests.unit.runs.bench import BLOCKED, Bench


async def test_whoever_loses_a_deadlock_takes_over_a_moment_later(bench: Bench):
    waiting = await bench.start()
    request = RunRequest(
        run_id=uuid7(), graph_id="g", kwargs={}, thread_id=bench.thread_id, multitask_strategy="interrupt"
    )
    async with await psycopg.AsyncConnection.connect(bench.url, autocommit=True) as other:
        # PostgreSQL breaks a deadlock at the cost of who has waited for so long: that must be the one who takes over.
        await other.execute(f"alter database \"{other.info.dbname}\" set deadlock_timeout = '2s'")
        await other.execute("set deadlock_timeout = '60s'")
        taking = Database(bench.url, name="test", max_size=1)
        await taking.open()
        async with other.transaction():
            await other.execute("select from langyard.threads where thread_id = %s for update", [bench.thread_id])
            started = asyncio.create_task(starts.start(taking, request, None))
            async with asyncio.timeout(20):
                while not await bench.database.fetch_one(BLOCKED):
                    assert not started.done()
            async with asyncio.timeout(20):
                await other.execute("select from langyard.runs where run_id = %s for update", [waiting.run_id])
            assert not started.done()
        made = await started
        await taking.close()
    assert made is not None
    assert (made.run.status, list(made.superseded)) == ("pending", [(waiting.run_id, True)])
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("busy", 1)


async def test_a_run_has_begun_when_it_had_the_thread_not_when_it_was_asked_for(bench: Bench):
    """Another may have begun and ended there while it waited."""
    await bench.start()
    request = RunRequest(
        run_id=uuid7(), graph_id="g", kwargs={}, thread_id=bench.thread_id, multitask_strategy="interrupt"
    )
    async with await psycopg.AsyncConnection.connect(bench.url, autocommit=True) as other:
        async with other.transaction():
            await other.execute("select from langyard.threads where thread_id = %s for update", [bench.thread_id])
            starting = asyncio.create_task(starts.start(bench.database, request, bench.worker_id))
            async with asyncio.timeout(20):
                while not await bench.database.fetch_one(BLOCKED):
                    assert not starting.done()
            now = await bench.database.fetch_one("select clock_timestamp() as time")
    started = await starting
    assert started is not None
    assert started.claimed is not None
    row = await bench.run(started.claimed)
    assert now is not None
    assert row is not None
    assert row["created_at"] < now["time"] < row["started_at"]
    # Its events are numbered from there on: after those of whoever had the thread meanwhile.
    assert started.claimed.claimed_at == row["started_at"]


async def test_a_thread_that_is_being_deleted_is_not_made_again_by_a_run_that_came_too_late(bench: Bench):
    """Without its owner's metadata, and for somebody who was told that it is gone."""
    await threads.create(bench.database, bench.thread_id, {"owner": "ada"}, None, None)
    request = RunRequest(run_id=uuid7(), graph_id="g", kwargs={}, thread_id=bench.thread_id)
    async with await psycopg.AsyncConnection.connect(bench.url, row_factory=dict_row) as other, other.transaction():
        await delete_threads(other, [bench.thread_id])
        starting = asyncio.create_task(starts.start(bench.database, request, bench.worker_id))
        async with asyncio.timeout(20):
            while not await bench.database.fetch_one(BLOCKED):
                assert not starting.done()
    assert await starting is None
    assert await threads.find(bench.database, bench.thread_id) is None
