"""Runs that may be what their workers die of: they are claimed one by one, and only one of them is blamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from langyard.model.runs import Caps, ClaimedRun
from langyard.postgres import runs as rows
from langyard.postgres.rows import suspects
from langyard.postgres.rows.workers import bury
from tests.unit.runs.queueing import Queue, queue

TTL_S = 4.0


@pytest.fixture
async def line(database: str) -> AsyncIterator[Queue]:
    async with queue(database) as found:
        yield found


async def die(line: Queue) -> dict[UUID, str]:
    """The worker does not renew any more, and somebody looks; another takes its place."""
    await line.database.execute(
        "update langyard.workers set expires_at = now() - interval '1 second' where worker_id = %(id)s",
        {"id": line.worker_id},
    )
    # The server that these tests share may be younger than a lease.
    await line.database.fetch(
        "select pg_sleep(greatest(0, %(s)s - extract(epoch from now() - pg_postmaster_start_time())))",
        {"s": TTL_S + 0.1},
    )
    found = dict(await bury(line.database, ttl_s=TTL_S, max_attempts=3))
    line.worker_id = uuid4()
    await line.register()
    return found


async def alone(line: Queue, caps: Caps | None = None) -> list[ClaimedRun]:
    return await suspects.claim(line.database, line.worker_id, line.graphs, caps, max_attempts=3, ttl_s=TTL_S)


async def later(line: Queue, run: ClaimedRun, seconds: float) -> None:
    """As if it had begun so long ago."""
    sql = "update langyard.runs set started_at = now() - make_interval(secs => %(s)s) where run_id = %(id)s"
    await line.database.execute(sql, {"s": seconds, "id": run.run_id})


async def deaths(line: Queue) -> dict[UUID, Any]:
    found = await line.database.fetch("select run_id, deaths from langyard.runs")
    return {row["run_id"]: row["deaths"] for row in found}


async def suspected(line: Queue, count: int) -> list[UUID]:
    """Runs whose workers have died twice."""
    made = await line.flood(None, count)
    for _ in range(2):
        assert {run.run_id for run in await line.claim(count)} == set(made)
        assert set((await die(line)).values()) == {"pending"}
    return made


async def test_they_leave_the_queue_and_are_claimed_one_at_a_time(line: Queue):
    made = await suspected(line, 3)
    await line.start()
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (0, True)
    assert not {run.run_id for run in await line.claim(10)} & set(made)
    (first,) = await alone(line)
    assert (first.run_id, first.attempt) == (made[0], 3)
    assert await alone(line) == []
    other = Queue(line.database)
    await other.register()
    assert [run.run_id for run in await alone(other)] == [made[1]]
    await line.end(first)
    assert [run.run_id for run in await alone(line)] == [made[2]]
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (0, False)


async def test_who_has_gone_well_for_a_while_is_not_blamed_for_what_came_after(line: Queue):
    made = await suspected(line, 3)
    (first,) = await alone(line)
    await later(line, first, 5 * TTL_S + 1)
    (second,) = await alone(line)
    assert await die(line) == {first.run_id: "pending", second.run_id: "error"}
    assert await deaths(line) == {made[0]: 2, made[1]: 3, made[2]: 2}
    # Nor does it come back into the queue.
    assert await line.claim(10) == []
    assert len(await alone(line)) == 1


async def test_who_was_alone_is_blamed_however_long_it_went_well(line: Queue):
    await suspected(line, 2)
    (first,) = await alone(line)
    await later(line, first, 3600)
    assert await die(line) == {first.run_id: "error"}


async def test_caps_hold_for_them_as_well(line: Queue):
    await suspected(line, 1)
    await line.start(at_once=True)
    assert await alone(line, Caps({"agent": 1})) == []
    assert len(await alone(line, Caps({"agent": 2}))) == 1


@pytest.mark.parametrize("counts", [True, False])
async def test_a_fault_of_the_server_counts_as_a_death_unless_the_database_was_away(line: Queue, counts: bool):
    run = (await line.start(at_once=True)).claimed
    assert run is not None
    given: dict[str, Any] = {"counts": counts, "max_attempts": 3, "delay_s": 0.0}
    assert await suspects.give_back(line.database, run.run_id, run.fence, **given) == "pending"
    assert await suspects.give_back(line.database, run.run_id, run.fence, **given) is None
    assert await deaths(line) == {run.run_id: int(counts)}
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (1, False)
    assert [each.fence for each in await line.claim()] == [run.fence + 2]
