"""The rules of runs: starting, waiting, cancelling. Called by the gateway and `WorkflowManager`, on their loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from uuid import UUID

from langyard.auth import Standing
from langyard.limits import QueueBound
from langyard.model.errors import NotFound, Unavailable
from langyard.model.events import Event
from langyard.model.runs import Caps, Queue, Run, RunEnd, RunRequest
from langyard.model.slots import NoSlots, Slots
from langyard.model.stopping import stop
from langyard.postgres import runs as rows
from langyard.postgres.database import Database
from langyard.postgres.rows import cancelling
from langyard.postgres.rows import events as log_rows
from langyard.postgres.starts import Starts, superseding
from langyard.streams import Ended, LocalBus, NoRelay, Part, Relay, RemoteEvents, Subscription
from langyard.telemetry.chores import survived

__all__ = ["GONE", "NoSlots", "Runs", "Slots", "StartedRun"]

log = logging.getLogger(__name__)

# A relay is ahead of the log by a commit. What is not stored by then was told by a worker that has lost the run.
_STORED_S, _LOOK_S = 2.0, 0.01
# Ends that are read from the database side by side.
_TOLD_AT_ONCE = 5
# What a reader is told of a run that was deleted under it (contract section A.3).
GONE = {"error": "HTTPException", "message": "404: Run not found"}


@dataclass(slots=True)
class StartedRun:
    """A run on its way and the reader of its events; close the reader when done."""

    run: Run
    reader: Subscription


class Runs:
    """Open with `open` on the gateway's loop, close with `close`."""

    def __init__(
        self,
        database: Database,
        bus: LocalBus,
        slots: Slots,
        remote: RemoteEvents,
        *,
        poll_s: float = 1.0,
        on_webhook: Callable[[], None] = lambda: None,
        caps: Caps | None = None,
        bound: QueueBound | None = None,
        standing: Standing | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._database = database
        self._bus = bus
        self._slots = slots
        self._remote = remote
        self._relay = relay or NoRelay()
        self._poll_s = poll_s
        self._on_webhook = on_webhook
        self._starts = Starts(database, caps)
        self._bound = bound
        self._standing = standing
        self._watching: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._starting: set[UUID] = set()
        self._departing = False

    async def open(self) -> None:
        """Begin to watch for what happens in other processes."""
        loop = asyncio.get_running_loop()

        def handed_over(run_id: UUID) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(self._on_handed_over, run_id)

        self._bus.on_handed_over = handed_over
        self._remote.start()
        self._watching = asyncio.create_task(self._watch(), name="langyard watch")

    async def close(self) -> None:
        """Stop watching."""
        await self._remote.close()
        await self._starts.close()
        await stop([*self._telling, self._watching])

    def depart(self) -> None:
        """This process is stopping: whoever reads a run that does not execute here had better come back elsewhere."""
        self._departing = True
        for run_id in self._bus.waited():
            if run_id not in self._starting and not self._slots.holds(run_id):
                self._leave(run_id)

    def _leave(self, run_id: UUID) -> None:
        for reader in self._bus.readers(run_id):
            reader.leave()

    def _on_handed_over(self, run_id: UUID) -> None:
        """The run has left this process's worker without an end: its readers read on from the log, or elsewhere."""
        if self._departing:
            self._leave(run_id)
        else:
            self._tell(self._read_on(run_id))

    async def _read_on(self, run_id: UUID) -> None:
        events = self._bus.wanted(run_id)
        self._remote.expect(run_id)
        await rows.watch(self._database, run_id, events=events)
        if events:
            stored = await log_rows.last(self._database, run_id)
            for reader in self._bus.readers(run_id):
                # Where nothing is stored, what comes is new whatever its number: another machine's clock gives it.
                reader.after = reader.after if stored else 0
            self._remote.follow(run_id, min((reader.after for reader in self._bus.readers(run_id)), default=0))
            await self._remote.pull(run_id)

    async def start(self, request: RunRequest, *, events: bool) -> StartedRun | None:
        """Make a run and read it from its first event on (`events=False`: only its end).

        None when the session or thread does not exist, is another user's, or is busy and the strategy is `reject`.
        Raises `Limited` when too many wait, `Unavailable` when the database is away.
        """
        if self._standing is not None:
            return await self._start_placed(self._standing, request, events=events)
        return await self._start(request, events=events)

    async def _start_placed(self, standing: Standing, request: RunRequest, *, events: bool) -> StartedRun | None:
        request, fresh = await standing.placed(self._database, request)
        started = await self._start(request, events=events)
        if fresh and started is not None:
            with suppress(Unavailable):  # it is asked again
                await standing.keep(self._database, started.run.thread_id, request)
        return started

    async def _start(self, request: RunRequest, *, events: bool) -> StartedRun | None:
        if self._bound is not None:
            await self._bound.check(request)
        self._starting.add(request.run_id)
        reader = self._bus.subscribe(request.run_id, events=events)
        worker_id = self._slots.reserve() if request.after_s <= 0 else None
        accepted = False
        try:
            # Who has a slot is not thought to wait before it is known.
            with self._bound.entering() if self._bound is not None and worker_id is None else nullcontext():
                started = await self._starts.start(request, worker_id, events=events)
            if started is not None and started.claimed is not None:
                self._slots.accept(started.claimed)
                accepted = True
        except BaseException:  # cancelled or failed: nobody will read
            reader.close()
            raise
        finally:
            self._starting.discard(request.run_id)
            if worker_id is not None and not accepted:
                self._slots.release()
        if started is None:
            reader.close()
            return None
        if started.superseded:
            await self._tell_superseded(request, started.superseded)
        if started.run.status == "pending":
            if self._bound is not None and request.after_s <= 0:
                self._bound.joined()
            self._slots.wake()
            self._relay.tell("wake", "")
            self._remote.follow(request.run_id, 0) if events else self._remote.expect(request.run_id)
            if self._departing:
                reader.leave()
        elif started.claimed is None:
            return await self._started_before(started.run, reader)
        return StartedRun(started.run, reader)

    async def _started_before(self, run: Run, reader: Subscription) -> StartedRun:
        """By an attempt whose answer was lost, or by another process under the same id."""
        if reader.events:
            reader.close()
            return await self.join(run.run_id, after=0)
        try:
            await rows.watch(self._database, run.run_id, events=False)
        except BaseException:  # cancelled or failed: nobody will read
            reader.close()
            raise
        return StartedRun(run, reader)

    def check_many(self, count: int) -> None:
        """Raises `Limited` when so many runs have no room together."""
        if self._bound is not None:
            self._bound.check_many(count)

    async def get(self, run_id: UUID) -> Run:
        """Raises `NotFound`."""
        run = await rows.find(self._database, run_id)
        if run is None:
            raise _not_found(run_id)
        return run

    async def queue(self) -> Queue:
        """How the queue stands, of all processes."""
        return await rows.queue(self._database)

    async def wait(self, run_id: UUID) -> RunEnd:
        """The end of a run, whichever process runs it. Raises `NotFound`."""
        with self._bus.subscribe(run_id, events=False) as reader:
            if not self._slots.holds(run_id):
                self._remote.expect(run_id)
                await rows.watch(self._database, run_id, events=False)
            found = await rows.outcome(self._database, run_id)
            if found is None:
                raise _not_found(run_id)
            if self._departing and not self._slots.holds(run_id):
                reader.leave()
            return found[1] or await reader.wait_end()

    async def join(self, run_id: UUID, *, after: int | None = None) -> StartedRun:
        """Read a run from now on, or from event number `after` on as far as events are stored. Raises `NotFound`."""
        reader = self._bus.subscribe(run_id)
        handed_out = self._remote.seen(run_id)  # what comes after it, this reader gets by itself
        try:
            here = self._slots.holds(run_id)
            if here:
                await self._slots.settle()
            else:
                await rows.watch(self._database, run_id, events=True)
                self._relay.tell("follow", str(run_id))
            found = await rows.outcome(self._database, run_id)
            if found is None:
                raise _not_found(run_id)
            run, end = found
            if after is not None:
                reader.after = after
                last = await self._replay(reader, after, 0 if here else handed_out)
            elif not here:
                reader.after = last = max(handed_out, await log_rows.last(self._database, run_id))
            if end is not None:
                reader.finish(end)
            elif not here and self._departing:
                reader.leave()
            elif not here:
                await self._remote.follow_from(run_id, last)
            return StartedRun(run, reader)
        except BaseException:  # cancelled or failed: nobody will read
            reader.close()
            raise

    async def follow(self, run_id: UUID, *, live: bool) -> Subscription:
        """Read a run and have its events stored, for those who read its thread; from now on if `live`, else from its
        first event that is kept. Raises `NotFound`."""
        if self._slots.follow(run_id):
            await rows.watch(self._database, run_id, events=True)
        return (await self.join(run_id, after=None if live else 0)).reader

    async def settle(self) -> None:
        """Wait until what runs of this process have published so far can be read in the log."""
        await self._slots.settle()

    async def cancel(self, run_id: UUID, *, action: str = "interrupt", reason: str) -> bool:
        """Stop a run wherever it is; False when it is already over. Returns before the worker has stopped."""
        return bool(await self.cancel_many([run_id], action=action, reason=reason))

    async def cancel_many(
        self, run_ids: Sequence[UUID], *, action: str = "interrupt", reason: str
    ) -> Mapping[UUID, str]:
        """Stop runs wherever they are: `ended`, or `asked` where a worker has yet to stop; nothing of the others."""
        stopped = await cancelling.cancel_many(self._database, run_ids, action=action, reason=reason)
        for run_id, state in stopped.items():
            if state == "asked" and not self._slots.cancel(run_id, action, reason):
                self._relay.tell("cancel", str(run_id))
        if stopped:
            self._slots.wake()
        if "ended" in stopped.values():
            self._on_webhook()
        waited = [run_id for run_id, state in stopped.items() if state == "ended" and self._bus.waits(run_id)]
        for start in range(0, len(waited), _TOLD_AT_ONCE):
            telling = (self._told(self._publish_end(run_id)) for run_id in waited[start : start + _TOLD_AT_ONCE])
            await asyncio.gather(*telling)
        return stopped

    def on_note(self, kind: str, text: str) -> None:
        """A notification from another process (or this one). Called on the gateway's loop."""
        if kind == "wake":
            self._slots.wake()
        elif kind in ("cancel", "follow"):
            self._slots.look()
        elif kind in ("end", "events"):
            named, _, number = text.partition(" ")
            run_id = UUID(named)
            if self._bus.waits(run_id) and not self._slots.holds(run_id):
                if kind == "end":
                    self._tell(self._end_told(run_id))
                else:
                    self._remote.told(run_id, int(number))

    def on_part(self, part: Part) -> None:
        """A relay brought events of a run that another process executes. Called on the gateway's loop."""
        if not self._slots.holds(part.run_id):
            self._remote.take(part)

    def on_ended(self, ended: Ended) -> None:
        """A relay brought the end of a run that another process executed. Called on the gateway's loop."""
        run_id = ended.end.run_id
        if not self._bus.waits(run_id) or self._slots.holds(run_id):
            return
        if self._remote.complete(ended):
            self._remote.forget(run_id)
            self._bus.finish(ended.end)
        else:
            self._tell(self._publish_end(run_id))

    def on_gap(self) -> None:
        """Notifications may have been missed: look at everything."""
        self._slots.wake()
        self._slots.look()
        self._tell(self._remote.catch_up())

    def _tell(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._told(work))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self, work: Coroutine[None, None, None]) -> None:
        # The database is away: the poll brings it later.
        with suppress(Unavailable):
            await work

    async def _tell_superseded(self, request: RunRequest, superseded: Sequence[tuple[UUID, bool]]) -> None:
        said = superseding(request)
        for run_id, ended in superseded:
            if not ended:
                if not self._slots.cancel(run_id, said["action"], said["reason"]):
                    self._relay.tell("cancel", str(run_id))
                continue
            self._on_webhook()
            if self._bus.waits(run_id):
                # The database being away must not take the new run from its reader: the poll tells of this one later.
                await self._told(self._publish_end(run_id))

    async def _replay(self, reader: Subscription, after: int, handed_out: int) -> int:
        """Give the reader what is stored, and wait for what others here were handed before it was. The last number."""
        found: list[Event] = []
        deadline = time.monotonic() + _STORED_S
        while True:
            last = found[-1].seq if found else after
            if page := await log_rows.read(self._database, reader.run_id, last):
                found += page
            elif last >= handed_out or time.monotonic() > deadline:
                break
            else:
                await asyncio.sleep(_LOOK_S)
        reader.replay(found)
        return last

    async def _watch(self) -> None:
        """Ends that nobody told of: a lost notification, a buried run."""
        while True:
            await asyncio.sleep(self._poll_s)
            waited = [run_id for run_id in self._bus.waited() if run_id not in self._starting]
            if waited:
                await survived(log, "look for ended runs", self._tell_ended(waited))

    async def _tell_ended(self, waited: Sequence[UUID]) -> None:
        for run_id in await rows.ended(self._database, waited):
            await self._publish_end(run_id)

    async def _end_told(self, run_id: UUID) -> None:
        # Not if a relay was quicker. Nor is it waited for: whichever brings the end first is right.
        if self._bus.open(run_id):
            await self._publish_end(run_id)

    async def _publish_end(self, run_id: UUID) -> None:
        await self._remote.pull(run_id)
        self._remote.forget(run_id)
        found = await rows.outcome(self._database, run_id)
        if found is None:
            # One that goes with its own end is told of by its execution, which knows what the row said no more.
            if not self._slots.holds(run_id):
                self._bus.finish(RunEnd(run_id, None, "interrupted", error=GONE))
        elif found[1] is not None:
            self._bus.finish(found[1])


def _not_found(run_id: UUID) -> NotFound:
    return NotFound(f"Run {run_id} not found.", code="run_not_found")
