"""A worker that is told to stop waits for what is on its way to it: it would be taken for dead under that run."""

from __future__ import annotations

import asyncio

import psycopg

from tests.unit.gateway.serving import until
from tests.unit.runs.bench import BLOCKED
from tests.unit.worker.running import yard


async def test_a_run_that_is_being_inserted_for_it_is_executed_or_handed_back(database: str):
    async with yard(database) as made:
        worker = made.app.worker
        assert worker is not None
        thread = (await made.sdk.threads.create())["thread_id"]
        with psycopg.connect(database) as other:
            other.execute("select from langyard.threads where thread_id = %s for update", [thread])
            starting = asyncio.create_task(made.sdk.runs.create(thread, "failing", input={}))
            await until(lambda: bool(made.rows(BLOCKED)))
            stopping = asyncio.create_task(asyncio.to_thread(worker.stop))
            await asyncio.wait([stopping], timeout=0.5)
        run = (await starting)["run_id"]
        await stopping
        found = made.run(run)
        assert found["status"] in ("success", "pending")
        assert (found["worker_id"], found["deaths"]) == (None, 0)
