"""One real PostgreSQL for all sides, durable as in production, and what they ask of it. Called by `__main__`.

The counters are the server's own: pg_stat_statements, pg_stat_database and the position in the WAL. Each side has a
database of its own and the harness reads from another, so its own queries are not among them.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from langyard.postgres import embedded

FLUSH_SECONDS = 1.05
"""A backend reports its transactions at the end of one, but at most once a second."""

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "512MB",
    # No checkpoint within a measurement: the full pages it brings would be charged to whoever runs then.
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
}


@dataclass(frozen=True, slots=True)
class Counters:
    """What a side has asked of PostgreSQL since the beginning; the difference of two is what lay between them."""

    statements: int = 0
    transactions: int = 0
    wal_bytes: int = 0

    def __sub__(self, other: Counters) -> Counters:
        return Counters(
            self.statements - other.statements, self.transactions - other.transactions, self.wal_bytes - other.wal_bytes
        )


class Database:
    """The embedded server; a context manager. `url` makes a side's database, `counters` reads its totals."""

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="langyard-bench-"))
        self._home.chmod(0o755)  # the account that runs the server must get in
        self._server = embedded.start(self._home, settings=SETTINGS)
        self._connection = psycopg.connect(self._server.url, autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self._made: set[str] = set()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._server.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def url(self, side: str) -> str:
        """The address of the side's database, with no parameter that only libpq knows."""
        name = f"bench-{side}"
        if side not in self._made:
            self._connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            self._made.add(side)
        return urlunsplit(urlsplit(self._server.url)._replace(path=f"/{name}", query="sslmode=disable"))

    def counters(self, side: str) -> Counters:
        """Totals of the side's database; BEGIN and COMMIT are statements, and WAL is that of the whole server."""
        row = self._connection.execute(
            """
            SELECT (SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE dbid = d.oid),
                   pg_stat_get_db_xact_commit(oid) + pg_stat_get_db_xact_rollback(oid),
                   (pg_current_wal_insert_lsn() - '0/0')::bigint
            FROM pg_database d WHERE datname = %s
            """,
            (f"bench-{side}",),
        ).fetchone()
        assert row is not None, side
        return Counters(*row)
