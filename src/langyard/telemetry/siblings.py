"""What the processes of one port have counted, so that any of them tells of all. Used by the children of a supervisor.

Each writes to a file of its own that has no name and that all have open. Whoever takes the place of a process that has
died goes on from what that one had counted: a counter does not go back.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from langyard import serde
from langyard.telemetry.metrics import Counted

# Length and checksum of what follows: a reader may meet a writer half way.
_HEAD = struct.Struct("!II")
_TRIES = 5


class Siblings:
    """`files` are the descriptors, one a place, `place` is one's own; `lives` says whether a place has its process."""

    def __init__(self, files: Sequence[int], place: int, lives: Callable[[int], bool]) -> None:
        self._files = files
        self._place = place
        self._lives = lives
        self._written = b""
        self._known: dict[int, Counted] = {}

    def write(self, counted: Counted) -> None:
        """Say how things stand here. Where there is no room for it, the others know what was said before."""
        body = serde.dumps(
            {"counts": _rows(counted.counts), "spreads": _rows(counted.spreads), "gauges": _rows(counted.gauges)}
        )
        if body != self._written:
            with suppress(OSError):
                os.pwrite(self._files[self._place], _HEAD.pack(len(body), zlib.crc32(body)) + body, 0)
                self._written = body

    def left(self) -> Counted:
        """What the process had counted that was at this place before."""
        return self._read(self._place)

    def others(self) -> list[Counted]:
        """How things stand elsewhere; of those that are gone only what they have counted."""
        found = []
        for place in range(len(self._files)):
            if place != self._place:
                counted = self._read(place)
                found.append(counted if self._lives(place) else replace(counted, gauges={}))
        return found

    def _read(self, place: int) -> Counted:
        for _ in range(_TRIES):
            data = os.pread(self._files[place], os.fstat(self._files[place]).st_size, 0)
            if len(data) < _HEAD.size:
                break
            size, checksum = _HEAD.unpack_from(data)
            body = data[_HEAD.size : _HEAD.size + size]
            if zlib.crc32(body) == checksum:
                told: dict[str, list[Any]] = serde.loads(body)
                self._known[place] = Counted(**{kind: _series(rows) for kind, rows in told.items()})
                break
        # Of what one that was killed has half written, what was read before holds: nothing for a while, and then all of
        # it again, whoever scrapes would count twice.
        return self._known.get(place, Counted())


def _rows(series: dict[str, dict[tuple[str, ...], Any]]) -> list[Any]:
    return [[name, [[list(key), value] for key, value in one.items()]] for name, one in series.items()]


def _series(rows: list[Any]) -> dict[str, dict[tuple[str, ...], Any]]:
    return {name: {tuple(key): value for key, value in one} for name, one in rows}
