"""The rules of runs: starting, waiting, cancelling. Called by the gateway and `WorkflowManager`, on their loop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from langyard.model.errors import LangyardError, NotFound
from langyard.model.runs import ClaimedRun, Run, RunEnd, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres.database import Database
from langyard.streams import LocalBus, Subscription

log = logging.getLogger(__name__)


class Slots(Protocol):
    """What a worker in this process offers to the rules. All methods may be called from any thread."""

    def reserve(self) -> UUID | None:
        """Take a slot: the worker's id, or None when there is none free."""

    def release(self) -> None:
        """Give an unused slot back."""

    def accept(self, claimed: ClaimedRun) -> None:
        """Run it in the slot reserved before."""

    def wake(self) -> None:
        """There may be something to claim."""

    def cancel(self, run_id: UUID, action: str, reason: str) -> bool:
        """Stop a run that runs here; False when it does not."""


class NoSlots:
    """The offer of a process without a worker."""

    def reserve(self) -> UUID | None:
        """Never a slot."""
        return None

    def release(self) -> None:
        """Nothing to give back."""

    def accept(self, claimed: ClaimedRun) -> None:
        """Cannot happen: no slot was ever reserved."""
        raise AssertionError(claimed.run_id)

    def wake(self) -> None:
        """Nobody to wake."""

    def cancel(self, run_id: UUID, action: str, reason: str) -> bool:
        """Nothing runs here."""
        return False


@dataclass(slots=True)
class StartedRun:
    """A run on its way and the reader of its events; close the reader when done."""

    run: Run
    reader: Subscription


class Runs:
    """Open with `open` on the gateway's loop, close with `close`."""

    def __init__(self, database: Database, bus: LocalBus, slots: Slots, *, poll_s: float = 1.0) -> None:
        self._database = database
        self._bus = bus
        self._slots = slots
        self._poll_s = poll_s
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to watch for runs that end elsewhere."""
        self._watching = asyncio.create_task(self._watch(), name="langyard watch")

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def start(self, request: RunRequest, *, events: bool) -> StartedRun | None:
        """Make a run and read it from its first event on (`events=False`: only its end).

        None when the session or thread does not exist, is another user's, or is busy and the strategy is `reject`.
        Raises `Unavailable` when the database is away.
        """
        reader = self._bus.subscribe(request.run_id, events=events)
        worker_id = self._slots.reserve() if request.after_s <= 0 else None
        accepted = False
        try:
            started = await rows.start(self._database, request, worker_id)
            if started is not None and started.claimed is not None:
                self._slots.accept(started.claimed)
                accepted = True
        except BaseException:
            reader.close()
            raise
        finally:
            if worker_id is not None and not accepted:
                self._slots.release()
        if started is None:
            reader.close()
            return None
        if started.run.status == "pending":
            self._slots.wake()
        return StartedRun(started.run, reader)

    async def get(self, run_id: UUID) -> Run:
        """Raises `NotFound`."""
        run = await rows.find(self._database, run_id)
        if run is None:
            raise NotFound(f"Run {run_id} not found.", code="run_not_found")
        return run

    async def wait(self, run_id: UUID) -> RunEnd:
        """The end of a run, whichever process runs it. Raises `NotFound`."""
        with self._bus.subscribe(run_id, events=False) as reader:
            found = await rows.outcome(self._database, run_id)
            if found is None:
                raise NotFound(f"Run {run_id} not found.", code="run_not_found")
            return found[1] or await reader.wait_end()

    async def cancel(self, run_id: UUID, *, action: str = "interrupt", reason: str) -> bool:
        """Stop a run wherever it is; False when it is already over. Returns before the worker has stopped."""
        state = await rows.cancel(self._database, run_id, action=action, reason=reason)
        if state == "running":
            self._slots.cancel(run_id, action, reason)
        elif state == "pending":
            await self._publish_end(run_id)
            self._slots.wake()
        return state is not None

    async def _watch(self) -> None:
        """Ends that no local worker announces: other processes' runs, cancelled ones, buried ones."""
        while True:
            await asyncio.sleep(self._poll_s)
            waited = self._bus.waited()
            if not waited:
                continue
            try:
                for run_id in await rows.ended(self._database, waited):
                    await self._publish_end(run_id)
            except LangyardError as error:
                log.warning("cannot look for ended runs: %s", error.detail)

    async def _publish_end(self, run_id: UUID) -> None:
        found = await rows.outcome(self._database, run_id)
        if found is not None and found[1] is not None:
            self._bus.finish(found[1])
