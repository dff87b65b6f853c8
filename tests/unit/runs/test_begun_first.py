"""A run that was begun and put back goes on before any other of its thread begins, whoever was asked for first."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import dict_row

from langyard.model.ids import uuid7
from langyard.model.runs import Caps, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.queries import load
from langyard.postgres.rows import suspects
from tests.unit.runs.bench import Bench


@pytest.mark.parametrize("by", ["turn", "turn within caps", "itself"])
async def test_a_run_that_came_later_does_not_step_between_two_attempts(bench: Bench, by: str):
    """Its transaction is the older, but it had to wait for the thread."""
    request = RunRequest(run_id=uuid7(), graph_id="g", kwargs={}, thread_id=bench.thread_id)
    async with await psycopg.AsyncConnection.connect(bench.url, row_factory=dict_row) as other:
        await other.execute("select now()")
        begun = await bench.start(claimed=True)
        await other.execute(load("runs")["start"], starts.start_params(request, None))
        await other.commit()
    if by == "itself":
        await suspects.give_back(bench.database, begun.run_id, begun.fence, counts=True, max_attempts=2, delay_s=0.0)
        claimed = await suspects.claim(bench.database, bench.worker_id, ["g"], None, max_attempts=2, ttl_s=4.0)
    else:
        assert await rows.hand_back(bench.database, bench.worker_id) == 1
        caps = Caps({"g": 5}) if by == "turn within caps" else None
        claimed = await rows.claim(bench.database, bench.worker_id, ["g"], 10, caps)
    assert [run.run_id for run in claimed] == [begun.run_id]
