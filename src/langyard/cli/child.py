"""A process that a supervisor started: the sockets it shares, the line to its parent. For `serve` and `processes`.

The line is a pair of connected sockets. The child says one line of JSON on it when it serves, and either side learns of
the other's death, however it died, because the kernel closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Child:
    """What a started process got from its parent."""

    sockets: list[socket.socket]
    line: socket.socket

    def ready(self, facts: dict[str, Any]) -> None:
        """Tell the parent that this process serves."""
        with contextlib.suppress(OSError):  # the parent is gone: `watch` says so
            self.line.sendall(json.dumps(facts).encode() + b"\n")

    def watch(self, orphaned: Callable[[], object]) -> None:
        """Have `orphaned` called, on the running loop, when the parent is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.line)
            orphaned()

        self.line.setblocking(False)
        loop.add_reader(self.line, gone)  # the parent never says anything


def argument(sockets: list[socket.socket], line: socket.socket) -> str:
    """How the numbers of both are handed over."""
    return ",".join(str(each.fileno()) for each in [line, *sockets])


def adopt(text: str) -> Child:
    """Take them over; what this process starts does not get them."""
    line, *sockets = (socket.socket(fileno=int(number)) for number in text.split(","))
    for each in (line, *sockets):
        each.set_inheritable(False)
    return Child(sockets, line)
