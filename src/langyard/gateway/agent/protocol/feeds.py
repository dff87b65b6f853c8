"""One feed a thread and process, however many view it: what is kept of the thread, then what happens (contract A.14).

Viewers share the feed's envelopes and have no queue of their own, only a place in it; who falls behind the oldest that
is kept is told how many are lost. The feed goes with its last viewer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

from langyard.gateway.agent.protocol.deriving import Derivation
from langyard.gateway.agent.protocol.envelopes import Envelope, Wanted
from langyard.gateway.parts import Parts
from langyard.model.errors import Unavailable
from langyard.streams.threads import ThreadReader, ThreadReaders

# How long a client may take from subscribing to making its run, if it does both at once on a busy machine; and usually.
_PATIENCE_S = 2.0
_GLANCE_S = 0.25
# How long ago the run was made that a client has made just before it subscribes.
_FRESH_S = 2.0
_LONG_OVER_S = 10.0
# Runs of which it is known that their end was told.
_REMEMBERED = 10_000


class Feed:
    """Envelopes of a thread, in order. `first` is the place of the oldest that is kept."""

    def __init__(self, limit: int) -> None:
        self.first = 0
        self.ended = False
        self.derived = Derivation()
        self.viewers: set[Viewer] = set()
        self.envelopes: deque[Envelope] = deque()
        self._limit = limit
        self._reader: ThreadReader | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def next(self) -> int:
        """The place of the next envelope."""
        return self.first + len(self.envelopes)

    def begin(self, reader: ThreadReader) -> None:
        """Take what is kept of the thread, then go on."""
        self._reader = reader
        self._take(reader)
        self._reading = asyncio.create_task(self._read(reader))

    def close(self) -> None:
        """Stop reading."""
        self.ended = True
        if self._reading is not None:
            self._reading.cancel()
        if self._reader is not None:
            self._reader.close()
        self._wake()

    def since(self, wanted: Wanted) -> Wanted:
        """The same, where a number or an id that this feed does not know means: from the first on.

        A client that was elsewhere may have seen what is not here yet; it knows by their ids what it has seen.
        """
        after = wanted.after
        if wanted.after_id is not None:
            after = next((found.raw for found in self.envelopes if found.event_id == wanted.after_id), 0)
        since = wanted.since if wanted.since <= self.derived.seen else 0
        return replace(wanted, since=since, after=after, after_id=None)

    async def _read(self, reader: ThreadReader) -> None:
        while not reader.closed:
            await reader.wait()
            self._take(reader)
        self.ended = True
        self._wake()

    def _take(self, reader: ThreadReader) -> None:
        lost, reader.lost = reader.lost, 0
        self.first += lost  # their places are skipped: whoever has not passed them finds them missing
        if lost and self.envelopes:
            self.first += len(self.envelopes)
            self.envelopes.clear()
        for event in reader.take():
            self.envelopes.extend(self.derived.take(event))
        while len(self.envelopes) > self._limit:
            self.envelopes.popleft()
            self.first += 1
        self._wake()

    def _wake(self) -> None:
        for viewer in self.viewers:
            viewer.ready.set()


class Viewer:
    """A place in a feed.

    A client that watches a thread may be about to make a run, and takes the end it is told of for that run's. Where the
    last run is over, what it is told of it is held back: a run that is made by then is the only one it hears of. That
    is for a moment only where it matters that it be told soon: of a question that waits for it, and of a run so young
    that it may have made it just now, unless somebody who watches the thread has heard of its end. A good end of long
    ago is in the thread's state, where it is looked up.
    """

    __slots__ = ("_feeds", "feed", "place", "ready", "thread_id")

    def __init__(self, feeds: Feeds, thread_id: UUID, feed: Feed) -> None:
        self.feed = feed
        self.place = 0
        self.ready = asyncio.Event()
        self._feeds = feeds
        self.thread_id = thread_id

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until something can be taken or the feed has ended; False when `timeout_s` seconds passed in silence."""
        if self.place < self.feed.next or self.feed.ended:
            return True
        self.ready.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self.ready.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[int, list[Envelope]]:
        """How many were lost, and all that are there."""
        feed = self.feed
        lost = max(0, feed.first - self.place)
        found = list(itertools.islice(feed.envelopes, max(0, self.place - feed.first), None))
        self.place = feed.next
        return lost, found

    async def start(self, wanted: Wanted) -> Wanted:
        """The filter to view this feed with. Raises `Unavailable`."""
        found = self.feed.since(wanted)
        latest = await self._feeds.readers.latest(self.thread_id) if wanted.watches else None
        if latest is None:
            return found
        found = replace(found, current=latest.run_id, upto=self.feed.derived.seen)
        if latest.over_s is None or latest.thread_status == "busy":
            return found
        if latest.thread_status == "interrupted":
            return replace(found, held_s=_GLANCE_S)
        if latest.status == "success" and latest.over_s > _LONG_OVER_S:
            return silent(found)
        old = latest.age_s > _FRESH_S or latest.run_id in self._feeds.known_over
        return replace(found, held_s=_PATIENCE_S if old else _GLANCE_S)

    async def decided(self, held: Wanted) -> Wanted:
        """What was held, once another run has been made or nobody seems to make one."""
        feed, place = self.feed, self.feed.next
        with suppress(TimeoutError):
            async with asyncio.timeout(held.held_s):
                while not feed.ended and (feed.next == place or feed.envelopes[-1].run_id == held.current):
                    self.ready.clear()
                    await self.ready.wait()
        with suppress(Unavailable):
            latest = await self._feeds.readers.latest(self.thread_id)
            if latest is not None and latest.run_id != held.current:
                return silent(held)
        return replace(held, held_s=0.0)

    def told(self, wanted: Wanted, envelopes: Iterable[Envelope]) -> None:
        """These go out to a client that wanted them."""
        for envelope in envelopes:
            if wanted.ends(envelope):
                self._feeds.known_over[envelope.run_id] = None
        while len(self._feeds.known_over) > _REMEMBERED:
            self._feeds.known_over.popitem(last=False)

    def close(self) -> None:
        """Stop viewing."""
        self._feeds.drop(self.thread_id, self)


