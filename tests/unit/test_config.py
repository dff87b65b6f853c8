"""The environment and langgraph.json as they are read: every value, every wrong value, nothing secret shown."""

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from langyard.config import Settings, catalogue, load, read_project, start
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

WRONG = [
    ("LANGYARD_PORT", "x", "a whole number from 0 to 65535"),
    ("LANGYARD_PORT", "65536", "a whole number from 0 to 65535"),
    ("LANGYARD_PORT", "-1", "a whole number"),
    ("LANGYARD_PORT", "8e3", "a whole number"),
    ("LANGYARD_PORT", "٨٠٠٠", "a whole number"),
    ("LANGYARD_POLL_SECONDS", "nan", "a number from 0.05 to 60"),
    ("LANGYARD_POLL_SECONDS", "inf", "a number from 0.05 to 60"),
    ("LANGYARD_STRICT", "maybe", "true or false"),
    ("LANGYARD_LOG_FORMAT", "xml", "one of auto, json, text"),
    ("LOG_JSON", "sometimes", "true or false"),
    ("LANGYARD_DB_POOLER", "session", "one of none, transaction"),
    ("LANGYARD_MOUNT_PREFIX", "api", "a path such as /langyard"),
    ("LANGYARD_MOUNT_PREFIX", "/a//b", "a path such as /langyard"),
    ("LANGYARD_CORS_ORIGINS", "example.com", "separated by commas"),
    ("LANGYARD_CORS_ORIGINS", "https://example.com/path", "separated by commas"),
    ("LANGYARD_HOST", "a\tb", "control characters"),
    ("REDIS_URL", "http://h", "redis://"),
    ("REDIS_URL", "redis://", "names no server"),
    ("LANGYARD_MAX_JSON_DEPTH", "100000", "from 4 to 500"),
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


def test_the_defaults():
    settings = load({})
    assert settings == Settings(home=Path.cwd(), config=Path.cwd() / "langgraph.json")
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 8000)
    assert settings.gateway.cors_origins == ()
    assert settings.database.url is None
    assert settings.runs.recursion_limit is None
    assert settings.data_dir == Path.cwd() / ".langyard"
    assert settings.warnings == ()


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        load({}).gateway.port = 1  # type: ignore[misc]


OTHER_VALUES = {
    "home": "/tmp",
    "config": "/tmp/other.json",
    "gateway.host": "0.0.0.0",
    "gateway.mount_prefix": "/x",
    "gateway.cors_origins": "https://a.example",
    "database.url": "postgresql://h/db",
    "database.direct_url": "postgresql://h/db",
    "database.pooler": "transaction",
    "redis.url": "redis://h",
    "runs.recursion_limit": "50",
    "log.level": "debug",
    "log.format": "json",
}


def other_value(key: str, default: Any) -> str:
    """A value that is right and not the default."""
    if isinstance(default, bool):
        return str(not default)
    if isinstance(default, int):
        return str(default + 1)
    return str(default / 2) if isinstance(default, float) else OTHER_VALUES[key]


def value_at(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = getattr(settings, part)
    return settings


@pytest.mark.parametrize("key", catalogue())
def test_a_setting_is_read_from_each_of_its_names(key):
    known = catalogue()[key]
    for name, kind in known.names:
        text = "true" if name == "LOG_JSON" else other_value(key, known.default)
        settings = load({name: text})
        assert value_at(settings, key) == kind.parse(text) != known.default
        others = [other for other in catalogue() if other != key]
        assert [value_at(settings, other) for other in others] == [value_at(load({}), other) for other in others]


@pytest.mark.parametrize(("name", "value", "accepted"), WRONG)
def test_a_wrong_value_names_its_variable_and_what_is_accepted(name, value, accepted):
    with pytest.raises(ConfigurationError) as refused:
        load({name: value})
    assert name in refused.value.detail
    assert accepted in refused.value.detail
    if "URL" not in name:
        assert repr(value) in refused.value.detail


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigurationError) as refused:
        load(
            {"LANGYARD_PORT": "x", "LANGYARD_STRICT": "?", "DATABASE_URL": "no", "LANGYARD_LEASE_RENEW_SECONDS": "3"},
            overrides={"log.level": "loud"},
        )
    assert refused.value.detail.startswith("5 settings are wrong:")
    assert refused.value.detail.count("\n- ") == 5
    assert "LANGYARD_LOG_LEVEL, given on the command line, is 'loud'" in refused.value.detail


