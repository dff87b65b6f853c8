"""Runs in PostgreSQL: claiming, cancelling, reading. Called by the rules in `runs` and by the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from langyard.model.errors import Unavailable
from langyard.model.runs import Caps, ClaimedRun, GraphQueue, Queue, Run, RunEnd, RunRequest
from langyard.postgres.arrays import Ints, Uuids
from langyard.postgres.checkpoints import usable_head
from langyard.postgres.database import SLOW, Database, Row
from langyard.postgres.queries import load

_SQL = load("runs")
_CLAIM = _SQL["claim"].format(candidates=_SQL["candidates"])
_CLAIM_WITHIN_CAPS = _SQL["claim"].format(candidates=_SQL["candidates_within_caps"])


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
    return run_of(row) if row else None


async def latest(database: Database, thread_id: UUID) -> Run | None:
    """The thread's newest run."""
    row = await database.fetch_one(_SQL["latest_of_thread"], {"thread_id": thread_id})
    return run_of(row) if row else None


async def outcome(database: Database, run_id: UUID) -> tuple[Run, RunEnd | None] | None:
    """A run with its end, if it has ended: state and interrupts are the thread's, as the last run on it left them."""
    row = await database.fetch_one(_SQL["outcome"], {"run_id": run_id})
    if row is None:
        return None
    run = run_of(row)
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


def run_of(row: Row) -> Run:
    """A run as its row has it."""
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
