"""LangGraph's indexes that repeat a key are dropped where that hurts nobody, and never stand in the way."""

from __future__ import annotations

import asyncio
import uuid
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore

from langyard.postgres.migrations import check, migrate
from tests.unit.postgres.test_migrations import LANGGRAPH, NAMES, ask, folder, holding, url

__all__ = ["folder", "url"]

SPARE = LANGGRAPH[2]
LEFT = (
    "select relnamespace::regnamespace::text, count(*) from pg_class where relname ~ '^checkpoint.*_thread_id_idx$' "
    "group by 1 order by 1"
)


async def set_up(url: str) -> None:
    """As somebody's application has done who used LangGraph's own saver and store."""
    async with AsyncPostgresSaver.from_conn_string(url) as saver, AsyncPostgresStore.from_conn_string(url) as store:
        await saver.setup()
        await store.setup()


def finding(url: str, *schemas: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options={quote('-c search_path=' + ','.join(schemas))}"


async def test_a_role_that_does_not_own_the_tables_leaves_them_as_they_are(url, folder):
    await set_up(url)
    role = f"small_{uuid.uuid4().hex}"
    await ask(url, f"create role {role} login password 'small'")
    try:
        await ask(url, f"create schema langyard authorization {role}")
        await ask(url, f"grant select, insert, update, delete on all tables in schema public to {role}")
        parts = urlsplit(url)
        small = urlunsplit(parts._replace(netloc=f"{role}:small@{parts.hostname}:{parts.port}"))
        assert await migrate(small, folder=folder) == NAMES
        assert await ask(url, LEFT) == [("public", 3)]
        await check(small, folder=folder)
        assert await migrate(url, folder=folder) == [SPARE]
        assert await ask(url, LEFT) == []
    finally:
        await ask(url, f"drop owned by {role} cascade")
        await ask(url, f"drop role {role}")


async def test_those_of_tables_that_langyard_does_not_use_are_not_its_own(url, folder):
    await migrate(url, folder=folder)
    await ask(url, "create schema theirs")
    await set_up(finding(url, "theirs"))
    both = finding(url, "public", "theirs")
    await check(both, folder=folder)
    assert await migrate(both, folder=folder) == []
    assert await ask(url, LEFT) == [("theirs", 3)]


@pytest.mark.parametrize("apart", [("store", "public"), ("public", "store")])
async def test_they_are_found_where_the_checkpoints_are(url, folder, apart):
    """The tables of the store may lie in another schema than those of the checkpoints."""
    await ask(url, "create schema store")
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        await saver.setup()
    async with AsyncPostgresStore.from_conn_string(finding(url, "store")) as store:
        await store.setup()
    await ask(url, "delete from store.store_migrations where v > 0")
    found = finding(url, *apart)
    assert await migrate(found, folder=folder) == [*NAMES, *LANGGRAPH[1:]]
    assert await ask(url, LEFT) == []


async def test_a_long_transaction_does_not_keep_a_server_from_starting(url, folder):
    await migrate(url, folder=folder)
    await ask(url, "create index checkpoints_thread_id_idx on checkpoints (thread_id)")
    await ask(url, "create index checkpoint_writes_thread_id_idx on checkpoint_writes (thread_id)")
    async with holding(url, "select * from checkpoints"), asyncio.timeout(30):
        assert await migrate(url, folder=folder, lock_timeout_s=0.1) == []
        assert await ask(
            url, "select relname from pg_class join pg_index on oid = indexrelid where not indisvalid"
        ) == [("checkpoints_thread_id_idx",)]
    # What was cut short is not built again to be dropped.
    assert await migrate(url, folder=folder) == [SPARE]
    assert await ask(url, LEFT) == []
    await check(url, folder=folder)
