"""A run that kills its workers is found out, and takes none of those along that only shared a process with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.serving import QUICK, Served, database, postmaster, project, until

# The killer waits until all it can meet are there, so that as many as possible die with it.
GRAPH = """
import asyncio, os, signal
from pathlib import Path
from typing import TypedDict
from langgraph.graph import StateGraph

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    name: str

def say(line):
    with (HERE / "trace").open("a") as file:
        file.write(line + "\\n")

async def innocent(state: State) -> State:
    say(f"{os.getpid()} {state['name']}")
    while not (HERE / "gate").exists():
        await asyncio.sleep(0.01)
    return {}

async def killer(state: State) -> State:
    say(f"{os.getpid()} killer")
    for _ in range(100):
        met = [line for line in (HERE / "trace").read_text().splitlines() if line.startswith(f"{os.getpid()} ")]
        if len(met) == 4:
            break
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

innocent = StateGraph(State).add_node(innocent).set_entry_point("innocent")
killer = StateGraph(State).add_node(killer).set_entry_point("killer")
"""


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o755)
    yield project(tmp_path, GRAPH, innocent="./agent.py:innocent", killer="./agent.py:killer")
    if pid := postmaster(tmp_path):
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not postmaster(tmp_path))


def ends(folder: Path) -> dict[str, tuple[str, int]]:
    with database(folder) as connection:
        found = connection.execute("select metadata ->> 'name', status, deaths from langyard.runs").fetchall()
    return {name: (status, deaths) for name, status, deaths in found}


@pytest.mark.slow
@pytest.mark.parametrize("order", [["killer", "a", "b", "c"], ["a", "killer", "b", "c"]])
def test_only_the_killer_goes_into_quarantine(folder: Path, order: list[str]):
    with Served(folder, **QUICK) as server:
        for name in order:
            graph = "killer" if name == "killer" else "innocent"
            made = server.http.post("/threads", json={}).json()
            body: dict[str, Any] = {"assistant_id": graph, "input": {"name": name}, "metadata": {"name": name}}
            # The one that kills begins last, so that all are there when it does.
            body |= {"after_seconds": 1} if name == "killer" else {}
            assert server.http.post(f"/threads/{made['thread_id']}/runs", json=body).status_code == 200
        server.process.wait(30)
    for _ in range(2):
        with Served(folder, **QUICK) as server:
            server.process.wait(60)
    with Served(folder, **QUICK) as server:
        until(lambda: ends(folder)["killer"] == ("error", 3))
        (folder / "gate").touch()
        until(lambda: {ends(folder)[name][0] for name in "abc"} == {"success"})
        assert all(deaths <= 2 for name, (_, deaths) in ends(folder).items() if name != "killer")
        assert server.stop() == 0
