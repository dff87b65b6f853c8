"""One run, from its claim to its end: LangGraph streams, events go out, the end is committed and then announced.

Called by the worker, once per claimed run, in an asyncio task of its own on the worker's loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl

from langyard import serde
from langyard.model.errors import LangyardError, LeaseLost
from langyard.model.events import Sequence
from langyard.model.runs import ClaimedRun, RunEnd, RunStatus, shown_error
from langyard.postgres import runs as rows
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.writer import Finish, Lease
from langyard.streams import Outlet
from langyard.worker import effects, events
from langyard.worker.endings.faults import give_back
from langyard.worker.endings.leavings import has_breakpoints, left_behind, left_config
from langyard.worker.endings.retries import is_retriable, put_back
from langyard.worker.invocation import Part, config_of, context_of, input_of, parts, user_of
from langyard.worker.means import Again, Ending, Means, Stop, effects_of, facts_of
from langyard.worker.messages import Messages
from langyard.worker.protocol import MODES, protocol_parts

log = logging.getLogger("langyard.runs")

# How long a cancelled run has to come to the end of its step, or of itself, before its nodes are cancelled.
_MOMENT_S = 0.2


class Execution:
    """A claimed run. It is `finished` when its end is committed, when it was put back, or when the lease is gone."""

    def __init__(self, claimed: ClaimedRun, means: Means) -> None:
        self.claimed = claimed
        self.stop = Stop.asked(claimed.cancel_action, claimed.cancel_reason) if claimed.cancel_action else None
        self._streaming = self._abandoned = self._faulty = False
        self._control = RunControl()
        self._means = means
        self._task: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self.facts = facts_of(claimed)
        self._last: Any = None
        self._seen_state = False
        self._interrupted = False
        self._effects: effects.Effects | None = None
        asked = set(claimed.kwargs.get("stream_mode") or ())
        self._modes = {events.LANGGRAPH_MODES[mode] for mode in asked if mode in events.LANGGRAPH_MODES}
        # Who asks for both forms of messages gets the newer one.
        self._messages = Messages() if "messages" in asked and "messages-tuple" not in asked else None
        if "events" in asked:
            self._modes.add("events")
        # Its readers speak the event protocol: LangGraph streams another way for them.
        self._protocol = bool(claimed.kwargs.get("event_streaming"))
        if self._protocol:
            self._modes, self._messages = set(MODES), None
        # One for the run whatever becomes of its lease: numbers do not go back.
        self._sequence = Sequence(claimed.claimed_at)
        self.lease = self._own_lease()
        self.outlet = self._own_outlet(claimed.followed)
        fresh = claimed.fresh and claimed.fence == 1
        self._scope = Scope(
            lease=self.lease,
            head=dict(claimed.head) if claimed.head is not None else None,
            fresh=fresh,
            wait=claimed.kwargs.get("durability") == "sync",
            metadata={"run_id": str(claimed.run_id), "run_attempt": claimed.attempt},
        )

    def _own_lease(self) -> Lease:
        claimed = self.claimed
        return Lease(claimed.run_id, claimed.thread_id, claimed.fence, on_lost=self._on_lost)

    def _own_outlet(self, followed: bool) -> Outlet:
        claimed, means = self.claimed, self._means
        return Outlet(
            self.lease, means.bus, means.writer, means.relay,
            followed=followed, watched=claimed.watched, kept=bool(claimed.kwargs.get("stream_resumable")),
            sequence=self._sequence,
        )  # fmt: skip

    def begin(self, done: Callable[[Execution], None]) -> None:
        """Start on the running loop; `done(self)` is called when it is over, whatever happened."""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._done = done
        self._task = asyncio.create_task(self._run(), name=f"run {self.claimed.run_id}")
        self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        if task is not self._task:
            return  # it was abandoned, and has come to its end at last
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not self._faulty and not (task.cancelled() and self._stopping()):
            # Ours, not the graph's.
            self._faulty, self.lease.on_lost = True, None
            self.lease.lose()
            self._task = asyncio.create_task(give_back(self.claimed, self._means, error))
            self._task.add_done_callback(self._over)
            return
        self.finished.set_result(None)
        self._done(self)

    def cancel(self, stop: Stop) -> None:
        """Ask the run to stop; the first reason counts.

        Only the graph is interrupted. A run that has not begun finds the reason when it would; of one whose end is on
        its way, the database says which of the two was first.
        """
        if self.stop is not None or self._task is None:
            return
        self.stop = stop
        if stop.kind == "cancel":
            # The graph stops by itself between two steps; nodes may look at `runtime.control` and do so sooner.
            self._control.request_drain(stop.reason or "cancelled")
            asyncio.get_running_loop().call_later(_MOMENT_S, self._insist)
        else:
            self._insist()

    def _insist(self) -> None:
        if self._streaming and self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(self._means.cancel_grace_s, self._abandon)

    def _abandon(self) -> None:
        """End the run without its node, which does not let go: what the node still writes is refused."""
        if not self._streaming:
            return
        self._streaming, self._abandoned = False, True
        self._means.counters.abandoned += 1
        log.warning("a node does not stop; its run ends without it", extra=self.facts)
        lost, self.lease.on_lost = self.lease.lost, None
        self.lease.lose()
        if not lost:
            self.lease = self._own_lease()
            self.outlet = self._own_outlet(self.outlet.followed)
            # A scope of its own, which has to ask the database; the old one stays with the node.
            self._scope = Scope(lease=self.lease, written={""}, interrupts=self._scope.interrupts)
        self._task = asyncio.create_task(self._run(), name=f"end of run {self.claimed.run_id}")
        self._task.add_done_callback(self._over)

    @property
    def _timed(self) -> dict[str, Any]:
        return {**self.facts, "duration": round(time.perf_counter() - self._began, 6)}

    def _on_lost(self) -> None:
        self.cancel(Stop("lost" if self.lease.refused is None else "refused"))

    async def _run(self) -> None:
        if not self._abandoned:
            log.info("workflow_start", extra={**self.facts, "attempt": self.claimed.attempt})
        try:
            finished = await self._told_of()
        except LeaseLost:
            if asyncio.current_task() is self._task:
                if self.lease.refused is not None:
                    raise  # the end of what was refused is refused as well
                self._lost()
            return
        if finished is not None:
            log.info("workflow_complete", extra={**self._timed, "status": finished.status})
            self._means.count(self.claimed.graph_id, finished, time.perf_counter() - self._began)
            self.outlet.finish(finished)
            if self.claimed.kwargs.get("webhook"):
                self._means.on_webhook()

    async def _told_of(self) -> RunEnd | None:
        try:
            return await self._run_to_its_end()
        except LeaseLost:
            if self.lease.refused is None or asyncio.current_task() is not self._task:
                raise
            return await self._finish(*self._refused(self.lease.refused))

    async def _run_to_its_end(self) -> RunEnd | None:
        """The committed end; None when it is told already, or is not ours to tell."""
        end = await self._execute()
        if asyncio.current_task() is not self._task:
            return None
        if isinstance(end, Again):
            await put_back(self.claimed, self.lease, self._means, end)
            log.warning("workflow_retry", extra={**self._timed, **end.facts}, exc_info=end.error)
            return None
        if end is None:
            if self.stop is not None and self.stop.kind == "lost":
                self._lost()
            elif self.stop is None or self.stop.kind == "drain":
                self._means.bus.hand_over(self.claimed.run_id)
            return None
        finished = await self._finish(*end)
        if finished is None and self.lease.asked is not None:
            self.stop = Stop.asked(*self.lease.asked)
            end = await self._stopped()
            finished = await self._finish(*end) if end is not None else None
        return finished

    def _lost(self) -> None:
        self._means.counters.lost += 1
        log.warning("the lease is lost: another worker has taken the run over", extra=self.facts)
        self._means.bus.hand_over(self.claimed.run_id)

    async def _execute(self) -> Ending | Again | None:
        """Stream the graph. Returns how the run ended; None when it is no longer ours to end."""
        if self._stopping():
            return await self._stopped()
        limit = self.claimed.kwargs.get("timeout_s", self._means.timeout_s) or None
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(limit, self.cancel, Stop("timeout")) if limit is not None else None
        try:
            self._streaming = True
            try:
                waiting = await self._stream()
            finally:
                self._streaming = False
                if alarm is not None:
                    alarm.cancel()
            return "success", "interrupted" if waiting else "idle", None
        except GraphDrained as drained:
            # Asked for by us, or by a node of its own accord.
            if not self._stopping():
                self.stop = Stop("cancel", drained.reason)
            return await self._stopped()
        except (asyncio.CancelledError, LeaseLost, GeneratorExit):
            if not self._stopping():
                raise
            return await self._stopped()
        except Exception as error:  # user code: whatever it raises is the run's outcome, not ours
            # What a node raises when it is cancelled is how it stops.
            return await self._stopped() if self._stopping() else self._failed(error)

    def _stopping(self) -> bool:
        return self.stop is not None

    def _failed(self, error: Exception) -> Ending | Again:
        if is_retriable(error):
            policy = self._means.retries(self.claimed.graph_id)
            delay_s = policy.delay_s(self.claimed.retries, random.random())
            if delay_s is not None:
                return Again(delay_s, error)
        if isinstance(error, LangyardError):
            log.warning("workflow_error", extra={**self._timed, "error": error.code})
        else:
            log.error("workflow_error", extra={**self._timed, "error": type(error).__name__}, exc_info=error)
        failure = events.failure(error)
        self.outlet.publish("error", serde.dumps(shown_error(failure)))
        return "error", "error", failure

    async def _stopped(self) -> Ending | None:
        """After a cancellation: user's, drain, time-out, or a lost lease."""
        stop, task = self.stop, asyncio.current_task()
        if task is None or task is not self._task or stop is None or stop.kind == "lost":
            return None
        while task.cancelling():
            task.uncancel()
        await effects.settle(self._effects)
        with suppress(LeaseLost):
            await self._means.writer.commit(self.lease)
        if stop.kind == "drain":
            return None
        if self.lease.refused is not None:
            return self._refused(self.lease.refused)
        if stop.kind == "rollback":
            await self._roll_back(stop)
            return None
        if stop.kind == "timeout":
            limit = self.claimed.kwargs.get("timeout_s", self._means.timeout_s)
            log.warning("workflow_error", extra={**self._timed, "error": "timeout"})
            text = f"The run took longer than its limit of {limit:g} seconds."
            return "timeout", "error", {"error": "TimeoutError", "message": text}
        waiting = await self._has_next()
        return "interrupted", "interrupted" if waiting else "idle", {"error": "UserInterrupt", "message": stop.reason}

    def _refused(self, error: Exception) -> Ending:
        """What it wants stored is not taken and never will be: it ends where it was, under a new lease."""
        log.error("workflow_error", extra={**self._timed, "error": type(error).__name__}, exc_info=error)
        self.lease = self._own_lease()
        self.outlet = self._own_outlet(self.outlet.followed)
        self._scope, self._last, self._seen_state = Scope(lease=self.lease), None, False
        failure = events.failure(error)
        self.outlet.publish("error", serde.dumps(shown_error(failure)))
        return "error", "error", failure

    async def _roll_back(self, stop: Stop) -> None:
        """Leave no trace of this run; the thread is as it was before."""
        claimed, means = self.claimed, self._means
        error = {"error": "UserRollback", "message": stop.reason}
        await rows.roll_back(means.database, claimed.run_id, claimed.fence, serde.dumps(error))
        self.outlet.finish(RunEnd(claimed.run_id, claimed.thread_id, "interrupted", error=error))

    async def _stream(self) -> bool:
        """Run the graph to its end; True when the thread waits for somebody (an interrupt or a breakpoint)."""
        claimed, kwargs, means = self.claimed, self.claimed.kwargs, self._means
        config = config_of(claimed, means.recursion_limit)
        saver = None if kwargs.get("temporary") else Checkpointer(means.database, means.writer, self._scope)
        options: dict[str, Any] = {
            "stream_mode": [*(self._modes | {"values"})],
            "subgraphs": bool(kwargs.get("stream_subgraphs")),
            "interrupt_before": kwargs.get("interrupt_before"),
            "interrupt_after": kwargs.get("interrupt_after"),
            "durability": kwargs.get("durability") or "async" if saver is not None else None,
            "control": self._control,
        }
        self.outlet.publish("metadata", serde.dumps({"run_id": str(claimed.run_id), "attempt": claimed.attempt}))
        graph = means.graphs.get(claimed.graph_id)
        self._output = graph.output if claimed.assistant_id is not None else None
        async with graph.open(
            config,
            access="threads.create_run",
            checkpointer=saver,
            store=means.store,
            user=user_of(claimed),
            context=kwargs.get("context"),
        ) as pregel:
            value = await input_of(claimed, saver, config)
            options["context"] = context_of(claimed, pregel)
            self._effects = effects.bind(effects_of(self.lease, means, pregel))
            streamed: Callable[..., AsyncGenerator[Part, None]] = protocol_parts if self._protocol else parts
            async with aclosing(streamed(pregel, value, config, options)) as stream:
                async for part in stream:
                    namespace, mode, chunk = part if len(part) == 3 else ((), *part)
                    self._take(mode, namespace, chunk)
            return await self._settle(pregel, config, saver)

    def _take(self, mode: str, namespace: tuple[str, ...], chunk: Any) -> None:
        if self._abandoned:
            raise LeaseLost("The run has ended without this node.")
        if mode == "values" and not namespace:
            if found := events.interrupts_of(chunk):
                self._interrupted = True
                chunk = {**chunk, events.INTERRUPT: tuple(found)}
                if self.claimed.kwargs.get("temporary"):
                    # Nothing is checkpointed: this is the only place that knows of it.
                    self._scope.interrupts[found[0].id] = found
            self._last, self._seen_state = events.without_interrupts(chunk), True
        if mode not in self._modes and not mode.startswith("custom:"):
            return
        if mode == "messages" and self._messages is not None:
            for name, data in self._messages.take(*chunk):
                if self.outlet.wanted:
                    self.outlet.publish(name, serde.dumps(data))
        elif self.outlet.wanted:
            self.outlet.publish(*events.encode(mode, namespace, chunk, self._output))

    async def _settle(
        self, pregel: Pregel[Any, Any, Any, Any], config: RunnableConfig, saver: Checkpointer | None
    ) -> bool:
        if saver is None or (self._seen_state and not has_breakpoints(self.claimed, pregel)):
            return self._interrupted
        state = await pregel.aget_state(config)
        if not self._seen_state and state.values:
            self._last, self._seen_state = state.values, True
        for found in state.tasks:
            if found.interrupts:
                self._scope.interrupts.setdefault(found.id, found.interrupts)
        return bool(state.next)

    async def _has_next(self) -> bool:
        left = await left_behind(self.claimed, self._means, self._scope)
        if left.values:
            self._last, self._seen_state = left.values, True
        return left.waiting

    async def _finish(self, status: RunStatus, thread_status: str, error: dict[str, Any] | None) -> RunEnd | None:
        """Commit the end, then announce it. None when the run had been told to stop before: `lease.asked` says how."""
        claimed = self.claimed
        values = serde.dumps(self._last) if self._seen_state else None
        waiting = events.thread_interrupts(self._scope.interrupts) if thread_status != "idle" else {}
        # A run that failed before it got anywhere leaves the thread's questions as they were.
        as_before = thread_status == "error" and not waiting and not self._scope.written
        end = Finish(
            status=status,
            thread_status=thread_status,
            error=serde.dumps(error) if error else None,
            thread_error=serde.dumps(shown_error(error)) if error else None,
            values=values,
            interrupts=None if as_before else serde.dumps(waiting),
            config=left_config(claimed),
            temporary=bool(claimed.kwargs.get("temporary")),
        )
        last = self.outlet.close("end", serde.dumps({"run_id": str(claimed.run_id), "status": status}))
        batch = self._means.writer.batch(len(values or b""))
        batch.finishes[claimed.run_id] = (batch.index(self.lease), end)
        await self._means.writer.commit(self.lease)
        if self.lease.asked is not None:
            return None
        self.outlet.announce(last)
        flat = tuple(entry for entries in waiting.values() for entry in entries)
        return RunEnd(claimed.run_id, claimed.thread_id, status, values, flat, error, thread_status == "interrupted")
