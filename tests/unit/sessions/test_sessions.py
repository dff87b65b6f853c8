"""The rules of sessions on a real database: sliding, merging, owners, expiry, sweeping."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from langyard.model.errors import Conflict, Invalid, NotFound
from langyard.postgres.database import Database
from langyard.sessions import Sessions, check_id


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    found = Database(database, name="test", max_size=8)
    await found.open()
    yield found
    await found.close()


@pytest.fixture
def sessions(opened: Database) -> Sessions:
    return Sessions(opened, ttl_s=60, grace_s=100)


def sql(database: str, statement: str, **params: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def age(database: str, session_id: str, seconds: float) -> None:
    """As if it had last been used so long ago."""
    sql(
        database,
        """update langyard.sessions set last_accessed = last_accessed - make_interval(secs => %(seconds)s),
            expires_at = expires_at - make_interval(secs => %(seconds)s) where session_id = %(id)s""",
        id=session_id,
        seconds=seconds,
    )


async def test_create_get_update_delete(sessions: Sessions, database: str):
    made = await sessions.create("ada", session_id="s", data={"theme": "dark", "n": [1, {"ü": None}]})
    assert (made.session_id, made.user_id, made.status) == ("s", "ada", "active")
    assert made.data == {"theme": "dark", "n": [1, {"ü": None}]}
    assert made.expires_at - made.last_accessed == dt.timedelta(seconds=60)
    assert made.created_at.tzinfo is not None
    changed = await sessions.update("s", "ada", {"theme": "light", "n": None})
    assert changed.data == {"theme": "light", "n": None}
    assert (await sessions.get("s", "ada")).data == changed.data
    await sessions.delete(await sessions.close("s", "ada"))
    with pytest.raises(NotFound) as caught:
        await sessions.get("s", "ada")
    assert caught.value.code == "session_not_found"
    assert sql(database, "select count(*) from langyard.threads") == [(0,)]


async def test_use_slides_the_expiry_and_listing_does_not(sessions: Sessions, database: str):
    made = await sessions.create("ada", session_id="s")
    age(database, "s", 30)
    [listed] = await sessions.search("ada")
    assert listed.expires_at == made.expires_at - dt.timedelta(seconds=30)
    assert (await sessions.get("s", "ada")).expires_at > made.expires_at
    age(database, "s", 30)
    assert (await sessions.update("s", "ada", {})).expires_at > made.expires_at


async def test_a_session_may_have_a_life_of_its_own(sessions: Sessions):
    made = await sessions.create("ada", session_id="s", ttl_s=7200)
    assert made.expires_at - made.last_accessed == dt.timedelta(hours=2)
    found = await sessions.get("s", "ada")
    assert found.expires_at - found.last_accessed == dt.timedelta(hours=2)


async def test_updates_at_once_all_survive(sessions: Sessions):
    await sessions.create("ada", session_id="s")
    await asyncio.gather(*(sessions.update("s", "ada", {f"k{n}": n}) for n in range(30)))
    assert (await sessions.get("s", "ada")).data == {f"k{n}": n for n in range(30)}


async def test_expired_says_when_and_then_is_gone(sessions: Sessions, database: str):
    made = await sessions.create("ada", session_id="s")
    age(database, "s", 61)
    when = (made.expires_at - dt.timedelta(seconds=61)).isoformat()
    for asking in (sessions.get("s", "ada"), sessions.update("s", "ada", {}), sessions.ensure("ada", "s")):
        with pytest.raises(NotFound) as caught:
            await asking
        assert caught.value.code == "session_expired"
        assert when in caught.value.detail
    assert await sessions.search("ada") == []
    with pytest.raises(Conflict):
        await sessions.create("ada", session_id="s")
    assert await sessions.sweep() == 0
    age(database, "s", 100)
    assert await sessions.sweep() == 1
    with pytest.raises(NotFound) as caught:
        await sessions.get("s", "ada")
    assert caught.value.code == "session_not_found"
    assert sql(database, "select count(*) from langyard.threads") == [(0,)]


async def test_to_others_it_is_as_if_it_were_not(sessions: Sessions, database: str):
    await sessions.create("ada", session_id="s")
    await sessions.create("ada", session_id="old")
    age(database, "old", 61)
    for taken in ("s", "old"):
        for asking in (
            sessions.get(taken, "eve"),
            sessions.update(taken, "eve", {}),
            sessions.ensure("eve", taken),
            sessions.close(taken, "eve"),
        ):
            with pytest.raises(NotFound) as caught:
                await asking
            assert (caught.value.code, caught.value.detail) == ("session_not_found", f"There is no session {taken!r}.")
    assert await sessions.search("eve") == []
    assert (await sessions.get("s", "ada")).data == {}


async def test_a_taken_id_is_refused_and_made_once_by_many(sessions: Sessions, database: str):
    results = await asyncio.gather(*(sessions.create("ada", session_id="s") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 9
    assert await asyncio.gather(*(sessions.ensure("ada", "t") for _ in range(10))) == ["t"] * 10
    assert sql(database, "select count(*) from langyard.threads") == [(2,)]


async def test_pages_are_ordered_by_last_use(sessions: Sessions):
    for name in "abcde":
        await sessions.create("ada", session_id=name)
    await sessions.get("a", "ada")
    assert [s.session_id for s in await sessions.search("ada", limit=2)] == ["a", "e"]
    assert [s.session_id for s in await sessions.search("ada", limit=10, offset=2)] == ["d", "c", "b"]


async def test_the_sweep_takes_more_than_one_batch_and_spares_what_runs(sessions: Sessions, database: str):
    for n in range(103):
        await sessions.create("ada", session_id=f"s{n}")
    await sessions.create("ada", session_id="young")
    sql(
        database,
        """update langyard.sessions set expires_at = now() - interval '101 seconds' where session_id like 's%%'""",
    )
    sql(
        database,
        """update langyard.threads t set open_runs = 1, status = 'busy' from langyard.sessions s
            where s.thread_id = t.thread_id and s.session_id = 's7'""",
    )
    assert sum(await asyncio.gather(sessions.sweep(), sessions.sweep())) == 102
    assert sql(database, "select session_id from langyard.sessions order by 1") == [("s7",), ("young",)]
    assert sql(database, "select count(*) from langyard.threads") == [(2,)]


async def test_deletions_at_once_of_one_session(sessions: Sessions, database: str):
    made = await sessions.create("ada", session_id="s")
    await asyncio.gather(*(sessions.delete(made) for _ in range(5)))
    assert sql(database, "select count(*) from langyard.threads") == [(0,)]


@pytest.mark.parametrize("value", ["a", "x" * 200, "会話 №1", "👩‍🚀", "a/b?c#d%", "نمی‌خواهم", "..", "'; drop table"])
async def test_ids_that_are_taken(sessions: Sessions, value: str):
    assert (await sessions.create(value, session_id=value)).session_id == value
    assert (await sessions.get(value, value)).user_id == value


@pytest.mark.parametrize("value", ["", " ", "x" * 201, "a\x00", "a\n", "\x7f", "\x85", "a\u2028", "\ud800", "\t"])
def test_ids_that_are_not(value: str):
    with pytest.raises(Invalid):
        check_id(value, "session_id")