@pytest.mark.parametrize("origins", ["*", "https://a.example, *"])
def test_credentials_for_every_origin_are_refused_with_the_reason(origins):
    with pytest.raises(ConfigurationError, match="every web page a signed-in user opens"):
        load({"CORS_ALLOW_ORIGINS": origins, "LANGYARD_CORS_CREDENTIALS": "true"})
    assert load({"CORS_ALLOW_ORIGINS": origins}).gateway.cors_origins[-1] == "*"
    named = load({"LANGYARD_CORS_ORIGINS": "https://a.example/", "LANGYARD_CORS_CREDENTIALS": "true"})
    assert named.gateway.cors_origins == ("https://a.example",)


def test_an_empty_variable_is_an_unset_one():
    assert load({"DATABASE_URL": " ", "LANGYARD_PORT": ""}) == load({})


def test_the_first_name_wins_and_a_difference_is_told():
    settings = load({"DATABASE_URL": "postgresql://a/x", "POSTGRES_URI": "postgresql://b/x"})
    assert settings.database.url == "postgresql://a/x"
    assert settings.warnings == ("DATABASE_URL and POSTGRES_URI are both set and differ; DATABASE_URL holds.",)
    assert not load({"DATABASE_URL": "postgresql://a/x", "POSTGRES_URI": "postgresql://a/x"}).warnings


def test_the_official_word_for_json_logs():
    assert load({"LOG_JSON": "true"}).log.json
    assert not load({"LOG_JSON": "false"}).log.json
    assert not load({"LOG_JSON": "true", "LANGYARD_LOG_FORMAT": "text"}).log.json


def test_auto_is_text_on_a_terminal(monkeypatch):
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        assert load({}).log.json is not terminal


def test_a_flag_goes_before_the_environment():
    overrides = {"gateway.port": 9, "strict": True, "gateway.cors_origins": ["https://a.example"], "gateway.host": None}
    settings = load({"LANGYARD_PORT": "8", "LANGYARD_HOST": "::1"}, overrides=overrides)
    assert (settings.gateway.port, settings.gateway.host, settings.strict) == (9, "::1", True)
    assert settings.gateway.cors_origins == ("https://a.example",)
    with pytest.raises(KeyError, match=r"gateway\.prot"):
        load({}, overrides={"gateway.prot": 1})


def test_a_secret_may_lie_in_a_file(tmp_path):
    (tmp_path / "url").write_text("postgres://u:hush@h/db\n")
    environ = {"POSTGRES_URI_FILE": str(tmp_path / "url")}
    assert load(environ).database.url == "postgresql://u:hush@h/db"
    assert not load(environ).warnings
    with pytest.raises(ConfigurationError, match="both set"):
        load({**environ, "POSTGRES_URI": "postgresql://h/db"})
    with pytest.raises(ConfigurationError, match=r"REDIS_URL_FILE is .* cannot be read"):
        load({"REDIS_URL_FILE": str(tmp_path / "none")})


def test_no_secret_is_shown():
    settings = load({"DATABASE_URL": "postgresql://u:hush@h/db", "REDIS_URL": "redis://:hush@h"})
    assert "hush" not in repr(settings)
    shown = settings.masked()
    assert shown["database"]["url"] == "postgresql://u:***@h/db"
    assert "hush" not in json.dumps(shown)
    assert shown["gateway"]["cors_origins"] == []
    assert {f"{room}.{name}" for room, values in shown.items() if isinstance(values, dict) for name in values} <= set(
        catalogue()
    )


def test_a_misspelled_variable_is_told():
    warnings = load({"LANGYARD_PROT": "1", "LANGYARD_QQQQQQQQQQ": "1", "OTHER": "1"}).warnings
    assert warnings == (
        "LANGYARD_PROT is set but is no setting. Did you mean LANGYARD_PORT?",
        "LANGYARD_QQQQQQQQQQ is set but is no setting.",
    )


