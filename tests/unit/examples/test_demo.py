"""Runs `make demo`'s script as a user does, to its end and interrupted, and sees that nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def begin(tmp_path):
    """Starts the demo, its temporary folders below `tmp_path`; whatever a failing test leaves is killed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environ |= {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "scripts" / "demo.py"), *arguments]
        started.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.communicate()
    for pid in left(tmp_path):
        os.kill(pid, signal.SIGKILL)


def left(folder: Path) -> list[int]:
    """Processes that were started with the folder in their command line or environment."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if str(folder) in line]


@pytest.mark.slow
def test_it_shows_four_acts_and_stops_everything(begin, tmp_path):
    demo = begin()
    said, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, said
    for agent in ("research", "analysis", "summary", "report"):
        assert re.search(rf"^   {agent} +\S", said, re.MULTILINE), agent
    order = ["ready after", "“The incident lasted 47 minutes", "Question 2 of this session", '"status": "idle"']
    order += [
        "interrupted after",
        "**How often restore drills are held:**",
        "Approved by a reader after 1 revision",
        "Done",
    ]
    places = [said.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert not left(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "sign"), [("langyard serve", signal.SIGINT), ("follows 4 lines", signal.SIGTERM)])
def test_interrupted_it_leaves_nothing(begin, tmp_path, moment, sign):
    demo = begin()
    for line in demo.stdout:
        if moment in line:
            break
    demo.send_signal(sign)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    assert "Interrupted; everything that was started has been stopped." in said
    assert not left(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_fails_is_told_with_the_servers_log(begin, tmp_path):
    demo = begin("--question", "?!")
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "The end of the server's log:" in said
    assert "The question has no word that could be searched for." in said
    assert "The demo failed. The workflow 'research' failed." in said
    assert not left(tmp_path)
