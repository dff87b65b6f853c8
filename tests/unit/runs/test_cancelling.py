"""Cancellation against claims, ends, deaths and drains, statement by statement: whoever was first is believed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.types import interrupt

from langyard.model.ids import uuid7
from langyard.model.runs import ClaimedRun, RunEnd, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.rows import cancelling
from langyard.postgres.rows import threads as thread_rows
from langyard.postgres.writer import Finish, Lease, Writer
from langyard.runs import StartedRun
from tests.unit.gateway.graphs import State, graphs
from tests.unit.gateway.serving import Served, serve, until
from tests.unit.runs.bench import ASKED

DONE = Finish(status="success", thread_status="idle", values=b'{"done": true}', interrupts=b"{}")


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_an_end_that_comes_after_a_cancellation_is_none(bench, action):
    claimed = await bench.start(claimed=True)
    writer = Writer(bench.database)
    writer.start()
    assert await cancelling.cancel(bench.database, claimed.run_id, action=action, **ASKED) == "asked"
    lease = Lease(claimed.run_id, claimed.thread_id, claimed.fence)
    batch = writer.batch()
    batch.events[claimed.run_id, 7] = (batch.index(lease), claimed.thread_id, "end", b"{}")
    batch.finishes[claimed.run_id] = (batch.index(lease), DONE)
    await writer.commit(lease)
    assert lease.asked == (action, "somebody asked")
    assert not lease.lost
    found = await bench.run(claimed)
    assert found is not None
    assert found["status"] == "running"
    assert (await bench.thread())["open_runs"] == 1
    assert await bench.traces() == 0, "no reader may be told of an end that there was not"
    stopped = Finish(status="interrupted", thread_status="idle", interrupts=b"{}")
    after = Lease(claimed.run_id, claimed.thread_id, claimed.fence)
    batch = writer.batch()
    batch.finishes[claimed.run_id] = (batch.index(after), stopped)
    await writer.commit(after)
    # One that stopped by itself in the same moment is still to be rolled back.
    assert after.asked == (None if action == "interrupt" else (action, "somebody asked"))
    found = await bench.run(claimed)
    assert found is not None
    assert found["status"] == ("interrupted" if action == "interrupt" else "running")
    await writer.close()


async def test_a_cancelled_run_of_a_dead_worker_is_settled_and_not_tried_again(bench):
    claimed = await bench.start(claimed=True)
    await bench.put_checkpoint(claimed)
    assert await cancelling.cancel(bench.database, claimed.run_id, action="rollback", **ASKED) == "asked"
    await bench.die()
    (again,) = await bench.claim()
    assert (again.run_id, again.attempt, again.cancel_action) == (claimed.run_id, 1, "rollback")
    assert await rows.roll_back(bench.database, again.run_id, again.fence, b"{}")
    assert await bench.run(claimed) is None
    assert await bench.traces() == 0, "a rollback leaves checkpoints, writes or values behind"
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("idle", 0)


async def test_a_run_handed_back_and_cancelled_is_settled_with_what_it_had_left(bench):
    claimed = await bench.start(claimed=True)
    await bench.put_checkpoint(claimed)
    await rows.hand_back(bench.database, bench.worker_id)
    assert await cancelling.cancel(bench.database, claimed.run_id, action="rollback", **ASKED) == "asked"
    found = await bench.run(claimed)
    assert found is not None
    assert (found["status"], found["attempt"]) == ("pending", 0)
    (again,) = await bench.claim()
    assert (again.cancel_action, again.attempt) == ("rollback", 0)
    await rows.roll_back(bench.database, again.run_id, again.fence, b"{}")
    assert await bench.traces() == 0


async def test_i28_a_cancellation_is_taken_once_and_the_first_counts(bench):
    claimed = await bench.start(claimed=True)
    assert await cancelling.cancel(bench.database, claimed.run_id, action="rollback", **ASKED) == "asked"
    assert await cancelling.cancel(bench.database, claimed.run_id, action="interrupt", **ASKED) is None
    await bench.start(multitask_strategy="interrupt")
    found = await bench.run(claimed)
    assert found is not None
    assert found["cancel_action"] == "rollback", "it was told that it would leave no trace"


async def test_a_claim_that_comes_between_does_not_hide_the_run_from_a_cancellation(bench):
    waiting = await bench.start()
    async with await psycopg.AsyncConnection.connect(bench.url) as claimer:
        await claimer.execute(
            "update langyard.runs set status = 'running', worker_id = %s, started_at = now()", [bench.worker_id]
        )
        asked = asyncio.create_task(cancelling.cancel(bench.database, waiting.run_id, action="interrupt", **ASKED))
        blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not await bench.database.fetch_one(blocked):
            assert not asked.done()
        await claimer.commit()
    assert await asked == "asked"


async def test_i03_two_that_take_over_at_once_do_not_spare_each_other(bench):
    first = await bench.start(claimed=True)
    made = await asyncio.gather(*(bench.start(multitask_strategy="interrupt") for _ in range(4)))
    found = [await bench.run(run) for run in made]
    assert sorted(run["status"] for run in found if run is not None) == ["interrupted"] * 3 + ["pending"]
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("busy", 2)
    running = await bench.run(first)
    assert running is not None
    assert running["cancel_action"] == "interrupt"


async def test_a_run_that_is_refused_supersedes_nothing(bench):
    waiting = await bench.start()
    request = RunRequest(
        run_id=uuid7(), graph_id="g", kwargs={}, thread_id=bench.thread_id, revision=99, multitask_strategy="rollback"
    )
    assert await starts.start(bench.database, request, None) is None
    found = await bench.run(waiting)
    assert found is not None
    assert found["status"] == "pending"
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("busy", 1)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_cannot_even_be_settled_is_not_tried_for_ever(bench, action):
    claimed = await bench.start(claimed=True)
    await cancelling.cancel(bench.database, claimed.run_id, action=action, **ASKED)
    for _ in range(5):
        await bench.die()
        assert [run.run_id for run in await bench.claim()] == [claimed.run_id]
    await bench.die()
    found = await bench.run(claimed)
    assert found is not None
    assert (found["status"], found["error"]["error"]) == (
        "interrupted" if action == "interrupt" else "error",
        "WorkerLost",
    )
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("error", 0)


async def test_a_claim_that_seems_lost_is_adopted_with_a_new_fence(bench):
    claimed = await bench.start(claimed=True)
    await bench.database.execute("update langyard.runs set started_at = now() - interval '1 minute'")
    (adopted,) = await rows.strays(bench.database, bench.worker_id, [])
    assert adopted.fence == claimed.fence + 1
    assert await rows.strays(bench.database, bench.worker_id, []) == []


async def test_a_thread_deleted_while_a_run_begins_on_it_takes_what_the_run_wrote(bench):
    await bench.start()
    async with await psycopg.AsyncConnection.connect(bench.url) as other:
        # Holds the thread as a starting run does: the deletion has the old runs, and waits here for the thread.
        await other.execute("select from langyard.threads where thread_id = %s for update", [bench.thread_id])
        deleting = asyncio.create_task(thread_rows.delete(bench.database, [bench.thread_id]))
        blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not await bench.database.fetch_one(blocked):
            assert not deleting.done()
        late = ClaimedRun(uuid7(), bench.thread_id, "g", {}, 1, 1)
        await other.execute(
            "insert into langyard.runs (run_id, thread_id, graph_id, kwargs) values (%s, %s, 'g', '{}')",
            [late.run_id, bench.thread_id],
        )
        await bench.put_checkpoint(late)
        await other.commit()
    assert await deleting == 1
    assert await bench.run(late) is None
    assert await bench.traces() == 0


async def test_a_run_that_went_with_its_end_is_not_taken_for_lost(bench):
    claimed = await bench.start(claimed=True, temporary=True)
    writer = Writer(bench.database)
    writer.start()
    # Its end was committed, and the answer lost with the connection: the statement is sent again.
    await bench.database.execute("delete from langyard.threads")
    lease = Lease(claimed.run_id, claimed.thread_id, claimed.fence)
    batch = writer.batch()
    batch.finishes[claimed.run_id] = (
        batch.index(lease), Finish(status="success", thread_status="idle", temporary=True),
    )  # fmt: skip
    await writer.commit(lease)
    assert not lease.lost
    await writer.close()


@pytest.fixture
async def served(database) -> AsyncIterator[Served]:
    async with serve(database) as served:
        yield served


async def test_a_cancellation_before_the_first_step_is_not_lost_with_it(served):
    app = served.app
    thread_id = uuid.uuid4()
    for _ in range(20):
        request = RunRequest(
            run_id=uuid7(), graph_id="hang", kwargs={"input": {}}, thread_id=thread_id, may_create=True
        )
        started = await app.runs.start(request, events=False)
        assert started is not None
        with started.reader:
            assert await app.runs.cancel(request.run_id, reason="at once")
            async with asyncio.timeout(4):  # a lost one is found after five seconds
                end = await started.reader.wait_end()
        assert (end.status, end.error) == ("interrupted", {"error": "UserInterrupt", "message": "at once"})
    await until(lambda: app.worker is not None and app.worker.running == 0)


async def test_an_answer_that_is_rolled_back_leaves_the_question_open(served):
    """The answering run wrote its first results to a checkpoint of the run that asked."""
    app, gate = served.app, served.gate
    graph = StateGraph(State)
    graph.add_sequence(
        [("ask", lambda state: {"log": [interrupt("first?"), interrupt("second?")]}), ("gate", gate.node)]
    )
    graph.set_entry_point("ask")
    app.graphs.register("two-answers", graph)
    thread_id = uuid.uuid4()
    writes = "select task_id, idx, channel, blob from checkpoint_writes where thread_id = %(id)s order by 1, 2"

    async def start(**kwargs: Any) -> StartedRun:
        request = RunRequest(
            run_id=uuid7(), graph_id="two-answers", kwargs=kwargs, thread_id=thread_id, may_create=True
        )
        started: StartedRun | None = await app.runs.start(request, events=False)
        assert started is not None
        return started

    async def end(**kwargs: Any) -> RunEnd:
        with (await start(**kwargs)).reader as reader:
            return await reader.wait_end()

    assert (await end(input={})).interrupts[0]["value"] == "first?"
    assert (await end(input=None, command={"resume": "one"})).interrupts[0]["value"] == "second?"
    before = await app.database.fetch(writes, {"id": str(thread_id)})
    with (await start(input=None, command={"resume": "wrong"})).reader as reader:
        await gate.reached()
        assert await app.runs.cancel(reader.run_id, action="rollback", reason="wrong")
        assert (await reader.wait_end()).status == "interrupted"
    assert await app.database.fetch(writes, {"id": str(thread_id)}) == before
    gate.open.set()
    last = await end(input=None, command={"resume": "two"})
    assert last.values is not None
    assert json.loads(last.values)["log"] == ["one", "two", "through"]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("begun", [True, False])
async def test_a_thread_at_a_breakpoint_is_there_again_when_a_later_run_is_gone(bench, begun, action):
    """At a breakpoint nobody has asked anything: only the thread itself knows that it waits."""
    writer = Writer(bench.database)
    writer.start()
    asking = await bench.start(claimed=True)
    lease = Lease(asking.run_id, asking.thread_id, asking.fence)
    batch = writer.batch()
    batch.finishes[asking.run_id] = (batch.index(lease), Finish("success", "interrupted", interrupts=b"{}"))
    await writer.commit(lease)
    await writer.close()
    assert (await bench.thread())["status"] == "interrupted"
    later = await bench.start(claimed=begun)
    assert (await bench.thread())["status"] == "busy"
    await cancelling.cancel(bench.database, later.run_id, action=action, **ASKED)
    if begun:
        assert await rows.roll_back(bench.database, later.run_id, later.fence, b"{}")
    assert ((await bench.thread())["status"], (await bench.thread())["open_runs"]) == ("interrupted", 0)


@pytest.mark.slow
async def test_a_run_that_is_stopped_while_the_database_is_away_leaves_what_it_has_left(served, postgres_url):
    app, gate = served.app, served.gate
    read = threading.Event()
    nodes = graphs(gate)["gate"]
    request = RunRequest(run_id=uuid7(), graph_id="made", kwargs={"input": {}}, thread_id=uuid7(), may_create=True)

    @contextlib.asynccontextmanager
    async def factory(config: RunnableConfig) -> AsyncIterator[StateGraph[State]]:
        try:
            yield nodes
        finally:
            asked = config["configurable"]
            if asked.get("thread_id") == str(request.thread_id) and not asked["__is_for_execution__"]:
                read.set()

    app.graphs.register("made", factory)
    started: StartedRun | None = await app.runs.start(request, events=False)
    assert started is not None
    await gate.reached()
    await app.worker.settle()
    name = urlsplit(app.database.url).path.strip("/")
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        await other.execute(f'alter database "{name}" allow_connections false')
        cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s"
        await other.execute(cut, [name])
        # Not by the row as well, of which the worker would hear before the database is away.
        app.worker.cancel(request.run_id, "interrupt", "somebody asked")
        # It was asked for its state, and the database gave none.
        assert await asyncio.to_thread(read.wait, 40)
        await other.execute(f'alter database "{name}" allow_connections true')
    with started.reader as reader:
        async with asyncio.timeout(60):
            end = await reader.wait_end()
    assert (end.status, end.waiting) == ("interrupted", True)
    assert json.loads(end.values or b"{}")["log"] == ["x=0"]
