"""The rules of crons on a real database: one run a slot, whoever watches, and none too many after an outage."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from langyard.assistants import Assistants
from langyard.crons import Crons, Search
from langyard.graphs import Graphs
from langyard.model.errors import BadRequest, Invalid, NotFound
from langyard.postgres.database import Database

BEGIN = dt.datetime(2031, 5, 1, 12, 0, 0, tzinfo=dt.UTC)


class State(TypedDict, total=False):
    x: int


def graph() -> StateGraph[State]:
    made = StateGraph(State)
    made.add_node("add", lambda state: {"x": state.get("x", 0) + 1})
    made.add_edge(START, "add")
    return made


class House:
    """Some schedulers on one database, each with a pool of its own, as in processes apart."""

    def __init__(self, databases: list[Database], assistants: Assistants) -> None:
        self.database = databases[0]
        self.assistants = assistants
        self.crons = [Crons(database, assistants) for database in databases]

    async def create(self, schedule: str = "* * * * * *", **more: Any) -> UUID:
        thread_id = more.pop("thread_id", None)
        end_time = more.pop("end_time", None)
        payload = {"assistant_id": "adding", "schedule": schedule, **more}
        made = await self.crons[0].create(payload, thread_id=thread_id, end_time=end_time)
        return made.cron_id

    async def set_next(self, cron_id: UUID, at: dt.datetime) -> None:
        sql = "update langyard.crons set next_run_date = %(at)s where cron_id = %(cron_id)s"
        await self.database.execute(sql, {"at": at, "cron_id": cron_id})

    async def next_of(self, cron_id: UUID) -> dt.datetime | None:
        return (await self.crons[0].get(cron_id)).next_run_date

    async def runs(self) -> list[dict[str, Any]]:
        return await self.database.fetch("select * from langyard.runs order by created_at, run_id")

    async def thread(self) -> UUID:
        thread_id = uuid4()
        await self.database.execute("insert into langyard.threads (thread_id) values (%(id)s)", {"id": thread_id})
        return thread_id


@pytest.fixture
async def house(database: str) -> AsyncIterator[House]:
    databases = [Database(database, name=f"test {n}", max_size=4) for n in range(2)]
    for one in databases:
        await one.open()
    graphs = Graphs()
    graphs.register("adding", graph())
    assistants = Assistants(databases[0], graphs)
    await assistants.open()
    yield House(databases, assistants)
    for one in databases:
        await one.close()


async def test_two_schedulers_make_one_run_of_each_of_200_slots(house: House):
    cron_id = await house.create("* * * * * *", input={"x": 1})
    await house.set_next(cron_id, BEGIN)
    fired = []
    for second in range(200):
        now = BEGIN + dt.timedelta(seconds=second, milliseconds=3)
        for found in await asyncio.gather(*(crons.tick(now) for crons in house.crons for _ in range(2))):
            fired += found
    counts = Counter(one.slot for one in fired)
    assert sorted(counts) == [BEGIN + dt.timedelta(seconds=second) for second in range(200)]
    assert set(counts.values()) == {1}
    runs = await house.runs()
    assert {row["run_id"] for row in runs} == {one.run_id for one in fired}
    assert len({row["thread_id"] for row in runs}) == len(runs) == 200


async def test_schedulers_that_race_for_many_crons_share_them(house: House):
    for _ in range(120):
        await house.set_next(await house.create(), BEGIN)
    found: list[Any] = []
    while taken := await asyncio.gather(*(crons.tick(BEGIN) for crons in house.crons)):
        if not any(taken):
            break
        found += [one for part in taken for one in part]
    assert len({one.cron_id for one in found}) == len(found) == len(await house.runs()) == 120


async def test_missed_slots_are_made_up_for_by_one_run(house: House):
    cron_id = await house.create("*/5 * * * *")
    await house.set_next(cron_id, BEGIN)
    late = BEGIN + dt.timedelta(hours=3, seconds=7)
    assert [one.slot for one in await house.crons[0].tick(late)] == [BEGIN]
    assert await house.crons[1].tick(late) == []
    assert len(await house.runs()) == 1
    assert await house.next_of(cron_id) == BEGIN + dt.timedelta(hours=3, minutes=5)


async def test_a_scheduler_whose_clock_is_slow_or_fast_repeats_no_slot(house: House):
    cron_id = await house.create("* * * * *")
    await house.set_next(cron_id, BEGIN)
    for seconds in (30, -5, 59, 1, 61, 58, 120):
        await house.crons[0].tick(BEGIN + dt.timedelta(seconds=seconds))
    assert len(await house.runs()) == 3
    assert await house.next_of(cron_id) == BEGIN + dt.timedelta(minutes=3)


async def test_nothing_fires_after_its_end_or_while_disabled(house: House):
    ended = await house.create(end_time=BEGIN)
    disabled = await house.create(enabled=False)
    past = await house.create(end_time=dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
    for cron_id in (ended, disabled, past):
        await house.set_next(cron_id, BEGIN)
    await house.crons[0].tick(BEGIN)
    assert await house.runs() == []
    assert await house.next_of(ended) is None
    assert await house.next_of(disabled) == BEGIN
    # Without its end it fires again, from now on.
    again = await house.crons[0].update(ended, {"end_time": None})
    assert again.next_run_date is not None
    assert again.end_time is None
    # What was off for long has no slot to make up for.
    enabled = await house.crons[0].update(disabled, {"enabled": True})
    assert enabled.next_run_date is not None
    assert enabled.next_run_date < BEGIN


async def test_a_run_is_what_the_cron_and_its_assistant_say(house: House):
    assistant = await house.assistants.create("adding", config={"tags": ["t"]}, metadata={"a": 1, "b": 1})
    cron_id = await house.create(
        assistant_id=str(assistant.assistant_id),
        input={"x": 7},
        metadata={"b": 2, "cron_id": "mine"},
        config={"configurable": {"k": "v"}},
        on_run_completed="keep",
        webhook="https://93.184.215.14/told",
        stream_mode="updates",
    )
    await house.set_next(cron_id, BEGIN)
    await house.crons[0].tick(BEGIN)
    (run,) = await house.runs()
    assert run["kwargs"]["input"] == {"x": 7}
    assert run["kwargs"]["config"]["configurable"] == {"k": "v", "cron_id": str(cron_id)}
    assert run["kwargs"]["context"] == {"k": "v", "cron_id": str(cron_id)}
    assert run["kwargs"]["webhook"] == "https://93.184.215.14/told"
    assert run["kwargs"]["stream_mode"] == ["updates"]
    assert (run["metadata"]["a"], run["metadata"]["b"]) == (1, 2)
    assert "cron_id" not in run["metadata"]
    assert (run["assistant_id"], run["temporary"], run["status"]) == (assistant.assistant_id, False, "pending")
    (thread,) = await house.database.fetch("select * from langyard.threads")
    ids = {"graph_id": "adding", "assistant_id": str(assistant.assistant_id)}
    assert thread["metadata"] == {"b": 2, **ids}
    assert thread["status"] == "busy"


async def test_a_thread_that_is_busy_is_treated_as_the_strategy_says(house: House):
    for strategy, statuses in (
        ("reject", ["pending"]),
        ("enqueue", ["pending", "pending"]),
        ("interrupt", ["interrupted", "pending"]),
        ("rollback", ["pending"]),
    ):
        thread_id = await house.thread()
        for _ in range(2):
            cron_id = await house.create(thread_id=thread_id, multitask_strategy=strategy)
            await house.set_next(cron_id, BEGIN)
            await house.crons[0].tick(BEGIN)
            await house.crons[0].delete(cron_id)
        runs = [run for run in await house.runs() if run["thread_id"] == thread_id]
        assert [run["status"] for run in runs] == statuses, strategy
        sql = "select open_runs from langyard.threads where thread_id = %(id)s"
        (thread,) = await house.database.fetch(sql, {"id": thread_id})
        assert thread["open_runs"] == statuses.count("pending")


async def test_i40_crons_go_with_their_thread_and_their_assistant(house: House):
    assistant = await house.assistants.create("adding")
    thread_id = await house.thread()
    await house.create(assistant_id=str(assistant.assistant_id))
    await house.create(thread_id=thread_id)
    kept = await house.create()
    await house.assistants.delete(assistant.assistant_id)
    await house.database.execute("delete from langyard.threads where thread_id = %(id)s", {"id": thread_id})
    assert [cron.cron_id for cron in await house.crons[0].search(Search())] == [kept]


async def test_what_cannot_be_is_refused(house: House):
    with pytest.raises(BadRequest, match=r"^failed to find next date$"):
        await house.create("0 0 30 2 *")
    with pytest.raises(NotFound, match=r"^Assistant 'nope' not found$"):
        await house.create(assistant_id="nope")
    with pytest.raises(NotFound, match=r"^Thread with ID '.*' not found\. Please verify the ID is correct"):
        await house.create(thread_id=uuid4())
    with pytest.raises(BadRequest, match="Cannot specify both configurable and context"):
        await house.create(config={"configurable": {"a": 1}}, context={"b": 1})
    cron_id = await house.create()
    with pytest.raises(Invalid, match=r"^Invalid timezone: 'Mars/X'"):
        await house.crons[0].update(cron_id, {"timezone": "Mars/X"})
    assert (await house.crons[0].get(cron_id)).timezone is None


@pytest.mark.parametrize("sort_by", ["next_run_date", "end_time", "created_at", "updated_at", "assistant_id"])
async def test_pages_neither_repeat_nor_miss_a_cron(house: House, sort_by: str):
    made = {await house.create() for _ in range(7)}
    found: list[UUID] = []
    while page := await house.crons[0].search(Search(sort_by=sort_by, limit=3, offset=len(found))):
        found += [cron.cron_id for cron in page]
    assert len(found) == 7
    assert set(found) == made


async def test_watching_goes_on_after_the_database_was_away(house: House):
    """A slot that passed while nobody could see it is taken as soon as somebody can."""
    cron_id = await house.create()
    watching = asyncio.create_task(house.crons[1].watch())
    sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'langyard test 1'"
    await house.database.fetch(sql)
    begun = asyncio.get_running_loop().time()
    while not await house.runs():
        assert asyncio.get_running_loop().time() - begun < 10
        await asyncio.sleep(0.02)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert await house.next_of(cron_id) is not None


async def blocked(house: House) -> None:
    """Return when somebody waits for a row."""
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with asyncio.timeout(20):
        while not await house.database.fetch(waiting):
            pass


async def test_whoever_fires_holds_no_thread_while_it_waits_for_anothers_run(house: House, database: str):
    """As the writer's statement locks them: runs of several threads first, then the threads."""
    held, other = await house.thread(), await house.thread()
    for thread_id in (held, other):
        await house.set_next(await house.create(thread_id=thread_id), BEGIN)
    await house.crons[0].tick(BEGIN)
    await house.set_next(await house.create(thread_id=other, multitask_strategy="enqueue"), BEGIN)
    superseding = await house.create(thread_id=held, multitask_strategy="interrupt")
    await house.set_next(superseding, BEGIN + dt.timedelta(milliseconds=1))
    async with await psycopg.AsyncConnection.connect(database) as writer:
        await writer.execute("select from langyard.runs where thread_id = %s for update", [held])
        firing = asyncio.create_task(house.crons[0].tick(BEGIN + dt.timedelta(milliseconds=2)))
        await blocked(house)
        # Else both would wait for each other, until PostgreSQL has enough of it.
        await writer.execute("select from langyard.threads where thread_id = %s for update nowait", [other])
        await writer.commit()
    assert len(await firing) == 2
    assert (await house.crons[1].tick(BEGIN + dt.timedelta(milliseconds=2))) == []


