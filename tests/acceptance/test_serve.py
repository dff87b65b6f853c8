"""`langyard serve` as a person meets it: one command, a real PostgreSQL, sentences for tracebacks, a clean end."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.acceptance.serving import LANGYARD, START_S, Served, environ, postmaster, project

GRAPH = """
import operator
from typing import Annotated, TypedDict
from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    text: str
    seen: Annotated[list[str], operator.add]

def note(state: State) -> State:
    return {"seen": [state["text"]]}

def fail(state: State) -> State:
    raise ValueError("line one\\nline two")

echo = StateGraph(State).add_node(note).set_entry_point("note")
failing = StateGraph(State).add_node(fail).set_entry_point("fail")
"""
BROKEN = "import operator\n\nimport no_such_package\n"
EXECUTE = {"workflow_type": "echo", "input_data": {"text": "open sesame"}, "user_id": "ada", "session_id": "s"}


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "broken.py").write_text(BROKEN)
    return project(tmp_path, GRAPH, echo="./agent.py:echo", failing="./agent.py:failing", broken="./broken.py:graph")


def langyard(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [str(LANGYARD), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ(**settings), capture_output=True, text=True, timeout=START_S, check=False
    )


@pytest.mark.slow
def test_from_nothing_to_an_answer_and_back_to_nothing(folder):
    with Served(folder, LANGYARD_LOG_LEVEL="debug") as server:
        said = server.events[-1]
        assert (said["workflows"], said["broken"]) == (["echo", "failing"], ["broken"])
        assert (said["docs"], said["data"]) == (f"{server.address}/docs", str(folder / ".langyard/postgres"))
        why = "workflow broken is broken: broken.py, line 3: ModuleNotFoundError: No module named 'no_such_package'"
        assert any(event["level"] == "error" and event["event"].startswith(why) for event in server.events)

        assert server.http.get("/health").json()["status"] == "healthy"
        assert server.http.get("/docs").status_code == 200
        answer = server.http.post("/workflow/execute", json=EXECUTE)
        assert "server" not in answer.headers
        assert answer.json()["result"]["seen"] == ["open sesame"]
        ids = {"workflow_type": "echo", "run_id": answer.json()["run_id"]}
        assert ids.items() <= server.wait_for("workflow_start").items()
        done = server.wait_for("workflow_complete")
        assert ids.items() <= done.items()
        assert 0 < done["duration"] < 30

        failed = server.http.post("/workflow/execute", json={**EXECUTE, "workflow_type": "failing"})
        assert (failed.status_code, failed.json()["code"]) == (500, "workflow_failed")
        error = server.wait_for("workflow_error")
        assert (error["workflow_type"], error["run_id"]) == ("failing", failed.json()["incident_id"])
        assert error["error"] == "ValueError"
        assert "ValueError: line one\nline two" in error["stack_trace"]
        server.http.close()
        assert server.stop() == 0
        server.wait_for("Stopped.")
    assert "open sesame" not in json.dumps(server.events), "neither inputs nor results belong in a log"
    assert server.unreadable == [], "every line is an event"
    assert not postmaster(folder), "the last user of the database stops it"

    # The same folder again: the session is there, to the command line too, while the server runs.
    with Served(folder) as server:
        again = server.http.post("/workflow/execute", json=EXECUTE).json()
        assert again["result"]["seen"] == ["open sesame"] * 2
        ran = langyard(folder, "run", "echo", "--input", '{"text": "aside"}', "--session", "s", "--user", "ada")
        assert json.loads(ran.stdout)["result"]["seen"] == ["open sesame", "open sesame", "aside"], ran.stderr
        assert "Reaching PostgreSQL in" in ran.stderr, "it runs already"
        assert server.http.get("/health/ready").status_code == 200, "who leaves does not stop the database of others"


@pytest.mark.slow
def test_on_a_terminal_it_is_for_people(folder):
    control, terminal = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while part := os.read(control, 4096):
                shown.extend(part)
                if b"Ctrl-C" in shown:
                    ready.set()
        except OSError:  # the other end is closed
            ready.set()

    ready = threading.Event()
    reading = threading.Thread(target=read)
    reading.start()
    command = [str(LANGYARD), "serve", "--port", "0", "--no-worker"]
    with subprocess.Popen(
        command, cwd=folder, env=environ(), stdin=terminal, stdout=terminal, stderr=terminal
    ) as child:
        os.close(terminal)
        assert ready.wait(START_S)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    reading.join()
    os.close(control)
    text = shown.decode()
    for part in (
        "Setting up PostgreSQL in",
        "Address",
        "http://127.0.0.1:",
        "/docs",
        "echo, failing",
        "see above: broken",
    ):
        assert part in text
    assert '{"' not in text
    assert "Traceback" not in text


def test_a_port_in_use_is_said_before_anything_is_started(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = langyard(folder, "serve", "--port", str(port), LANGYARD_PORT="1")
    assert (done.returncode, done.stdout) == (1, "")
    sentence = f"langyard: Port {port} on 127.0.0.1 is in use by another program."
    assert done.stderr.startswith(sentence)
    assert not (folder / ".langyard").exists()


@pytest.mark.slow
def test_strict_refuses_a_broken_workflow(folder):
    done = langyard(folder, "serve", "--strict", "--port", "0")
    assert done.returncode == 1
    assert "langyard: Not every graph can be loaded:\n- workflow broken: broken.py, line 3:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not postmaster(folder)


def test_a_database_that_is_away_is_a_sentence(folder):
    away = "postgresql://me:secret@127.0.0.1:1/nowhere"
    done = langyard(folder, "serve", "--port", "0", DATABASE_URL=away, LANGYARD_LOG_FORMAT="text")
    assert done.returncode == 1
    assert "langyard: The database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_without_a_worker_runs_wait_and_nobody_waits_for_who_has_left(folder, database):
    with Served(folder, "--no-worker", DATABASE_URL=database) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.address}/workflow/execute", json=EXECUTE, timeout=1)
        assert server.status("s")["run"]["status"] == "pending"
        server.http.close()
        assert server.stop(timeout_s=10) == 0
    with Served(folder, DATABASE_URL=database) as server:
        assert server.wait_until_idle("s")["run"]["status"] == "success"
        assert not (folder / ".langyard").exists()
