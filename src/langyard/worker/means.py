"""What executions work with and how they end: plain data, handed between the worker and its executions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from langyard.graphs import Graphs
from langyard.graphs.factory import AnyGraph
from langyard.model.retries import RetryPolicy
from langyard.model.runs import ClaimedRun, RunEnd, RunStatus
from langyard.postgres.database import Database
from langyard.postgres.writer import Lease, Writer
from langyard.streams import LocalBus, Relay
from langyard.telemetry.metrics import Metrics
from langyard.worker.effects import Effects
from langyard.worker.upkeep.counters import Counters

# Run status, thread status, error.
Ending = tuple[RunStatus, str, dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Means:
    """What every execution of a worker uses. `retries` gives the policy of a graph, by its name."""

    graphs: Graphs
    database: Database
    writer: Writer
    bus: LocalBus
    store: BaseStore | None
    timeout_s: float
    recursion_limit: int | None
    on_webhook: Callable[[], None]
    retries: Callable[[str], RetryPolicy]
    cancel_grace_s: float
    max_attempts: int
    relay: Relay | None = None
    metrics: Metrics = field(default_factory=Metrics)
    counters: Counters = field(default_factory=Counters)

    def count(self, graph_id: str, end: RunEnd, took_s: float) -> None:
        """Count a run that has ended."""
        self.metrics.count("langgraph_runs_total", graph_id, end.status)
        self.metrics.observe("langgraph_workflow_execution_seconds", took_s, graph_id)
        if end.status in ("error", "timeout"):
            self.metrics.count("langgraph_errors_total", (end.error or {}).get("error") or end.status)


def facts_of(claimed: ClaimedRun) -> dict[str, Any]:
    """What the log says of a run wherever it is named."""
    facts = {"workflow_type": claimed.graph_id, "run_id": str(claimed.run_id), "thread_id": str(claimed.thread_id)}
    return facts | ({"session_id": claimed.metadata["session_id"]} if "session_id" in claimed.metadata else {})


def effects_of(lease: Lease, means: Means, graph: AnyGraph) -> Effects:
    """The effects of one attempt; the types that its graph's checkpoints may hold, their results may hold."""
    saver = graph.checkpointer
    serde = saver.serde if isinstance(saver, BaseCheckpointSaver) else None
    return Effects(lease, means.database, means.counters, serde)


@dataclass(slots=True)
class Stop:
    """Why a run is being cancelled; `refused`: the database does not take what it wants stored."""

    kind: Literal["cancel", "rollback", "drain", "lost", "timeout", "refused"]
    reason: str = ""

    @classmethod
    def asked(cls, action: str, reason: str | None) -> Stop:
        """What a cancellation asks for."""
        return cls("rollback" if action == "rollback" else "cancel", reason or "")


@dataclass(frozen=True, slots=True)
class Again:
    """The run is to be tried again in `delay_s` seconds, because of an error of the infrastructure."""

    delay_s: float
    error: Exception

    @property
    def facts(self) -> dict[str, Any]:
        """What the log says of it."""
        return {"error": type(self.error).__name__, "delay_seconds": round(self.delay_s, 3)}
