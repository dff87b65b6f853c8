"""The environment as it is read: every setting from each of its names, every wrong value, nothing secret shown."""

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from langyard.config import Settings, catalogue, load
from langyard.model.errors import ConfigurationError

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
    "worker.health_port": "8001",
    "limits.user_concurrency": "4",
    "retention.thread_ttl": '{"strategy": "keep_latest", "default_ttl": 60, "sweep_limit": 5}',
    "retention.run_seconds": "60",
    "webhooks.secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
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
    "limits.max_pending_runs": "3",
    "log.level": "debug",
    "log.format": "json",
}


# What is right only together with another.
PARTNERS = {"database.pooler": {"LANGYARD_DB_DIRECT_URL": "postgresql://direct/db"}}


def other_value(key: str, default: Any) -> str:
    """A value that is right and not the default."""
    if isinstance(default, bool):
        return str(not default)
    if isinstance(default, int):
        return str(default + 1)
    return str(default / 2 or 1.5) if isinstance(default, float) else OTHER_VALUES[key]


def value_at(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = getattr(settings, part)
    return settings


@pytest.mark.parametrize("key", catalogue())
def test_a_setting_is_read_from_each_of_its_names(key):
    known = catalogue()[key]
    for name, kind in known.names:
        text = "true" if name == "LOG_JSON" else other_value(key, known.default)
        partner = PARTNERS.get(key, {})
        settings, without = load({name: text, **partner}), load(dict(partner))
        assert value_at(settings, key) == kind.parse(text) != known.default
        others = [other for other in catalogue() if other != key]
        assert [value_at(settings, other) for other in others] == [value_at(without, other) for other in others]


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


def test_a_pooler_in_transaction_mode_needs_a_way_past_it():
    pooled = {"DATABASE_URL": "postgresql://pooler/db", "LANGYARD_DB_POOLER": "transaction"}
    with pytest.raises(ConfigurationError, match="LANGYARD_DB_DIRECT_URL is unset"):
        load(pooled)
    load({**pooled, "LANGYARD_DB_DIRECT_URL": "postgresql://direct/db"})
