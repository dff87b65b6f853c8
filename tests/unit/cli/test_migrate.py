"""`langyard migrate`: plan, check and do."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql


@pytest.fixture
def empty(postgres_url):
    """The URL of a database that nobody has migrated."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_plan_changes_nothing_check_fails_and_then_it_is_done(langyard, empty):
    plan = langyard("migrate", "--plan", DATABASE_URL=empty)
    assert plan.code == 0
    assert "would apply 001_runtime" in plan.out.splitlines()
    check = langyard("migrate", "--check", DATABASE_URL=empty)
    assert (check.code, check.out) == (1, "")
    assert "Run `langyard migrate`" in check.err
    done = langyard("migrate", DATABASE_URL=empty)
    assert done.code == 0
    assert done.out == plan.out.replace("would apply", "applied")
    for arguments in ([], ["--plan"], ["--check"]):
        again = langyard("migrate", *arguments, DATABASE_URL=empty)
        assert (again.code, again.out) == (0, "The database is up to date.\n")


def test_a_database_that_is_away_is_a_sentence(langyard):
    done = langyard("migrate", DATABASE_URL="postgresql://me:secret@127.0.0.1:1/x")
    assert (done.code, done.out) == (1, "")
    assert "cannot be reached" in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err
