"""Reading a whole thread: the events of every run on it, whichever process executes it, for as long as anybody reads.

One follower a thread and process, however many read it here; it joins each run as any reader of that run does. That
there are readers is a dated row (`postgres.rows.readers`), which the start of a run looks at. Used on the gateway's
loop; opened by `app`. Nobody's thread costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from collections.abc import Sequence as Page
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

from langyard import serde
from langyard.model.errors import LangyardError, NotFound
from langyard.model.events import Event, Sequence, ThreadEvent, missing
from langyard.model.runs import ENDED, RunEnd
from langyard.model.stopping import stop
from langyard.postgres.database import Database
from langyard.postgres.rows import readers as rows
from langyard.telemetry.chores import survived

log = logging.getLogger(__name__)

# A mark outlives several renewals: a database that is away for a while loses nobody.
_MARKED_S = 60.0
_RENEW_S = 10.0
# The look is the floor under notifications; it goes back a little further than the last one.
_OVERLAP_S = 5.0
# Runs a follower remembers having joined, so as to join none twice.
_REMEMBERED = 1000
STATE_UPDATE = "state_update"


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The last run of a thread, and how both stand; `over_s` is how long ago it ended, None while it has not."""

    run_id: UUID
    status: str
    thread_status: str
    age_s: float
    over_s: float | None


class RunReader(Protocol):
    """A reader of one run: `streams.Subscription`. `end` says how it ended once it has, `lost` how many were lost."""

    end: RunEnd | None
    lost: int

    def __aiter__(self) -> Any:
        """Its events up to its end."""

    def close(self) -> None:
        """Stop reading."""


class RunJoiner(Protocol):
    """What the rules of runs offer: `runs.Runs`."""

    async def follow(self, run_id: UUID, *, live: bool) -> RunReader:
        """Read a run and have its events stored; from now on if `live`, else from its first. Raises `NotFound`."""

    async def settle(self) -> None:
        """Wait until what runs of this process have published so far can be read in the log."""


class ThreadReader:
    """One reader of one thread. Bounded: lagging more than `limit` events loses the oldest, `lost` counts them."""

    __slots__ = ("_floor", "_limit", "_owner", "_queue", "_ready", "closed", "lost", "thread_id")

    def __init__(self, owner: ThreadReaders, thread_id: UUID, limit: int) -> None:
        self.thread_id = thread_id
        self.lost = 0
        self.closed = False
        self._owner = owner
        self._limit = limit
        self._floor = 0
        self._queue: deque[ThreadEvent] = deque()
        self._ready = asyncio.Event()

    def __enter__(self) -> ThreadReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading."""
        self.closed = True
        self._owner.drop(self)
        self._ready.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until something can be taken; False when `timeout_s` seconds passed in silence."""
        if not self._queue and not self.closed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                return False
        self._ready.clear()
        return True

    def take(self) -> list[ThreadEvent]:
        """All events that are there, each once."""
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def put(self, event: ThreadEvent) -> None:
        """Give an event, unless the replay had it already."""
        if event.seq <= self._floor:
            return
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._ready.set()

    def replay(self, earlier: Page[ThreadEvent]) -> None:
        """Put earlier events before those that came meanwhile: the last of them, if there are too many."""
        if earlier:
            self._floor = earlier[-1].seq
            there = [event for event in earlier if not missing(event)]
            self.lost += sum(map(missing, earlier)) + max(0, len(there) - self._limit)
            earlier = there[-self._limit :]
            self._queue = deque([*earlier, *(event for event in self._queue if event.seq > self._floor)])
            self._ready.set()


