"""What is asked for every run reads what it needs and no more, though it was planned while there was next to nothing.

PostgreSQL keeps the plan of a prepared statement until somebody analyses a table it names: on a new database, a minute
or more. A plan that was right for ten rows read every run there was, and every value a thread had ever had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from uuid import UUID, uuid4

from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres.database import Database
from langyard.postgres.starts import Starts
from langyard.postgres.writer import Writer
from tests.unit.runs.bench import Bench
from tests.unit.runs.test_values import put

MANY = 5_000
READ = """
select sum(seq_tup_read + idx_tup_fetch)::int8 as tuples from pg_stat_user_tables
where relname in ('runs', 'threads', 'sessions', 'checkpoints', 'checkpoint_blobs')
"""
# Runs of others, ended and running, and a long history of this thread.
GROWN = (
    """
    with made as (
        insert into langyard.threads (thread_id, status, open_runs)
        select gen_random_uuid(), 'busy', 1 from generate_series(1, %(many)s) returning thread_id
    ), numbered as (
        select thread_id, row_number() over () as n from made
    ), sessions as (
        insert into langyard.sessions (session_id, user_id, thread_id, ttl, expires_at)
        select thread_id::text, 'bob', thread_id, interval '1 day', now() + interval '1 day' from made
    )
    insert into langyard.runs (run_id, thread_id, graph_id, kwargs, status, worker_id, attempt, fence)
    select gen_random_uuid(), thread_id, 'g', '{}', case when n %% 2 = 0 then 'running' else 'success' end,
        case when n %% 2 = 0 then %(worker)s::uuid end, 1, 1
    from numbered
    """,
    """
    insert into checkpoint_blobs (thread_id, channel, version, type, blob)
    select %(thread)s, 'log', 'old ' || n, 'bytes', 'x' from generate_series(1, %(many)s) as n
    """,
)


# The thread again, and another with a session.
NAMED = (
    "insert into langyard.threads (thread_id) select unnest(%(threads)s) on conflict do nothing",
    """
    insert into langyard.sessions (session_id, user_id, thread_id, ttl, expires_at)
    values (%(session)s::uuid::text, 'ada', %(session)s, interval '1 day', now() + interval '1 day')
    """,
)


async def _read(*databases: Database) -> int:
    for database in databases:
        await database.fetch("select pg_stat_force_next_flush()")
    row = await databases[0].fetch_one(READ)
    assert row is not None
    return int(row["tuples"])


async def _reads_of(bench: Bench, process: Database, turn: Coroutine[None, None, None]) -> int:
    """Rows that one more turn reads when there is much else."""
    given: dict[str, int | str | UUID] = {"many": MANY, "worker": bench.worker_id, "thread": str(bench.thread_id)}
    for sql in GROWN:
        await bench.database.fetch(sql, given)
    before = await _read(bench.database, process)
    await turn
    return await _read(bench.database, process) - before


async def test_a_run_reads_neither_other_runs_nor_the_history_of_its_thread(bench: Bench):
    async def turn(version: int) -> None:
        run = await bench.start(claimed=True)
        await put(bench, writer, run, {"log": str(version)}, end=True)

    worker = Database(bench.url, name="test", max_size=1)
    await worker.open()
    writer = Writer(worker)
    writer.start()
    for version in range(8):  # the first five are planned for what they are given, those after for anything
        await turn(version)
    assert await _reads_of(bench, worker, turn(8)) < MANY / 20
    await writer.close()
    await worker.close()


async def test_nor_do_runs_that_start_together(bench: Bench):
    async def turn(version: int) -> None:
        session = uuid4()
        for sql in NAMED:
            await bench.database.fetch(sql, {"threads": [bench.thread_id, session], "session": session})
        requests = (
            RunRequest(uuid7(), "g", {}, thread_id=bench.thread_id),
            RunRequest(uuid7(), "g", {}, session_id=str(session), user_id="ada"),
            RunRequest(uuid7(), "g", {}, thread_id=uuid4(), may_create=True, temporary=True),
        )
        # More than the planner expects of an array it does not know: with one plan for all that come.
        more = (RunRequest(uuid7(), "g", {}, thread_id=uuid4(), may_create=True, temporary=True) for _ in range(9))
        found = await asyncio.gather(
            *(starts.start(request, bench.worker_id, events=False) for request in (*requests, *more))
        )
        claimed = [one.claimed for one in found if one is not None and one.claimed is not None]
        assert len({one.created_at for one in (start.run for start in found if start is not None)}) == 1
        await put(bench, writer, claimed[0], {"log": str(version)}, end=True)

    process = Database(bench.url, name="test", max_size=1)
    await process.open()
    writer, starts = Writer(process), Starts(process)
    writer.start()
    for version in range(8):
        await turn(version)
    assert await _reads_of(bench, process, turn(8)) < MANY / 20
    await writer.close()
    await process.close()
