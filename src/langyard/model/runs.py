"""Runs as data: what is asked, what a worker holds, how it ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
MultitaskStrategy = Literal["reject", "enqueue", "interrupt", "rollback"]
Durability = Literal["sync", "async", "exit"]

# The least number goes first.
PRIORITIES = range(-5, 6)

ENDED: frozenset[str] = frozenset({"success", "error", "timeout", "interrupted"})


TtlStrategy = Literal["delete", "keep_latest"]


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long a thread is kept after its last change, and what then happens to it."""

    seconds: float
    strategy: TtlStrategy = "delete"
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run to be made. `kwargs` are the Agent Server's (input, command, config, context, stream_mode, durability …).

    One of `thread_id` and `session_id` says where. With `may_create` a missing thread is made; with `session_ttl_s` a
    missing session of that life, on a new thread that has then the id `thread_id`. With `revision` the run is made only
    if the thread has not changed since it had that one. `inherited` is metadata that the thread's and the run's own go
    over. A `temporary` run goes with its thread once it has ended, at once unless it is `lasting`: somebody will come
    for its end. `ttl` is how long a thread is kept that is made here.
    `awaited`: whoever starts it waits for its end, whichever process brings it.
    `priority` is one of PRIORITIES. Runs of a `fairness_group` share their turns in the queue; without one, those of a
    user do, else those of an assistant, else those of a graph.
    """

    run_id: UUID
    graph_id: str
    kwargs: Mapping[str, Any]
    user_id: str | None = None
    thread_id: UUID | None = None
    session_id: str | None = None
    session_ttl_s: float | None = None
    assistant_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inherited: Mapping[str, Any] = field(default_factory=dict)
    thread_metadata: Mapping[str, Any] = field(default_factory=dict)
    multitask_strategy: MultitaskStrategy = "enqueue"
    may_create: bool = False
    revision: int | None = None
    after_s: float = 0.0
    priority: int = 0
    fairness_group: str | None = None
    temporary: bool = False
    ttl: Ttl | None = None
    lasting: bool = False
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class Caps:
    """How many runs may run at once over all workers: of a graph by its name, and of any one user."""

    graphs: Mapping[str, int] = field(default_factory=dict)
    user: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its row has it."""

    run_id: UUID
    thread_id: UUID
    graph_id: str
    status: RunStatus
    created_at: dt.datetime
    user_id: str | None = None
    assistant_id: UUID | None = None
    attempt: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run this process holds the lease on, with what it needs to begin.

    `head` is the driver's row of the thread's latest checkpoint if it came along; `fresh` says the thread has none,
    `followed` that its events are stored for readers elsewhere, `watched` that somebody elsewhere waits for its end.
    `thread_config` is what earlier runs left to this one, `claimed_at` when it was claimed, by the database's clock.
    `retries` is how often the infrastructure has failed under it. One with a `cancel_action` is not executed: it was
    told to stop while nobody had it, and only what it left is settled.
    """

    run_id: UUID
    thread_id: UUID
    graph_id: str
    kwargs: Mapping[str, Any]
    attempt: int
    fence: int
    user_id: str | None = None
    assistant_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    thread_config: Mapping[str, Any] = field(default_factory=dict)
    followed: bool = False
    watched: bool = False
    retries: int = 0
    fresh: bool = False
    head: Mapping[str, Any] | None = None
    cancel_action: str | None = None
    cancel_reason: str | None = None
    claimed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended. `values` is the thread's final state as JSON bytes (None when there is none), `interrupts` its
    open interrupts as `[{"id", "value"}]`, `error` is `{"error": type, "message": text}`. `waiting` says that the
    thread waits for somebody: for an answer, or at a breakpoint, which has no interrupt. Without a `thread_id` the run
    was deleted before anybody here could read of its end."""

    run_id: UUID
    thread_id: UUID | None
    status: RunStatus
    values: bytes | None = None
    interrupts: tuple[Mapping[str, Any], ...] = ()
    error: Mapping[str, Any] | None = None
    waiting: bool = False


def shown_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """A run's error as a client sees it."""
    text = "An internal error occurred" if error.get("hidden") else error.get("message", "")
    return {"error": error.get("error", ""), "message": text}


@dataclass(frozen=True, slots=True)
class GraphQueue:
    """How the queue stands for one graph; as `Queue`."""

    pending: int
    running: int
    oldest_wait_s: float | None


@dataclass(frozen=True, slots=True)
class Queue:
    """How the queue stands: runs that are due and wait, runs under way on all workers, and seconds of waiting.

    An unblocked run waits for a worker alone: nothing runs before it on its thread.
    """

    pending: int
    running: int
    oldest_wait_s: float | None
    median_wait_s: float | None
    oldest_unblocked_wait_s: float | None
    graphs: Mapping[str, GraphQueue] = field(default_factory=dict)
