"""Deletes a thread's history but for its latest state, by LangGraph's own rules. Called by the rules of threads."""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg

from langyard.postgres.checkpoints import Checkpointer
from langyard.postgres.database import Database
from langyard.postgres.rows.updating import updating
from langyard.postgres.writer import Writer

log = logging.getLogger(__name__)


async def keep_latest(database: Database, writer: Writer, thread_id: UUID) -> bool:
    """Whether there is such a thread with nothing running, now without a history.

    The thread's row is held meanwhile: a run must not begin on a checkpoint that is about to go.
    """
    async with updating(database, thread_id) as update:
        if update is None or update.row["open_runs"]:
            return False
        try:
            await Checkpointer(database, writer).aprune([str(thread_id)])
        except NotImplementedError:
            # Delta channels are rebuilt from their history: LangGraph refuses to lose it.
            log.info("a thread's history is needed and stays", extra={"thread_id": str(thread_id)})
            return False
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            return False
        return True
