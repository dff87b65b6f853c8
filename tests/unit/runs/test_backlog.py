"""A backlog of 100,000 runs costs a claim no more than a short one: told by the rows and pages that it touches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from langyard.model.runs import Caps
from langyard.postgres import runs as rows
from tests.unit.runs.queueing import GRAPHS, Queue, queue

MANY = 80_000
MANY_BEHIND = 20_000
# Half of one user, the rest of a thousand others; all of one assistant's graph.
BACKLOG = """
with threads as (
    insert into langyard.threads (thread_id, status, open_runs)
    select gen_random_uuid(), 'busy', 1 from generate_series(1, %(many)s) returning thread_id
), numbered as (select thread_id, row_number() over () as n from threads)
insert into langyard.runs (run_id, thread_id, graph_id, user_id, kwargs, turn)
select gen_random_uuid(), thread_id, 'agent', case when n %% 2 = 0 then 'mallory' else 'user ' || n %% 1000 end, '{}',
    1001 + case when n %% 2 = 0 then n / 2 else n / 1000 end
from numbered
"""
# All on one thread, behind a run that runs.
BEHIND = """
insert into langyard.runs (run_id, thread_id, graph_id, user_id, kwargs, turn, ready)
select gen_random_uuid(), %(thread_id)s, 'other', 'eve', '{}', 1001 + n, false from generate_series(1, %(many)s) as n
"""


@pytest.fixture
async def line(database: str) -> AsyncIterator[Queue]:
    async with queue(database) as made:
        thread_id = uuid4()
        await made.start("eve", thread_id=thread_id, graph_id="other", at_once=True)
        await made.database.execute(BACKLOG, {"many": MANY})
        await made.database.execute(BEHIND, {"many": MANY_BEHIND, "thread_id": thread_id})
        await made.database.execute("analyze langyard.runs, langyard.threads")
        yield made


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def explain(line: Queue, sql: Any, params: dict[str, Any]) -> tuple[float, int]:
    """The most rows that any part of the plan has read, and the pages touched; all is undone."""
    async with line.database.connection() as connection, connection.transaction(force_rollback=True):
        cursor = await connection.execute(b"explain (analyze, buffers, format json) " + sql.encode(), params)
        row = await cursor.fetchone()
    assert row is not None
    (told,) = row["QUERY PLAN"] if not isinstance(row["QUERY PLAN"], str) else json.loads(row["QUERY PLAN"])
    read = 0.0
    for node in nodes(told["Plan"]):
        passed = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        if "Scan" in node["Node Type"]:
            read = max(read, passed * node["Actual Loops"])
    return read, told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]


@pytest.mark.slow
async def test_a_long_backlog_is_not_walked(line: Queue):
    params = {"worker_id": line.worker_id, "graphs": GRAPHS, "slots": 10}
    read, pages = await explain(line, rows._CLAIM, params)
    assert read <= 100
    assert pages < 1000
    for caps in (Caps({"agent": 4}), Caps({}, 3), Caps({"agent": 4, "other": 1}, 3)):
        more = params | {"caps": [caps.graphs.get(graph) for graph in GRAPHS], "user_cap": caps.user}
        read, pages = await explain(line, rows._CLAIM_WITHIN_CAPS, more)
        assert read <= 100
        # With a cap on users each of a thousand of them is asked for once.
        assert pages < (50_000 if caps.user else 5_000)
    for sql in ("let_in", "heal", "depth"):
        more = {"after": None, "limit": 1000, "worker_id": line.worker_id, "ended": 7, "most": 100}
        more["max_attempts"] = 3
        read, pages = await explain(line, rows._SQL[sql], more)
        if read > 100:  # the planner's statistics are a sample of the table, and a sample may be an unlucky one
            await line.database.execute("analyze langyard.runs, langyard.threads")
            read, pages = await explain(line, rows._SQL[sql], more)
        assert read <= 100, sql
        assert pages < 1000, sql
    # To join it is not to walk it either.
    sql = "select langyard.turn_of('agent', '@mallory', 0) as mallory, langyard.turn_of('agent', '@ada', 0) as ada"
    _, pages = await explain(line, sql, {})
    assert pages < 1000
    row = await line.database.fetch_one(sql)
    assert row is not None
    assert (row["mallory"], row["ada"]) == (1001 + MANY // 2 + 1, 1001)
    started = await line.start("ada")
    assert started.run.run_id in [run.run_id for run in await line.claim(20)]
