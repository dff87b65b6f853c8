"""Servers that die, freeze and drain amid each other's runs, seen by the official SDK through another server."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph_sdk import get_client

from tests.acceptance.serving import Served, project, until

GRAPH = """
import asyncio, operator, os, time
from pathlib import Path
from typing import Annotated, TypedDict
import langyard
from langgraph.config import get_stream_writer
from langgraph.graph import StateGraph

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    visited: Annotated[list[str], operator.add]
    charged: str

def say(name):
    with (HERE / "trace").open("a") as file:
        file.write(f"{name} {os.getpid()}\\n")

async def gate(name):
    while not (HERE / f"gate-{name}").exists():
        await asyncio.sleep(0.01)

def step(name):
    async def node(state: State) -> State:
        get_stream_writer()({"reached": name})
        say(name)
        await gate(name)
        return {"visited": [name]}
    return node

@langyard.effect("charge")
async def charge() -> str:
    say("charge")
    return "receipt"

async def pay(state: State) -> State:
    receipt = await charge()
    say("paid")
    await gate("pay")
    return {"charged": receipt, "visited": ["pay"]}

steps = StateGraph(State).add_sequence([(name, step(name)) for name in ("one", "two")])
steps.set_entry_point("one")
pays = StateGraph(State).add_node(pay).set_entry_point("pay")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path, GRAPH, steps="./agent.py:steps", pays="./agent.py:pays")


@pytest.fixture
def servers(folder: Path, database: str) -> Iterator[Any]:
    """Starts servers on one database, each with these arguments and settings."""
    with ExitStack() as stack:
        yield lambda *args, **settings: stack.enter_context(
            Served(folder, *args, DATABASE_URL=database, LANGYARD_DB_POOL_MAX_SIZE="4", **settings)
        )


def trace(folder: Path) -> list[tuple[str, int]]:
    path = folder / "trace"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, int(pid)) for name, _, pid in (line.partition(" ") for line in lines)]


def names(folder: Path) -> list[str]:
    return [name for name, _ in trace(folder)]


