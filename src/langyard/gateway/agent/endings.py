"""Stops what runs before what it runs on is deleted. For the routes that delete threads and assistants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

from langyard.model.errors import NotFound
from langyard.runs import Runs

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_AT_ONCE = 20


async def stop(runs: Runs, run_ids: Sequence[UUID], reason: str, *, wait: bool = True) -> None:
    """Cancel these runs wherever they are, and with `wait` give them time to end: their readers see an end."""
    stopped = await runs.cancel_many(run_ids, reason=reason)
    if wait:
        stopping = [run_id for run_id in run_ids if stopped.get(run_id) != "ended"]
        for start in range(0, len(stopping), _AT_ONCE):
            await asyncio.gather(*(_stop(runs, run_id) for run_id in stopping[start : start + _AT_ONCE]))


async def _stop(runs: Runs, run_id: UUID) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await runs.wait(run_id)
    except NotFound:
        return
    except TimeoutError:
        log.warning("a run does not stop; it loses its lease instead", extra={"run_id": str(run_id)})
