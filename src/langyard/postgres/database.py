"""One event loop's way to PostgreSQL: a pool, statements by value, and one translation of the driver's errors.

Gateway and worker have one each, since a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from langyard import serde
from langyard.model.errors import Unavailable
from langyard.postgres import arrays
from langyard.postgres.queries import numbered

log = logging.getLogger(__name__)

Row = DictRow
Connection = AsyncConnection[DictRow]
Cursor = AsyncCursor[DictRow]

# Deadlock, serialization failure, lock timeout: the same statement may succeed at once.
_RETRY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
# A server that has become a standby answers, but takes nothing: after a failover another one does.
AWAY = (
    psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.TransactionTimeout,
)  # fmt: skip
# `statement_timeout` or `transaction_timeout`, set for the role or the database: at once, it would be as slow again.
SLOW = (psycopg.errors.QueryCanceled, psycopg.errors.TransactionTimeout)
# Operational errors to the driver, but what was sent is at fault: sent again it is refused again.
_REFUSED = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
# "cached plan must not change result type": planned before another process's migration changed a table.
_STALE = psycopg.errors.FeatureNotSupported
T = TypeVar("T")


class Database:
    """A pool of connections for the running event loop. Open with `open`, close with `close`."""

    def __init__(
        self, url: str, *, name: str, max_size: int = 20, transaction_pooler: bool = False, checkout_s: float = 5.0
    ) -> None:
        self.url = url
        self.transaction_pooler = transaction_pooler
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=max_size,
            open=False,
            timeout=checkout_s,
            max_lifetime=1800,
            reconnect_timeout=3600,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                # A transaction pooler hands every statement another server: nothing may be prepared.
                "prepare_threshold": None if transaction_pooler else 0,
                "application_name": f"langyard {name}",
                "connect_timeout": 5,
                "keepalives_idle": 15,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15000,
            },
        )

    async def open(self, *, wait_s: float = 30.0) -> None:
        """Open the pool. Raises `Unavailable` when no connection can be had within `wait_s` seconds."""
        try:
            await self.pool.open(wait=True, timeout=wait_s)
        except PoolTimeout as error:
            raise Unavailable("The database cannot be reached.", code="database_unavailable") from error

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()

    def pool_stats(self) -> dict[str, int]:
        """Connections there are, those that wait for work, and the most there may be."""
        told = self.pool.get_stats()
        return {
            "size": told.get("pool_size", 0),
            "available": told.get("pool_available", 0),
            "max": told.get("pool_max", 0),
        }

    async def _configure(self, connection: Connection) -> None:
        arrays.register(connection)
        set_json_loads(serde.loads, connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; driver errors leave as `Unavailable` when the database is away."""
        try:
            async with self.pool.connection() as connection:
                try:
                    yield connection
                except _STALE as error:
                    await connection.close()
                    raise away(error) from error
        except _REFUSED:
            raise
        except AWAY as error:
            if isinstance(error, _RETRY):
                raise
            raise away(error) from error

    async def fetch(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of one statement, which must be safe to send twice: a dead connection is replaced once."""
        return await self._send(sql, params, _rows)

    async def fetch_one(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(sql, params)
        return rows[0] if rows else None

    async def execute(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> int:
        """Rows touched by one statement that is safe to send twice."""
        return await self._send(sql, params, _count)

    async def _send(
        self, sql: LiteralString, params: Mapping[str, Any] | None, taken: Callable[[Cursor], Awaitable[T]]
    ) -> T:
        query, names = numbered(sql)
        values = [params[name] for name in names] if params is not None else None
        for last in (False, True):
            try:
                async with self.pool.connection() as connection:
                    cursor = AsyncRawCursor(connection)
                    try:
                        return await taken(await cursor.execute(query, values, binary=True))
                    except _STALE:
                        answer = await taken(await cursor.execute(query, values, binary=True, prepare=False))
                        await connection.close()  # its other plans are as old
                        return answer
            except _REFUSED:
                raise
            except AWAY as error:
                if last or isinstance(error, (PoolTimeout, *SLOW)):
                    raise away(error) from error
                if not isinstance(error, _RETRY):
                    await self._replace_dead()
        raise AssertionError("unreachable")

    async def probe(self, timeout_s: float = 2.0) -> None:
        """One round trip. Raises `Unavailable` when it fails or takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self.pool.connection(timeout=timeout_s) as connection:
                    await connection.execute("select 1")
        except (*AWAY, TimeoutError) as error:
            raise away(error) from error

    async def _replace_dead(self) -> None:
        """After a server restart every idle connection is dead; have them all checked instead of failing one by one."""
        await self.pool.check()


async def _rows(cursor: Cursor) -> list[Row]:
    return await cursor.fetchall() if cursor.rownumber is not None else []


async def _count(cursor: Cursor) -> int:
    return cursor.rowcount


def away(error: BaseException) -> Unavailable:
    """What a client is told when the database does not answer; the reason goes to the log."""
    log.warning("database unavailable: %s", type(error).__name__, extra={"reason": str(error).strip()[:500]})
    return Unavailable("The database does not answer at the moment; try again shortly.", code="database_unavailable")