class Feeds:
    """The feeds of this process by thread. `parts` need not be open yet."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limit = parts.settings.streams.buffer_events
        self.known_over: OrderedDict[UUID, None] = OrderedDict()
        self._feeds: dict[UUID, asyncio.Task[Feed]] = {}

    @property
    def readers(self) -> ThreadReaders:
        """Where feeds get their events from."""
        return self._parts.readers

    async def view(self, thread_id: UUID) -> Viewer:
        """View a thread from the first event that is kept on. It need not exist. Raises `Unavailable`."""
        opening = self._feeds.get(thread_id)
        if opening is None:
            opening = self._feeds[thread_id] = asyncio.create_task(self._open(thread_id))
            opening.add_done_callback(partial(self._opened, thread_id))
        feed = await asyncio.shield(opening)
        viewer = Viewer(self, thread_id, feed)
        feed.viewers.add(viewer)
        return viewer

    def drop(self, thread_id: UUID, viewer: Viewer) -> None:
        """Forget a viewer."""
        viewer.feed.viewers.discard(viewer)
        self._let_go(thread_id, viewer.feed)

    def _opened(self, thread_id: UUID, opening: asyncio.Task[Feed]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._feeds.pop(thread_id, None)
        else:
            # Whoever it was opened for may have left meanwhile.
            asyncio.get_running_loop().call_later(1.0, self._let_go, thread_id, opening.result())

    def _let_go(self, thread_id: UUID, feed: Feed) -> None:
        opening = self._feeds.get(thread_id)
        if opening is not None and opening.done() and opening.result() is feed and not feed.viewers:
            del self._feeds[thread_id]
            feed.close()

    async def _open(self, thread_id: UUID) -> Feed:
        feed = Feed(self._limit)
        feed.begin(await self.readers.subscribe(thread_id, after=0))
        return feed


def silent(wanted: Wanted) -> Wanted:
    """The same, but nothing of what is over."""
    return replace(wanted, since=wanted.upto, past=wanted.current, held_s=0.0)
