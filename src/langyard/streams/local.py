"""Events within one process: from the worker's loop to readers on the gateway's, without a lock on the hot path."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from uuid import UUID

from langyard.model.errors import Unavailable
from langyard.model.events import Event, missing
from langyard.model.runs import RunEnd

LEFT = "This server is stopping, and the run goes on elsewhere; ask again."


class Subscription:
    """One reader of one run, used on the loop that made it. Bounded: lagging more than `limit` events loses the oldest.

    `lost` counts what was dropped; the reader is told of the gap. The run's end is never dropped. Events up to number
    `after`, the last taken, are passed over: this reader has them already. `left` says that this process will not see
    the run's end: it is stopping, and the reader must come back elsewhere.
    """

    def __init__(self, bus: LocalBus, run_id: UUID, *, events: bool, limit: int) -> None:
        self.run_id = run_id
        self.events = events
        self.lost = 0
        self.after = 0
        self.end: RunEnd | None = None
        self.left = False
        self._bus = bus
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._signalled = False

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading."""
        self._bus.drop(self)

    async def wait_end(self) -> RunEnd:
        """The run's end. Raises `Unavailable` when this process stops before it."""
        while self.end is None:
            if self.left:
                raise Unavailable(LEFT, code="server_stopping")
            await self._wait()
            self._queue.clear()
        return self.end

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until something can be taken; False when `timeout_s` seconds passed in silence."""
        if self._queue or self.end is not None or self.left:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> list[Event]:
        """All events that are there, each number once and in order."""
        taken: list[Event] = []
        while self._queue:
            event = self._queue.popleft()
            if event.seq > self.after:
                self.after = event.seq
                if lost := missing(event):
                    self.lost += lost
                else:
                    taken.append(event)
        return taken

    def replay(self, events: Iterable[Event]) -> None:
        """Give earlier events to a reader that has taken none yet; those that came meanwhile follow."""
        self._queue.extendleft(reversed(list(events)))
        self._signal()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            for event in self.take():
                yield event
            if (self.end is not None or self.left) and not self._queue:
                return
            await self._wait()

    async def _wait(self) -> None:
        await self._ready.wait()
        self._ready.clear()
        self._signalled = False

    def put(self, event: Event) -> None:
        """Any thread: give an event."""
        if len(self._queue) >= self._limit:
            try:
                self._queue.popleft()
                self.lost += 1
            except IndexError:
                pass
        self._queue.append(event)
        self._signal()

    def finish(self, end: RunEnd) -> None:
        """Any thread: the run ended. The first to say so is believed."""
        if self.end is None:
            self.end = end
        self._signal()

    def leave(self) -> None:
        """Any thread: nothing more will come here."""
        self.left = True
        self._signal()

    def _signal(self) -> None:
        # Read and set without a lock: at worst one wake-up too many. `_wait` clears the flag before the queue is taken.
        if not self._signalled:
            self._signalled = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:
                self.close()


class LocalBus:
    """All readers of one process by run."""

    def __init__(self, *, limit: int = 10_000) -> None:
        self._limit = limit
        self._readers: dict[UUID, tuple[Subscription, ...]] = {}
        self.on_handed_over: Callable[[UUID], None] | None = None

    def subscribe(self, run_id: UUID, *, events: bool = True) -> Subscription:
        """Read a run from now on; without `events` only its end. Call on the reader's loop, close when done."""
        reader = Subscription(self, run_id, events=events, limit=self._limit)
        self._readers[run_id] = (*self._readers.get(run_id, ()), reader)
        return reader

    def drop(self, reader: Subscription) -> None:
        """Forget a reader."""
        left = tuple(other for other in self._readers.get(reader.run_id, ()) if other is not reader)
        if left:
            self._readers[reader.run_id] = left
        else:
            self._readers.pop(reader.run_id, None)

    def wanted(self, run_id: UUID) -> bool:
        """Whether anybody here reads this run's events: if not, they need not even be encoded."""
        return any(reader.events for reader in self._readers.get(run_id, ()))

    def waits(self, run_id: UUID) -> bool:
        """Whether anybody here waits for this run."""
        return run_id in self._readers

    def open(self, run_id: UUID) -> bool:
        """Whether anybody here waits for this run who has not been told of its end."""
        return any(reader.end is None for reader in self._readers.get(run_id, ()))

    def waited(self) -> list[UUID]:
        """The runs somebody here waits for."""
        return list(self._readers)

    @property
    def open_readers(self) -> int:
        """How many read or wait here."""
        return sum(len(readers) for readers in list(self._readers.values()))

    def readers(self, run_id: UUID) -> tuple[Subscription, ...]:
        """Who reads this run here."""
        return self._readers.get(run_id, ())

    def hand_over(self, run_id: UUID) -> None:
        """Any thread: the run goes on elsewhere, or here later; whoever keeps the readers is told, if there are any."""
        if run_id in self._readers and self.on_handed_over is not None:
            self.on_handed_over(run_id)

    def publish(self, run_id: UUID, event: Event) -> None:
        """Give an event to every reader of its run."""
        for reader in self._readers.get(run_id, ()):
            if reader.events:
                reader.put(event)

    def finish(self, end: RunEnd) -> None:
        """Tell every reader that the run ended; call only when that is committed."""
        for reader in self._readers.get(end.run_id, ()):
            reader.finish(end)
