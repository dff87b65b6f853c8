"""One run that is asked for by itself: stored, and claimed at once where that may be. Called by whoever starts runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from langyard import serde
from langyard.model.errors import Invalid, Unavailable
from langyard.model.runs import Caps, ClaimedRun, Run, RunRequest
from langyard.postgres.checkpoints import usable_head
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load
from langyard.postgres.runs import claimed_of, run_of

_SQL = load("runs")
_GIVE_WAY_S = 0.1


@dataclass(frozen=True, slots=True)
class Started:
    """What `start` made: the run, the claim when this worker got it at once, and the runs it took the place of.

    `superseded` are `(run_id, ended)`: ended, or only asked to stop.
    """

    run: Run
    claimed: ClaimedRun | None
    superseded: Sequence[tuple[UUID, bool]] = ()


async def start(
    database: Database, request: RunRequest, worker_id: UUID | None, *, events: bool = False, caps: Caps | None = None
) -> Started | None:
    """Insert a run, claiming it for `worker_id` if nothing else is open on its thread and the caps leave room.

    With `events` a worker elsewhere that gets it will store what it streams. Strategies `interrupt` and `rollback` stop
    what is open on the thread in the same transaction.

    None when the session or thread does not exist (or is not this user's), is busy and the strategy is `reject`, or has
    changed since `revision`.
    Raises `Unavailable` when the database is away; the run is then not stored, or stored and found by its id.
    """
    superseded: list[tuple[UUID, bool]] = []
    params = start_params(request, worker_id, events=events, caps=caps)
    try:
        if request.multitask_strategy in ("interrupt", "rollback") and request.thread_id is not None:
            row, superseded = await _take_over(database, request, params)
        else:
            row = await database.fetch_one(_SQL["start"], params)
    except psycopg.errors.ProgramLimitExceeded:
        raise Invalid("The identity or fairness group is too long to queue by.", code="identity_too_long") from None
    except psycopg.errors.UniqueViolation:
        # The first attempt of this very statement was committed before its connection died.
        return await _started_before(database, request, worker_id)
    if row is None:
        # It may be its own first attempt that makes the thread busy.
        return await _started_before(database, request, worker_id)
    return started(request, row, superseded)


def started(request: RunRequest, row: Row, superseded: Sequence[tuple[UUID, bool]] = ()) -> Started:
    """What the row says that `start` gave for a request."""
    run = Run(
        request.run_id, row["thread_id"], request.graph_id, row["status"], row["created_at"], request.user_id,
        request.assistant_id, row["attempt"], row["metadata"],
    )  # fmt: skip
    if row["status"] != "running":
        return Started(run, None, superseded)
    current = row["seen"] == row["revision"]
    claimed = ClaimedRun(
        run_id=request.run_id, thread_id=row["thread_id"], graph_id=request.graph_id, kwargs=request.kwargs,
        attempt=row["attempt"], fence=row["fence"], user_id=request.user_id, assistant_id=request.assistant_id,
        metadata=row["metadata"], thread_config=row["config"],
        followed=row["followed"], watched=row["watched"], claimed_at=row["started_at"],
        head=usable_head(row) if current else None,
        fresh=(row["fresh"] or current) and row["checkpoint_id"] is None,
    )  # fmt: skip
    return Started(run, claimed, superseded)


async def _take_over(
    database: Database, request: RunRequest, params: dict[str, Any]
) -> tuple[Row | None, list[tuple[UUID, bool]]]:
    """Stop what is open on the thread and start the run, both or neither."""
    for last in (False, True):
        row: Row | None = None
        superseded: list[tuple[UUID, bool]] = []
        try:
            async with database.connection() as connection, connection.transaction():
                await connection.execute(_SQL["alone"], params)
                cursor = await connection.execute(_SQL["supersede"], {**params, **superseding(request)}, binary=True)
                superseded = [(stopped["run_id"], stopped["ended"]) for stopped in await cursor.fetchall()]
                cursor = await connection.execute(_SQL["start"], params, binary=True)
                row = await cursor.fetchone()
                if row is None:
                    superseded = []
                    raise psycopg.Rollback
        except (Unavailable, psycopg.errors.DeadlockDetected):
            if last:
                raise
            # At once, it might be back before whoever it gave way to has woken up, and meet the same deadlock again.
            await asyncio.sleep(_GIVE_WAY_S)
            continue
        return row, superseded
    raise AssertionError("unreachable")


def superseding(request: RunRequest) -> dict[str, Any]:
    """What the statement `supersede` is given besides the thread."""
    strategy = request.multitask_strategy
    reason = f"superseded by run {request.run_id} (multitask_strategy={strategy})"
    return {"action": "rollback" if strategy == "rollback" else "interrupt", "reason": reason}


def start_params(
    request: RunRequest, worker_id: UUID | None, *, events: bool = False, caps: Caps | None = None
) -> dict[str, Any]:
    """What the statement `start` is given for a request."""
    ttl = None if request.temporary else request.ttl
    graph_metadata = {"graph_id": request.graph_id}
    if request.assistant_id is not None:
        graph_metadata["assistant_id"] = str(request.assistant_id)
    return {
        "run_id": request.run_id,
        "thread_id": request.thread_id,
        "session_id": request.session_id,
        "session_ttl_s": request.session_ttl_s,
        "assistant_id": request.assistant_id,
        "graph_id": request.graph_id,
        "user_id": request.user_id,
        "kwargs": serde.dumps(request.kwargs, nul=True).decode(),
        "metadata": serde.dumps(request.metadata).decode(),
        "inherited": serde.dumps(request.inherited).decode(),
        "thread_metadata": serde.dumps({**graph_metadata, **request.thread_metadata}).decode(),
        "graph_metadata": serde.dumps(graph_metadata).decode(),
        "multitask_strategy": request.multitask_strategy,
        "priority": request.priority,
        "fairness_group": request.fairness_group,
        "graph_cap": caps.graphs.get(request.graph_id) if caps is not None else None,
        "user_cap": caps.user if caps is not None else None,
        "worker_id": worker_id,
        "after_s": request.after_s,
        "may_create": request.may_create,
        "reject": request.multitask_strategy == "reject",
        "events": events,
        "revision": request.revision,
        "temporary": request.temporary,
        "ttl_strategy": ttl.strategy if ttl else None,
        "ttl_s": ttl.seconds if ttl else None,
        "lasting": request.lasting,
        "awaited": request.awaited,
        "webhook": bool(request.kwargs.get("webhook")),
    }


async def _started_before(database: Database, request: RunRequest, worker_id: UUID | None) -> Started | None:
    row = await database.fetch_one(_SQL["get"], {"run_id": request.run_id})
    if row is None:
        return None
    ours = row["status"] == "running" and row["worker_id"] == worker_id
    return Started(run_of(row), claimed_of(row) if ours else None)
