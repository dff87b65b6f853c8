"""A process's worker: a thread with an event loop of its own, slots, and the claim loop that fills them.

Made and stopped by `app`; the rules in `runs` reach it through the `Slots` methods, from any thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import uvloop
from langgraph.store.base import BaseStore

from langyard import __version__
from langyard.graphs import Graphs
from langyard.model.runs import ClaimedRun
from langyard.model.stopping import stop
from langyard.postgres import runs as rows
from langyard.postgres.database import Database
from langyard.postgres.rows import suspects
from langyard.postgres.rows.workers import Heartbeat
from langyard.postgres.writer import Writer
from langyard.streams import LocalBus, Relay
from langyard.telemetry.chores import survived
from langyard.telemetry.metrics import Metrics
from langyard.worker.endings.faults import give_back
from langyard.worker.execution import Execution
from langyard.worker.means import Means, Stop
from langyard.worker.options import Options
from langyard.worker.upkeep.counters import Counters
from langyard.worker.upkeep.lease import LeaseKeeper
from langyard.worker.upkeep.sweeping import sweep
from langyard.worker.upkeep.threads import NodeThreads
from langyard.worker.upkeep.watchdog import Watchdog

log = logging.getLogger(__name__)

# How long a run may take to stop once it is told to, and the last writes to be stored, before the worker leaves anyway.
_STOP_S = 5.0


class Worker:
    """`start` returns when runs can be accepted; `stop` when every run is ended or handed back."""

    def __init__(
        self,
        options: Options,
        graphs: Graphs,
        bus: LocalBus,
        *,
        store: Callable[[Database], BaseStore] | None = None,
        on_webhook: Callable[[], None] = lambda: None,
        relay: Relay | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.worker_id = uuid4()
        self.counters = Counters()
        self._options = options
        self._graphs = graphs
        self._bus = bus
        self._store = store
        self._on_webhook = on_webhook
        self._relay = relay
        self._metrics = metrics or Metrics()
        self._lock = threading.Lock()
        self._free = options.slots
        self._open = False
        # Somebody was left without a slot: who comes now must not overtake.
        self._crowded = False
        self._ended_runs = 0
        # Runs wait to be claimed alone.
        self._suspects = False
        self._background: set[asyncio.Task[None]] = set()
        self._executions: dict[UUID, Execution] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread. Raises what keeps the worker from working."""
        self._thread = threading.Thread(target=self._main, name="langyard worker", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Drain: take no more, let runs end for the grace time, hand the rest back."""
        with self._lock:
            self._open = False
        self._call(self._stopping.set)
        if self._thread is not None:
            self._thread.join()

    def reserve(self) -> UUID | None:
        """A slot for a run that is about to be inserted."""
        with self._lock:
            if self._free <= 0:
                self._crowded = True
            if not self._open or self._crowded or self._keeper.overdue:
                return None
            self._free -= 1
            return self.worker_id

    def release(self) -> None:
        """Give a slot back."""
        with self._lock:
            self._free += 1

    def accept(self, claimed: ClaimedRun) -> None:
        """Run it in the slot reserved before."""
        self._call(lambda: self._begin(claimed))

    def wake(self) -> None:
        """Look for pending runs now."""
        self._call(self._wake.set)

    def cancel(self, run_id: UUID, action: str, reason: str) -> bool:
        """Stop a run that runs here."""
        if run_id not in self._executions:
            return False
        self._call(lambda: self._stop_run(run_id, Stop.asked(action, reason)))
        return True

    def look(self) -> None:
        """See what others want of the runs held here."""
        self._call(self._looking.set)

    def holds(self, run_id: UUID) -> bool:
        """Whether the run executes here."""
        return run_id in self._executions

    def follow(self, run_id: UUID) -> bool:
        """Store its events from now on, if it executes here; False when that is so already."""
        execution = self._executions.get(run_id)
        if execution is None or execution.outlet.followed:
            return False
        execution.outlet.followed = True
        return True

    async def settle(self) -> None:
        """Wait, on the caller's loop, until what was published so far is stored."""
        if self._loop is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._means.writer.commit(), self._loop))

    @property
    def running(self) -> int:
        """Runs executing now."""
        return len(self._executions)

    @property
    def slots(self) -> int:
        """Runs it may execute at once."""
        return self._options.slots

    def pool(self) -> dict[str, int]:
        """How its connections stand; empty before it has any."""
        return self._database.pool_stats() if self._open else {}

    def _call(self, action: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: there is nothing left to tell it
                self._loop.call_soon_threadsafe(action)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._work())
        except BaseException as error:  # the thread's end: handed to whoever started it, or logged
            self._failure = error
            if self._ready.is_set():
                log.exception("the worker has stopped working")
        finally:
            self._open = False
            self._ready.set()

    async def _work(self) -> None:
        options = self._options
        self._loop = asyncio.get_running_loop()
        # Synchronous nodes run in threads: as many as there are slots, or a thousand sleeping nodes would queue.
        self._loop.set_default_executor(NodeThreads(max(8, options.slots)))
        self._wake, self._looking, self._stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._database = Database(
            options.url,
            name="worker",
            max_size=options.pool_size,
            transaction_pooler=options.transaction_pooler,
        )
        await self._database.open()
        writer = Writer(self._database, on_queued=self._wake.set)
        writer.start()
        self._means = Means(
            graphs=self._graphs,
            database=self._database,
            writer=writer,
            bus=self._bus,
            store=self._store(self._database) if self._store is not None else None,
            timeout_s=options.run_timeout_s,
            recursion_limit=options.recursion_limit,
            on_webhook=self._on_webhook,
            relay=self._relay,
            metrics=self._metrics,
            retries=lambda graph: options.retries.get(graph, options.retry),
            cancel_grace_s=options.cancel_grace_s,
            max_attempts=options.max_attempts,
            counters=self.counters,
        )
        await self._enlist()
        watchdog = Watchdog(
            self._loop,
            limit_s=options.watchdog_s,
            counters=self.counters,
            runs=lambda: [execution.facts for execution in list(self._executions.values())],
        )
        watchdog.start()
        sweeping = sweep(self._database, options, self.counters, wake=self._wake.set, on_webhook=self._on_webhook)
        chores = [asyncio.create_task(chore) for chore in (self._claim(), sweeping, self._reconcile())]
        self._open = True
        self._ready.set()
        await self._stopping.wait()
        await stop(chores)
        await self._drain()
        watchdog.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await writer.close()
        await asyncio.to_thread(self._keeper.stop)
        await self._database.close()

    async def _enlist(self) -> None:
        """Register under the present `worker_id` and keep its lease."""
        options = self._options
        self._keeper = LeaseKeeper(
            Heartbeat(options.direct_url, self.worker_id, options.lease_ttl_s),
            self.worker_id,
            renew_s=options.lease_renew_s,
            ttl_s=options.lease_ttl_s,
            on_lost=lambda: self._call(self._lost),
        )
        start = self._keeper.start
        facts = {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__, "slots": options.slots}
        await asyncio.to_thread(lambda: start(**facts, graphs=self._graphs.names()))  # type: ignore[arg-type]

    def _lost(self) -> None:
        """Buried: stop what runs here (its writes are refused anyway) and come back as another worker."""
        for execution in list(self._executions.values()):
            execution.lease.lose()
        self._spawn(self._reenlist())

    async def _reenlist(self) -> None:
        while True:
            # Another with each try: the row of one whose answer was lost may be there.
            self.worker_id = uuid4()
            try:
                await self._enlist()
                return
            except Exception as error:  # the driver's: the database may be away just now
                log.warning("this worker cannot register again yet: %s", error)
                await asyncio.sleep(self._options.poll_s)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _begin(self, claimed: ClaimedRun) -> None:
        held = self._executions.get(claimed.run_id)
        if held is not None:
            # A claim and the adoption of what seemed a lost claim: the newer fence is the one that may write.
            if held.claimed.fence >= claimed.fence:
                self.release()
                return
            held.lease.lose()
        try:
            execution = Execution(claimed, self._means)
        except Exception as error:  # ours: a row that is not understood must not keep the others from being claimed
            self.release()
            self._spawn(give_back(claimed, self._means, error))
            return
        self._executions[claimed.run_id] = execution
        execution.begin(self._ended)

    def _ended(self, execution: Execution) -> None:
        if self._executions.get(execution.claimed.run_id) is execution:
            del self._executions[execution.claimed.run_id]
        self._ended_runs += 1
        with self._lock:
            self._free += 1
            none_before = self._free == 1
        if none_before or self._crowded or self._options.caps is not None:
            self._wake.set()

    def _stop_run(self, run_id: UUID, stop: Stop) -> None:
        execution = self._executions.get(run_id)
        if execution is not None:
            execution.cancel(stop)

    async def _claim(self) -> None:
        """Fill free slots whenever there may be something; look every `poll_s` in any case."""
        polled = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_s):
                    await self._wake.wait()
            self._wake.clear()
            if time.monotonic() - polled >= self._options.poll_s:
                polled = time.monotonic()
                ended = self._ended_runs
                most = self._options.max_attempts
                let_in = rows.let_in(self._database, self.worker_id, ended, max_attempts=most)
                _, self._suspects = await survived(log, "let in runs", let_in) or (0, False)
            if self._suspects:
                await survived(log, "claim runs", self._claim_some(alone=True))
            await survived(log, "claim runs", self._claim_some())

    async def _claim_some(self, *, alone: bool = False) -> None:
        options, graphs = self._options, self._graphs.names()
        with self._lock:
            # Half of what is free: who starts a run while this looks must find a slot as well.
            most = min((self._free + 1) // 2, 1 if alone else 32)
            wanted = most if self._open and not self._keeper.overdue else 0
            self._free -= wanted
        claimed: list[ClaimedRun] = []
        try:
            if wanted and alone:
                claimed = await suspects.claim(
                    self._database, self.worker_id, graphs, options.caps,
                    max_attempts=options.max_attempts, ttl_s=options.lease_ttl_s,
                )  # fmt: skip
            elif wanted:
                claimed = await rows.claim(self._database, self.worker_id, graphs, wanted, options.caps)
        finally:
            with self._lock:
                self._free += wanted - len(claimed)
                if wanted and not alone:
                    self._crowded = len(claimed) == wanted
        for run in claimed:
            self._begin(run)
        if wanted and len(claimed) == wanted:
            self._wake.set()

    async def _reconcile(self) -> None:
        """Learn what the database knows better: runs cancelled from elsewhere, runs claimed but never received."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_s):
                    await self._looking.wait()
            self._looking.clear()
            await survived(log, "see what is wanted of runs", self._reconcile_once())

    async def _reconcile_once(self) -> None:
        held = {run_id: execution.claimed.fence for run_id, execution in self._executions.items()}
        if held:
            for row in await rows.wishes(self._database, held):
                execution = self._executions.get(row["run_id"])
                if execution is None or execution.claimed.fence != row["fence"]:
                    continue
                if row["followed"]:
                    execution.outlet.followed = True
                if row["cancel_action"] is not None:
                    execution.cancel(Stop.asked(row["cancel_action"], row["cancel_reason"]))
        for run in await rows.strays(self._database, self.worker_id, list(self._executions)):
            with self._lock:
                self._free -= 1
            self._begin(run)

    async def _drain(self) -> None:
        """Let runs end for the grace time; what is left stops at its last checkpoint and goes back to pending."""
        # What is being inserted for us would be taken for the run of a dead worker.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while self._options.slots - self._free > len(self._executions):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        left = await self._quiet(self._options.grace_s)
        if left:
            log.info("handing back %d unfinished runs", len(left))
        for execution in left:
            execution.cancel(Stop("drain"))
        await self._quiet(_STOP_S)
        # Also what was claimed in the moment of stopping and never reached us.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                back = await survived(log, "hand runs back", rows.hand_back(self._database, self.worker_id))
                self.counters.handed_back += back or 0

    async def _quiet(self, timeout_s: float) -> list[Execution]:
        """The executions still there after waiting for all of them for so long."""
        running = [execution.finished for execution in self._executions.values()]
        if running:
            await asyncio.wait(running, timeout=timeout_s)
        return list(self._executions.values())
