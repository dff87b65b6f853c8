"""A look at the sides that need no installation, as `--quick` takes it, on the real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import arguments, run
from benchmarks.database import Database
from benchmarks.figures import figures
from benchmarks.report import markdown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[3]


async def test_the_sides_are_measured_and_their_costs_counted():
    options = arguments(["--quick", "--sides", "bare,bare-postgres,naive", "--graphs", "echo", "--concurrency", "2"])
    with Database() as database:
        results = await run(options, database)
    assert not results.absent
    cells = {side: figures(rounds) for (side, *_), rounds in results.rounds.items()}
    assert set(cells) == {"bare", "bare-postgres", "naive"}
    for own in cells.values():
        assert own["failed"] is None
        assert own["runs/s"]
        assert own["CPU ms"]
    # What the official saver asks for a graph of one node, counted by PostgreSQL.
    assert cells["bare-postgres"]["transactions"] == pytest.approx(6, abs=0.3)
    assert cells["naive"]["transactions"] == pytest.approx(6, abs=0.3)
    assert cells["bare"]["transactions"] is None
    assert "### echo, concurrency 2" in markdown(results)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def commands(pids: list[int]) -> list[str]:
    return [path.read_text() for pid in pids if (path := Path(f"/proc/{pid}/cmdline")).exists()]


def test_a_time_limit_from_outside_leaves_nothing_running(tmp_path):
    program = (
        "import pathlib, sys\nfrom benchmarks import __main__, scratch\n"
        f"scratch.FOLDER = pathlib.Path({str(tmp_path)!r})\n__main__.main()\n"
    )
    command = [sys.executable, "-c", program, "--sides", "naive", "--graphs", "echo", "--seconds", "60"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not any("uvicorn" in line for line in commands(children(process.pid))):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        started = children(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
    assert any("postgres" in line for line in commands(started)) is False
    assert [line for line in commands(started) if "uvicorn" in line] == []
