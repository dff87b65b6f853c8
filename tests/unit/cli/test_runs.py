"""`langyard runs` on a database whose server is down: what it prints, in words and as JSON, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.serving import LANGYARD, environ

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def langyard(tmp_path: Path, database: str) -> Command:
    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LANGYARD, "runs", *args], cwd=tmp_path, env=environ(DATABASE_URL=database), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    return call


@pytest.fixture
def run_id(database: str) -> str:
    """A run in quarantine, as a row."""
    thread, run = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("insert into langyard.threads (thread_id, status) values (%s, 'error')", (thread,))
        connection.execute(
            "insert into langyard.runs (run_id, thread_id, graph_id, status, kwargs, error, deaths, quarantined_at, "
            "finished_at) values (%s, %s, 'größe', 'error', '{}', %s, 3, now(), now())",
            (run, thread, json.dumps({"error": "WorkerLost", "message": "3 times"})),
        )
    return str(run)


def test_it_lists_shows_and_drives_again(langyard: Command, run_id: str):
    listed = langyard("list", "--quarantined")
    assert listed.returncode == 0, listed.stderr
    assert run_id in listed.stdout
    assert "größe" in listed.stdout
    assert "WorkerLost: 3 times" in listed.stdout
    assert [row["run_id"] for row in json.loads(langyard("list", "--status", "error", "--json").stdout)] == [run_id]
    assert langyard("list", "--older-than", "2h").stdout == "There are no such runs.\n"
    assert "deaths" in langyard("show", run_id).stdout
    again = langyard("retry", run_id)
    assert again.returncode == 0, again.stderr
    assert json.loads(langyard("show", again.stdout.strip(), "--json").stdout)["status"] == "pending"
    assert langyard("cancel", again.stdout.strip()).stdout == "It has ended.\n"
    assert langyard("repair").stdout == "Nothing is wrong.\n"


def test_what_cannot_be_is_said(langyard: Command, run_id: str):
    cancelled = langyard("cancel", run_id)
    assert cancelled.returncode == 1
    assert cancelled.stderr.endswith(f"langyard: Run {run_id} is not under way: it is error.\n")
    assert "no id" in langyard("show", "nonsense").stderr
    assert "accepted: a whole number with s, m, h or d" in langyard("list", "--older-than", "soon").stderr
    assert langyard("show").returncode == 2
    assert langyard("explode").returncode == 2
