"""Deletes a thread's history but for its latest state, by LangGraph's own rules. Called by the rules of threads."""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg

from langyard.postgres.database import Database
from langyard.postgres.rows.updating import updating

log = logging.getLogger(__name__)

_ATTEMPTS = 3


async def keep_latest(database: Database, thread_id: UUID) -> bool:
    """Whether there is such a thread with nothing running, now without a history.

    The thread's row is held meanwhile: a run must not begin on a checkpoint that is about to go. What is pruned is
    pruned on the connection that holds it: who held one and waited for another would wait for others who do the same.
    """
    for _ in range(_ATTEMPTS):
        try:
            # LangGraph prunes in a transaction of one snapshot, which this one then has to be from its beginning.
            async with updating(database, thread_id, snapshot=True) as update:
                if update is None or update.row["open_runs"]:
                    return False
                await update.checkpointer.aprune([str(thread_id)])
                return True
        except NotImplementedError:
            # Delta channels are rebuilt from their history: LangGraph refuses to lose it.
            log.info("a thread's history is needed and stays", extra={"thread_id": str(thread_id)})
            return False
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            continue  # it has changed since the snapshot
    return False
