"""Webhooks that are due, in the table of runs. Called by `webhooks`."""

from __future__ import annotations

from uuid import UUID

from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_SQL = load("webhooks")


async def claim(database: Database, *, limit: int, hold_s: float) -> tuple[list[Row], float]:
    """Up to `limit` runs whose webhook is due, this sender's alone for `hold_s` seconds; and seconds until the next."""
    rows = await database.fetch(_SQL["claim"], {"limit": limit, "hold_s": hold_s})
    wait = await database.fetch_one(_SQL["wait"])
    return rows, max(0.01, wait["seconds"]) if wait and wait["seconds"] is not None else float("inf")


async def postpone(database: Database, run_id: UUID, pause_s: float) -> None:
    """Count a try that failed, and let it be due again after a pause."""
    await database.execute(_SQL["postpone"], {"run_id": run_id, "pause_s": pause_s})


async def finish(database: Database, run_id: UUID) -> None:
    """It went out, or never will. What is left of a temporary run goes too."""
    await database.execute(_SQL["finish"], {"run_id": run_id})
