"""`langyard serve --processes`: one port, one database, several processes of which any may die."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.serving import LANGYARD, QUICK, START_S, Served, environ, postmaster, project, until

GRAPH = """
import asyncio, multiprocessing, os, signal
from pathlib import Path
from typing import TypedDict
from langgraph.graph import StateGraph

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    text: str
    pid: int

def who(state: State) -> State:
    return {"pid": os.getpid()}

async def held(state: State) -> State:
    with (HERE / "held").open("a") as told:
        told.write(f"{os.getpid()}\\n")
    while not (HERE / "open").exists():
        await asyncio.sleep(0.02)
    return {"pid": os.getpid()}

def fork(state: State) -> State:
    left = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    left.start()
    return {"pid": os.getpid(), "text": str(left.pid)}

forks = StateGraph(State).add_node(fork).set_entry_point("fork")
echo = StateGraph(State).add_node(who).set_entry_point("who")
gate = StateGraph(State).add_node(held).set_entry_point("held")
"""
COUNT = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return project(tmp_path, GRAPH, echo="./agent.py:echo", gate="./agent.py:gate", forks="./agent.py:forks")


def execute(server: Served, workflow: str = "echo") -> httpx.Response:
    """On a connection of its own, so that any process may take it."""
    body = {"workflow_type": workflow, "input_data": {}, "user_id": "ada"}
    return httpx.post(f"{server.address}/workflow/execute", json=body, timeout=60)


def children(server: Served) -> set[int]:
    """The processes that answer."""
    found = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return {int(pid) for pid in found if b"--child" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what its parent has yet to hear of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def server(folder: Path) -> Iterator[Served]:
    with Served(folder, "--processes", str(COUNT), **QUICK) as server:
        yield server


def wait_for_pids(folder: Path, count: int) -> list[int]:
    told = folder / "held"
    until(lambda: told.exists() and len(told.read_text().splitlines()) >= count)
    return [int(line) for line in told.read_text().splitlines()]


@pytest.mark.slow
def test_one_port_is_answered_by_all_and_they_stop_together(folder: Path, server: Served):
    serving = children(server)
    assert len(serving) == COUNT
    assert server.events[-1]["processes"] == COUNT
    assert [event["event"] for event in server.events].count("serving") == 1
    seen: set[int] = set()

    def all_seen() -> bool:
        seen.add(execute(server).json()["result"]["pid"])
        return seen == serving

    until(all_seen)
    held = server.ask("/workflow/execute", {"workflow_type": "gate", "input_data": {}, "user_id": "ada"})
    wait_for_pids(folder, 1)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: any(gone(pid) for pid in serving))  # the idle one has left, the other lets its run end
    (folder / "open").touch()
    assert held.result(30).json()["status"] == "success"
    assert server.process.wait(30) == 0
    assert all(gone(pid) for pid in serving)
    assert postmaster(folder) == 0


@pytest.mark.slow
def test_connections_that_stay_are_shared_evenly(server: Served):
    body = {"workflow_type": "echo", "input_data": {}, "user_id": "ada"}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=server.address, timeout=60)) for _ in range(16)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda client: client.post("/workflow/execute", json=body).json(), clients))
        seen = Counter(answer["result"]["pid"] for answer in answers)
        assert sorted(seen.values()) in ([8, 8], [7, 9]), seen  # one that has left may still be counted


@pytest.mark.slow
def test_a_connection_is_kept_for_longer_than_a_moment(server: Served):
    """Whoever reuses one after five seconds must not meet a closed one: a POST is not sent again by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", httpx.URL(server.address).port, timeout=60)
    for pause in (6, 0):
        connection.request("GET", "/health")
        assert connection.getresponse().read()
        kept = connection.sock
        time.sleep(pause)
    assert connection.sock is kept
    connection.close()


