"""`serve --processes`: starts processes that share one port, replaces those that die, and stops them all. For `serve`.

The listening sockets are made once and inherited, not opened by each process with SO_REUSEPORT: connections wait in one
queue from which whoever has time and not more than others takes them (`doors`), so that none is lost with a process
that is killed or hangs. Each child is a fresh interpreter: nothing of a parent's threads or connections is in it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from langyard.cli.supervised.child import argument
from langyard.cli.supervised.doors import Tally, tally_file, unnamed_file
from langyard.model.errors import Unavailable

log = logging.getLogger(__name__)

_RESTART_S, _RESTART_MOST_S = 0.1, 10.0
# A process that served this long has not failed at its start: the next one need not wait.
_SETTLED_S = 30.0
_OWN_LINE = 65536
# What a process may take to end besides the time it gives its runs and its readers.
_ENDING_S = 8.0


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
    """Made for one `run`. `announce` gets what the first process says of itself once all serve; `drain_s` is how long
    one that is asked to end goes on with what it has."""

    def __init__(
        self,
        count: int,
        sockets: list[socket.socket],
        *,
        drain_s: float,
        announce: Callable[[dict[str, Any]], None],
        say: Callable[[str], None],
    ) -> None:
        self._sockets = sockets
        self._patience_s = drain_s + _ENDING_S
        self._announce = announce
        self._say = say
        self._places = [_Place(number) for number in range(count)]
        # One to count connections in, and one a place for what is counted there.
        self._files = [tally_file(count), *(unnamed_file() for _ in range(count))]
        self._tally = Tally(self._files[0].fileno())
        self._announced = False
        self._stopping = False
        self._give_up_at = math.inf
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Supervise until told to stop and all have ended. Raises `Unavailable` when they cannot be started at all."""
        heard, wakes = socket.socketpair()
        wakes.setblocking(False)
        heard.setblocking(False)
        heeded = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
        before = {number: signal.signal(number, self._note) for number in heeded}
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
            if now >= self._give_up_at:
                self._give_up()
            due = self._give_up_at
            if not self._stopping:
                due = min((place.due for place in self._places if place.process is None), default=due)
            for key, _ in self._selector.select(max(0.0, due - now) if due < math.inf else None):
                if key.fileobj is heard:
                    heard.recv(4096)
                    while self._signals:
                        self._asked(self._signals.pop(0))
                elif key.data.line is not None:
                    self._hear(key.data)
            # Not told by the line alone: what users' code has forked keeps the dead one's end of it open.
            for place in self._places:
                if place.process is not None and (code := place.process.poll()) is not None:
                    self._ended(place, place.process.pid, code)

    def _start(self, place: _Place) -> None:
        try:
            place.process, ours = self._spawn(place.number)
        except OSError as error:  # no memory, no descriptor, a package just replaced: those that serve go on
            if not self._announced:
                raise Unavailable(f"No process can be started: {error.strerror}.", code="process_ended") from error
            said = {"reason": error.strerror, "place": place.number, "after_s": self._again(place)}
            log.error("no process can be started in place of one that has ended", extra=said)
            return
        ours.setblocking(False)
        place.line, place.said, place.ready, place.began = ours, b"", False, time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, place)

    def _spawn(self, number: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        tally, *counted = (each.fileno() for each in self._files)
        child = argument(number, tally, counted, theirs, self._sockets)
        with theirs:
            try:
                started = subprocess.Popen(
                    [sys.executable, "-m", "langyard", *sys.argv[1:], "--child", child],
                    pass_fds=[tally, *counted, theirs.fileno(), *(each.fileno() for each in self._sockets)],
                    # A terminal's Ctrl-C is for the parent, which passes it on: twice would mean at once.
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        return started, ours

    def _hear(self, place: _Place) -> None:
        assert place.line is not None
        try:
            said = place.line.recv(_OWN_LINE)
        except ConnectionResetError:
            said = b""
        if not said:  # it is dead or about to be
            self._let_go(place)
            return
        place.said += said
        if not place.ready and place.said.endswith(b"\n"):
            place.ready = True
            if not self._announced and all(other.ready for other in self._places):
                self._announced = True
                self._announce(json.loads(self._places[0].said))

    def _let_go(self, place: _Place) -> None:
        """Nothing more is heard of it, and no newcomer left to it."""
        if place.line is not None:
            self._selector.unregister(place.line)
            place.line.close()
            place.line = None
        self._tally.write(None, place.number)

    def _ended(self, place: _Place, pid: int, code: int) -> None:
        self._let_go(place)
        place.process = None
        if self._stopping:
            return
        if not self._announced:
            raise Unavailable("A process ended while it started; what it said stands above.", code="process_ended")
        if time.monotonic() - place.began > _SETTLED_S:
            place.pause_s = _RESTART_S
        after_s = self._again(place)
        log.warning(
            "a process has ended and is replaced",
            extra={"pid": pid, "exit_code": code, "place": place.number, "after_s": after_s},
        )

    def _again(self, place: _Place) -> float:
        """When to start the next; in how many seconds."""
        after_s = place.pause_s
        place.due = time.monotonic() + after_s
        place.pause_s = min(after_s * 2, _RESTART_MOST_S)
        return after_s

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)  # acted upon in the loop, which is woken by it

    def _asked(self, number: int) -> None:
        """The first signal asks, the second Ctrl-C insists; that a process has ended is looked at by who calls."""
        if number == signal.SIGCHLD:
            return
        if self._stopping:
            if number == signal.SIGINT:
                os.write(2, b"Stopped at once; what was running goes on from its last checkpoint at the next start.\n")
                raise SystemExit(130)
            return
        self._stopping = True
        self._give_up_at = time.monotonic() + self._patience_s
        # Closed here, the port goes with the last child: who connects then is refused instead of kept waiting.
        for each in self._sockets:
            each.close()
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(signal.SIGTERM)

    def _give_up(self) -> None:
        """Who has not ended by now hangs; what it has goes on from its last checkpoint elsewhere."""
        self._give_up_at = math.inf
        hanging = [place.process.pid for place in self._places if place.process is not None]
        log.error("processes that do not end are killed", extra={"pids": hanging})
        self._kill()

    def _kill(self) -> None:
        for place in self._places:
            if place.process is not None and place.process.poll() is None:
                place.process.kill()
                place.process.wait()
