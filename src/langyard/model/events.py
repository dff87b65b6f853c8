"""Events: numbered facts about a run, as a client sees them."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`seq` orders all events of a thread; `data` is one line of JSON, encoded once for every reader."""

    seq: int
    name: str
    data: bytes

    @property
    def id(self) -> str:
        """The wire form of `seq`: `<milliseconds>-<number within it>` (contract section A.6)."""
        return f"{self.seq >> 16}-{self.seq & 0xFFFF}"


class Sequence:
    """Event numbers of one run: wall-clock milliseconds in the high bits, so that a thread's next run counts on."""

    __slots__ = ("_last",)

    def __init__(self, after: int = 0) -> None:
        self._last = after

    def next(self) -> int:
        """A number above every one before, whatever the clock does."""
        self._last = max(self._last + 1, (time.time_ns() // 1_000_000) << 16)
        return self._last
