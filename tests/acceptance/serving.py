"""A real `langyard serve` as a child process, and the ways to end it. For the acceptance tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg

LANGYARD = Path(sys.executable).with_name("langyard")
QUICK = {"LANGYARD_LEASE_TTL_SECONDS": "1", "LANGYARD_LEASE_RENEW_SECONDS": "0.2", "LANGYARD_POLL_SECONDS": "0.2"}
START_S = 60.0


def environ(**settings: str) -> dict[str, str]:
    """This environment without anybody's settings, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANGYARD_", "LANGGRAPH_"))}
    for name in ("DATABASE_URL", "DATABASE_URI", "POSTGRES_URI", "REDIS_URL", "REDIS_URI", "LOG_LEVEL", "LOG_JSON"):
        kept.pop(name, None)
    return {**kept, **settings}


def project(folder: Path, source: str, **graphs: str) -> Path:
    """A project of one file, `agent.py`."""
    (folder / "agent.py").write_text(source, "utf-8")
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}), "utf-8")
    return folder


def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """What `condition` says as soon as it is true of anything. For what no event tells: files, rows, processes."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)
    return found


class Served:
    """`langyard serve` in `folder` on a free port, up when this returns. Its log is kept as events."""

    command: tuple[str, ...] = ("serve", "--port", "0")
    up = "serving"
    where = "address"

    def __init__(self, folder: Path, *args: str, **settings: str) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.unreadable: list[bytes] = []
        self._new: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.process = subprocess.Popen(
            [LANGYARD, *self.command, *args],
            cwd=folder,
            env=environ(LANGYARD_LOG_FORMAT="json", **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        try:
            self.address = self.wait_for(self.up, START_S)[self.where]
        except BaseException:
            self.kill()
            raise
        self.http = httpx.Client(base_url=self.address, timeout=60)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self._new.put(json.loads(line))
            except ValueError:
                self.unreadable.append(line)
        self._new.put(None)

    def wait_for(self, event: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """The next such event of the log."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            assert found is not None, f"it ended: {self.events[-5:]} {self.unreadable[-20:]}"
            self.events.append(found)
            if found["event"] == event:
                return found

    def ask(self, path: str, body: dict[str, Any]) -> Future[httpx.Response]:
        """Ask without waiting: the answer may never come."""
        return self._asked("POST", path, json=body)

    def ask_for(self, path: str) -> Future[httpx.Response]:
        """Read without waiting."""
        return self._asked("GET", path)

    def _asked(self, method: str, path: str, **more: Any) -> Future[httpx.Response]:
        asked: Future[httpx.Response] = Future()

        def post() -> None:
            try:
                asked.set_result(httpx.request(method, f"{self.address}{path}", timeout=60, **more))
            except httpx.HTTPError as error:
                asked.set_exception(error)

        threading.Thread(target=post, daemon=True).start()
        return asked

    def status(self, session_id: str, user_id: str = "ada") -> dict[str, Any]:
        """What the server says of a session."""
        answer = self.http.get(f"/workflow/{session_id}/status", params={"user_id": user_id})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait_until_idle(self, session_id: str) -> dict[str, Any]:
        """The session's status once nothing runs in it and something has."""

        def ended() -> dict[str, Any] | None:
            found = self.status(session_id)
            return found if found["status"] != "busy" and found["run"] and found["run"]["finished_at"] else None

        found: dict[str, Any] = until(ended)
        return found

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """As a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        assert self.process.stderr is not None
        self._reading.join(10)
        self.process.stderr.close()


class Working(Served):
    """`langyard worker` in `folder`, its health on a free port; up when this returns."""

    command = ("worker", "--health-port", "0")
    up = "working"
    where = "health"


def postmaster(folder: Path) -> int:
    """The process of the folder's PostgreSQL, 0 when there is none."""
    try:
        return int((folder / ".langyard/postgres/data/postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError):
        return 0


def kill_postgres(folder: Path) -> None:
    """Every process of the folder's PostgreSQL at once, as when the machine loses power."""
    first = postmaster(folder)
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    for process in (first, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@contextlib.contextmanager
def database(folder: Path) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the folder's PostgreSQL that does not count among its users."""
    kept = folder / ".langyard/postgres"
    password, port = (kept / "password").read_text().strip(), (kept / "port").read_text().strip()
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/langyard"
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
