"""`serve --processes`: starts processes that share one port, replaces those that die, and stops them all. For `serve`.

The listening sockets are made once and inherited, not opened by each process with SO_REUSEPORT: connections wait in one
queue from which whoever has time and not more than others takes them (`doors`), so that none is lost with a process
that is killed or hangs. Each child is a fresh interpreter: nothing of a parent's threads or connections is in it.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from langyard.cli.supervised.child import argument
from langyard.cli.supervised.doors import Tally, tally_file
from langyard.model.errors import Unavailable

log = logging.getLogger(__name__)

_RESTART_S, _RESTART_MOST_S = 0.1, 10.0
# A process that served this long has not failed at its start: the next one need not wait.
_SETTLED_S = 30.0
_OWN_LINE = 65536


@dataclass(slots=True)
class _Place:
    """One of the N places: its process if there is one, when to start the next, and how long to wait after that."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    line: socket.socket | None = None
    said: bytes = b""
    ready: bool = False
    began: float = 0.0
    due: float = 0.0
    pause_s: float = _RESTART_S


class Processes:
    """Made for one `run`. `announce` gets what the first process says of itself once all serve."""

    def __init__(
        self,
        count: int,
        sockets: list[socket.socket],
        *,
        announce: Callable[[dict[str, Any]], None],
        say: Callable[[str], None],
    ) -> None:
        self._sockets = sockets
        self._announce = announce
        self._say = say
        self._places = [_Place(number) for number in range(count)]
        # One to count connections in, and one a place for what is counted there.
        self._files = [tally_file(count), *(tempfile.TemporaryFile() for _ in range(count))]  # noqa: SIM115 - in `run`
        self._tally = Tally(self._files[0].fileno())
        self._announced = False
        self._stopping = False
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Supervise until told to stop and all have ended. Raises `Unavailable` when they cannot be started at all."""
        heard, wakes = socket.socketpair()
        wakes.setblocking(False)
        heard.setblocking(False)
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.set_wakeup_fd(wakes.fileno())
        self._selector.register(heard, selectors.EVENT_READ)
        try:
            self._supervise(heard)
        finally:
            self._kill()
            signal.set_wakeup_fd(-1)
            for number, previous in before.items():
                signal.signal(number, previous)
            self._selector.close()
            for each in self._files:
                each.close()
            heard.close()
            wakes.close()
        self._say("Stopped.")

    def _supervise(self, heard: socket.socket) -> None:
        while not self._stopping or any(place.process for place in self._places):
            now = time.monotonic()
            for place in self._places:
                if place.process is None and place.due <= now and not self._stopping:
                    self._start(place)
            pending = [place.due - now for place in self._places if place.process is None and not self._stopping]
            for key, _ in self._selector.select(max(0.0, min(pending)) if pending else None):
                if key.fileobj is heard:
                    heard.recv(4096)
                    while self._signals:
                        self._asked(self._signals.pop(0))
                elif key.data.line is not None:
                    self._hear(key.data)

    def _start(self, place: _Place) -> None:
        ours, theirs = socket.socketpair()
        tally, *counted = (each.fileno() for each in self._files)
        child = argument(place.number, tally, counted, theirs, self._sockets)
        with theirs:
            place.process = subprocess.Popen(
                [sys.executable, "-m", "langyard", *sys.argv[1:], "--child", child],
                pass_fds=[tally, *counted, theirs.fileno(), *(each.fileno() for each in self._sockets)],
                # A terminal's Ctrl-C is for the parent, which passes it on: twice would mean at once.
                start_new_session=True,
            )
        ours.setblocking(False)
        place.line, place.said, place.ready, place.began = ours, b"", False, time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, place)

    def _hear(self, place: _Place) -> None:
        assert place.line is not None
        try:
            said = place.line.recv(_OWN_LINE)
        except ConnectionResetError:
            said = b""
        if not said:
            self._ended(place)
            return
        place.said += said
        if not place.ready and place.said.endswith(b"\n"):
            place.ready = True
            if not self._announced and all(other.ready for other in self._places):
                self._announced = True
                self._announce(json.loads(self._places[0].said))

    def _ended(self, place: _Place) -> None:
        """The line is closed: the process is dead or about to be."""
        assert place.line is not None
        assert place.process is not None
        self._selector.unregister(place.line)
        place.line.close()
        self._tally.write(None, place.number)
        code = place.process.wait()
        pid, place.process, place.line = place.process.pid, None, None
        if self._stopping:
            return
        if not self._announced:
            raise Unavailable("A process ended while it started; what it said stands above.", code="process_ended")
        if time.monotonic() - place.began > _SETTLED_S:
            place.pause_s = _RESTART_S
        place.due = time.monotonic() + place.pause_s
        log.warning(
            "a process has ended and is replaced",
            extra={"pid": pid, "exit_code": code, "place": place.number, "after_s": place.pause_s},
        )
        place.pause_s = min(place.pause_s * 2, _RESTART_MOST_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)  # acted upon in the loop, which is woken by it

    def _asked(self, number: int) -> None:
        """The first signal asks, the second Ctrl-C insists."""
        if self._stopping:
            if number == signal.SIGINT:
                os.write(2, b"Stopped at once; what was running goes on from its last checkpoint at the next start.\n")
                raise SystemExit(130)
            return
        self._stopping = True
        # Closed here, the port goes with the last child: who connects then is refused instead of kept waiting.
        for each in self._sockets:
            each.close()
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        for place in self._places:
            if place.process is not None and place.process.poll() is None:
                place.process.kill()
                place.process.wait()
