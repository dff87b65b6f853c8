"""Addresses of databases: every form that is met in the wild, every wrong one, and no password shown."""

from __future__ import annotations

import pytest

from langyard.config import load
from langyard.config.urls import mask_url, parse_postgres_url, postgres_url, redis_url
from langyard.model.errors import ConfigurationError

URLS = [
    ("postgresql://u:p@h:5432/db?sslmode=require", "postgresql://u:p@h:5432/db?sslmode=require"),
    ("postgres://u:p@h/db", "postgresql://u:p@h/db"),
    ("POSTGRES://u:p@h/db", "postgresql://u:p@h/db"),
    ("postgresql+asyncpg://u:p@h/db", "postgresql://u:p@h/db"),
    ("postgresql+psycopg2://u:p@h/db?sslmode=verify-full", "postgresql://u:p@h/db?sslmode=verify-full"),
    ("postgresql+asyncpg://u:p@h/db?ssl=require", "postgresql://u:p@h/db?sslmode=require"),
    ("postgresql://u:100%25@h/db", "postgresql://u:100%25@h/db"),
    ("postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",) * 2,
    ("postgresql://u:p@[::1]:5432/db",) * 2,
    ("postgresql://[fe80::1],h2/db",) * 2,
    ("postgresql://u@h/db",) * 2,
    ("postgresql://h",) * 2,
    ("postgresql:///db?host=/var/run/postgresql",) * 2,
    ("postgresql://%2Fvar%2Frun/db",) * 2,
    ("  postgresql://u:p@h/db\n", "postgresql://u:p@h/db"),
]

WRONG_URLS = [
    ("mysql://u:hush@h/db", "begin with postgresql://"),
    ("u:hush@h/db", "begin with postgresql://"),
    ("host=h password=hush", "begin with postgresql://"),
    ("postgresql://u:hush%@h/db", "write % itself as %25"),
    ("postgresql://u:hush%zz@h/db", "write % itself as %25"),
    ("postgresql://u:hu@sh@h/db", "write it as %40"),
    ("postgresql://u:hu/sh@h/db", "write it as %2F"),
    ("postgresql://u:hush@h:port/db", "a port in it"),
    ("postgresql://u:hush@h:70000/db", "a port in it"),
    ("postgresql://u:hush@::1/db", "needs brackets"),
    ("postgresql://u:hush@[::1/db", "closing bracket"),
    ("postgresql://u:hush@h/db?sslmode=on", "sslmode is not one of"),
    ("postgresql://u:hush@h/db?sslmode", "has no value"),
    ("postgresql://u:hush @h/db", "white space"),
]


@pytest.mark.parametrize(("given", "expected"), URLS)
def test_a_database_url_takes_one_form(given, expected):
    assert postgres_url(given) == expected


def test_a_database_url_has_parts():
    url = parse_postgres_url("postgres://me:p%25%40w@[::1]:1,h2/my%20db?sslmode=require&application_name=a%20b")
    assert url.hosts == (("::1", 1), ("h2", None))
    assert (url.user, url.password, url.database) == ("me", "p%@w", "my db")
    assert url.params == {"sslmode": "require", "application_name": "a b"}
    bare = parse_postgres_url("postgresql:///")
    assert (bare.hosts, bare.user, bare.password, bare.database) == ((), None, None, None)


def test_our_database_urls_are_libpqs():
    from psycopg.conninfo import conninfo_to_dict

    for given, _ in URLS:
        parts, theirs = parse_postgres_url(given), conninfo_to_dict(postgres_url(given))
        assert (parts.user, parts.password, parts.database) == tuple(
            theirs.get(key) for key in ("user", "password", "dbname")
        )


@pytest.mark.parametrize(("given", "reason"), WRONG_URLS)
def test_a_wrong_database_url_is_refused_without_its_password(given, reason):
    with pytest.raises(ConfigurationError) as refused:
        load({"DATABASE_URL": given})
    assert reason in refused.value.detail
    assert "DATABASE_URL" in refused.value.detail
    assert "hush" not in refused.value.detail


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:p@h:6380/1", "unix:///run/redis.sock", "redis+sentinel://a,b/main", "valkey://h"]
)
def test_redis_urls(url):
    assert redis_url(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p%25@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db?password=p&sslpassword=q&user=u", "postgresql://h/db?password=***&sslpassword=***&user=u"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ],
)
def test_masking(url, shown):
    assert mask_url(url) == shown
