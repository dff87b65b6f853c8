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

from langyard.cli.doors import Tally


@dataclass(frozen=True, slots=True)
class Child:
    """What a started process got from its parent."""

    sockets: list[socket.socket]
    line: socket.socket
    tally: Tally

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


def argument(sockets: list[socket.socket], line: socket.socket, tally: int, place: int) -> str:
    """How the numbers of all these are handed over."""
    return ",".join(str(number) for number in [place, tally, line.fileno(), *(each.fileno() for each in sockets)])


def adopt(text: str) -> Child:
    """Take them over; what this process starts does not get them."""
    place, tally, *rest = (int(number) for number in text.split(","))
    line, *sockets = (socket.socket(fileno=number) for number in rest)
    for each in (line, *sockets):
        each.set_inheritable(False)
    counted = Tally(tally, place)
    os.close(tally)
    return Child(sockets, line, counted)
