"""The bound of the queue: beyond it starting a run is 429, with the time it takes to drain; nobody is locked out."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from tests.unit.gateway.serving import Served, serve, until


def pending(database: str) -> int:
    with psycopg.connect(database, autocommit=True) as connection:
        found = connection.execute("select count(*) from langyard.runs where status = 'pending'").fetchone()
    assert found is not None
    return int(found[0])


async def start(served: Served, route: str = "/runs", graph: str = "echo", **more: Any) -> httpx.Response:
    return await served.http.post(route, json={"assistant_id": graph, "input": {"x": 1}, **more})


async def let_in(served: Served, count: int) -> None:
    """So many runs; one that comes while the queue is looked at may be counted twice for a moment, and comes again."""
    async with asyncio.timeout(20):
        while count:
            count -= (await start(served)).status_code == 200


async def waiting(served: Served, database: str, user: str) -> asyncio.Task[httpx.Response]:
    """A run of a user's that waits, and whoever waits for it."""
    before = pending(database)
    async with asyncio.timeout(20):
        while True:
            asking = asyncio.create_task(served.execute("echo", {"x": 1}, user=user))
            await until(lambda asking=asking: pending(database) > before or asking.done())  # type: ignore[misc]
            if not asking.done():
                return asking
            assert asking.result().status_code == 429


async def occupied(served: Served) -> None:
    """The one slot is taken by a run that waits."""
    assert (await start(served, graph="gate")).status_code == 200
    await served.gate.reached()


async def test_a_full_queue_refuses_with_the_time_to_come_again(database: str):
    async with serve(database, worker={"slots": 1}, limits={"max_pending_runs": 3}) as served:
        await occupied(served)
        await let_in(served, 3)
        thread_id = str(uuid4())
        for route in ("/runs", "/runs/wait", "/runs/stream", f"/threads/{thread_id}/runs"):
            refused = await start(served, route, if_not_exists="create")
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        batch = await served.http.post("/runs/batch", json=[{"assistant_id": "echo"}] * 2)
        assert batch.status_code == 429
        assert (await served.http.get(f"/threads/{thread_id}")).status_code == 404
        # One that is for later does not wait now, but nobody gets round the bound with it.
        assert (await start(served, after_seconds=3600)).status_code == 429
        assert pending(database) == 3
        served.gate.open.set()
        async with asyncio.timeout(20):
            while (await start(served, "/runs/wait")).status_code != 200:  # noqa: ASYNC110 - we are sent away
                await asyncio.sleep(0.05)


async def test_who_has_nothing_waiting_is_let_in_all_the_same_but_not_without_end(database: str):
    async with serve(database, worker={"slots": 1}, limits={"max_pending_runs": 3}) as served:
        await occupied(served)
        asking = [await waiting(served, database, "mallory") for _ in range(3)]
        try:
            assert (await served.execute("echo", {"x": 1}, user="mallory")).status_code == 429
            asking += [await waiting(served, database, f"user {number}") for number in range(3)]
            # Twice the bound is the end for everybody.
            refused = await served.execute("echo", {"x": 1}, user="one more")
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        finally:
            served.gate.open.set()
            assert [(await one).status_code for one in asking] == [200] * 6


async def test_a_burst_is_not_let_in_whole(database: str):
    async with serve(database, worker={"slots": 1}, limits={"max_pending_runs": 10}) as served:
        await occupied(served)
        answers = await asyncio.gather(*(start(served) for _ in range(60)))
        assert {answer.status_code for answer in answers} == {200, 429}
        assert 0 < pending(database) <= 10
        served.gate.open.set()


async def test_runs_for_later_do_not_fill_the_queue(database: str):
    async with serve(database, worker={"slots": 1}, limits={"max_pending_runs": 2}) as served:
        for _ in range(5):
            assert (await start(served, after_seconds=3600)).status_code == 200
        assert pending(database) == 5
        assert (await start(served, "/runs/wait")).status_code == 200


async def test_without_a_bound_any_number_waits(served: Served, database: str):
    async with served.http.stream("POST", "/runs/stream", json={"assistant_id": "gate", "input": {}}):
        await served.gate.reached()
        answers = await asyncio.gather(*(start(served, graph="gate") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        served.gate.open.set()
