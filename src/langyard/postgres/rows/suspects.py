"""Runs that may be what their workers die of, or fail by: put back, claimed one by one, ended at last. For workers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from langyard.model.runs import Caps, ClaimedRun
from langyard.postgres.database import Database
from langyard.postgres.queries import load
from langyard.postgres.runs import claimed_of

_SQL = load("suspects")
_CLAIM = load("runs")["claim"].format(candidates=_SQL["candidate"])


async def claim(
    database: Database, worker_id: UUID, graphs: Sequence[str], caps: Caps | None, *, max_attempts: int, ttl_s: float
) -> list[ClaimedRun]:
    """One such run for a worker that has none, or whose last has gone well for a while."""
    params = {
        "worker_id": worker_id,
        "graphs": list(graphs),
        "max_attempts": max_attempts,
        "ttl_s": ttl_s,
        "caps": [caps.graphs.get(graph) for graph in graphs] if caps is not None else None,
        "user_cap": caps.user if caps is not None else None,
    }
    try:
        return [claimed_of(row) for row in await database.fetch(_CLAIM, params)]
    except psycopg.errors.UniqueViolation:
        # Somebody else began a run on its thread in the meantime; the next call sees it.
        return []


async def give_back(
    database: Database, run_id: UUID, fence: int, *, counts: bool, max_attempts: int, delay_s: float
) -> str | None:
    """What becomes of a run that could not be executed: `pending`, or its end; None when the lease is gone.

    `counts`: as if a worker had died under it.
    """
    params = {"run_id": run_id, "fence": fence, "counts": counts, "max_attempts": max_attempts, "delay_s": delay_s}
    row = await database.fetch_one(_SQL["give_back"], params)
    return row["status"] if row else None
