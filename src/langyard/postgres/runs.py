"""Runs in PostgreSQL: starting, claiming, cancelling, reading. Called by the rules in `runs` and by the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from langyard import serde
from langyard.model.errors import Invalid, Unavailable
from langyard.model.runs import Caps, ClaimedRun, GraphQueue, Queue, Run, RunEnd, RunRequest
from langyard.postgres.arrays import Ints, Uuids
from langyard.postgres.checkpoints import usable_head
from langyard.postgres.database import SLOW, Database, Row
from langyard.postgres.queries import load

_SQL = load("runs")
_GIVE_WAY_S = 0.1
_CLAIM = _SQL["claim"].format(candidates=_SQL["candidates"])
_CLAIM_WITHIN_CAPS = _SQL["claim"].format(candidates=_SQL["candidates_within_caps"])


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
        return None
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
    return Started(_run(row), claimed_of(row) if ours else None)


async def claim(
    database: Database, worker_id: UUID, graphs: Sequence[str], slots: int, caps: Caps | None = None
) -> list[ClaimedRun]:
    """Up to `slots` pending runs of these graphs, now this worker's, as many as the caps leave room for."""
    params: dict[str, Any] = {"worker_id": worker_id, "graphs": list(graphs), "slots": slots}
    if caps is not None:
        params |= {"caps": [caps.graphs.get(graph) for graph in graphs], "user_cap": caps.user}
    try:
        rows = await database.fetch(_CLAIM if caps is None else _CLAIM_WITHIN_CAPS, params)
    except psycopg.errors.UniqueViolation:
        # Somebody else began a run on one of these threads in the meantime; the next call sees it.
        return []
    except Unavailable as error:
        # What comes along with so many may be more than the server's own limit on statements lets through.
        if slots == 1 or not isinstance(error.__cause__, SLOW):
            raise
        return await claim(database, worker_id, graphs, 1, caps)
    return [claimed_of(row) for row in rows]


async def let_in(database: Database, worker_id: UUID, ended: int, *, max_attempts: int) -> tuple[int, bool]:
    """Put delayed runs that are due into the queue: how many there were, and whether others wait to be claimed alone.

    The worker has `ended` so many runs so far.
    """
    params = {"worker_id": worker_id, "ended": ended, "max_attempts": max_attempts}
    row = await database.fetch_one(_SQL["let_in"], params)
    assert row is not None
    return row["placed"], row["suspects"]


async def depth(database: Database, *, most: int) -> tuple[int, dict[UUID, int]]:
    """How many runs are due and wait, no more than about `most`, and what each worker says it has ended so far."""
    row = await database.fetch_one(_SQL["depth"], {"most": most})
    assert row is not None
    return row["depth"], dict(zip(row["workers"] or (), row["ended"] or (), strict=True))


async def is_waiting(database: Database, request: RunRequest) -> bool:
    """Whether whoever shares turns with this run has one that waits already."""
    params = {
        "fairness_group": request.fairness_group, "user_id": request.user_id, "assistant_id": request.assistant_id,
        "graph_id": request.graph_id,
    }  # fmt: skip
    row = await database.fetch_one(_SQL["is_waiting"], params)
    assert row is not None
    return bool(row["waiting"])


async def heal(database: Database, after: UUID | None, *, limit: int = 1000) -> tuple[int, UUID | None]:
    """Let in what waits on its thread for nobody, on up to `limit` threads past `after`.

    Returns how many runs those were and where to go on, None when all threads were seen.
    """
    row = await database.fetch_one(_SQL["heal"], {"after": after, "limit": limit})
    assert row is not None
    return row["healed"], row["last"] if row["looked"] == limit else None


async def strays(database: Database, worker_id: UUID, held: Sequence[UUID]) -> list[ClaimedRun]:
    """Runs claimed for this worker whose claim never reached it, because the connection died on the way back.

    Each comes with a new fence: whoever may still hold the old one cannot write.
    """
    rows = await database.fetch(_SQL["strays"], {"worker_id": worker_id, "held": Uuids(held)})
    return [claimed_of(row) for row in rows]


