"""Many runs told to stop at once: what becomes of each is what would have become of it alone, in a few statements."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.database import Database
from langyard.postgres.rows import cancelling
from langyard.postgres.rows.workers import Heartbeat
from tests.unit.gateway.serving import serve

ASKED = {"reason": "somebody asked"}


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    found = Database(database, name="test", max_size=4)
    await found.open()
    yield found
    await found.close()


async def made(database: Database, thread_id: uuid.UUID, worker_id: uuid.UUID | None = None, **more: Any) -> uuid.UUID:
    request = RunRequest(
        run_id=uuid7(), graph_id="g", kwargs={"input": {}}, thread_id=thread_id, may_create=True, **more
    )
    started = await starts.start(database, request, worker_id)
    assert started is not None
    assert (started.claimed is not None) == (worker_id is not None)
    return request.run_id


def registered(url: str) -> uuid.UUID:
    worker_id = uuid.uuid4()
    heartbeat = Heartbeat(url, worker_id, 60.0)
    heartbeat.register(host="h", pid=1, version="0", slots=9, graphs=["g"])
    heartbeat.close()
    return worker_id


async def every_kind(database: Database, worker_id: uuid.UUID) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Threads with runs of every kind, and those runs."""
    waiting, own, busy, shared, trying, waits = (uuid.uuid4() for _ in range(6))
    run_ids = [await made(database, waiting) for _ in range(3)]
    run_ids.append(await made(database, own, temporary=True))
    run_ids += [await made(database, busy, worker_id), await made(database, busy)]
    run_ids += [await made(database, shared, temporary=True), await made(database, shared)]
    run_ids.append(tried := await made(database, trying, worker_id))
    assert await rows.retry(database, tried, 1, delay_s=60.0, error=b"{}", followed=False)
    run_ids.append(await made(database, trying))
    run_ids.append(await made(database, waits))
    change = "update langyard.threads set waiting = true where thread_id = %(id)s"
    await database.execute(change, {"id": waits})
    return [waiting, own, busy, shared, trying, waits], run_ids


async def picture(database: Database, threads: list[uuid.UUID], run_ids: list[uuid.UUID]) -> list[Any]:
    """What there is of these threads and runs."""
    found: list[Any] = []
    for thread_id in threads:
        sql = "select status, open_runs, revision, waiting from langyard.threads where thread_id = %(id)s"
        found.append(await database.fetch(sql, {"id": thread_id}))
    for run_id in run_ids:
        sql = (
            "select status, cancel_action, cancel_reason, ready or status = 'interrupted' as ready, "
            "available_at <= now() as due, finished_at is null as open from langyard.runs where run_id = %(id)s"
        )
        found.append(await database.fetch(sql, {"id": run_id}))
    return found


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_together_is_as_one_by_one(opened: Database, database: str, action: str):
    worker_id = await asyncio.to_thread(registered, database)
    alone, together = await every_kind(opened, worker_id), await every_kind(opened, worker_id)
    one_by_one = [await cancelling.cancel(opened, run_id, action=action, **ASKED) for run_id in alone[1]]
    stopped = await cancelling.cancel_many(opened, [*together[1], uuid7()], action=action, **ASKED)
    assert [stopped.get(run_id) for run_id in together[1]] == one_by_one
    assert {*one_by_one} == {"ended", "asked"}
    assert await picture(opened, *together) == await picture(opened, *alone)
    assert await cancelling.cancel_many(opened, together[1], action=action, **ASKED) == {}


async def test_a_thread_that_somebody_holds_holds_up_nobody_elses_run(opened: Database, database: str):
    held, free = uuid.uuid4(), [uuid.uuid4() for _ in range(5)]
    run_ids = [await made(opened, thread_id) for thread_id in (*free[:2], held, *free[2:])]
    ended = "select count(*) as n from langyard.runs where status = 'interrupted'"
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("select from langyard.threads where thread_id = %s for update", [held])
        task = asyncio.create_task(cancelling.cancel_many(opened, run_ids, action="interrupt", **ASKED))
        async with asyncio.timeout(20):
            while (await opened.fetch(ended))[0]["n"] < 5:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)
        assert not task.done()
        # Whoever has the thread may want what the cancellation has touched: it holds none of it.
        await other.execute("set lock_timeout = '5s'")
        await other.execute("update langyard.threads set updated_at = now() where thread_id = any(%s)", [free])
    assert await task == dict.fromkeys(run_ids, "ended")


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_all_that_is_open_is_stopped_in_a_few_statements(
    database: str, action: str, monkeypatch: pytest.MonkeyPatch
):
    async with serve(database, worker={"slots": 1}) as served:
        http, app = served.http, served.app
        echo = {"assistant_id": "echo", "input": {}}
        threads = [(await http.post("/threads", json={})).json()["thread_id"] for _ in range(4)]
        gate = (await http.post(f"/threads/{threads[0]}/runs", json={"assistant_id": "gate", "input": {}})).json()
        await served.gate.reached()
        bodies = [{**echo, "thread_id": thread_id} for thread_id in threads * 20]
        batch = await http.post("/runs/batch", json=bodies + [echo] * 600)
        assert (batch.status_code, len(batch.json())) == (200, 680)
        waiting = [
            asyncio.create_task(http.post("/runs/wait", json=echo)),
            asyncio.create_task(http.post(f"/threads/{threads[1]}/runs/wait", json=echo)),
            asyncio.create_task(http.get(f"/threads/{threads[0]}/runs/{gate['run_id']}/join")),
        ]
        many = "select count(*) as n from langyard.runs where status = 'pending'"
        async with asyncio.timeout(20):
            while (await app.database.fetch(many))[0]["n"] < 682 or len(app.bus.waited()) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        statements, asked = [], Database.fetch

        async def fetch(self: Database, sql: Any, params: Any = None) -> Any:
            if params and "reason" in params:
                statements.append(sql)
            return await asked(self, sql, params)

        with monkeypatch.context() as patch:
            patch.setattr(Database, "fetch", fetch)
            answer = await http.post(f"/runs/cancel?action={action}", json={"status": "all"})
        assert answer.status_code == 204
        assert len(statements) <= 4, "as many statements as runs"
        async with asyncio.timeout(30):
            for answer in await asyncio.gather(*waiting):
                assert answer.status_code == 200
        left = "select count(*) as n from langyard.runs where status in ('pending', 'running')"
        assert (await app.database.fetch(left))[0]["n"] == 0
        for thread_id in threads:
            # The one that was begun has left a state from which there is more to do.
            status = "interrupted" if action == "interrupt" and thread_id == threads[0] else "idle"
            assert (await http.get(f"/threads/{thread_id}")).json()["status"] == status
            runs = (await http.get(f"/threads/{thread_id}/runs?limit=100")).json()
            assert {run["status"] for run in runs} == ({"interrupted"} if action == "interrupt" else set())
        assert (await http.post("/runs/cancel", json={"status": "all"})).status_code == 404