def row(database: str, run_id: str) -> dict[str, Any]:
    with psycopg.connect(database, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute("select * from langyard.runs where run_id = %s", (run_id,)).fetchone()
    assert found is not None
    return found


@pytest.mark.slow
async def test_a_killed_workers_run_goes_on_within_five_seconds_and_its_reader_elsewhere_is_told(
    folder: Path, servers: Any, database: str
):
    """With the settings as they are by default."""
    gateway, first = servers("--no-worker"), servers()
    (folder / "gate-one").touch()
    sdk: Any = get_client(url=gateway.address)
    thread = (await sdk.threads.create())["thread_id"]
    told: list[tuple[str, Any, str | None]] = []

    async def read() -> None:
        stream = sdk.runs.stream(thread, "steps", input={}, stream_mode=["custom", "values"], stream_resumable=True)
        told.extend([(part.event, part.data, part.id) async for part in stream])

    reading = asyncio.create_task(read())
    await asyncio.to_thread(until, lambda: names(folder) == ["one", "two"])
    second = servers()
    with psycopg.connect(database, autocommit=True) as connection:
        stored = "select count(*) from checkpoints where (metadata ->> 'step')::int = 1"
        until(lambda: (connection.execute(stored).fetchone() or [0])[0] == 1)
        workers = "select count(*) from langyard.workers"
        until(lambda: (connection.execute(workers).fetchone() or [0])[0] == 2)
    first.kill()
    died = time.monotonic()
    await asyncio.to_thread(until, lambda: names(folder) == ["one", "two", "two"])
    assert time.monotonic() - died < 5.5, "five seconds, and what it takes to look"
    assert trace(folder)[-1][1] == second.process.pid
    (folder / "gate-two").touch()
    await asyncio.wait_for(reading, 20)

    attempts = [data["attempt"] for event, data, _ in told if event == "metadata"]
    assert attempts == [1, 2]
    assert [data["reached"] for event, data, _ in told if event == "custom"] == ["one", "two", "two"]
    numbers = [tuple(map(int, id.split("-"))) for *_, id in told if id is not None]
    assert numbers == sorted(set(numbers))
    assert told[-1][0] == "end"
    assert row(database, told[0][1]["run_id"])["attempt"] == 2
    # Who comes later reads the same from the log.
    again = [part.event async for part in sdk.runs.join_stream(thread, told[0][1]["run_id"], last_event_id="-1")]
    assert again.count("metadata") == 2


@pytest.mark.slow
async def test_a_frozen_worker_that_wakes_is_refused_and_says_so(folder: Path, servers: Any, database: str):
    quick = {"LANGYARD_LEASE_TTL_SECONDS": "1", "LANGYARD_LEASE_RENEW_SECONDS": "0.2", "LANGYARD_SWEEP_SECONDS": "0.2"}
    first = servers(**quick)
    (folder / "gate-one").touch()
    sdk: Any = get_client(url=first.address)
    thread = (await sdk.threads.create())["thread_id"]
    run = (await sdk.runs.create(thread, "steps", input={}))["run_id"]
    await asyncio.to_thread(until, lambda: names(folder) == ["one", "two"])
    second = servers(**quick)
    first.process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(until, lambda: names(folder)[-1:] == ["two"] and len(names(folder)) >= 3)
        (folder / "gate-two").touch()
        await asyncio.to_thread(until, lambda: row(database, run)["status"] == "success")
        stands = row(database, run)
    finally:
        first.process.send_signal(signal.SIGCONT)
    said = await asyncio.to_thread(first.wait_for, "the lease is lost: another worker has taken the run over")
    assert said["run_id"] == run
    assert row(database, run) == stands
    other: Any = get_client(url=second.address)
    assert (await other.threads.get_state(thread))["values"]["visited"] == ["one", "two"]
    # It works again, under another name, and so does the thread.
    values = await sdk.runs.wait(thread, "steps", input={})
    assert values["visited"] == ["one", "two"] * 2


@pytest.mark.slow
async def test_killed_between_an_effect_and_its_checkpoint_it_is_not_done_again(
    folder: Path, servers: Any, database: str
):
    quick = {"LANGYARD_LEASE_TTL_SECONDS": "1", "LANGYARD_LEASE_RENEW_SECONDS": "0.2", "LANGYARD_SWEEP_SECONDS": "0.2"}
    gateway, first = servers("--no-worker"), servers(**quick)
    sdk: Any = get_client(url=gateway.address)
    thread = (await sdk.threads.create())["thread_id"]
    run = (await sdk.runs.create(thread, "pays", input={}))["run_id"]
    await asyncio.to_thread(until, lambda: "paid" in names(folder))
    first.kill()
    (folder / "gate-pay").touch()
    servers(**quick)
    await asyncio.to_thread(until, lambda: row(database, run)["status"] == "success")
    assert Counter(names(folder)) == {"charge": 1, "paid": 2}
    assert (await sdk.threads.get_state(thread))["values"] == {"charged": "receipt", "visited": ["pay"]}


@pytest.mark.slow
async def test_a_drain_longer_than_the_lease_keeps_it(folder: Path, servers: Any, database: str):
    """Another worker stands by, and would take the run over if it could."""
    quick = {"LANGYARD_LEASE_TTL_SECONDS": "1", "LANGYARD_LEASE_RENEW_SECONDS": "0.2", "LANGYARD_SWEEP_SECONDS": "0.2"}
    first = servers(**quick)
    (folder / "gate-one").touch()
    sdk: Any = get_client(url=first.address)
    thread = (await sdk.threads.create())["thread_id"]
    run = (await sdk.runs.create(thread, "steps", input={}))["run_id"]
    await asyncio.to_thread(until, lambda: names(folder) == ["one", "two"])
    servers(**quick)
    first.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait_for, "Stopping: 1 runs have 30 s to end. Ctrl-C again stops at once.")
    with psycopg.connect(database, autocommit=True) as connection:
        worker = row(database, run)["worker_id"]
        renewed = "select extract(epoch from renewed_at - %s)::float8 from langyard.workers where worker_id = %s"
        told = connection.execute("select clock_timestamp()").fetchone()
        assert told is not None
        # Renewed for three times its life since it was told to stop.
        until(lambda: (connection.execute(renewed, (told[0], worker)).fetchone() or [0])[0] > 3)
    (folder / "gate-two").touch()
    assert await asyncio.to_thread(first.process.wait, 20) == 0
    ended = row(database, run)
    assert (ended["status"], ended["attempt"], ended["deaths"]) == ("success", 1, 0)
    assert names(folder) == ["one", "two"]
