"""Events: numbered facts about a run, as a client sees them."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass
from uuid import UUID

_MS = 1000
GAP = "gap"
"""In the log, in the place of events that could not be stored: `{"lost": n}`."""


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


@dataclass(frozen=True, slots=True)
class ThreadEvent(Event):
    """An event to a reader of the whole thread, who has to know of which run it is."""

    run_id: UUID


def missing(event: Event) -> int:
    """How many events are not in the log in the place of this one; 0 when it is an event itself."""
    return int(json.loads(event.data)["lost"]) if event.name == GAP else 0


class Sequence:
    """Event numbers of one run: milliseconds in the high bits, fractions of one below.

    They begin at `began_at`, by the database's clock, and go on by this machine's steady one, which cannot overtake it:
    what comes after on the same thread, on whichever machine and however wrong its clock, gets higher numbers.
    """

    __slots__ = ("_ahead_us", "_last")

    def __init__(self, began_at: dt.datetime | None = None) -> None:
        now_us = time.time_ns() // 1000 if began_at is None else round(began_at.timestamp() * 1_000_000)
        self._ahead_us = now_us - time.monotonic_ns() // 1000
        self._last = 0

    def next(self) -> int:
        """A number above every one before."""
        whole, rest = divmod(time.monotonic_ns() // 1000 + self._ahead_us, _MS)
        self._last = max(self._last + 1, whole << 16 | (rest << 16) // _MS)
        return self._last