async def test_whoever_fires_holds_no_cron_while_its_thread_is_deleted(house: House, database: str):
    thread_id = await house.thread()
    cron_id = await house.create(thread_id=thread_id, multitask_strategy="rollback")
    await house.set_next(cron_id, BEGIN)
    async with await psycopg.AsyncConnection.connect(database) as deleting:
        await deleting.execute("select from langyard.threads where thread_id = %s for update", [thread_id])
        firing = asyncio.create_task(house.crons[0].tick(BEGIN))
        await blocked(house)
        await deleting.execute("select from langyard.crons where cron_id = %s for update nowait", [cron_id])
        await deleting.execute("delete from langyard.threads where thread_id = %s", [thread_id])
        await deleting.commit()
    assert await firing == []
    assert await house.runs() == []


async def test_a_cron_that_is_changed_while_it_fires_has_fired_as_it_was_or_not_at_all(house: House, database: str):
    cron_id = await house.create()
    await house.set_next(cron_id, BEGIN)
    async with await psycopg.AsyncConnection.connect(database) as changing:
        await changing.execute("update langyard.crons set enabled = false where cron_id = %s", [cron_id])
        firing = asyncio.create_task(house.crons[0].tick(BEGIN))
        await blocked(house)
        await changing.commit()
    assert await firing == []
    assert await house.runs() == []
    assert await house.next_of(cron_id) == BEGIN
