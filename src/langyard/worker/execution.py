"""One run, from its claim to its end: LangGraph streams, events go out, the end is committed and then announced.

Called by the worker, once per claimed run, in an asyncio task of its own on the worker's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from langyard import serde
from langyard.graphs import Graphs
from langyard.model.configs import inherited
from langyard.model.errors import LangyardError, LeaseLost
from langyard.model.runs import ClaimedRun, RunEnd, RunStatus, shown_error
from langyard.postgres import runs as rows
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.database import Database
from langyard.postgres.writer import Finish, Lease, Writer
from langyard.streams import LocalBus, Outlet, Relay
from langyard.telemetry.metrics import Metrics
from langyard.worker import events
from langyard.worker.invocation import config_of, context_of, input_of, parts, user_of
from langyard.worker.messages import Messages
from langyard.worker.protocol import MODES, protocol_parts

log = logging.getLogger("langyard.runs")


@dataclass(frozen=True, slots=True)
class Means:
    """What every execution of a worker uses."""

    graphs: Graphs
    database: Database
    writer: Writer
    bus: LocalBus
    store: BaseStore | None
    timeout_s: float
    recursion_limit: int | None
    on_webhook: Callable[[], None]
    relay: Relay | None = None
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(slots=True)
class Stop:
    """Why a run is being cancelled."""

    kind: Literal["cancel", "rollback", "drain", "lost"]
    reason: str = ""

    @classmethod
    def asked(cls, action: str, reason: str | None) -> Stop:
        """What a cancellation asks for."""
        return cls("rollback" if action == "rollback" else "cancel", reason or "")


class Execution:
    """A claimed run. `run` ends when the run's end is committed, when it was handed back, or when the lease is gone."""

    def __init__(self, claimed: ClaimedRun, means: Means) -> None:
        self.claimed = claimed
        self.stop = Stop.asked(claimed.cancel_action, claimed.cancel_reason) if claimed.cancel_action else None
        self._streaming = False
        self._means = means
        self._task: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self._facts = {
            "workflow_type": claimed.graph_id, "run_id": str(claimed.run_id), "thread_id": str(claimed.thread_id),
            **({"session_id": claimed.metadata["session_id"]} if "session_id" in claimed.metadata else {}),
        }  # fmt: skip
        self._last: Any = None
        self._seen_state = False
        self._interrupted = False
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
        self.lease = Lease(claimed.run_id, claimed.thread_id, claimed.fence, on_lost=self._on_lost)
        self.outlet = Outlet(
            self.lease, means.bus, means.writer, means.relay,
            followed=claimed.followed, watched=claimed.watched, kept=bool(claimed.kwargs.get("stream_resumable")),
            began_at=claimed.claimed_at,
        )  # fmt: skip
        fresh = claimed.fresh and claimed.attempt == 1
        self._scope = Scope(
            lease=self.lease,
            head=dict(claimed.head) if claimed.head is not None else None,
            fresh=fresh,
            wait=claimed.kwargs.get("durability") == "sync",
            metadata={"run_id": str(claimed.run_id), "run_attempt": claimed.attempt},
        )

    def begin(self, done: Any) -> None:
        """Start on the running loop; `done(self)` is called when it is over, whatever happened."""
        self._task = asyncio.create_task(self._run(), name=f"run {self.claimed.run_id}")
        self._task.add_done_callback(lambda task: self._over(task, done))

    def _over(self, task: asyncio.Task[None], done: Any) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Ours, not the graph's. The run stays running under a worker that no longer knows it, and is adopted again.
            log.error("a run's execution failed", extra={"run_id": str(self.claimed.run_id)}, exc_info=error)
        done(self)

    def cancel(self, stop: Stop) -> None:
        """Ask the run to stop; the first reason counts.

        Only the graph is interrupted. A run that has not begun finds the reason when it would; of one whose end is on
        its way, the database says which of the two was first.
        """
        if self.stop is None and self._task is not None:
            self.stop = stop
            if self._streaming:
                self._task.cancel()

    @property
    def finished(self) -> asyncio.Task[None]:
        """The running task, to be waited for; only after `begin`."""
        assert self._task is not None
        return self._task

    @property
    def _timed(self) -> dict[str, Any]:
        return {**self._facts, "duration": round(time.perf_counter() - self._began, 6)}

    def _on_lost(self) -> None:
        self.cancel(Stop("lost"))

    async def _run(self) -> None:
        log.info("workflow_start", extra={**self._facts, "attempt": self.claimed.attempt})
        try:
            end = await self._execute()
            if end is None:
                return
            finished = await self._finish(*end)
            if finished is None and self.lease.asked is not None:
                self.stop = Stop.asked(*self.lease.asked)
                end = await self._stopped()
                finished = await self._finish(*end) if end is not None else None
            if finished is None:
                return
        except LeaseLost:
            log.warning("the lease is lost: another worker has taken the run over", extra=self._facts)
            return
        log.info("workflow_complete", extra={**self._timed, "status": finished.status})
        self._count(finished)
        self.outlet.finish(finished)
        if self.claimed.kwargs.get("webhook"):
            self._means.on_webhook()

    def _count(self, end: RunEnd) -> None:
        metrics, graph_id = self._means.metrics, self.claimed.graph_id
        metrics.count("langgraph_runs_total", graph_id, end.status)
        metrics.observe("langgraph_workflow_execution_seconds", time.perf_counter() - self._began, graph_id)
        if end.status in ("error", "timeout"):
            metrics.count("langgraph_errors_total", (end.error or {}).get("error") or end.status)

    async def _execute(self) -> tuple[RunStatus, str, dict[str, Any] | None] | None:
        """Stream the graph. Returns run status, thread status and error; None when the run is no longer ours to end."""
        if self.stop is not None:
            return await self._stopped()
        limit = self.claimed.kwargs.get("timeout_s", self._means.timeout_s) or None
        try:
            self._streaming = True
            try:
                async with asyncio.timeout(limit) as deadline:
                    waiting = await self._stream()
            finally:
                self._streaming = False
            return "success", "interrupted" if waiting else "idle", None
        except asyncio.CancelledError:
            return await self._stopped()
        except (LeaseLost, GeneratorExit):
            raise
        except TimeoutError as error:
            if not deadline.expired():
                return self._failed(error)
            text = f"The run took longer than its limit of {limit:g} seconds."
            log.warning("workflow_error", extra={**self._timed, "error": "timeout"})
            return "timeout", "error", {"error": "TimeoutError", "message": text}
        except LangyardError as error:
            log.warning("workflow_error", extra={**self._timed, "error": error.code})
            told = {"error": error.code, "message": error.detail}
            self.outlet.publish("error", serde.dumps(told))
            return "error", "error", told
        except Exception as error:  # user code: whatever it raises is the run's outcome, not ours
            return self._failed(error)

    def _failed(self, error: Exception) -> tuple[RunStatus, str, dict[str, Any]]:
        log.error("workflow_error", extra={**self._timed, "error": type(error).__name__}, exc_info=error)
        failure = events.failure(error)
        self.outlet.publish("error", serde.dumps(shown_error(failure)))
        return "error", "error", failure

    async def _stopped(self) -> tuple[RunStatus, str, dict[str, Any] | None] | None:
        """After a cancellation: user's, drain, or a lost lease."""
        stop = self.stop
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if stop is None or stop.kind == "lost":
            return None
        with suppress(LeaseLost):
            await self._means.writer.commit(self.lease)
        if stop.kind == "drain":
            return None
        if stop.kind == "rollback":
            await self._roll_back(stop)
            return None
        waiting = await self._has_next()
        return "interrupted", "interrupted" if waiting else "idle", {"error": "UserInterrupt", "message": stop.reason}

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
            "stream_mode": [*((self._modes - {"events"}) | {"values"})],
            "subgraphs": bool(kwargs.get("stream_subgraphs")),
            "interrupt_before": kwargs.get("interrupt_before"),
            "interrupt_after": kwargs.get("interrupt_after"),
            "durability": kwargs.get("durability") or "async" if saver is not None else None,
        }
        self.outlet.publish("metadata", serde.dumps({"run_id": str(claimed.run_id), "attempt": claimed.attempt}))
        graph = means.graphs.get(claimed.graph_id)
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
            if self._protocol:
                graph_name = serde.dumps({"event": "running", "graph_name": claimed.graph_id})
                self.outlet.publish("lifecycle", graph_name)
                stream = protocol_parts(pregel, value, config, options)
            else:
                stream = parts(pregel, value, config, options, events="events" in self._modes)
            async with aclosing(stream):
                async for namespace, mode, chunk in stream:
                    self._take(mode, namespace, chunk)
            return await self._settle(pregel, config, saver)

    def _take(self, mode: str, namespace: tuple[str, ...], chunk: Any) -> None:
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
            self.outlet.publish(*events.encode(mode, namespace, chunk))

    async def _settle(
        self, pregel: Pregel[Any, Any, Any, Any], config: RunnableConfig, saver: Checkpointer | None
    ) -> bool:
        kwargs = self.claimed.kwargs
        breakpoints = (
            kwargs.get("interrupt_before") or kwargs.get("interrupt_after")
            or pregel.interrupt_before_nodes or pregel.interrupt_after_nodes
        )  # fmt: skip
        if saver is None or (self._seen_state and not breakpoints):
            return self._interrupted
        state = await pregel.aget_state(config)
        if not self._seen_state and state.values:
            self._last, self._seen_state = state.values, True
        for found in state.tasks:
            if found.interrupts:
                self._scope.interrupts.setdefault(found.id, found.interrupts)
        return bool(state.next)

    async def _has_next(self) -> bool:
        """Whether the stopped thread has nodes still to run. Never raises: a broken graph has none."""
        try:
            config = config_of(self.claimed, self._means.recursion_limit)
            saver = Checkpointer(self._means.database, self._means.writer, self._scope)
            graph = self._means.graphs.get(self.claimed.graph_id)
            async with graph.open(
                config, access="threads.read", checkpointer=saver, user=user_of(self.claimed)
            ) as pregel:
                state = await pregel.aget_state(config)
                if state.values:
                    self._last, self._seen_state = state.values, True
                return bool(state.next)
        except Exception:  # user code: a factory that fails now must not keep the run from ending
            log.exception("the state of a stopped run could not be read")
            return False

    async def _finish(self, status: RunStatus, thread_status: str, error: dict[str, Any] | None) -> RunEnd | None:
        """Commit the end, then announce it. None when the run had been told to stop before: `lease.asked` says how."""
        claimed = self.claimed
        values = serde.dumps(self._last) if self._seen_state else None
        waiting = events.thread_interrupts(self._scope.interrupts) if thread_status == "interrupted" else {}
        end = Finish(
            status=status,
            thread_status=thread_status,
            error=serde.dumps(error) if error else None,
            thread_error=serde.dumps(shown_error(error)) if error else None,
            values=values,
            interrupts=serde.dumps(waiting),
            config=self._left_config(),
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

    def _left_config(self) -> bytes | None:
        """What the thread's later runs inherit; None when that stays as it was."""
        if self.claimed.assistant_id is None:
            return None
        before = self.claimed.thread_config
        after = inherited(before, self.claimed.kwargs.get("config") or {})
        return serde.dumps(after) if {"configurable": {}, **before} != after else None