def counted(server: Served) -> set[tuple[float, float]]:
    """Runs that ended and slots, as each process says: connections held at once are shared among all of them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=server.address, timeout=60)) for _ in range(4 * COUNT)]
        return {_counted(client.get("/metrics").text) for client in clients}


def _counted(metrics: str) -> tuple[float, float]:
    told = {
        sample.name: sample.value for family in text_string_to_metric_families(metrics) for sample in family.samples
    }
    return told.get("langgraph_runs_total", 0), told["langgraph_worker_slots"]


@pytest.mark.slow
def test_any_of_them_tells_what_all_have_counted(folder: Path, server: Served):
    seen = {execute(server).json()["result"]["pid"] for _ in range(20)}
    until(lambda: {runs for runs, _ in counted(server)} == {20})  # each has told the other
    [slots] = {slots for _, slots in counted(server)}
    assert seen == children(server)
    os.kill(min(seen), signal.SIGKILL)
    for _ in range(10):
        assert {runs for runs, _ in counted(server)} == {20}
    until(lambda: len(children(server) - seen) == 1 and counted(server) == {(20, slots)})


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_its_run_goes_on(folder: Path, database: str):
    with Served(folder, "--processes", str(COUNT), DATABASE_URL=database, **QUICK) as server:
        _kill_one(folder, server)


def _kill_one(folder: Path, server: Served) -> None:
    before = children(server)
    made = httpx.post(f"{server.address}/threads", json={}).json()
    run: dict[str, Any] = httpx.post(
        f"{server.address}/threads/{made['thread_id']}/runs", json={"assistant_id": "gate", "input": {"text": "x"}}
    ).json()
    [first] = wait_for_pids(folder, 1)
    os.kill(first, signal.SIGKILL)
    for _ in range(40):
        assert execute(server).status_code == 200
    told = server.wait_for("a process has ended and is replaced")
    assert (told["pid"], told["exit_code"]) == (first, -signal.SIGKILL)
    until(lambda: len(children(server)) == COUNT)
    assert first not in children(server)
    assert len(children(server) - before) == 1
    second = wait_for_pids(folder, 2)[1]
    assert second != first
    (folder / "open").touch()
    path = f"{server.address}/threads/{made['thread_id']}/runs/{run['run_id']}"
    assert httpx.get(f"{path}/join", timeout=60).json()["pid"] == second
    assert httpx.get(path).json()["status"] == "success"


@pytest.mark.slow
def test_one_that_dies_is_replaced_also_when_what_its_nodes_forked_lives_on(server: Served):
    found = execute(server, "forks").json()["result"]
    left = int(found["text"])
    try:
        os.kill(found["pid"], signal.SIGKILL)
        assert server.wait_for("a process has ended and is replaced")["pid"] == found["pid"]
        assert not gone(left)
        until(lambda: len(children(server) - {found["pid"]}) == COUNT)
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.slow
def test_those_that_serve_go_on_when_no_other_can_be_started(server: Served):
    first, second = children(server)
    most = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, most[1]))
    os.kill(first, signal.SIGKILL)
    server.wait_for("no process can be started in place of one that has ended")
    assert execute(server).json()["result"]["pid"] == second
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, most)
    until(lambda: len(children(server) - {first}) == COUNT)
    assert second in children(server)


@pytest.mark.slow
def test_one_that_hangs_does_not_keep_the_others_from_ending(folder: Path):
    with Served(folder, "--processes", str(COUNT), LANGYARD_DRAIN_GRACE_SECONDS="0", **QUICK) as server:
        first, second = children(server)
        os.kill(first, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: gone(second))
        assert server.wait_for("processes that do not end are killed")["pids"] == [first]
        assert server.process.wait(30) == 0
        assert gone(first)


def refused(host: str, port: int) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, COUNT])
def test_a_request_over_a_connection_made_before_the_end_is_answered(folder: Path, count: int):
    with Served(folder, "--processes", str(count), **QUICK) as server:
        at = httpx.URL(server.address)
        assert at.port is not None
        with socket.create_connection((at.host, at.port), timeout=30) as connection:
            assert execute(server).status_code == 200  # who came later has been taken, so this one has
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(at.host, at.port or 0))
            connection.sendall(b"GET /ok HTTP/1.1\r\nHost: here\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(30) == 0
    assert not server.unreadable


@pytest.mark.slow
def test_processes_whose_parent_is_killed_end_by_themselves(folder: Path):
    with Served(folder, "--processes", str(COUNT)) as server:
        serving = children(server)
        server.process.kill()
        server.process.wait(10)
        until(lambda: all(gone(pid) for pid in serving))
    # What the parent had started of PostgreSQL is taken up by the next, and stopped with it.
    with Served(folder) as server:
        assert execute(server).status_code == 200
    assert postmaster(folder) == 0


@pytest.mark.slow
def test_a_start_that_fails_is_said_once_and_leaves_nothing(folder: Path):
    (folder / "agent.py").write_text("import no_such_package\n")
    command = [str(LANGYARD), "serve", "--port", "0", "--processes", "2", "--strict", "--log-format", "text"]
    ended = subprocess.run(
        command, cwd=folder, env=environ(), capture_output=True, text=True, timeout=START_S, check=False
    )
    assert ended.returncode == 1
    assert "no_such_package" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("langyard: A process ended while it started")
    assert postmaster(folder) == 0
