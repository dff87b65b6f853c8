"""One execution's way to all who read its events: here, elsewhere, later. Used by the worker, on its loop.

Each event is encoded once, by the caller, and only if somebody reads it or will: ask `wanted` first.
"""

from __future__ import annotations

import time
from uuid import UUID

from langyard import serde
from langyard.model.events import GAP, Event, Sequence
from langyard.model.runs import RunEnd
from langyard.postgres.writer import Lease, Writer
from langyard.streams.local import LocalBus
from langyard.streams.port import Ended, NoRelay, Relay

# About what an event takes in memory besides its data.
_WEIGHT = 256


class Outlet:
    """Events of one attempt at a run. `followed`: another process reads them; `kept`: somebody may come for them later;
    `watched`: another process waits for the end. `sequence` numbers them."""

    def __init__(
        self,
        lease: Lease,
        bus: LocalBus,
        writer: Writer,
        relay: Relay | None = None,
        *,
        followed: bool = False,
        kept: bool = False,
        watched: bool = False,
        sequence: Sequence | None = None,
    ) -> None:
        self.followed = followed
        self._lease = lease
        self._bus = bus
        self._writer = writer
        self._relay = relay or NoRelay()
        self._kept = kept
        self._watched = watched
        self._sequence = sequence or Sequence()
        self._stored = 0
        self._quiet = True
        # Left out of the log since so much is unwritten, and the number of the last of them.
        self._lost = self._lost_upto = 0

    @property
    def run_id(self) -> UUID:
        """The run whose events these are."""
        return self._lease.run_id

    @property
    def stored(self) -> bool:
        """Whether events go into the log: for readers elsewhere, or for those who will come back."""
        return self.followed or self._kept

    @property
    def wanted(self) -> bool:
        """Whether anybody reads or will read the events: if not, they need not even be encoded."""
        return self.stored or self._bus.wanted(self._lease.run_id)

    def publish(self, name: str, data: bytes) -> None:
        """Give an event to whoever reads; nothing happens if nobody does."""
        wanted = self._bus.wanted(self._lease.run_id)
        if not (wanted or self.stored):
            return
        event = Event(self._sequence.next(), name, data)
        if self.stored:
            after, self._stored = self._stored, event.seq
            self._store(event)
            if self.followed:
                self._relay.publish(self._lease.run_id, self._lease.fence, after, event)
        if wanted:
            self._bus.publish(self._lease.run_id, event)
            if self._quiet and name != "metadata":
                self._quiet = False
                # A node that does not pause would let the first word wait for its whole turn with the interpreter.
                time.sleep(0)

    def close(self, name: str, data: bytes) -> Last:
        """The last event, to be committed with the run's end; announce it then."""
        event = Event(self._sequence.next(), name, data)
        after = self._stored
        if self.stored:
            self._store(event, last=True)
            self._stored = event.seq
        return Last(event, after)

    def announce(self, last: Last) -> None:
        """Give out the last event. Only now, when it is committed: who sees it may rely on what the database says."""
        if self.followed and self._stored == last.event.seq:
            self._relay.publish(self._lease.run_id, self._lease.fence, last.after, last.event)
        self._bus.publish(self._lease.run_id, last.event)

    def finish(self, end: RunEnd) -> None:
        """Tell all who wait that the run has ended; call only when that is committed."""
        if self._watched or self.followed:
            self._relay.finish(Ended(end, self._stored))
        self._bus.finish(end)

    def _store(self, event: Event, *, last: bool = False) -> None:
        if self._writer.crowded and not last:
            self._lost, self._lost_upto = self._lost + 1, event.seq
            return
        if self._lost:
            self._put(Event(self._lost_upto, GAP, serde.dumps({"lost": self._lost})))
            self._lost = 0
        self._put(event)

    def _put(self, event: Event) -> None:
        batch = self._writer.batch(len(event.data) + _WEIGHT)
        lease = self._lease
        batch.events[lease.run_id, event.seq] = (batch.index(lease), lease.thread_id, event.name, event.data)
        if self.followed:
            batch.followed[lease.run_id] = event.seq


class Last:
    """The last event of a run and the number it follows."""

    __slots__ = ("after", "event")

    def __init__(self, event: Event, after: int) -> None:
        self.event = event
        self.after = after
