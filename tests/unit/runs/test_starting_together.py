"""Runs that are asked for at the same moment are started by one statement, and each as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from langyard.model.errors import Invalid, Unavailable
from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres.database import Database
from langyard.postgres.starts import Started, Starts, start
from langyard.postgres.starts import together as together_module
from tests.unit.runs.bench import BLOCKED, Bench
from tests.unit.runs.test_claimed_heads import until

# What differs from run to run, and what only the clock gives.
_OWN = {
    "run_id", "thread_id", "created_at", "updated_at", "started_at", "available_at", "webhook_at", "state_updated_at",
}  # fmt: skip
_FACTS = ("kwargs", "attempt", "fence", "user_id", "assistant_id", "metadata", "thread_config", "followed", "watched")


def asked(thread_id: UUID | None = None, **more: Any) -> RunRequest:
    return RunRequest(uuid7(), "g", {"input": {"x": 1}}, thread_id=thread_id, **more)


async def made(bench: Bench, count: int, *, status: str = "idle", open_runs: int = 0) -> list[UUID]:
    threads = [uuid4() for _ in range(count)]
    sql = (
        "insert into langyard.threads (thread_id, status, open_runs, metadata, config)"
        """ select t, %(status)s, %(open)s, '{"team": "blue"}', '{"tags": ["a"]}' from unnest(%(threads)s) as t"""
    )
    await bench.database.fetch(sql, {"threads": threads, "status": status, "open": open_runs})
    return threads


async def session(bench: Bench, thread_id: UUID, *, user: str = "ada", alive: bool = True) -> str:
    name = f"s-{thread_id}"
    sql = (
        "insert into langyard.sessions (session_id, user_id, thread_id, ttl, expires_at, last_accessed) values"
        " (%(name)s, %(user)s, %(thread)s, interval '1 hour', now() + %(left)s::interval, now() - interval '1 minute')"
    )
    given = {"name": name, "user": user, "thread": thread_id, "left": "1 minute" if alive else "-1 second"}
    await bench.database.fetch(sql, given)
    return name


async def together(
    bench: Bench, requests: Sequence[RunRequest], *, starts: Starts | None = None
) -> list[Started | None]:
    starts = starts or Starts(bench.database)
    return await asyncio.gather(*(starts.start(request, bench.worker_id, events=True) for request in requests))


async def row_of(bench: Bench, table: str, key: str, value: UUID | str) -> dict[str, Any] | None:
    return await bench.database.fetch_one(
        f"select t.xmin::text as xmin, t.* from langyard.{table} t where {key} = %(value)s",
        {"value": value},
    )


async def transactions(bench: Bench, requests: Sequence[RunRequest]) -> set[str]:
    found = [await row_of(bench, "runs", "run_id", request.run_id) for request in requests]
    return {row["xmin"] for row in found if row is not None}


async def test_each_is_started_as_if_it_had_come_alone(bench: Bench):
    """Everything that is stored and returned is what `start` stores and returns, in one transaction for all."""

    async def kinds() -> list[RunRequest]:
        plain, read, seen, of_session, fair = await made(bench, 5)
        await bench.database.fetch(
            "insert into langyard.thread_readers (thread_id, until) values (%(t)s, now() + '1 hour')",
            {"t": read},
        )
        await bench.database.fetch(
            "insert into checkpoints (thread_id, checkpoint_id, checkpoint, metadata)"
            " values (%(t)s, 'c1', %(c)s, '{}')",
            {"t": str(seen), "c": '{"v": 4, "id": "c1", "channel_versions": {}}'},
        )
        return [
            asked(plain, metadata={"run": 1}, inherited={"team": "red", "of": "assistant"}, assistant_id=UUID(int=7)),
            asked(read, user_id="ada", multitask_strategy="reject"),
            RunRequest(uuid7(), "g", {"input": None, "webhook": "https://example.org/"}, thread_id=seen, lasting=True),
            asked(session_id=await session(bench, of_session), user_id="ada"),
            asked(session_id=await session(bench, fair), user_id="ada", session_ttl_s=60.0, fairness_group="müller"),
            asked(uuid4(), may_create=True, temporary=True, thread_metadata={"owner": "ada"}, priority=-2),
        ]

    one_by_one, at_once = await kinds(), await kinds()
    first = [await start(bench.database, request, bench.worker_id, events=True) for request in one_by_one]
    second = await together(bench, at_once)
    assert len(await transactions(bench, one_by_one)) == len(one_by_one)
    assert len(await transactions(bench, at_once)) == 1
    for before, after in zip(first, second, strict=True):
        assert before is not None
        assert before.claimed is not None
        assert after is not None
        assert after.claimed is not None
        for table, key in (("runs", "run_id"), ("threads", "thread_id"), ("sessions", "thread_id")):
            stored = [await row_of(bench, table, key, getattr(one.run, key)) for one in (before, after)]
            left, right = (_told(row) for row in stored)
            assert left == right
        for fact in _FACTS:
            assert getattr(before.claimed, fact) == getattr(after.claimed, fact), fact
        assert before.claimed.fresh == after.claimed.fresh
        assert (before.claimed.head or {}).get("checkpoint") == (after.claimed.head or {}).get("checkpoint")
        assert after.claimed.claimed_at is not None


def _told(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    own = _OWN | {"xmin", "session_id", "last_accessed", "expires_at"}
    moments = {f"has {name}": row.get(name) is not None for name in _OWN}
    slid = {"slid": (row["expires_at"] - row["last_accessed"]) == row["ttl"]} if "last_accessed" in row else {}
    return {name: value for name, value in row.items() if name not in own} | moments | slid


async def test_what_cannot_go_with_the_others_is_answered_by_itself(bench: Bench):
    idle = await made(bench, 2)
    [busy, full] = await made(bench, 2, status="busy", open_runs=1)
    theirs = await session(bench, (await made(bench, 1))[0], user="bob")
    over = await session(bench, (await made(bench, 1))[0], alive=False)
    large = (await made(bench, 1))[0]
    await bench.database.fetch(
        """update langyard.threads set "values" = (select jsonb_object_agg(n, gen_random_uuid())
           from generate_series(1, 5000) n) where thread_id = %(t)s""",
        {"t": large},
    )
    requests = [
        *(asked(thread) for thread in idle),
        asked(busy),
        asked(full, multitask_strategy="reject"),
        asked(uuid4()),
        asked(session_id="nobody's", user_id="ada"),
        asked(session_id=theirs, user_id="ada"),
        asked(session_id=over, user_id="ada"),
        asked(session_id="new", user_id="ada", session_ttl_s=60.0, thread_id=uuid4()),
        asked(large),
    ]
    found = await together(bench, requests)
    states = [one.run.status if one is not None else None for one in found]
    assert states == ["running", "running", "pending", None, None, None, None, None, "running", "running"]
    assert len(await transactions(bench, requests[:2])) == 1
    assert len(await transactions(bench, [requests[0], requests[-1]])) == 2


async def test_of_two_on_one_thread_one_waits_for_the_other(bench: Bench):
    [thread] = await made(bench, 1)
    name = await session(bench, thread)
    requests = [asked(thread), asked(session_id=name, user_id="ada"), asked(thread), asked(uuid4(), may_create=True)]
    found = await together(bench, requests)
    assert sorted(one.run.status for one in found[:3] if one is not None) == ["pending", "pending", "running"]
    assert (await row_of(bench, "threads", "thread_id", thread) or {})["open_runs"] == 3


async def test_nobody_waits_for_a_thread_that_somebody_holds(bench: Bench):
    """Neither those that came with it nor those that come after it."""
    held, *others = await made(bench, 5)
    async with await psycopg.AsyncConnection.connect(bench.url) as holder:
        await holder.execute("select from langyard.threads where thread_id = %s for update", (held,))
        starts = Starts(bench.database)
        waiting, *asking = (
            asyncio.create_task(starts.start(asked(one), bench.worker_id, events=False)) for one in (held, *others[:2])
        )
        with_it = await asyncio.wait_for(asyncio.gather(*asking), 10)
        after_it = await asyncio.wait_for(together(bench, [asked(one) for one in others[2:]], starts=starts), 10)
        assert all(one is not None and one.claimed is not None for one in (*with_it, *after_it))
        await until(bench.database, BLOCKED)
        assert not waiting.done()
        await holder.rollback()
    started = await asyncio.wait_for(waiting, 10)
    assert started is not None
    assert started.claimed is not None
    await starts.close()


async def test_one_that_the_database_refuses_fails_alone(bench: Bench):
    [busy] = await made(bench, 1, status="busy", open_runs=1)
    idle = await made(bench, 3)
    bad = asked(busy, fairness_group="".join(str(uuid4()) for _ in range(400)))  # too long for its place in an index
    starts = Starts(bench.database)
    answers = await asyncio.gather(
        *(starts.start(request, bench.worker_id, events=False) for request in (*map(asked, idle), bad)),
        return_exceptions=True,
    )
    assert isinstance(answers[-1], Invalid)
    assert all(isinstance(one, Started) and one.claimed is not None for one in answers[:-1])


async def test_what_nobody_can_store_fails_alone(bench: Bench):
    """The common statement fails as a whole; each by itself shows who is to blame."""
    idle = await made(bench, 3)
    twice = asked(idle[2])
    assert await start(bench.database, asked(idle[2]), None) is not None
    again = asked(idle[1])
    requests = [asked(idle[0]), again, RunRequest(again.run_id, "g", {}, thread_id=(await made(bench, 1))[0]), twice]
    found = await together(bench, requests)
    states = [one.run.status if one is not None else None for one in found]
    assert states == ["running", "running", "running", "pending"]
    assert found[1] is not None
    assert found[2] is not None
    assert found[1].run.run_id == found[2].run.run_id


async def test_who_leaves_before_it_goes_has_started_nothing(bench: Bench):
    one, two, three = await made(bench, 3)
    starts = Starts(bench.database)
    tasks = [asyncio.create_task(starts.start(asked(t), bench.worker_id, events=False)) for t in (one, two, three)]
    await asyncio.sleep(0)  # they have asked; the group goes with the next turn
    tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [(await row_of(bench, "threads", "thread_id", t) or {})["open_runs"] for t in (one, two, three)] == [1, 0, 1]
    await starts.close()


@pytest.mark.parametrize("strategy", ["enqueue", "reject"])
async def test_an_answer_that_is_lost_on_its_way_is_found_again(bench: Bench, strategy: Any):
    """The connection dies after the commit: the same is sent again, and meets what it has done."""
    requests = [asked(thread, multitask_strategy=strategy) for thread in await made(bench, 3)]
    first = await together(bench, requests)
    second = await together(bench, requests)
    for before, after in zip(first, second, strict=True):
        assert before is not None
        assert before.claimed is not None
        assert after is not None
        assert after.claimed is not None
        assert after.claimed.run_id == before.claimed.run_id
        assert after.claimed.fence == before.claimed.fence


async def test_all_are_told_when_the_database_is_away(bench: Bench):
    away = Database("postgresql://nobody@127.0.0.1:1/none", name="test", checkout_s=0.2)
    await away.pool.open(wait=False)
    starts = Starts(away)
    requests = [asked(uuid4()) for _ in range(3)]
    answers = await asyncio.gather(
        *(starts.start(request, bench.worker_id, events=False) for request in requests), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    await away.close()


async def test_a_crowd_goes_in_parts(bench: Bench):
    requests = [asked(thread) for thread in await made(bench, 100)]
    found = await together(bench, requests)
    assert all(one is not None and one.claimed is not None for one in found)
    assert 1 < len(await transactions(bench, requests)) <= 4


async def test_who_leaves_while_a_thread_is_waited_for_has_started_nothing(bench: Bench):
    """Nor does it keep anybody else, who closes the process for example."""
    held, other = await made(bench, 2)
    async with await psycopg.AsyncConnection.connect(bench.url) as holder:
        await holder.execute("select from langyard.threads where thread_id = %s for update", (held,))
        starts = Starts(bench.database)
        waiting, asking = (
            asyncio.create_task(starts.start(asked(one), bench.worker_id, events=False)) for one in (held, other)
        )
        assert await asyncio.wait_for(asking, 10) is not None
        await until(bench.database, BLOCKED)
        waiting.cancel()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
        await asyncio.wait_for(starts.close(), 10)
        await holder.rollback()
    assert (await row_of(bench, "threads", "thread_id", held) or {})["open_runs"] == 0


async def test_who_leaves_in_the_middle_leaves_when_it_is_known_what_was_stored(bench: Bench):
    """Or a key whose run is not there yet would be forgotten, and the run made twice."""
    requests = [asked(thread) for thread in await made(bench, 3)]
    starts = Starts(bench.database)
    async with await psycopg.AsyncConnection.connect(bench.url) as holder:
        await holder.execute("lock table langyard.runs in share mode")
        tasks = [asyncio.create_task(starts.start(one, bench.worker_id, events=False)) for one in requests]
        await until(bench.database, BLOCKED)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]], timeout=0.1)
        early = tasks[1].done()
        await holder.rollback()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert not early
    assert len(await transactions(bench, requests)) == 1
    await starts.close()


async def test_each_belongs_to_the_worker_that_it_was_asked_for(bench: Bench):
    """A worker that was thought dead comes back as another while runs wait to be started for the first."""
    one, two = map(asked, await made(bench, 2))
    starts = Starts(bench.database)
    before, after = uuid4(), uuid4()
    await asyncio.gather(starts.start(one, before, events=False), starts.start(two, after, events=False))
    assert len(await transactions(bench, [one, two])) == 1
    stored = [await row_of(bench, "runs", "run_id", request.run_id) or {} for request in (one, two)]
    assert [row["worker_id"] for row in stored] == [before, after]


async def test_one_whose_checkpoint_is_not_understood_fails_alone(bench: Bench):
    threads = await made(bench, 3)
    await bench.database.fetch(
        "insert into checkpoints (thread_id, checkpoint_id, checkpoint, metadata) values (%(t)s, 'c1', %(c)s, '{}')",
        {"t": str(threads[0]), "c": '{"v": null, "id": "c1", "channel_versions": {}}'},
    )
    starts = Starts(bench.database)
    asking = (starts.start(asked(thread), bench.worker_id, events=False) for thread in threads)
    answers = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
    assert isinstance(answers[0], TypeError)
    assert all(isinstance(one, Started) and one.claimed is not None for one in answers[1:])


async def test_one_that_cannot_be_sent_fails_alone(bench: Bench):
    threads = await made(bench, 2)
    starts = Starts(bench.database)
    requests = [*(asked(thread) for thread in threads), asked(session_id="\ud800", user_id="ada")]
    answers = await asyncio.gather(
        *(starts.start(request, bench.worker_id, events=False) for request in requests), return_exceptions=True
    )
    assert isinstance(answers[-1], UnicodeError)
    assert all(isinstance(one, Started) and one.claimed is not None for one in answers[:-1])


async def test_nobody_waits_for_a_large_input_of_another(bench: Bench):
    one, two, three = await made(bench, 3)
    large = RunRequest(uuid7(), "g", {"input": {"x": "y" * 1_000_000}}, thread_id=three)
    requests = [asked(one), asked(two), large]
    found = await together(bench, requests)
    assert all(start is not None and start.claimed is not None for start in found)
    assert len(await transactions(bench, requests[:2])) == 1
    assert len(await transactions(bench, requests)) == 2


async def test_few_are_not_planned_anew_each_time(bench: Bench):
    """To plan it takes as long as to do it."""
    process = Database(bench.url, name="test", max_size=1)
    await process.open()
    starts = Starts(process)
    for _ in range(20):
        pair = [asked(uuid4(), may_create=True, temporary=True) for _ in range(2)]
        await asyncio.gather(*(starts.start(one, bench.worker_id, events=False) for one in pair))
        assert len(await transactions(bench, pair)) == 1
    sql = "select custom_plans from pg_prepared_statements where statement like '%%unnest%%sessions%%'"
    assert [row["custom_plans"] for row in await process.fetch(sql)] == [5, 0]
    await process.close()


async def test_those_who_were_answered_together_find_each_other(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """They ask again a moment apart: who is first waits until they are as many as they were, and no longer."""
    monkeypatch.setattr(together_module, "GATHER_S", 60.0)
    threads = await made(bench, 6)
    starts = Starts(bench.database)
    await together(bench, [asked(thread) for thread in threads[:3]], starts=starts)
    await asyncio.sleep(0.01)
    requests, tasks = [asked(thread) for thread in threads[3:]], []
    for request in requests:
        tasks.append(asyncio.create_task(starts.start(request, bench.worker_id, events=False)))
        await asyncio.sleep(0.01)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert len(await transactions(bench, requests)) == 1
    await starts.close()
