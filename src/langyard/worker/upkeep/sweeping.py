"""Takes over the runs of dead workers, and lets in what was forgotten behind another run; a chore of each worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from langyard.postgres import runs as rows
from langyard.postgres.database import Database
from langyard.postgres.rows.workers import bury
from langyard.telemetry.chores import survived
from langyard.worker.options import Options
from langyard.worker.upkeep.counters import Counters

log = logging.getLogger(__name__)


async def sweep(
    database: Database,
    options: Options,
    counters: Counters,
    *,
    wake: Callable[[], None],
    on_webhook: Callable[[], None],
) -> None:
    """For ever. `wake` is called when there may be something to claim."""
    after: UUID | None = None
    while True:
        await asyncio.sleep(options.sweep_s)
        taken = await survived(log, "look for dead workers", _bury(database, options, counters))
        if taken:
            wake()
            on_webhook()
        healed, after = await survived(log, "heal the queue", rows.heal(database, after)) or (0, after)
        if healed:
            wake()


async def _bury(database: Database, options: Options, counters: Counters) -> bool:
    taken = await bury(database, ttl_s=options.lease_ttl_s, max_attempts=options.max_attempts)
    for run_id, status in taken:
        counters.recovered += status == "pending"
        counters.quarantined += status != "pending"
        log.warning("a worker died; its run is %s", status, extra={"run_id": str(run_id)})
    return bool(taken)
