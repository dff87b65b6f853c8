"""Migrations on real databases: once each, whoever else tries, whatever dies in between."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg import AsyncConnection

from langyard.model.errors import ConfigurationError, Unavailable
from langyard.postgres.migrations import LOCK, check, migrate, plan

NAMES = ["001_one", "002_two", "003_three"]
LANGGRAPH = [
    f"langgraph checkpoints {len(AsyncPostgresSaver.MIGRATIONS) - 1}",
    f"langgraph store {len(AsyncPostgresStore.MIGRATIONS) - 1}",
    "spare indexes of langgraph",
]
ONE = "create table langyard.one (value integer);\ncreate table langyard.log (at timestamptz default now());"
TWO = "insert into langyard.log default values;\nalter table langyard.one add column more text default '%s';"
THREE = "-- no-transaction\ncreate unique index concurrently one_value on langyard.one (value);\n"


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"bare_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} strategy file_copy".encode())
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, {"001_one": ONE, "002_two": TWO, "003_three": THREE})
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)


async def ask(url: str, query: str) -> list[tuple[object, ...]]:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def holding(url: str, *queries: str):
    """Another session that has run these in an open transaction."""
    async with await AsyncConnection.connect(url, application_name="the other") as connection:
        for query in queries:
            await connection.execute(query.encode())
        yield
        await connection.rollback()


async def test_each_file_once_and_in_order(url, folder):
    assert [migration.name for migration in await plan(url, folder=folder)] == [*NAMES, *LANGGRAPH]
    assert await migrate(url, folder=folder) == [*NAMES, *LANGGRAPH]
    assert await migrate(url, folder=folder) == []
    await check(url, folder=folder)
    history = await ask(url, "select name, length(checksum) from langyard.migrations order by applied_at, name")
    assert history == [(name, 64) for name in NAMES]
    write(folder, {"004_four": "select 1"})
    with pytest.raises(ConfigurationError, match=r"behind.*004_four.*langyard migrate") as caught:
        await check(url, folder=folder)
    assert caught.value.code == "schema_behind"
    assert await migrate(url, folder=folder) == ["004_four"]


async def test_the_shipped_files_and_langgraphs_own(url):
    applied = await migrate(url)
    assert applied[-3:] == LANGGRAPH
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        await saver.setup()  # finds nothing to do: a second index would fail under its name
        assert await saver.aget({"configurable": {"thread_id": "a"}}) is None
    async with AsyncPostgresStore.from_conn_string(url) as store:
        await store.setup()
        await store.aput(("a",), "key", {"value": 1})
    assert await migrate(url) == []
    assert await ask(url, "select count(*) from pg_index where not indisvalid") == [(0,)]


async def test_langgraph_at_an_older_version_is_brought_up(url, folder):
    await migrate(url, folder=folder)
    last = len(AsyncPostgresSaver.MIGRATIONS) - 1
    await ask(url, f"delete from checkpoint_migrations where v = {last}")
    assert await migrate(url, folder=folder) == [LANGGRAPH[0], LANGGRAPH[2]]
    assert await ask(url, "select max(v) from checkpoint_migrations") == [(last,)]


async def test_eight_at_once_all_succeed_and_each_file_runs_once(url, folder):
    done = await asyncio.gather(*(migrate(url, folder=folder) for _ in range(8)))
    assert sorted(done) == [[]] * 7 + [[*NAMES, *LANGGRAPH]]
    assert await ask(url, "select count(*) from langyard.log") == [(1,)]


async def test_at_head_it_takes_no_lock(url, folder):
    await migrate(url, folder=folder)
    async with holding(url, f"select pg_advisory_lock({LOCK})", "lock langyard.one in access exclusive mode"):
        assert await migrate(url, folder=folder, wait_s=0) == []


async def test_who_holds_the_lock_is_named(url, folder):
    async with holding(url, f"select pg_advisory_lock({LOCK})"):
        with pytest.raises(Unavailable, match=r"`the other` from .*at `select pg_advisory_lock") as caught:
            await migrate(url, folder=folder, wait_s=0.1)
    assert caught.value.code == "migration_running"
    assert await migrate(url, folder=folder)


async def test_a_killed_migration_is_taken_over(url, folder):
    write(folder, {"002_two": f"{TWO}\nselect pg_sleep(600);"})
    program = "import asyncio, sys, pathlib; from langyard.postgres.migrations import migrate; "
    program += "asyncio.run(migrate(sys.argv[1], folder=pathlib.Path(sys.argv[2])))"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, url, folder)
    asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    while not await ask(url, asleep):  # noqa: ASYNC110 - only the server knows
        await asyncio.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    write(folder, {"002_two": TWO})
    assert await migrate(url, folder=folder) == [*NAMES[1:], *LANGGRAPH]
    assert await ask(url, "select count(*) from langyard.log") == [(1,)]


async def test_a_failing_file_leaves_nothing_of_itself_and_says_where(url, folder):
    write(folder, {"002_two": f"{TWO}\nselect nonsense;"})
    with pytest.raises(ConfigurationError, match=r'002_two failed in line 3: column "nonsense"'):
        await migrate(url, folder=folder)
    assert await ask(url, "select name from langyard.migrations") == [("001_one",)]
    assert await ask(url, "select from langyard.log") == []
    write(folder, {"002_two": TWO})
    assert await migrate(url, folder=folder) == [*NAMES[1:], *LANGGRAPH]


async def test_an_index_left_half_built_is_built_again(url, folder):
    write(folder, {"002_two": f"{TWO}\ninsert into langyard.one values (1), (1);"})
    with pytest.raises(ConfigurationError, match=r"003_three failed: .*unique"):
        await migrate(url, folder=folder)
    assert await ask(url, "select count(*) from pg_index where not indisvalid") == [(1,)]
    await ask(url, "delete from langyard.one")
    assert await migrate(url, folder=folder) == ["mend langyard.one_value", "003_three", *LANGGRAPH]
    assert await ask(url, "select indisvalid from pg_index where indexrelid = 'langyard.one_value'::regclass") == [
        (True,)
    ]


async def test_an_index_of_langgraph_left_half_built_is_rebuilt_although_recorded(url, folder):
    await migrate(url, folder=folder)
    index = "indexrelid = 'store_prefix_idx'::regclass"
    await ask(url, f"update pg_index set indisvalid = false where {index}")
    assert await migrate(url, folder=folder) == ["mend public.store_prefix_idx"]
    assert await ask(url, f"select indisvalid from pg_index where {index}") == [(True,)]


async def test_indexes_that_repeat_a_key_go_and_do_not_come_back(url, folder):
    """The official saver made its tables first, and goes on with them."""
    spare = "select relname from pg_class where relname ~ '^checkpoint.*_thread_id_idx$'"
    config: RunnableConfig = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        await saver.setup()
        assert len(await ask(url, spare)) == 3
        await saver.aput(config, {**empty_checkpoint(), "channel_values": {}}, {}, {})
        assert await migrate(url, folder=folder) == [*NAMES, *LANGGRAPH[1:]]
        assert await ask(url, spare) == []
        await saver.setup()
        assert await ask(url, spare) == []
        assert (await saver.aget_tuple(config)) is not None
    await check(url, folder=folder)


async def test_langgraphs_tables_stay_where_they_are(url, folder):
    """A role named as our schema finds that one first, and would make them anew there."""
    role = f"langyard_{uuid.uuid4().hex}"
    await ask(url, "create table checkpoint_migrations (v integer primary key)")
    await ask(url, f"create role {role} superuser login password 'x'")
    try:
        parts = urlsplit(url)
        theirs = urlunsplit(parts._replace(netloc=f"{role}:x@{parts.hostname}:{parts.port}"))
        await ask(url, f"create schema {role}")
        await migrate(theirs, folder=folder)
        schemas = (
            "select distinct relnamespace::regnamespace::text from pg_class where relname ~ '^checkpoint' order by 1"
        )
        assert await ask(url, schemas) == [("public",)]
        assert await ask(theirs, "select to_regclass('store')::text") == [("store",)]
        assert await migrate(theirs, folder=folder) == []
    finally:
        await ask(url, f"drop owned by {role} cascade")
        await ask(url, f"drop role {role}")


async def test_a_table_in_use_holds_nobody_up_for_long(url, folder):
    await migrate(url, folder=folder)
    write(folder, {"004_four": "alter table langyard.one add column last text"})
    async with holding(url, "select * from langyard.one"):
        with pytest.raises(Unavailable, match=r"004_four waited 3 times 0.1 s") as caught:
            await migrate(url, folder=folder, lock_timeout_s=0.1)
    assert caught.value.code == "migration_blocked"
    assert await migrate(url, folder=folder) == ["004_four"]


async def test_an_index_waits_for_old_transactions_beyond_the_lock_timeout(url, folder):
    (folder / "003_three.sql").unlink()
    await migrate(url, folder=folder)
    write(folder, {"003_three": THREE})
    async with holding(url, "insert into langyard.one values (1)"):
        migrating = asyncio.create_task(migrate(url, folder=folder, lock_timeout_s=0.05))
        await asyncio.wait([migrating], timeout=0.5)
        assert not migrating.done()
    assert await migrating == ["003_three"]


async def test_a_newer_database_is_refused(url, folder):
    await migrate(url, folder=folder)
    (folder / "003_three.sql").unlink()
    for call in (migrate, plan, check):
        with pytest.raises(ConfigurationError, match=r"newer Langyard \(003_three\)") as caught:
            await call(url, folder=folder)
        assert caught.value.code == "schema_ahead"


async def test_an_edited_file_is_refused(url, folder):
    await migrate(url, folder=folder)
    write(folder, {"001_one": ONE.replace("\n", "\r\n")})
    await check(url, folder=folder)  # how git checks it out is no edit
    write(folder, {"001_one": ONE + " "})
    for call in (migrate, check):
        with pytest.raises(ConfigurationError, match=r"differ .*\(001_one\)") as caught:
            await call(url, folder=folder)
        assert caught.value.code == "schema_changed"


@pytest.mark.parametrize("name", ["1_one", "001-one", "one", "001_two"])
async def test_a_misnamed_file_is_refused(url, folder, name):
    write(folder, {name: "select 1"})
    with pytest.raises(ConfigurationError, match=name):
        await plan(url, folder=folder)


async def test_a_role_that_may_not_create_is_told(url, folder):
    role = f"small_{uuid.uuid4().hex}"
    await ask(url, f"create role {role} login password 'small'")
    try:
        parts = urlsplit(url)
        small = urlunsplit(parts._replace(netloc=f"{role}:small@{parts.hostname}:{parts.port}"))
        with pytest.raises(ConfigurationError, match="permission denied"):
            await migrate(small, folder=folder)
    finally:
        await ask(url, f"drop role {role}")


async def test_an_unreachable_database_is_a_sentence_without_the_password(folder):
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        await migrate("postgresql://me:hunter2@127.0.0.1:1/none", folder=folder)
    assert "hunter2" not in caught.value.detail


def test_looking_changes_nothing(url, folder):
    asyncio.run(plan(url, folder=folder))
    with pytest.raises(ConfigurationError):
        asyncio.run(check(url, folder=folder))
    tables = "select relname from pg_class where relnamespace in ('public'::regnamespace, to_regnamespace('langyard'))"
    assert asyncio.run(ask(url, tables)) == []
