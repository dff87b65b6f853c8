"""The database every test shares: one throw-away PostgreSQL a test session, one fresh database a test."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from langyard.model.errors import LangyardError
from langyard.postgres import embedded, migrations
from tests.redis_server import RedisServer, running

_HOME = pytest.StashKey[Path]()
# What is thrown away at the end need not survive a crash. Crash tests start a server of their own.
_HASTY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whatever runs us in the background has it ignored, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_HOME] = Path(worker["langyard_home"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each process of pytest-xdist the one folder whose server they share."""
    node.workerinput["langyard_home"] = str(_home(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    home = config.stash.get(_HOME, None)
    if home and not hasattr(config, "workerinput"):
        shutil.rmtree(home, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what LangGraph's conformance kit said of our checkpointer; its tests hand it on as a property."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, said in getattr(report, "user_properties", ()):
            if name == "conformance" and report.when == "call":
                terminalreporter.write(said)


def _home(config: pytest.Config) -> Path:
    if _HOME not in config.stash:
        _sweep()
        home = Path(tempfile.mkdtemp(prefix="langyard-tests-"))
        home.chmod(0o755)
        config.stash[_HOME] = home
    return config.stash[_HOME]


def _sweep() -> None:
    """Stop and remove what sessions that were killed have left."""
    for home in Path(tempfile.gettempdir()).glob("langyard-tests-*"):
        with contextlib.suppress(OSError, LangyardError), (home / ".langyard/postgres/users").open("r+") as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else it is in use
            fcntl.flock(users, fcntl.LOCK_UN)
            embedded.start(home).close()
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server to make databases on: that of TEST_DATABASE_URL, else an embedded one for this session."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with embedded.start(_home(request.config), settings=_HASTY) as server:
        yield server.url


def _at(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> str:
    """A migrated database to copy, made once a server for each state of the migrations."""
    state = hashlib.sha256()
    for path in sorted(migrations.FOLDER.glob("*.*")):
        state.update(path.name.encode() + path.read_bytes())
    name = f"langyard_template_{state.hexdigest()[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext(%s))", (name,))
        if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
            draft = sql.Identifier(f"{name}_draft")  # renamed when whole: a killed session leaves no half template
            connection.execute(sql.SQL("drop database if exists {}").format(draft))
            connection.execute(sql.SQL("create database {}").format(draft))
            asyncio.run(migrations.migrate(_at(postgres_url, f"{name}_draft")))
            connection.execute(sql.SQL("alter database {} rename to {}").format(draft, sql.Identifier(name)))
    return name


@pytest.fixture
def database(postgres_url: str, _template: str) -> Iterator[str]:
    """The URL of a fresh, migrated database, gone after the test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(_template)
            )
        )
    yield _at(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that speaks Redis, for this test alone."""
    with running(tmp_path / "redis") as server:
        yield server
