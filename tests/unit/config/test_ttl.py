"""How long threads are kept: `checkpointer.ttl`, and the variable that goes before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from langyard.config import Project, ThreadTtl, load, thread_ttl_section
from langyard.model.errors import ConfigurationError

WRONG = [
    [],
    {"strategy": "forget"},
    {"default_ttl": 0},
    {"default_ttl": True},
    {"default_ttl": "60"},
    {"sweep_interval_minutes": -1},
    {"sweep_limit": 0},
    {"sweep_limit": 1.5},
]


def project(ttl: Any) -> Project:
    return Project(Path("langgraph.json"), sections={"checkpointer": {"ttl": ttl}})


def test_nothing_is_thrown_away_that_nobody_spoke_of():
    assert thread_ttl_section(None) == ThreadTtl("delete", None, 5.0, 10_000)
    assert thread_ttl_section(project({})).default_ttl_min is None
    assert load({}).retention.thread_ttl is None


def test_the_section_and_the_variable_say_the_same():
    given = {"strategy": "keep_latest", "default_ttl": 60, "sweep_interval_minutes": 0.5, "sweep_limit": 7}
    wanted = ThreadTtl("keep_latest", 60.0, 0.5, 7)
    assert thread_ttl_section(project(given)) == wanted
    text = '{"strategy": "keep_latest", "default_ttl": 60, "sweep_interval_minutes": 0.5, "sweep_limit": 7}'
    assert load({"LANGGRAPH_THREAD_TTL": text}).retention.thread_ttl == wanted
    assert load({"LANGGRAPH_THREAD_TTL": "90"}).retention.thread_ttl == ThreadTtl(default_ttl_min=90.0)


@pytest.mark.parametrize("given", WRONG)
def test_what_is_wrong_is_refused(given: Any):
    with pytest.raises(ConfigurationError) as wrong:
        thread_ttl_section(project(given))
    assert "`checkpointer.ttl` is wrong" in wrong.value.detail


@pytest.mark.parametrize("text", ["soon", "0", "-5", "true", '{"strategy": "forget"}', "[1"])
def test_a_wrong_variable_is_refused(text: str):
    with pytest.raises(ConfigurationError) as wrong:
        load({"LANGYARD_THREAD_TTL": text})
    assert "LANGYARD_THREAD_TTL" in wrong.value.detail
