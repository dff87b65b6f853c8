"""A checkpoint is read through the next connection when the pool's has died unnoticed."""

from __future__ import annotations

import uuid

import psycopg

from langyard.postgres.checkpoints import Checkpointer
from langyard.postgres.database import Database
from langyard.postgres.writer import Writer


async def test_a_connection_that_died_in_the_pool_does_not_fail_the_run_that_reads(database):
    opened = Database(database, name="test", max_size=2)
    await opened.open()
    await opened.fetch("select 1")
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
        ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'langyard test'"
        cursor = await other.execute(ended)
        assert [row[0] for row in await cursor.fetchall()]
    saver = Checkpointer(opened, Writer(opened))
    assert await saver.aget_tuple({"configurable": {"thread_id": str(uuid.uuid4())}}) is None
    await opened.close()
