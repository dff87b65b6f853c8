"""Crashes, stalls and stops of a real server amid real runs: no finished node runs again, and no run is lost."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import Future, wait
from pathlib import Path

import httpx
import pytest

from tests.acceptance.serving import QUICK, Served, database, kill_postgres, postmaster, project, until

# Every node says in a file that it runs, and goes on when its gate is open.
GRAPH = """
import asyncio, operator, os, time
from pathlib import Path
from typing import Annotated, TypedDict
from langgraph.graph import StateGraph

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    visited: Annotated[list[str], operator.add]

def say(name):
    with (HERE / "trace").open("a") as file:
        file.write(name + "\\n")
        file.flush()
        os.fsync(file.fileno())

def step(name):
    async def node(state: State) -> State:
        say(name)
        while not (HERE / f"gate-{name}").exists():
            await asyncio.sleep(0.01)
        return {"visited": [name]}
    return node

async def block(state: State) -> State:
    say("block")
    time.sleep(float((HERE / "seconds").read_text()))
    return {"visited": ["block"]}

steps = StateGraph(State).add_sequence([(name, step(name)) for name in ("one", "two", "three", "four")])
steps.set_entry_point("one")
stall = StateGraph(State).add_node(block).set_entry_point("block")
"""
EXECUTE = {"workflow_type": "steps", "input_data": {"visited": []}, "user_id": "ada", "session_id": "s"}
STEPS = ["one", "two", "three", "four"]


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o755)
    yield project(tmp_path, GRAPH, steps="./agent.py:steps", stall="./agent.py:stall")
    if pid := postmaster(tmp_path):
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not postmaster(tmp_path))


def trace(folder: Path) -> list[str]:
    path = folder / "trace"
    return path.read_text().splitlines() if path.exists() else []


def open_gates(folder: Path, *names: str) -> None:
    for name in names:
        (folder / f"gate-{name}").touch()


def run_into_the_third(server: Served) -> Future[httpx.Response]:
    """Start the run; return when two nodes are finished and on disk, and the third runs."""
    open_gates(server.folder, "one", "two")
    asked = server.ask("/workflow/execute", EXECUTE)
    until(lambda: trace(server.folder)[-1:] == ["three"])
    with database(server.folder) as connection:
        # Written behind the next node's back: the promise is about what was written when the power went.
        query = "select max((metadata->>'step')::int) from checkpoints"
        until(lambda: (connection.execute(query).fetchone() or [0])[0] == 2)
    return asked


def assert_finished_once(server: Served, *, attempts: int) -> None:
    """The run ends by itself, with every node's work in its state once."""
    ended = server.wait_until_idle("s")
    assert ended["status"] == "idle"
    assert (ended["run"]["status"], ended["run"]["attempt"]) == ("success", attempts)
    ran = Counter(trace(server.folder))
    assert (ran["one"], ran["two"], ran["four"]) == (1, 1, 1)
    assert ran["three"] <= 2
    again = server.http.post("/workflow/execute", json=EXECUTE).json()
    assert again["result"]["visited"] == STEPS * 2


@pytest.mark.slow
@pytest.mark.parametrize("with_postgres", [False, True], ids=["langyard", "langyard and postgres"])
def test_killed_in_the_middle_a_run_goes_on_from_its_last_checkpoint(folder, with_postgres):
    with Served(folder, **QUICK) as server:
        run_into_the_third(server)
        server.kill()
        if with_postgres:
            kill_postgres(folder)
        open_gates(folder, *STEPS)
    with Served(folder, **QUICK) as server:
        assert_finished_once(server, attempts=2)
        assert server.stop() == 0
    assert not postmaster(folder), "the last user of the database stops it"


@pytest.mark.slow
def test_a_node_that_blocks_stalls_neither_health_nor_its_lease(folder):
    # `BLOCK_SECONDS=45 make test ARGS="-k blocks_stalls"` is the long form, on the lease that is the default.
    seconds = os.environ.get("BLOCK_SECONDS")
    lease = {} if seconds else {"LANGYARD_LEASE_TTL_SECONDS": "2", "LANGYARD_LEASE_RENEW_SECONDS": "0.5"}
    (folder / "seconds").write_text(seconds or "6")
    with Served(folder, **lease) as server:
        asked = server.ask("/workflow/execute", {**EXECUTE, "workflow_type": "stall"})
        until(lambda: trace(folder) == ["block"])
        slowest, answers = 0.0, 0
        while not asked.done():
            began = time.monotonic()
            assert httpx.get(f"{server.address}/health", timeout=5).json()["status"] == "healthy"
            slowest, answers = max(slowest, time.monotonic() - began), answers + 1
            wait([asked], 0.05)
        # While the node blocks for seconds; how many that are is this machine's matter.
        assert answers > 5
        assert slowest < 1.0
        assert asked.result().json()["result"] == {"visited": ["block"]}
        ended = server.status("s")["run"]
        assert (ended["status"], ended["attempt"]) == ("success", 1)
        assert trace(folder) == ["block"]


@pytest.mark.slow
def test_stopped_in_the_middle_a_run_is_handed_back_and_no_attempt_counted(folder):
    with Served(folder, **QUICK, LANGYARD_DRAIN_GRACE_SECONDS="0.3") as server:
        run_into_the_third(server)
        assert server.stop(signal.SIGTERM, timeout_s=15) == 0
    assert not postmaster(folder), "the last user of the database stops it"
    assert trace(folder) == STEPS[:3]
    open_gates(folder, *STEPS)
    with Served(folder, **QUICK) as server:
        assert_finished_once(server, attempts=1)


@pytest.mark.slow
def test_stopped_with_time_enough_a_run_ends_and_is_answered(folder):
    with Served(folder, **QUICK) as server:
        asked = run_into_the_third(server)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Stopping: 1 runs have 30 s to end. Ctrl-C again stops at once.")
        open_gates(folder, *STEPS)
        assert asked.result(20).json()["result"]["visited"] == STEPS
        assert server.process.wait(20) == 0
    with Served(folder, **QUICK) as server:
        assert_finished_once(server, attempts=1)


@pytest.mark.slow
def test_stopped_when_its_clients_have_left_it_speaks_of_no_fault(folder):
    with Served(folder, **QUICK, LANGYARD_DRAIN_GRACE_SECONDS="1") as server:
        with pytest.raises(httpx.ReadTimeout):
            server.http.post("/workflow/execute", json=EXECUTE, timeout=3)
        until(lambda: trace(folder) == ["one"])
        server.http.close()
        assert server.stop(signal.SIGTERM, timeout_s=15) == 0
        server._reading.join(10)
        said = [line for line in iter(server._new.get, None) if line["level"] in ("error", "critical")]
    assert (said, server.unreadable) == ([], [])


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once_and_loses_nothing(folder):
    with Served(folder, **QUICK) as server:
        run_into_the_third(server)
        server.process.send_signal(signal.SIGINT)
        server.wait_for("Stopping: 1 runs have 30 s to end. Ctrl-C again stops at once.")
        assert server.stop(signal.SIGINT, timeout_s=10) == 130
    assert not postmaster(folder), "the last user of the database stops it"
    open_gates(folder, *STEPS)
    with Served(folder, **QUICK) as server:
        assert_finished_once(server, attempts=2)
