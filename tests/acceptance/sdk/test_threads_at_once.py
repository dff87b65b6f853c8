"""What is done to a whole thread is of one moment, and done with one connection, since there may be no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from langyard.postgres.database import Database
from tests.acceptance.auth.serving import guarded
from tests.acceptance.sdk.agents import Agents, serving

WAITS = (
    "select count(*) from pg_locks where not granted and relation = 'checkpoints'::regclass "
    "and database = (select oid from pg_database where datname = current_database())"
)


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with serving(database) as found:
        yield found


@asynccontextmanager
async def one_connection_left(database: Database) -> AsyncIterator[None]:
    """All that the pool may have are in use but for one."""
    async with AsyncExitStack() as stack:
        for _ in range(database.pool_stats()["max"] - 1):
            await stack.enter_async_context(database.connection())
        yield


async def test_a_copys_state_and_checkpoints_are_of_one_moment(agents: Agents, database: str):
    source = (await agents.sdk.threads.create())["thread_id"]
    await agents.run("echo", source, {"x": 1})
    async with await psycopg.AsyncConnection.connect(database) as other:
        # A run ends just then: its state and its checkpoint are committed together.
        await other.execute("lock table checkpoints in share row exclusive mode")
        change = 'update langyard.threads set "values" = %s where thread_id = %s'
        await other.execute(change, [json.dumps({"x": 99}), source])
        await other.execute(
            "insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata) "
            "select thread_id, checkpoint_ns, 'ffffffff-ffff-6fff-8000-000000000000', checkpoint, metadata "
            "from checkpoints where thread_id = %s order by checkpoint_id desc limit 1",
            [source],
        )
        copying = asyncio.create_task(agents.sdk.threads.copy(source))
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as looking, asyncio.timeout(20):
            while (await (await looking.execute(WAITS)).fetchone()) == (0,):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        await other.commit()
    copied = await copying
    newest = await agents.app.database.fetch_one(
        "select max(checkpoint_id) as id from checkpoints where thread_id = %(id)s", {"id": copied["thread_id"]}
    )
    assert newest is not None
    assert (copied["values"]["x"] == 99) == newest["id"].startswith("ffffffff"), (copied["values"], newest)


async def test_a_copy_has_its_owner_from_the_first_moment(database: str, tmp_path: Path):
    async with guarded(database, tmp_path) as server:
        source = (await server.sdk("ada").threads.create(metadata={"topic": "engines"}))["thread_id"]
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
            await other.execute(
                "create function refuse() returns trigger language plpgsql as $$ begin raise 'changed later'; end $$"
            )
            await other.execute(
                "create trigger refused before update on langyard.threads for each row execute function refuse()"
            )
        copied = await server.sdk("ada").threads.copy(source)
        assert copied["metadata"] == {"topic": "engines", "owner": "ada"}


async def test_a_history_is_pruned_with_one_connection(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    for _ in range(3):
        await agents.run("echo", thread_id, {"x": 1})
    async with one_connection_left(agents.app.database):
        assert await agents.sdk.threads.prune([thread_id], strategy="keep_latest") == {"pruned_count": 1}
    assert len(await agents.sdk.threads.get_history(thread_id)) == 1
    assert (await agents.sdk.threads.get_state(thread_id))["values"]["x"] == 2


async def test_a_history_that_changes_meanwhile_is_pruned_all_the_same(agents: Agents, database: str):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    for _ in range(3):
        await agents.run("echo", thread_id, {"x": 1})
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with await psycopg.AsyncConnection.connect(database) as other:
        change: Any = "update langyard.threads set revision = revision + 1 where thread_id = %s"
        await other.execute(change, [thread_id])
        pruning = asyncio.create_task(agents.sdk.threads.prune([thread_id], strategy="keep_latest"))
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as looking, asyncio.timeout(20):
            while (await (await looking.execute(waits)).fetchone()) == (0,):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        await other.commit()
    assert await pruning == {"pruned_count": 1}
    assert len(await agents.sdk.threads.get_history(thread_id)) == 1


async def test_a_factorys_state_is_changed_with_one_connection(agents: Agents):
    made = await agents.sdk.assistants.create("factory", context={"node": "mine"})
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    kwargs = {"input": {"x": 1}, "config": {"configurable": {"node": "mine"}}}
    run_id = await agents.start("factory", thread_id, kwargs, assistant_id=UUID(made["assistant_id"]))
    assert (await agents.app.runs.wait(run_id)).status == "success"
    async with one_connection_left(agents.app.database):
        await agents.sdk.threads.update_state(thread_id, {"log": ["told"]}, as_node="mine")
    assert (await agents.sdk.threads.get_state(thread_id))["values"]["log"] == ["mine", "told"]
