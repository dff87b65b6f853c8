"""A process that a supervisor started: the sockets it shares, the line to its parent. For `serve` and `processes`.

The line is a pair of connected sockets. The child says one line of JSON on it when it serves, and either side learns of
the other's death, however it died, because the kernel closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langyard.cli.supervised.doors import Tally
from langyard.telemetry.siblings import Siblings


@dataclass(frozen=True, slots=True)
class Child:
    """What a started process got from its parent."""

    sockets: list[socket.socket]
    line: socket.socket
    tally: Tally
    siblings: Siblings

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


def argument(place: int, tally: int, counted: list[int], line: socket.socket, sockets: list[socket.socket]) -> str:
    """How the number of its place and those of all descriptors are handed over."""
    return json.dumps([place, tally, counted, line.fileno(), [each.fileno() for each in sockets]])


def adopt(text: str) -> Child:
    """Take them over; what this process starts does not get them."""
    place, tally, counted, line, sockets = json.loads(text)
    for each in (tally, *counted, line, *sockets):
        os.set_inheritable(each, False)
    mapped = Tally(tally, place)
    return Child(
        [socket.socket(fileno=each) for each in sockets],
        socket.socket(fileno=line),
        mapped,
        Siblings(counted, place, mapped.takes),
    )
