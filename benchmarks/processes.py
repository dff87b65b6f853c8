"""Starts the servers that are measured, reads their cost from /proc, stops them by their pid. Called by the sides."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_SECONDS = 90.0
_STOP_SECONDS = 8.0
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Unavailable(Exception):
    """A side cannot be measured here; the text is the reason, in one line."""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name, which may hold anything; None for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _family(pid: int) -> list[list[str]]:
    """The fields of the process and of all its living descendants."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [pid]
    for parent in found:
        found += [child for child, fields in stats.items() if fields and int(fields[1]) == parent]
    return [fields for one in found if (fields := stats.get(one))]


def cpu_ms(pid: int) -> float:
    """CPU that the process and its children, ended ones included, have used; the kernel counts in steps of 10 ms."""
    return sum(int(ticks) for fields in _family(pid) for ticks in fields[11:15]) * _TICK_MS


def rss_bytes(pid: int) -> int:
    """Resident memory of the process and its children."""
    return sum(int(fields[21]) for fields in _family(pid)) * _PAGE_BYTES


class Server:
    """`command --port <a free one>` as a child in a group of its own, its output in a file. `port` names the option."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path | None = None, port: str = "--port"
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = log
        command = [*command, port, str(self.port)]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=True
            )
        self.pid = self._process.pid

    async def listening(self) -> None:
        """Returns once it takes connections; raises Unavailable if it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise Unavailable(f"it ended at start-up with {code}: {self.last_line()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            await asyncio.sleep(0.1)
        raise Unavailable(f"it did not listen within {START_SECONDS:g} s: {self.last_line()}")

    def last_line(self) -> str:
        """What it printed last, for a reason in one line."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it printed nothing"

    def stop(self) -> None:
        """Ends it and every process it started: asks first, then insists."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
