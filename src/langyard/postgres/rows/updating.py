"""One transaction that changes a thread's state outside any run. Called by the rules of threads.

It holds the thread's row from before the state is read until its new checkpoints, its row and nothing else are
committed together. A run that starts in the meantime waits at that row (`start` locks it first), then finds
another revision than its own snapshot has read, and reads the checkpoint anew: it builds on the update. A run that was
there before is seen here in `open_runs`, and the update is refused. There is no moment between the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from langyard.postgres.checkpoints import Checkpointer
from langyard.postgres.database import Connection, Database, Row
from langyard.postgres.queries import load
from langyard.postgres.writer import WRITE, Batch, Lease, Writer

_SQL = load("threads")


@dataclass(frozen=True, slots=True)
class Update:
    """A locked thread: its row, a checkpointer that reads and writes within the transaction, and how to end it."""

    row: Row
    checkpointer: Checkpointer
    connection: Connection

    async def finish(self, status: str, values: bytes, interrupts: bytes) -> None:
        """What the thread is after the update; committed with it."""
        params = {
            "thread_id": self.row["thread_id"],
            "status": status,
            "values": values.decode(),
            "interrupts": interrupts.decode(),
        }
        await self.connection.execute(_SQL["set_state"], params)


@asynccontextmanager
async def updating(database: Database, thread_id: UUID, *, snapshot: bool = False) -> AsyncIterator[Update | None]:
    """The locked thread, None when there is none. Everything is undone when the body raises.

    With `snapshot` all that is read is of one moment, and psycopg's `SerializationFailure` is raised when the thread
    has changed since. The body must ask the database on this connection alone: there may be no other to be had.
    """
    async with database.connection() as connection, connection.transaction():
        if snapshot:
            await connection.execute(_SQL["one_snapshot"])
        cursor = await connection.execute(_SQL["lock"], {"thread_id": thread_id})
        row = await cursor.fetchone()
        yield None if row is None else Update(row, _Within(database, connection), connection)


class _Direct(Writer):
    """Sends on one connection, at once."""

    def __init__(self, database: Database, connection: Connection) -> None:
        super().__init__(database)
        self._connection = connection

    async def room(self) -> None:
        """There is always room."""

    def batch(self, added: int = 0) -> Batch:
        """The rows of the next commit."""
        if self._batch is None:
            self._batch = Batch(asyncio.get_running_loop().create_future())
        return self._batch

    async def commit(self, lease: Lease | None = None) -> None:
        """Send them; the transaction commits them."""
        batch, self._batch = self._batch, None
        if batch is not None and not batch.empty:
            await self._connection.execute(WRITE, batch.params(), binary=True)


class _Within(Checkpointer):
    """Reads what the transaction has written."""

    def __init__(self, database: Database, connection: Connection) -> None:
        super().__init__(database, _Direct(database, connection))
        self._connection = connection

    def _official(self) -> AsyncPostgresSaver:
        saver = AsyncPostgresSaver(cast(Any, self._connection), serde=self.serde)
        saver.supports_pipeline = False
        return saver
