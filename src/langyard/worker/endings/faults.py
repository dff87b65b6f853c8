"""Puts back, for a few times, a run that could not be executed or ended through a fault of ours; for the worker."""

from __future__ import annotations

import asyncio
import logging

from langyard.model.errors import Unavailable
from langyard.model.runs import ClaimedRun
from langyard.postgres.rows import suspects
from langyard.telemetry.chores import survived
from langyard.worker.means import Means

log = logging.getLogger("langyard.runs")

# Whatever it was, it may be so again: others have their turn meanwhile.
_PAUSE_S = 1.0


async def give_back(claimed: ClaimedRun, means: Means, error: BaseException) -> None:
    """Back to pending, for whichever worker, or ended as `error` when this was the last attempt that it has.

    Counts as the death of a worker, unless it is the database that was away: that is waited for.
    """
    extra = {"run_id": str(claimed.run_id), "thread_id": str(claimed.thread_id)}
    log.error("a run's execution failed", extra=extra, exc_info=error)
    put = _put_back(claimed, means, counts=not isinstance(error, Unavailable))
    # If not even that: it stays running under a worker that no longer knows it, which adopts it after a while.
    status = await survived(log, "put a run back", put)
    if status not in (None, "pending"):
        means.counters.quarantined += 1
        means.on_webhook()
    means.bus.hand_over(claimed.run_id)


async def _put_back(claimed: ClaimedRun, means: Means, *, counts: bool) -> str | None:
    while True:
        try:
            return await suspects.give_back(
                means.database, claimed.run_id, claimed.fence,
                counts=counts, max_attempts=means.max_attempts, delay_s=_PAUSE_S,
            )  # fmt: skip
        except Unavailable:
            await asyncio.sleep(_PAUSE_S)
