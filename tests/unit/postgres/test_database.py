"""What the one way to PostgreSQL makes of a server that answers, but not as it used to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest

from langyard.model.errors import Unavailable
from langyard.postgres.database import Database
from langyard.postgres.rows.workers import Heartbeat


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    found = Database(database, name="test", max_size=2)
    await found.open()
    yield found
    await found.close()


async def test_a_migration_by_another_process_spoils_no_statement(opened: Database, database: str):
    sql = "select w.* from langyard.workers w"
    assert await opened.fetch(sql) == []
    async with opened.connection() as connection:
        await connection.execute(sql)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("alter table langyard.workers add column later int")
    for _ in range(3):
        assert await opened.fetch(sql) == []
    async with opened.connection() as connection:
        await connection.execute(sql)


async def test_a_server_that_became_a_standby_is_away(database: str):
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'alter database "{admin.info.dbname}" set default_transaction_read_only = on')
    standby = Database(database, name="test", max_size=1)
    await standby.open()
    with pytest.raises(Unavailable):
        await standby.execute("delete from langyard.workers")
    with pytest.raises(Unavailable):
        async with standby.connection() as connection:
            await connection.execute("delete from langyard.workers")
    await standby.close()
    # Nobody knows whether the lease is lost: it is tried again.
    heartbeat = Heartbeat(database, uuid4(), 4.0)
    assert heartbeat.renew() is None
    heartbeat.leave()


async def test_what_is_too_much_is_refused_and_not_sent_for_ever(opened: Database):
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        await opened.fetch("select repeat('x', 2000000000) || repeat('x', 2000000000)")