class _Follower:
    """Joins the runs of one thread, one after the other, and hands their events to the thread's readers here."""

    def __init__(self, thread_id: UUID) -> None:
        self.thread_id = thread_id
        self.readers: tuple[ThreadReader, ...] = ()
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.joined: OrderedDict[UUID, None] = OrderedDict()
        self.turn = asyncio.Lock()
        self.chores: set[asyncio.Task[None]] = set()

    def publish(self, event: ThreadEvent) -> None:
        """To everybody who reads the thread here."""
        for reader in self.readers:
            reader.put(event)

    def lose(self, count: int) -> None:
        """Events were lost on their way here."""
        for reader in self.readers:
            reader.lost += count

    def spawn(self, work: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        """Run something for as long as there are readers; the task, to be waited for or not."""
        chore = asyncio.create_task(work)
        self.chores.add(chore)
        chore.add_done_callback(self.chores.discard)
        return [chore]

    def remember(self, run_id: UUID) -> bool:
        """Whether this run is new here."""
        if run_id in self.joined:
            return False
        self.joined[run_id] = None
        if len(self.joined) > _REMEMBERED:
            self.joined.popitem(last=False)
        return True


class ThreadReaders:
    """All readers of threads in this process. `state_of` gives a thread's state when it was changed by hand."""

    def __init__(
        self,
        database: Database,
        runs: RunJoiner,
        state_of: Callable[[UUID], Awaitable[Any]],
        *,
        limit: int,
        look_s: float = _OVERLAP_S,
    ) -> None:
        self._database = database
        self._runs = runs
        self._state_of = state_of
        self._limit = limit
        self._look_s = look_s
        self._followers: dict[UUID, _Follower] = {}
        self._now = Sequence()
        self._chores: list[asyncio.Task[None]] = []
        self._look_early = asyncio.Event()

    def open(self) -> None:
        """Begin to look after the threads that are read."""
        self._chores = [asyncio.create_task(self._renew()), asyncio.create_task(self._look_again())]

    def end(self) -> None:
        """End every reader: the server stops, and their clients will find another."""
        for follower in list(self._followers.values()):
            for reader in follower.readers:
                reader.close()

    async def close(self) -> None:
        """Stop."""
        followers = list(self._followers.values())
        self.end()
        await stop([*self._chores, *(chore for follower in followers for chore in follower.chores)])

    async def subscribe(self, thread_id: UUID, *, after: int | None = None) -> ThreadReader:
        """Read a thread from now on, or from event number `after` on as far as events are stored. It need not exist.

        Raises `Unavailable` when the database is away. Close the reader when done.
        """
        reader = ThreadReader(self, thread_id, self._limit)
        follower = self._followers.get(thread_id)
        if fresh := follower is None:
            follower = self._followers[thread_id] = _Follower(thread_id)
        follower.readers = (*follower.readers, reader)
        try:
            if fresh:
                await self._begin(follower)
            else:
                await asyncio.shield(follower.begun)
            if after is not None:
                await self._replay(reader, after)
        except BaseException:  # cancelled or failed: nobody will read
            reader.close()
            raise
        return reader

    def drop(self, reader: ThreadReader) -> None:
        """Forget a reader; the last one takes the follower along."""
        follower = self._followers.get(reader.thread_id)
        if follower is None:
            return
        follower.readers = tuple(other for other in follower.readers if other is not reader)
        if not follower.readers:
            del self._followers[reader.thread_id]
            for chore in list(follower.chores):
                chore.cancel()
            if not follower.begun.done():
                follower.begun.cancel()

    def threads(self) -> list[UUID]:
        """The threads that are read here."""
        return list(self._followers)

    async def last(self, thread_id: UUID) -> int:
        """The number of the thread's last stored event, 0 if it has none. Raises `Unavailable`."""
        await self._runs.settle()
        return await rows.last(self._database, thread_id)

    async def latest(self, thread_id: UUID) -> LatestRun | None:
        """The run that was made last on the thread. Raises `Unavailable`."""
        row = await rows.latest(self._database, thread_id)
        return LatestRun(**row) if row is not None else None

    def on_note(self, kind: str, text: str) -> None:
        """A notification: `run <thread> <run>`, or `state <thread>`."""
        if kind not in ("run", "state") or not self._followers:
            return
        thread, _, run = text.partition(" ")
        follower = self._followers.get(UUID(thread))
        if follower is None:
            return
        if kind == "run":
            self._join(follower, UUID(run))
        else:
            follower.spawn(self._tell_state(follower))

    def on_gap(self) -> None:
        """Notifications may have been missed: look at every thread that is read."""
        self._look_early.set()

    async def _begin(self, follower: _Follower) -> None:
        """Mark the thread, then join what is open on it: a run that begins in between is announced or found."""
        try:
            await rows.mark(self._database, [follower.thread_id], _MARKED_S)
            opening: list[asyncio.Task[None]] = []
            for row in await rows.runs(self._database, [follower.thread_id], _MARKED_S):
                if row["status"] in ENDED:
                    follower.remember(row["run_id"])  # it was over before anybody asked
                else:
                    running = row["status"] == "running"
                    opening += self._join(follower, row["run_id"], live=True, running=running)
            await asyncio.gather(*opening)
        except BaseException as error:  # those who came second wait for the same
            if not follower.begun.done():
                follower.begun.set_exception(error if isinstance(error, LangyardError) else asyncio.CancelledError())
                follower.begun.exception()
            raise
        if not follower.begun.done():
            follower.begun.set_result(None)

    def _join(
        self, follower: _Follower, run_id: UUID, *, live: bool = False, running: bool = False
    ) -> list[asyncio.Task[None]]:
        if not follower.remember(run_id):
            return []
        return follower.spawn(self._open(follower, run_id, live=live, running=running))

    async def _open(self, follower: _Follower, run_id: UUID, *, live: bool, running: bool) -> None:
        try:
            reader = await self._runs.follow(run_id, live=live)
        except NotFound:
            return  # it went as it came
        except LangyardError:
            follower.joined.pop(run_id, None)  # the next look tries again
            return
        follower.spawn(self._pump(follower, run_id, reader, running=running))

    async def _pump(self, follower: _Follower, run_id: UUID, reader: RunReader, *, running: bool) -> None:
        """Hand a run's events on. One run of a thread runs at a time, and so they are told one after the other."""
        last, lost, holds = "", 0, False
        try:
            if running:
                holds = await follower.turn.acquire()
            async for event in reader:
                holds = holds or await follower.turn.acquire()
                if reader.lost > lost:
                    follower.lose(reader.lost - lost)
                    lost = reader.lost
                follower.publish(_of(run_id, event))
                last = event.name
            if last != "end" and reader.end is not None:
                status = serde.dumps({"run_id": run_id, "status": reader.end.status})
                follower.publish(ThreadEvent(self._now.next(), "end", status, run_id))
        finally:
            if holds:
                follower.turn.release()
            reader.close()

    async def _replay(self, reader: ThreadReader, after: int) -> None:
        await self._runs.settle()
        found: list[ThreadEvent] = []
        while page := await rows.read(self._database, reader.thread_id, found[-1].seq if found else after):
            found += page
        reader.replay(found)

    async def _tell_state(self, follower: _Follower) -> None:
        try:
            state = await self._state_of(follower.thread_id)
        except LangyardError:
            return  # it is gone, or the database is away: the state can be asked for
        data = serde.dumps({"state": state, "thread_id": follower.thread_id})
        follower.publish(ThreadEvent(self._now.next(), STATE_UPDATE, data, follower.thread_id))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            if self._followers:
                await survived(log, "mark threads", rows.mark(self._database, list(self._followers), _MARKED_S))

    async def _look_again(self) -> None:
        """Runs nobody told of: a lost notification, a mark that was lost with the database."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._look_early.wait()
            early = self._look_early.is_set()
            self._look_early.clear()
            if self._followers:
                await survived(log, "look at threads", self._look(early))

    async def _look(self, early: bool) -> None:
        if early:
            await rows.mark(self._database, list(self._followers), _MARKED_S)
        back_s = _MARKED_S if early else self._look_s + _OVERLAP_S
        for row in await rows.runs(self._database, list(self._followers), back_s):
            follower = self._followers.get(row["thread_id"])
            if follower is not None and follower.begun.done():
                self._join(follower, row["run_id"])


def _of(run_id: UUID, event: Event) -> ThreadEvent:
    return ThreadEvent(event.seq, event.name, event.data, run_id)
