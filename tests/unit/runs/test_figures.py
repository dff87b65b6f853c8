"""How the queue stands: what waits, what runs, for how long, of each graph."""

from __future__ import annotations

from uuid import uuid4

from langyard.postgres import runs as rows
from tests.unit.runs.queueing import queue


async def test_what_waits_and_runs_and_for_how_long(database: str):
    async with queue(database) as line:
        empty = await rows.queue(line.database)
        assert (empty.pending, empty.running, empty.oldest_wait_s, empty.graphs) == (0, 0, None, {})
        thread_id = uuid4()
        await line.start("ada", thread_id=thread_id, at_once=True)
        behind = (await line.start("ada", thread_id=thread_id)).run.run_id
        await line.flood("ada", 2, graph_id="other")
        await line.start("ada", after_s=3600.0)
        sql = "update langyard.runs set available_at = now() - make_interval(secs => %(s)s) where run_id = %(id)s"
        await line.database.execute(sql, {"s": 100, "id": behind})
        found = await rows.queue(line.database)
        assert (found.pending, found.running) == (3, 1)
        assert 100 <= (found.oldest_wait_s or 0) < 160
        # What waits for the run before it on its thread waits for no worker.
        assert 0 <= (found.oldest_unblocked_wait_s or 0) < 60
        assert 0 <= (found.median_wait_s or 0) < 60
        assert {name: (of.pending, of.running) for name, of in found.graphs.items()} == {
            "agent": (1, 1),
            "other": (2, 0),
        }
        assert (found.graphs["agent"].oldest_wait_s or 0) >= 100 > (found.graphs["other"].oldest_wait_s or 0)
