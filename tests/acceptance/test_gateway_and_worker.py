"""Gateways and workers as processes of their own, on PostgreSQL alone and with Redis: everything works as in one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.acceptance.serving import QUICK, Served, Working, project, until
from tests.redis_server import RedisServer, running

pytestmark = pytest.mark.slow

GRAPH = """
import asyncio, operator, os
from pathlib import Path
from typing import Annotated, TypedDict
from langgraph.config import get_stream_writer
from langgraph.graph import StateGraph
from langgraph.types import interrupt

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    name: str
    log: Annotated[list[str], operator.add]

def say(state: State) -> State:
    return {"log": [f"größe {os.getpid()}"]}

def ask(state: State) -> State:
    return {"log": [interrupt("Weiter?")]}

async def count(state: State) -> State:
    write = get_stream_writer()
    for number in range(20):
        write({"n": number})
    (HERE / f"{state['name']}.half").touch()
    while not (HERE / f"{state['name']}.open").exists():
        await asyncio.sleep(0.02)
    for number in range(20, 40):
        write({"n": number})
        await asyncio.sleep(0.002)
    return {"log": ["counted"]}

echo = StateGraph(State).add_node(say).set_entry_point("say")
asking = StateGraph(State).add_node(ask).set_entry_point("ask")
counting = StateGraph(State).add_node(count).set_entry_point("count")
"""


POOL, VIEWERS = 4, 300


@dataclass
class Yard:
    """Two gateways that execute nothing, a worker that serves nothing, and what they share."""

    folder: Path
    one: Served
    other: Served
    worker: Working
    database: str
    redis: RedisServer | None

    def half(self, name: str) -> None:
        """Wait until the run has told half of what it will tell."""
        until((self.folder / f"{name}.half").exists)

    def open(self, name: str) -> None:
        """Let the run go on."""
        (self.folder / f"{name}.open").touch()


@pytest.fixture(scope="module", params=["postgres", "redis"])
def yard(request: pytest.FixtureRequest, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("yard")
    graphs = {name: f"./agent.py:{name}" for name in ("echo", "asking", "counting")}
    project(folder, GRAPH, **graphs)
    name = f"yard_{request.param}_{folder.name}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    database = postgres_url.rpartition("/")[0] + f"/{name}"
    with ExitStack() as opened:
        redis = opened.enter_context(running(folder / "redis")) if request.param == "redis" else None
        # Few connections: were one held by each open stream, the three hundred of them would never all be open.
        settings = {
            **QUICK,
            "LANGYARD_DB_POOL_MAX_SIZE": str(POOL),
            "DATABASE_URL": database,
            **({"REDIS_URL": redis.url} if redis else {}),
        }
        one = opened.enter_context(Served(folder, "--no-worker", **settings))
        with ThreadPoolExecutor() as starting:
            second = starting.submit(Served, folder, "--no-worker", **settings)
            third = starting.submit(Working, folder, **settings)
        other, worker = opened.enter_context(second.result()), opened.enter_context(third.result())
        yield Yard(folder, one, other, worker, database, redis)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def thread(server: Served) -> str:
    return str(server.http.post("/threads", json={}).json()["thread_id"])


def begin(server: Served, thread_id: str, graph: str, **more: Any) -> str:
    answer = server.http.post(f"/threads/{thread_id}/runs", json={"assistant_id": graph, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run_id"])


def frames(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """(id, name, data) of each event."""
    found: dict[str, str] = {}
    for line in lines:
        field, _, value = line.partition(": ")
        if line:
            found[field] = value
        elif "event" in found:
            yield found.get("id", ""), found["event"], json.loads(found.get("data") or "null")
            found = {}


def numbers(events: list[tuple[str, str, Any]]) -> list[int]:
    return [data["n"] for _, name, data in events if name == "custom"]


def test_the_worker_says_how_it_is(yard: Yard):
    answer = yard.worker.http.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert yard.worker.http.get("/health").status_code == 200
    assert yard.worker.http.post("/threads", json={}).status_code == 404


def test_a_run_that_is_waited_for_is_executed_by_the_worker(yard: Yard):
    thread_id = thread(yard.one)
    for server in (yard.one, yard.other):
        answer = server.http.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "echo", "input": {}})
        assert answer.json()["log"][-1] == f"größe {yard.worker.process.pid}"


def test_a_stream_begins_with_the_first_event_and_ends_with_the_last(yard: Yard):
    yard.open("whole")
    body = {"assistant_id": "counting", "input": {"name": "whole"}, "stream_mode": ["custom", "values"]}
    with yard.one.http.stream("POST", f"/threads/{thread(yard.one)}/runs/stream", json=body) as response:
        told = list(frames(response.iter_lines()))
    assert (told[0][1], told[-1][1]) == ("metadata", "end")
    assert numbers(told) == list(range(40))


def test_a_run_is_joined_and_its_end_awaited_through_either_gateway(yard: Yard):
    thread_id = thread(yard.one)
    run_id = begin(yard.one, thread_id, "counting", input={"name": "joined"}, stream_mode=["custom"])
    yard.half("joined")
    with yard.other.http.stream("GET", f"/threads/{thread_id}/runs/{run_id}/stream") as response:
        joined = yard.one.ask_for(f"/threads/{thread_id}/runs/{run_id}/join")
        yard.open("joined")
        told = list(frames(response.iter_lines()))
    assert numbers(told)[-20:] == list(range(20, 40))
    assert told[-1][1] == "end"
    assert joined.result(30).json()["log"] == ["counted"]


def test_who_comes_back_to_another_gateway_reads_on_where_he_was(yard: Yard):
    thread_id = thread(yard.one)
    asked = {"input": {"name": "again"}, "stream_mode": ["custom"], "stream_resumable": True}
    run_id = begin(yard.one, thread_id, "counting", **asked)
    path = f"/threads/{thread_id}/runs/{run_id}/stream"
    yard.half("again")
    first: list[tuple[str, str, Any]] = []
    with yard.one.http.stream("GET", path, headers={"Last-Event-ID": "-1"}) as response:
        for event in frames(response.iter_lines()):
            first.append(event)
            if numbers(first)[-1:] == [9]:
                break
    yard.open("again")
    with yard.other.http.stream("GET", path, headers={"Last-Event-ID": first[-1][0]}) as response:
        rest = list(frames(response.iter_lines()))
    assert numbers(first + rest) == list(range(40))
    assert len({event[0] for event in first + rest}) == len(first + rest)


def test_a_run_is_cancelled_through_the_gateway_that_did_not_start_it(yard: Yard):
    thread_id = thread(yard.one)
    run_id = begin(yard.one, thread_id, "counting", input={"name": "stopped"})
    yard.half("stopped")
    answer = yard.other.http.post(f"/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": "true"})
    assert answer.status_code in (200, 202, 204), answer.text
    assert yard.one.http.get(f"/threads/{thread_id}/runs/{run_id}").json()["status"] == "interrupted"


def test_a_question_of_one_gateway_is_answered_through_the_other(yard: Yard):
    thread_id = thread(yard.one)
    asked = yard.one.http.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "asking", "input": {}})
    assert asked.json()["__interrupt__"][0]["value"] == "Weiter?"
    body = {"assistant_id": "asking", "command": {"resume": "ja, größer"}}
    answer = yard.other.http.post(f"/threads/{thread_id}/runs/wait", json=body)
    assert answer.json()["log"] == ["ja, größer"]


def connections(yard: Yard) -> int:
    with psycopg.connect(yard.database) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert found is not None
    return int(found[0])


async def test_many_viewers_cost_no_connections(yard: Yard):
    """Three hundred streams of one run in a process that does not execute it: each sees all, nothing grows."""
    thread_id = thread(yard.one)
    asked = {"input": {"name": "viewed"}, "stream_mode": ["custom"], "stream_resumable": True}
    run_id = begin(yard.one, thread_id, "counting", **asked)
    yard.half("viewed")
    opened, seen = 0, asyncio.Event()

    async def view(http: httpx.AsyncClient) -> list[int]:
        nonlocal opened
        found = []
        headers = {"Last-Event-ID": "-1"}
        async with http.stream("GET", f"/threads/{thread_id}/runs/{run_id}/stream", headers=headers) as response:
            async for line in response.aiter_lines():
                if line.startswith('data: {"n":'):
                    found.append(json.loads(line[6:])["n"])
                    if found[-1] == 19:
                        opened += 1
                        if opened == VIEWERS:
                            seen.set()
        return found

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=yard.other.address, timeout=60, limits=limits) as http:
        one = asyncio.create_task(view(http))
        views = [one, *(asyncio.create_task(view(http)) for _ in range(VIEWERS - 1))]
        async with asyncio.timeout(60):
            await seen.wait()
        # Each process has a pool and one connection that listens; the worker has a second pool and its lease's.
        assert await asyncio.to_thread(connections, yard) <= 4 * POOL + 3 + 1
        if yard.redis is not None:
            assert len(yard.redis.connections()) == 3 * 2
            assert f"langyard:run:{run_id}" in yard.redis.channels()
        yard.open("viewed")
        async with asyncio.timeout(60):
            found = await asyncio.gather(*views)
    assert [len(numbers) for numbers in found] == [40] * VIEWERS
    assert all(numbers == list(range(40)) for numbers in found)


def test_redis_that_dies_under_a_stream_is_missed_by_nobody(yard: Yard):
    if yard.redis is None:
        return
    thread_id = thread(yard.one)
    body = {"assistant_id": "counting", "input": {"name": "dying"}, "stream_mode": ["custom"]}
    with yard.one.http.stream("POST", f"/threads/{thread_id}/runs/stream", json=body) as response:
        events = frames(response.iter_lines())
        told = [next(events)]
        yard.half("dying")
        yard.redis.stop()
        yard.open("dying")
        told += events
    assert numbers(told) == list(range(40))
    for server in (yard.one, yard.other, yard.worker):
        until(lambda: server.http.get("/health/ready").json()["status"] == "degraded")  # noqa: B023
        assert server.http.get("/health/ready").status_code == 200
    test_a_run_that_is_waited_for_is_executed_by_the_worker(yard)
    yard.redis.start()
    for server in (yard.one, yard.other, yard.worker):
        until(lambda: server.http.get("/health/ready").json()["status"] == "ready")  # noqa: B023