def project_file(folder: Path, content: object) -> Path:
    (folder / "langgraph.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "langgraph.json"


def test_a_project(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / ".env").write_text('A=1\n# no\nexport B="two words"\nC\nD=${A}x\n')
    content = {
        "$schema": "https://langgra.ph/schema.json",
        "dependencies": [".", "./lib", "httpx>=0.27", "."],
        "graphs": {"a": "./a.py:graph", "b": {"path": "pkg.b:make", "description": "Does b."}},
        "env": ".env",
        "python_version": "3.12",
        "store": {"index": {"dims": 3}},
        "http": {"app": "./a.py:app"},
        "webhoks": {},
    }
    project = read_project(project_file(tmp_path, content))
    assert project.root == tmp_path
    assert [(name, entry.target, entry.description) for name, entry in project.graphs.items()] == [
        ("a", "./a.py:graph", None),
        ("b", "pkg.b:make", "Does b."),
    ]
    assert project.python_path == (tmp_path, tmp_path / "lib")
    assert project.requirements == ("httpx>=0.27",)
    assert project.env == {"A": "1", "B": "two words", "D": "1x"}
    assert project.section("store") == {"index": {"dims": 3}}
    assert project.section("auth") == {}
    assert project.warnings == ("langgraph.json: nothing reads the key `webhoks`. Did you mean `webhooks`?",)


def test_a_project_says_nothing_of_its_variables(tmp_path):
    file = project_file(tmp_path, {"graphs": {"a": "./a.py:g"}, "env": {"KEY": "hush"}, "auth": {"secret": "hush"}})
    assert "hush" not in repr(read_project(file))


def test_activating_a_project_overrides_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    content = {"graphs": {"a": "./a.py:g"}, "env": {"SET": "theirs", "UNSET": 1, "FLAG": True, "NONE": None}}
    environ = {"SET": "ours"}
    project = read_project(project_file(tmp_path, content))
    project.activate(environ)
    project.activate(environ)
    assert environ == {"SET": "ours", "UNSET": "1", "FLAG": "true"}
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_settings_may_stand_in_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = project_file(tmp_path, {"graphs": {"a": "./a.py:g"}, "env": {"LANGYARD_PORT": "7", "LANGYARD_HOST": "::1"}})
    environ = {"LANGYARD_CONFIG": str(file), "LANGYARD_HOST": "0.0.0.0"}
    settings, project = start(environ, overrides={"strict": True})
    assert (settings.gateway.port, settings.gateway.host, settings.strict) == (7, "0.0.0.0", True)
    assert list(project.graphs) == ["a"]


def test_a_command_may_do_without_a_project(tmp_path):
    environ = {"LANGYARD_CONFIG": str(tmp_path / "none.json")}
    assert start(environ, project_required=False)[1].graphs == {}
    with pytest.raises(ConfigurationError, match="`langyard init`"):
        start(environ)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"graphs": {\n  "a": "./a.py:g",\n}}', "line 3, column 1"),
        ("[]", "must hold a JSON object"),
        ("{}", "`graphs` must name at least one graph"),
        ({"graphs": {}}, "`graphs` must name at least one graph"),
        ({"graphs": {"a": 1}}, "`graphs.a` must be"),
        ({"graphs": {"a": {"description": "x"}}}, "`graphs.a` must be"),
        ({"graphs": {"a": {"path": "./a.py:g", "description": 1}}}, "`graphs.a` must be"),
        ({"graphs": {" ": "./a.py:g"}}, "`graphs. ` must be"),
        ({"graphs": {"a": "./a.py:g"}, "dependencies": "."}, "`dependencies` must be a list"),
        ({"graphs": {"a": "./a.py:g"}, "dependencies": ["./none"]}, "is no folder"),
        ({"graphs": {"a": "./a.py:g"}, "env": "none.env"}, "cannot be read"),
        ({"graphs": {"a": "./a.py:g"}, "env": ["A"]}, "`env` must be"),
        ({"graphs": {"a": "./a.py:g"}, "env": {"A": {}}}, "`env.A` must be"),
        ({"graphs": {"a": "./a.py:g"}, "env": {"A=B": "x"}}, "no environment can take"),
        ({"graphs": {"a": "./a.py:g"}, "http": []}, "`http` must be an object"),
        (
            {"graphs": {"a": "./a.py:g"}, "http": {"cors": {"allow_origins": ["*"], "allow_credentials": True}}},
            "every web page a signed-in user opens",
        ),
        ("[" * 100_000, "langgraph.json is"),
    ],
)
def test_a_wrong_project_is_refused_with_the_place(content, reason, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        read_project(project_file(tmp_path, content))
    assert reason in refused.value.detail
    assert "langgraph.json" in refused.value.detail


def test_all_that_is_wrong_in_a_project_is_said_at_once(tmp_path):
    content = {"graphs": {"a": 1, "b": 2}, "dependencies": ["./none"], "env": 3, "auth": []}
    with pytest.raises(ConfigurationError) as refused:
        read_project(project_file(tmp_path, content))
    assert refused.value.detail.count("\n- ") == 5


def test_a_project_that_comes_too_late_for_strict_types_is_told(tmp_path):
    file = project_file(tmp_path, {"graphs": {"a": "./a.py:g"}, "env": {"LANGGRAPH_STRICT_MSGPACK": "false"}})
    assert "LANGGRAPH_STRICT_MSGPACK" in read_project(file).warnings[0]


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "langgraph.json").write_bytes(b'\xef\xbb\xbf{"graphs": {"a": "./a.py:g"}}')
    assert list(read_project(tmp_path / "langgraph.json").graphs) == ["a"]
