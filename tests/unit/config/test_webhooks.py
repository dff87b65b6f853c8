"""`webhooks` of langgraph.json: its defaults, what it refers to, what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from langyard.config import Project, Settings, WebhookSection, load, webhook_section
from langyard.model.errors import ConfigurationError


def project(**section: Any) -> Project:
    return Project(Path("langgraph.json"), sections={"webhooks": section})


def test_what_holds_when_nothing_is_said():
    assert webhook_section(None) == WebhookSection()
    assert webhook_section(project()) == WebhookSection()
    assert WebhookSection().require_https is False
    assert WebhookSection().max_url_length == 4096


def test_a_url_block_requires_https_and_shorter_urls():
    found = webhook_section(project(url={}))
    assert (found.require_https, found.max_url_length, found.disable_loopback) == (True, 2048, True)
    assert webhook_section(project(headers={"A": "b"})).require_https is False
    given = {"allowed_domains": ["*.Exämple.com"], "allowed_ports": [443], "disable_private_ips": True}
    found = webhook_section(project(url=given))
    assert found.allowed_domains == ("*.xn--exmple-cua.com",)
    assert (found.allowed_ports, found.disable_private_ips) == ((443,), True)


def test_headers_take_variables_with_the_prefix_only():
    environ = {"LG_WEBHOOK_A": "1", "LG_WEBHOOK_B": "2", "MINE_C": "3", "DATABASE_URL": "secret"}
    section = project(headers={"X": "a ${{ env.LG_WEBHOOK_A }}-${{env.LG_WEBHOOK_B}}"})
    assert webhook_section(section, environ).headers == {"X": "a 1-2"}
    section = project(headers={"X": "${{ env.MINE_C }}"}, env_prefix="MINE_")
    assert webhook_section(section, environ).headers == {"X": "3"}
    for name, reason in (("LG_WEBHOOK_NONE", "not set"), ("DATABASE_URL", "begin with LG_WEBHOOK_")):
        with pytest.raises(ConfigurationError) as wrong:
            webhook_section(project(headers={"X": "${{ env." + name + " }}"}), environ)
        assert reason in wrong.value.detail
        assert "secret" not in wrong.value.detail


@pytest.mark.parametrize(
    "section",
    [
        {"url": []},
        {"url": {"require_https": "yes"}},
        {"url": {"allowed_domains": "example.com"}},
        {"url": {"allowed_ports": ["443"]}},
        {"url": {"allowed_ports": [0]}},
        {"url": {"max_url_length": 0}},
        {"headers": []},
        {"headers": {"X": 1}},
        {"headers": {"X Y": "1"}},
        {"headers": {"Host": "a"}},
        {"headers": {"X": "a\r\nEvil: 1"}},
        {"env_prefix": ""},
        {"allowed_fields": [1]},
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(section: dict[str, Any]):
    with pytest.raises(ConfigurationError) as wrong:
        webhook_section(project(**section), {})
    assert "`webhooks." in wrong.value.detail


def test_the_secret_is_a_key_or_a_text_and_is_not_shown():
    assert load({"LANGYARD_WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}).webhooks.secret == b"0123456789abcdef"
    settings = load({"LANGYARD_WEBHOOK_SECRET": "a text that is long enough"})
    assert settings.webhooks.secret == b"a text that is long enough"
    assert "long enough" not in repr(settings) + repr(settings.masked())
    assert Settings().webhooks.secret is None
    for wrong in ("tiny", "whsec_???", "whsec_YQ=="):
        with pytest.raises(ConfigurationError) as refused:
            load({"LANGYARD_WEBHOOK_SECRET": wrong})
        assert wrong not in refused.value.detail
