"""The worker's own row: registered, renewed from a thread and connection of its own, buried by others when it stops.

The connection here is synchronous on purpose: user code that blocks the worker's loop must not stop the lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import psycopg

from langyard.postgres.database import Database
from langyard.postgres.queries import load

_SQL = load("workers")


class Heartbeat:
    """Renews one worker's lease. Used by one thread; every call reconnects if it must."""

    def __init__(self, url: str, worker_id: UUID, ttl_s: float) -> None:
        self._url = url
        self._params = {"worker_id": worker_id, "ttl_s": ttl_s}
        self._timeout_s = max(1, round(ttl_s / 2))
        self._connection: psycopg.Connection | None = None

    def register(self, *, host: str, pid: int, version: str, slots: int, graphs: Sequence[str]) -> None:
        """Insert the row."""
        facts = {"host": host, "pid": pid, "version": version, "slots": slots, "graphs": list(graphs)}
        self._connect().execute(_SQL["register"], {**self._params, **facts})

    def renew(self) -> bool | None:
        """True when renewed, False when this worker was buried, None when the database did not answer."""
        try:
            return self._connect().execute(_SQL["renew"], self._params).fetchone() is not None
        except psycopg.Error:
            # Whatever it was, a standby that was a primary a moment ago among it: the next one is asked anew.
            self.close()
            return None

    def leave(self) -> None:
        """Delete the row, if the database can be reached."""
        with suppress(psycopg.Error):
            self._connect().execute(_SQL["leave"], self._params)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=self._timeout_s,
                application_name="langyard lease",
                tcp_user_timeout=self._timeout_s * 1000,
                prepare_threshold=None,
            )
        return self._connection


async def bury(database: Database, *, ttl_s: float, max_attempts: int) -> list[tuple[UUID, str]]:
    """Take the runs of dead workers: `(run_id, status)` where status is `pending` (again), `error` or `interrupted`."""
    rows = await database.fetch(_SQL["bury"], {"ttl_s": ttl_s, "max_attempts": max_attempts})
    return [(row["run_id"], row["status"]) for row in rows]
