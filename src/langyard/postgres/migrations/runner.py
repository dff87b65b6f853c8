"""Brings a database to the schema this Langyard needs, once, whoever else tries; `langyard migrate` calls it.

Our own tables come from numbered files; LangGraph's checkpoint and store tables from LangGraph's own `setup()`. A file
is one transaction, unless its first line is `-- no-transaction`: its statements, each ended by a semicolon at the end
of a line, then run one by one, and must bear being run again after a crash. The address must be the server's own or a
session pooler's: the lock that keeps migrations apart belongs to a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row

from langyard.model.errors import ConfigurationError, Unavailable
from langyard.postgres.migrations import spares

FOLDER = Path(__file__).parent
LOCK = int.from_bytes(hashlib.sha256(b"langyard.migrations").digest()[:8], "big", signed=True)
"""The advisory lock of whoever migrates."""

_Connection = AsyncConnection[DictRow]
_NO_TRANSACTION = "-- no-transaction"
_TRIES = 3


@dataclass(frozen=True)
class Migration:
    """One step. `checksum` is SHA-256 over the text with line ends as `\\n`, in hexadecimal; empty: not a file."""

    name: str
    sql: str
    checksum: str

    @property
    def transactional(self) -> bool:
        return not self.sql.startswith(_NO_TRANSACTION)

    @property
    def statements(self) -> list[str]:
        if self.transactional:
            return [self.sql]
        return [part for part in re.split(r"(?<=;)[ \t]*\n", self.sql) if part.strip()]


@dataclass(frozen=True)
class _State:
    """Where a database stands."""

    applied: dict[str, str]  # name -> checksum
    checkpoints: int  # LangGraph's versions; -1 is none
    store: int
    invalid: list[tuple[str, str, bool]]  # schema, name, ours: the indexes that a crash left half built
    spare: list[tuple[str, str]]  # schema, name: what repeats a key, and may be dropped


async def migrate(url: str, *, folder: Path = FOLDER, lock_timeout_s: float = 5.0, wait_s: float = 300.0) -> list[str]:
    """Apply what is pending, in order, and return the names; at head this is a glance without a lock.

    A statement waits at most `lock_timeout_s` for a table others use, three times, so that traffic queued behind it
    gets through in between; another migration is waited for `wait_s`. Raises ConfigurationError when the database and
    this Langyard do not belong together, Unavailable when somebody is in the way.
    """
    files = _read(folder)
    async with _connect(url) as connection:
        if not _pending(files, await _look(connection)):
            return []
        async with _lock(connection, wait_s):
            pending = _pending(files, await _look(connection))
            await _make_history(connection)
            applied = []
            for migration in pending:
                if migration.name == spares.STEP:
                    if not await spares.drop(connection, lock_timeout_s):
                        continue
                else:
                    # What needs no transaction holds nobody up while it waits.
                    await _patiently(connection, migration, lock_timeout_s if migration.transactional else wait_s)
                applied.append(migration.name)
            return applied


async def plan(url: str, *, folder: Path = FOLDER) -> list[Migration]:
    """What `migrate` would apply, in order. Changes nothing."""
    files = _read(folder)
    async with _connect(url) as connection:
        return _pending(files, await _look(connection))


async def check(url: str, *, folder: Path = FOLDER) -> None:
    """Raise ConfigurationError unless the database is exactly as this Langyard needs it. Changes nothing."""
    pending = await plan(url, folder=folder)
    if pending:
        names = ", ".join(migration.name for migration in pending)
        raise ConfigurationError(
            f"The database is behind this Langyard by {len(pending)}: {names}. Run `langyard migrate`.",
            code="schema_behind",
        )


async def index_vectors(url: str, index: PostgresIndexConfig, *, wait_s: float = 300.0) -> bool:
    """Set up LangGraph's table of vectors beside its store; False when it is there already.

    Raises ConfigurationError when it holds vectors of another size, or the server has no pgvector.
    """
    async with _connect(url) as connection:
        if await _has_vectors(connection, index["dims"]):
            return False
        async with _lock(connection, wait_s):
            await _settle(connection, "store_migrations")
            await AsyncPostgresStore(connection, index=index).setup()
        return True


async def index_values(url: str, *, wait_s: float = 300.0) -> None:
    """Let threads be found by their values without reading them all. What is written meanwhile is not held up."""
    async with _connect(url) as connection, _lock(connection, wait_s):
        invalid = (
            "select from pg_index where indexrelid = to_regclass('langyard.threads_values_idx') and not indisvalid"
        )
        if await (await connection.execute(invalid)).fetchone() is not None:
            # An attempt that was cut short has left one that nothing reads and every write pays for.
            await connection.execute("drop index concurrently langyard.threads_values_idx")
        await connection.execute(
            "create index concurrently if not exists threads_values_idx "
            'on langyard.threads using gin ("values" jsonb_path_ops)'
        )


def _read(folder: Path) -> list[Migration]:
    found = []
    for path in sorted(folder.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        found.append(Migration(path.stem, text, hashlib.sha256(text.encode()).hexdigest()))
    numbers = [migration.name.split("_")[0] for migration in found]
    wrong = [m.name for m, number in zip(found, numbers, strict=True) if not re.fullmatch(r"\d{3}_\w+", m.name)]
    wrong += [m.name for m, number in zip(found, numbers, strict=True) if numbers.count(number) > 1]
    if wrong:
        raise ConfigurationError(
            f"Migrations in {folder} must be named NNN_name.sql, each number once: {', '.join(wrong)}."
        )
    return found


def _pending(files: Sequence[Migration], state: _State) -> list[Migration]:
    """What the database lacks. Raises ConfigurationError when its history is not a beginning of ours."""
    names = {migration.name for migration in files}
    newer = [name for name in state.applied if name not in names]
    if newer:
        raise ConfigurationError(
            f"The database was migrated by a newer Langyard ({', '.join(newer)}): upgrade this one.",
            code="schema_ahead",
        )
    changed = [m.name for m in files if state.applied.get(m.name, m.checksum) != m.checksum]
    if changed:
        raise ConfigurationError(
            f"Already applied migrations differ from the files here ({', '.join(changed)}): a migration is never "
            "edited, what it lacks goes into a new one.",
            code="schema_changed",
        )
    pending = [*_mends(state), *(migration for migration in files if migration.name not in state.applied)]
    for what, version, steps in (
        ("checkpoints", state.checkpoints, AsyncPostgresSaver.MIGRATIONS),
        ("store", state.store, AsyncPostgresStore.MIGRATIONS),
    ):
        if version < len(steps) - 1:
            pending.append(Migration(f"langgraph {what} {len(steps) - 1}", "\n".join(steps[version + 1 :]), ""))
    if state.spare or state.checkpoints < len(AsyncPostgresSaver.MIGRATIONS) - 1:
        pending.append(Migration(spares.STEP, f"{_NO_TRANSACTION}\n{spares.drops(state.spare)}", ""))
    return pending


def _mends(state: _State) -> list[Migration]:
    """Remove or rebuild the indexes that a crash in CREATE INDEX CONCURRENTLY left unusable.

    Ours are dropped, since the file that makes them is still pending; LangGraph's may be recorded as made.
    """
    found = []
    for schema, name, ours in state.invalid:
        drop = ours or re.search(r"_cc(new|old)\d*$", name)
        verb = "drop index concurrently if exists" if drop else "reindex index concurrently"
        text = f"{_NO_TRANSACTION}\n{verb} {sql.Identifier(schema, name).as_string()};\n"
        found.append(Migration(f"mend {schema}.{name}", text, ""))
    return found


# The database


@asynccontextmanager
async def _connect(url: str) -> AsyncIterator[_Connection]:
    try:
        connection = await AsyncConnection.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
            application_name="langyard migrate",
            connect_timeout=10,
        )
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"The database cannot be reached: {str(error).strip()}", code="database_unavailable"
        ) from error
    try:
        async with connection:
            # A role's limit on statements is meant for traffic, not for building an index; and the server must notice
            # in mid-statement that we were killed, since it holds our lock until then.
            await connection.execute("set statement_timeout = 0")
            with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # not on every platform
                await connection.execute("set client_connection_check_interval = '2s'")
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database went away: {str(error).strip()}", code="database_unavailable") from error
    except psycopg.Error as error:
        raise ConfigurationError(
            f"The database does not let us migrate: {str(error).strip()}", code="migration_failed"
        ) from error


async def _make_history(connection: _Connection) -> None:
    # Looked for first: IF NOT EXISTS asks for the right to create even where there is nothing to do.
    if not await _scalar(connection, "select to_regnamespace('langyard')"):
        await connection.execute("create schema langyard")
    if not await _scalar(connection, "select to_regclass('langyard.migrations')"):
        await connection.execute(
            "create table langyard.migrations (name text primary key, checksum text not null, "
            "applied_at timestamptz not null default now())"
        )


async def _look(connection: _Connection) -> _State:
    async def version(table: str) -> int:
        if not await _scalar(connection, "select to_regclass(%s)", table):
            return -1
        found = await _scalar(connection, sql.SQL("select max(v) from {}").format(sql.Identifier(table)))
        return -1 if found is None else int(str(found))

    applied: dict[str, str] = {}
    if await _scalar(connection, "select to_regclass(%s)", "langyard.migrations"):
        rows = await connection.execute("select name, checksum from langyard.migrations order by name")
        applied = {row["name"]: row["checksum"] async for row in rows}
    rows = await connection.execute(
        """
        select n.nspname, c.relname, not t.relname = any(%(theirs)s) as ours
        from pg_index i
            join pg_class c on c.oid = i.indexrelid
            join pg_class t on t.oid = i.indrelid
            join pg_namespace n on n.oid = t.relnamespace
        where not i.indisvalid and c.relname <> all(%(spare)s)
            and (n.nspname = 'langyard' or pg_table_is_visible(t.oid) and t.relname = any(%(theirs)s))
            and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
        """,
        {"theirs": [*spares.SPARE, "store", "store_vectors"], "spare": [*spares.SPARE.values()]},
    )
    invalid = [(row["nspname"], row["relname"], row["ours"]) async for row in rows]
    checkpoints, store = await version("checkpoint_migrations"), await version("store_migrations")
    return _State(applied, checkpoints, store, invalid, await spares.find(connection))


async def _has_vectors(connection: _Connection, dims: int) -> bool:
    query = "select atttypmod from pg_attribute where attrelid = to_regclass(%s) and attname = 'embedding'"
    found = await _scalar(connection, query, "store_vectors")
    if found not in (None, dims):
        raise ConfigurationError(
            f"The store's vectors have {found} dimensions, `store.index.dims` says {dims}. Embed as before, or drop "
            "the tables store_vectors and vector_migrations and store the items anew.",
            code="vectors_differ",
        )
    if found is None or not await _scalar(connection, "select to_regclass(%s)", "vector_migrations"):
        return False
    done = await _scalar(connection, "select max(v) from vector_migrations")
    return done == len(AsyncPostgresStore.VECTOR_MIGRATIONS) - 1


async def _scalar(connection: _Connection, query: sql.Composed | str, *values: object) -> object:
    cursor = await connection.execute(query.encode() if isinstance(query, str) else query, values)
    row = await cursor.fetchone()
    return next(iter(row.values())) if row else None


@asynccontextmanager
async def _lock(connection: _Connection, wait_s: float) -> AsyncIterator[None]:
    # Asked for again and again, not waited for: the snapshot of a waiting statement would hold up the very
    # CREATE INDEX CONCURRENTLY that the holder may be at, for ever. The server lets go of it when the session ends.
    deadline = asyncio.get_running_loop().time() + wait_s
    while not await _scalar(connection, "select pg_try_advisory_lock(%s)", LOCK):
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(
                f"Another migration has not ended within {wait_s:g} s: {await _holder(connection)}.",
                code="migration_running",
            )
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


async def _holder(connection: _Connection) -> str:
    cursor = await connection.execute(
        """
        select a.pid, a.application_name, coalesce(host(a.client_addr), 'this machine') as host, a.query,
            to_char(a.backend_start at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') as since
        from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.granted and l.database = a.datid and a.datname = current_database()
            and (l.classid::bigint << 32 | l.objid::bigint) = %s
        """,
        (LOCK,),
    )
    row = await cursor.fetchone()
    if row is None:
        return "it has just ended"
    return (
        f"`{row['application_name']}` from {row['host']}, server process {row['pid']}, since {row['since']} UTC, "
        f"at `{' '.join(row['query'].split())[:200]}`"
    )


async def _patiently(connection: _Connection, migration: Migration, lock_timeout_s: float) -> None:
    await connection.execute("select set_config('lock_timeout', %s, false)", (f"{round(lock_timeout_s * 1000)}ms",))
    for attempt in range(1, _TRIES + 1):
        try:
            for mend in _mends(await _look(connection)) if attempt > 1 else ():
                await _apply(connection, mend)
            await _apply(connection, migration)
            return
        except psycopg.errors.LockNotAvailable as error:
            if attempt == _TRIES:
                raise Unavailable(
                    f"Migration {migration.name} waited {_TRIES} times {lock_timeout_s:g} s for a lock that others "
                    "hold; nothing of it was applied. Run it again.",
                    code="migration_blocked",
                ) from error
        except psycopg.OperationalError as error:
            raise Unavailable(
                f"The database went away during migration {migration.name}: {str(error).strip()}",
                code="database_unavailable",
            ) from error
        except psycopg.Error as error:
            position = int(error.diag.statement_position or 0)
            line = f" in line {migration.sql.count(chr(10), 0, position) + 1}" if position else ""
            raise ConfigurationError(
                f"Migration {migration.name} failed{line}: {str(error).strip()}", code="migration_failed"
            ) from error
        await asyncio.sleep(0.1 * attempt)


async def _apply(connection: _Connection, migration: Migration) -> None:
    if migration.name.startswith("langgraph checkpoints"):
        await _settle(connection, "checkpoint_migrations")
        await AsyncPostgresSaver(connection).setup()
    elif migration.name.startswith("langgraph store"):
        await _settle(connection, "store_migrations")
        await AsyncPostgresStore(connection).setup()
    elif migration.transactional:
        async with connection.transaction():
            await connection.execute(migration.sql.encode())
            await _record(connection, migration)
    else:
        for statement in migration.statements:
            await connection.execute(statement.encode())
        await _record(connection, migration)


async def _settle(connection: _Connection, table: str) -> None:
    """Create LangGraph's tables where it has some already, else where the role's search path says.

    For a role named `langyard` that path begins with our schema as soon as there is one: tables it made in `public`
    before would be made again, empty, and hide them.
    """
    await connection.execute("reset search_path")
    query = "select relnamespace::regnamespace::text from pg_class where oid = to_regclass(%s)"
    if schema := await _scalar(connection, query, table):
        await connection.execute("select set_config('search_path', %s, false)", (schema,))


async def _record(connection: _Connection, migration: Migration) -> None:
    if migration.checksum:
        await connection.execute(
            "insert into langyard.migrations (name, checksum) values (%s, %s)", (migration.name, migration.checksum)
        )
