"""Two servers on one database: sessions, keys and answers are the database's, whichever server is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.unit.gateway.serving import Served, events, serve, until


@pytest.fixture
async def two(database: str) -> AsyncIterator[tuple[Served, Served]]:
    async with serve(database) as one, serve(database) as other:
        yield one, other


def count(database: str, table: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute(f"select count(*) from {table}").fetchone()
    assert found is not None
    return int(found[0])


async def test_a_session_goes_from_one_to_the_other(two: tuple[Served, Served]):
    one, other = two
    for n in range(6):
        found = await two[n % 2].execute("echo", session_id="s")
        assert found.json()["result"]["x"] == n + 1
    await one.execute("ask", session_id="q")
    resumed = await other.http.post("/workflow/q/resume", json={"user_id": "ada", "answer": "yes"})
    assert resumed.json()["result"]["log"] == ["yes", "x=0"]


async def test_requests_to_both_at_once_run_one_after_the_other(two: tuple[Served, Served]):
    answers = await asyncio.gather(*(two[n % 2].execute("echo", session_id="s") for n in range(20)))
    assert sorted(answer.json()["result"]["x"] for answer in answers) == list(range(1, 21))


async def test_a_run_that_the_other_executes_is_waited_for_and_read(two: tuple[Served, Served], database: str):
    one, other = two
    running = asyncio.create_task(one.execute("gate", session_id="s"))
    await one.gate.reached()

    async def read() -> list[str]:
        body = {"workflow_type": "echo", "input_data": {}, "user_id": "ada", "session_id": "s"}
        async with other.http.stream("POST", "/workflow/stream", json=body) as response:
            return [name async for name, _ in events(response) if name != ":"]

    reading = asyncio.create_task(read())
    await until(lambda: count(database, "langyard.runs") == 2)
    one.gate.open.set()
    assert (await running).json()["result"]["log"] == ["x=0", "through"]
    told = await reading
    assert told[-1] == "end"


async def test_of_twenty_answers_to_both_one_runs(two: tuple[Served, Served]):
    await two[0].execute("ask", session_id="s")
    body = {"user_id": "ada", "answer": "yes"}
    answers = await asyncio.gather(*(two[n % 2].http.post("/workflow/s/resume", json=body) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


async def test_one_key_to_both_at_once_is_one_run(two: tuple[Served, Served], database: str):
    for attempt in range(5):
        key = {"Idempotency-Key": f"k{attempt}"}
        answers = await asyncio.gather(*(two[n % 2].execute("echo", {"x": 1}, headers=key) for n in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert count(database, "langyard.runs") == count(database, "langyard.sessions") == attempt + 1


async def test_a_session_deleted_through_one_ends_what_the_other_waits_for(two: tuple[Served, Served], database: str):
    one, other = two
    running = asyncio.create_task(one.execute("gate", session_id="s"))
    await one.gate.reached()
    queued = asyncio.create_task(one.execute("echo", session_id="s"))
    await until(lambda: count(database, "langyard.runs") == 2)
    gone = await other.http.delete("/workflow/s", params={"user_id": "ada"})
    assert gone.status_code == 204
    for waiting in (running, queued):
        answer = await waiting
        assert (answer.status_code, answer.json()["code"]) == (409, "workflow_cancelled")
    assert count(database, "langyard.threads") == count(database, "checkpoints") == 0
