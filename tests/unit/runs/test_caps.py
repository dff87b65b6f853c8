"""Caps hold over all who claim, whether from the queue or at a run's insertion, and keep nobody else waiting."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from langyard.model.runs import Caps, ClaimedRun
from tests.unit.runs.queueing import Queue, queue


async def most_at_once(line: Queue) -> tuple[Counter[str], Counter[str]]:
    """Until nothing is pending, many claimers at once; the most running runs ever seen, by graph and by user."""
    graphs: Counter[str] = Counter()
    users: Counter[str] = Counter()
    ended: list[ClaimedRun] = []
    while True:
        found = await asyncio.gather(*(line.claim(5) for _ in range(8)))
        sql = "select graph_id, user_id from langyard.runs where status = 'running'"
        running = await line.database.fetch(sql)
        if not running:
            break
        graphs |= Counter(row["graph_id"] for row in running)
        users |= Counter(row["user_id"] for row in running if row["user_id"])
        claimed = [run for batch in found for run in batch]
        assert len(claimed) == len(running)
        await line.end(*claimed)
        ended += claimed
    left = await line.database.fetch_one("select count(*) as n from langyard.runs where status = 'pending'")
    assert left == {"n": 0}
    assert len({run.run_id for run in ended}) == len(ended)
    return graphs, users


async def test_a_capped_graph_runs_so_many_at_once_and_others_as_many_as_there_are(database: str):
    async with queue(database, caps=Caps({"agent": 3})) as line:
        await line.flood("ada", 12)
        await line.flood("ada", 12, graph_id="other")
        graphs, _ = await most_at_once(line)
    assert graphs["agent"] == 3
    assert graphs["other"] == 12


async def test_a_cap_holds_for_each_user_and_not_for_runs_without_one(database: str):
    async with queue(database, caps=Caps({}, 2)) as line:
        for user in ("ada", "bob", "Zoë", None):
            await line.flood(user, 6)
        _, users = await most_at_once(line)
        assert users == {"ada": 2, "bob": 2, "Zoë": 2}
        await line.flood(None, 6)
        assert len(await line.claim(10)) == 6


async def test_both_caps_at_once(database: str):
    async with queue(database, caps=Caps({"agent": 3, "other": 1}, 2)) as line:
        for user in ("ada", "bob", "eve"):
            await line.flood(user, 4)
            await line.flood(user, 2, graph_id="other")
        graphs, users = await most_at_once(line)
    assert (graphs["agent"], graphs["other"]) == (3, 1)
    assert max(users.values()) <= 2


@pytest.mark.parametrize("caps", [Caps({"agent": 4}), Caps({}, 4)])
async def test_a_cap_holds_for_runs_that_begin_at_their_insertion(database: str, caps: Caps):
    async with queue(database, caps=caps) as line:
        for _ in range(3):
            made = await asyncio.gather(*(line.start("ada", at_once=True) for _ in range(12)))
            begun = [one.claimed for one in made if one.claimed is not None]
            sql = "select count(*) as n from langyard.runs where status = 'running'"
            row = await line.database.fetch_one(sql)
            assert row is not None
            assert row["n"] <= 4
            assert len(begun) <= 4
        while len(claimed := await line.claim(10)) > 0:
            await line.end(*claimed)
            row = await line.database.fetch_one(sql)
            assert row is not None
            assert row["n"] <= 4


async def test_claims_and_insertions_together_stay_within_the_caps(database: str):
    async with queue(database, caps=Caps({"agent": 5}, 3)) as line:
        for user in ("ada", "bob", "eve"):
            await line.flood(user, 3)
        asked = [line.start(user, at_once=True) for user in ("ada", "bob", "eve") * 4]
        await asyncio.gather(*(line.claim(4) for _ in range(6)), *asked)
        sql = "select user_id, count(*) as n from langyard.runs where status = 'running' group by user_id"
        found = {row["user_id"]: row["n"] for row in await line.database.fetch(sql)}
        assert sum(found.values()) <= 5
        assert max(found.values()) <= 3


async def test_a_user_at_the_cap_with_a_long_line_keeps_nobody_waiting(database: str):
    async with queue(database, caps=Caps({}, 1)) as line:
        await line.flood("mallory", 300)
        assert len(await line.claim(10)) == 1
        await line.start("ada")
        assert [run.user_id for run in await line.claim(10)] == ["ada"]


async def test_without_room_a_run_waits_and_is_claimed_when_there_is(database: str):
    async with queue(database, caps=Caps({"agent": 1})) as line:
        first = (await line.start("ada", at_once=True)).claimed
        assert first is not None
        second = await line.start("bob", at_once=True)
        assert (second.claimed, second.run.status) == (None, "pending")
        assert await line.claim() == []
        await line.end(first)
        assert [run.run_id for run in await line.claim()] == [second.run.run_id]


async def test_nobody_who_comes_later_takes_the_room_that_somebody_waits_for(database: str):
    async with queue(database, caps=Caps({"agent": 1})) as line:
        first = (await line.start("ada", at_once=True)).claimed
        assert first is not None
        waiting = (await line.start("bob", at_once=True)).run
        await line.end(first)
        assert (await line.start("eve", at_once=True)).claimed is None
        assert [run.run_id for run in await line.claim()] == [waiting.run_id]
        # What others of a graph without a cap of its own wait for is their own affair.
        line.caps = Caps({}, 1)
        assert (await line.start("zoe", graph_id="other", at_once=True)).claimed is not None
        assert (await line.start("zoe", graph_id="other", at_once=True)).claimed is None
        assert (await line.start("ann", graph_id="other", at_once=True)).claimed is not None
