"""The port between the process that executes a run and those that read it: what goes across, and who may carry it.

A run's events reach readers by three ways, which all keep `langyard.testing.streams`: within the process over the bus
(`local`), from the log after a notification (`postgres`), and at once over a relay (`redis`). The log is the truth: a
relay may lose, repeat or delay whatever it likes, and readers only notice that events come later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from langyard.model.events import Event
from langyard.model.runs import RunEnd


@dataclass(frozen=True, slots=True)
class Part:
    """Stored events of one attempt at a run, in order and without a hole, the first of them following number `after`.

    `after` is 0 when they are the first the attempt has stored. `fence` tells attempts apart: a lower one than was seen
    before is that of a worker which has lost the run.
    """

    run_id: UUID
    fence: int
    after: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A run's committed end and the number of its last stored event, 0 when none was."""

    end: RunEnd
    last: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is told of what a relay brings, on the gateway's loop. `gap`: something may have been missed."""

    part: Callable[[Part], None]
    ended: Callable[[Ended], None]
    note: Callable[[str, str], None]
    gap: Callable[[], None]


class Relay(Protocol):
    """Carries events and ends of runs to other processes at once, and forgets them. No method waits or raises."""

    @property
    def live(self) -> bool:
        """Whether what is told arrives, as far as one can know. If not, who reads does not wait for it."""

    def watch(self, run_id: UUID) -> None:
        """Bring what is told of this run, from about now on. On the gateway's loop."""

    def unwatch(self, run_id: UUID) -> None:
        """No more of this run."""

    def publish(self, run_id: UUID, fence: int, after: int, event: Event) -> None:
        """Tell the event of a run, the next stored one after number `after`. From any thread."""

    def finish(self, ended: Ended) -> None:
        """Tell of a run's end, once it is committed. From any thread."""

    def tell(self, kind: str, text: str) -> None:
        """What a notification of PostgreSQL says, for processes that do not hear any at the moment. From any thread."""


class NoRelay:
    """The log alone: everything comes from PostgreSQL."""

    @property
    def live(self) -> bool:
        """Nothing is told."""
        return False

    def watch(self, run_id: UUID) -> None:
        """Notifications come without being asked for."""

    def unwatch(self, run_id: UUID) -> None:
        """Nothing was asked for."""

    def publish(self, run_id: UUID, fence: int, after: int, event: Event) -> None:
        """It is in the log."""

    def finish(self, ended: Ended) -> None:
        """It is in the run's row."""

    def tell(self, kind: str, text: str) -> None:
        """PostgreSQL tells."""
