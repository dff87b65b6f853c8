"""Who is claimed next: shares take turns, priority goes first but not for ever, a thread's runs keep their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from langyard.postgres import runs as rows
from langyard.postgres.rows import cancelling
from tests.unit.runs.queueing import Queue, queue


@pytest.fixture
async def line(database: str) -> AsyncIterator[Queue]:
    async with queue(database) as made:
        yield made


async def test_a_flood_of_one_user_does_not_stand_before_another_user(line: Queue):
    flood = await line.flood("mallory", 500)
    await line.serve(20)
    running = await line.claim(4)
    await line.flood("ada", 3)
    claimed = [run.user_id for run in await line.serve(8)]
    # In the worst case they take turns, mallory first.
    assert [claimed.index("ada"), claimed.count("ada")] in ([0, 3], [1, 3], [2, 3])
    assert claimed[:6].count("ada") >= 2
    await line.end(*running)
    left = [run.run_id for run in await line.claim(1000)]
    assert sorted(left) == sorted(flood[20 + 4 + 5 :])


async def test_a_flood_at_once_is_spread_as_one_after_another(line: Queue):
    await asyncio.gather(*(line.start("mallory") for _ in range(200)))
    row = await line.database.fetch_one(
        "select count(distinct turn) as turns, max(turn) - min(turn) as span from langyard.runs"
    )
    assert row is not None
    assert row["turns"] == 200
    assert row["span"] < 400


async def test_runs_of_one_user_come_in_the_order_in_which_they_were_asked_for(line: Queue):
    flood = await line.flood("ada", 30)
    assert [run.run_id for run in await line.serve(30)] == flood
    nobody = await line.flood(None, 30)
    assert [run.run_id for run in await line.serve(30)] == nobody


async def test_a_user_who_asks_one_run_at_a_time_does_not_starve_the_flood(line: Queue):
    await line.flood("mallory", 100)
    served = []
    (running,) = await line.claim()
    for _ in range(40):
        await line.start("ada")
        await line.end(running)
        (running,) = await line.claim()
        served.append(running.user_id)
    assert 15 <= served.count("mallory") <= 25


async def test_ever_new_users_do_not_starve_an_old_one(line: Queue):
    await line.flood("mallory", 20)
    (running,) = await line.claim()
    served = []
    for number in range(200):
        await line.start(f"user {number}")
        await line.end(running)
        (running,) = await line.claim()
        served.append(running.user_id)
    assert served.count("mallory") == 19


async def test_graphs_share_the_line_of_the_workers_that_serve_both(line: Queue):
    await line.flood("mallory", 100, graph_id="agent")
    await line.serve(30)
    await line.claim()
    await line.start("ada", graph_id="other")
    assert "ada" in [run.user_id for run in await line.claim(2)]


async def test_the_least_priority_number_goes_first_within_a_share_and_across(line: Queue):
    await line.flood("mallory", 50)
    late = await line.start("mallory", priority=5)
    urgent = await line.start("mallory", priority=-1)
    pressing = await line.start("ada", priority=-5)
    first = [run.run_id for run in await line.serve(2)]
    assert first == [pressing.run.run_id, urgent.run.run_id]
    assert [run.run_id for run in await line.serve(51)][-1] == late.run.run_id


async def test_low_priority_does_not_starve(line: Queue):
    late = (await line.start("ada", priority=5)).run.run_id
    (running,) = [run for run in [(await line.start("ada", at_once=True)).claimed] if run is not None]
    for served in range(1000):  # noqa: B007 - read afterwards
        await line.start("ada", priority=-5)
        await line.end(running)
        (running,) = await line.claim()
        if running.run_id == late:
            break
    assert 50 < served < 500


async def test_a_thread_keeps_its_order_whatever_the_priority(line: Queue):
    thread_id = uuid4()
    runs = [(await line.start("ada", thread_id=thread_id, priority=p)).run.run_id for p in (3, 0, -5, 5, -1)]
    claimed = await line.claim(10)
    assert [run.run_id for run in claimed] == runs[:1]
    await line.end(*claimed)
    assert [run.run_id for run in await line.serve(4)] == runs[1:]


async def test_runs_behind_another_are_not_in_the_walk_until_it_ends(line: Queue):
    thread_id = uuid4()
    first, second, third = [(await line.start("ada", thread_id=thread_id)).run.run_id for _ in range(3)]
    assert [await line.ready(run_id) for run_id in (first, second, third)] == [True, False, False]
    await line.end(*await line.claim())
    assert [await line.ready(run_id) for run_id in (second, third)] == [True, False]
    assert await cancelling.cancel(line.database, second, action="interrupt", reason="test") == "ended"
    assert await line.ready(third)


async def test_a_run_that_was_held_when_the_one_before_it_ended_is_let_in_later(line: Queue):
    thread_id = uuid4()
    claimed = (await line.start("ada", thread_id=thread_id, at_once=True)).claimed
    behind = (await line.start("ada", thread_id=thread_id)).run.run_id
    assert claimed is not None
    async with line.database.connection() as connection, connection.transaction():
        await connection.execute("select from langyard.runs where run_id = %s for update", (behind,))
        await asyncio.wait_for(line.end(claimed), 20)  # it must not wait for us
    assert not await line.ready(behind)
    assert await line.claim() == []
    assert await rows.heal(line.database, None) == (1, None)
    assert [run.run_id for run in await line.claim()] == [behind]


async def test_healing_goes_from_thread_to_thread(line: Queue):
    threads = [uuid4() for _ in range(5)]
    for thread_id in threads:
        await line.start("ada", thread_id=thread_id, at_once=True)
        await line.start("ada", thread_id=thread_id)
    await line.database.execute("alter table langyard.threads disable trigger threads_let_in")
    sql = "update langyard.runs set status = 'success', worker_id = null where status = 'running'"
    await line.database.execute(sql)
    healed, after = await rows.heal(line.database, None, limit=2)
    assert (healed, after) == (2, sorted(threads)[1])
    assert await rows.heal(line.database, after, limit=3) == (3, max(threads))
    assert await rows.heal(line.database, max(threads), limit=3) == (0, None)
    assert len(await line.claim(10)) == 5


async def test_delayed_runs_take_their_turn_when_they_are_due(line: Queue):
    later = [(await line.start("mallory", after_s=3600.0)).run.run_id for _ in range(10)]
    await line.flood("bob", 5)
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (0, False)
    assert len(await line.serve(5)) == 5
    assert await line.claim(10) == []
    sql = "update langyard.runs set available_at = now() - interval '1 s' where run_id = any(%(ids)s)"
    await line.database.execute(sql, {"ids": later})
    assert await line.claim(10) == []
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (10, False)
    await line.start("ada")
    served = [run.user_id for run in await line.serve(3)]
    assert served.count("ada") == 1


async def test_a_run_that_is_handed_back_goes_first(line: Queue):
    claimed = (await line.start("ada", at_once=True)).claimed
    assert claimed is not None
    await line.flood("mallory", 5)
    await rows.hand_back(line.database, line.worker_id)
    assert [run.run_id for run in await line.claim()] == [claimed.run_id]


async def test_a_run_that_waits_to_be_tried_again_is_not_on_the_walk_and_then_goes_first(line: Queue):
    claimed = (await line.start("ada", at_once=True)).claimed
    assert claimed is not None
    sql = rows._SQL["retry"]
    params = {"delay_s": 3600.0, "error": "{}", "followed": False, "run_id": claimed.run_id, "fence": claimed.fence}
    assert await line.database.fetch(sql, params)
    assert not await line.ready(claimed.run_id)
    await line.flood("ada", 3)
    await line.database.execute("update langyard.runs set available_at = now() where available_at > now()")
    assert await rows.let_in(line.database, line.worker_id, 0, max_attempts=3) == (1, False)
    assert [run.run_id for run in await line.claim()] == [claimed.run_id]


async def test_a_run_that_waits_to_be_tried_again_is_settled_at_once_when_it_is_cancelled(line: Queue):
    claimed = (await line.start("ada", at_once=True)).claimed
    assert claimed is not None
    params = {"delay_s": 3600.0, "error": "{}", "followed": False, "run_id": claimed.run_id, "fence": claimed.fence}
    assert await line.database.fetch(rows._SQL["retry"], params)
    assert await cancelling.cancel(line.database, claimed.run_id, action="interrupt", reason="test") is not None
    assert [run.run_id for run in await line.claim()] == [claimed.run_id]


async def test_many_claimers_get_every_run_once(line: Queue):
    for user in range(20):
        await line.flood(f"user {user}", 10)
    found = await asyncio.gather(*(line.claim(25) for _ in range(12)))
    claimed = [run.run_id for batch in found for run in batch]
    assert len(set(claimed)) == len(claimed)
    while more := await line.claim(25):
        claimed += [run.run_id for run in more]
    assert len(set(claimed)) == len(claimed) == 200