async def find(database: Database, run_id: UUID) -> Run | None:
    """A run by its id."""
    row = await database.fetch_one(_SQL["get"], {"run_id": run_id})
    return _run(row) if row else None


async def latest(database: Database, thread_id: UUID) -> Run | None:
    """The thread's newest run."""
    row = await database.fetch_one(_SQL["latest_of_thread"], {"thread_id": thread_id})
    return _run(row) if row else None


async def outcome(database: Database, run_id: UUID) -> tuple[Run, RunEnd | None] | None:
    """A run with its end, if it has ended: state and interrupts are the thread's, as the last run on it left them."""
    row = await database.fetch_one(_SQL["outcome"], {"run_id": run_id})
    if row is None:
        return None
    run = _run(row)
    if row["finished_at"] is None:
        return run, None
    values = row["values"].encode() if row["values"] is not None else None
    interrupts = tuple(entry for entries in row["interrupts"].values() for entry in entries)
    waiting = row["thread_status"] == "interrupted"
    return run, RunEnd(run.run_id, run.thread_id, run.status, values, interrupts, run.error, waiting)


async def ended(database: Database, run_ids: Sequence[UUID]) -> list[UUID]:
    """Which of these runs have ended or are gone."""
    rows = await database.fetch(_SQL["outcomes"], {"run_ids": Uuids(run_ids)})
    return [row["run_id"] for row in rows]


async def wishes(database: Database, held: dict[UUID, int]) -> list[Row]:
    """What others want of the runs held by fence: `cancel_action` with `cancel_reason`, or that they are `followed`."""
    params = {"run_ids": Uuids(held), "fences": Ints(held.values())}
    return await database.fetch(_SQL["wishes"], params)


async def watch(database: Database, run_id: UUID, *, events: bool) -> None:
    """Have the end of a run that another process executes told to all, and with `events` its stream stored."""
    await database.fetch(_SQL["watch"], {"run_id": run_id, "events": events})


async def roll_back(database: Database, run_id: UUID, fence: int, error: bytes) -> bool:
    """Remove a running run and every trace of it; False when the lease is gone."""
    params = {"run_id": run_id, "fence": fence, "error": error.decode()}
    return await database.fetch_one(_SQL["roll_back"], params) is not None


async def hand_back(database: Database, worker_id: UUID) -> int:
    """Return all runs of a worker to pending without counting the attempt; how many there were."""
    return await database.execute(_SQL["hand_back"], {"worker_id": worker_id})


async def retry(database: Database, run_id: UUID, fence: int, *, delay_s: float, error: bytes, followed: bool) -> bool:
    """Return a run to pending, to be tried again in `delay_s` seconds; False when the lease is gone."""
    params = {"run_id": run_id, "fence": fence, "delay_s": delay_s, "error": error.decode(), "followed": followed}
    return await database.fetch_one(_SQL["retry"], params) is not None


async def queue(database: Database) -> Queue:
    """How the queue stands."""
    row = await database.fetch_one(_SQL["queue"])
    assert row is not None
    graphs = {name: GraphQueue(*figures) for name, figures in row["graphs"].items()}
    return Queue(**{**row, "graphs": graphs})


def _run(row: Row) -> Run:
    known: dict[str, Any] = {name: row[name] for name in Run.__dataclass_fields__ if name in row}
    return Run(**known)


def claimed_of(row: Row) -> ClaimedRun:
    """What a claim's row says; one that was found without its checkpoint has to ask for it."""
    current = row.get("current", False)
    return ClaimedRun(
        run_id=row["run_id"], thread_id=row["thread_id"], graph_id=row["graph_id"], kwargs=row["kwargs"],
        attempt=row["attempt"], fence=row["fence"], user_id=row["user_id"], assistant_id=row["assistant_id"],
        metadata=row["metadata"], thread_config=row.get("config") or {}, followed=row["followed"],
        watched=row["watched"], retries=row["retries"], claimed_at=row["started_at"],
        cancel_action=row["cancel_action"], cancel_reason=row["cancel_reason"],
        head=usable_head(row) if current else None, fresh=current and row["checkpoint_id"] is None,
    )  # fmt: skip
