"""`langyard` of langgraph.json: what holds for single graphs, and what is wrong with it in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langyard.config import RunSettings, own_section, read_project, retry_policy
from langyard.model.errors import ConfigurationError
from langyard.model.retries import RetryPolicy


def section(folder: Path, given: Any) -> Any:
    content = {"graphs": {"a": "./a.py:graph", "b": "./b.py:graph"}, "langyard": given}
    (folder / "langgraph.json").write_text(json.dumps(content))
    project = read_project(folder / "langgraph.json")
    assert project.warnings == ()
    return own_section(project)


def test_caps_of_graphs(tmp_path: Path):
    found = section(tmp_path, {"graphs": {"a": {"max_concurrency": 4}, "b": {}}})
    assert found.caps == {"a": 4}
    assert section(tmp_path, {}).caps == {}
    assert own_section(None).caps == {}


def test_a_graph_is_tried_again_as_it_says_and_else_as_the_settings_say(tmp_path: Path):
    found = section(tmp_path, {"graphs": {"a": {"retry": {"max_attempts": 5, "backoff_seconds": 0.5}}, "b": {}}})
    assert found.retries(RunSettings()) == {"a": RetryPolicy(5, 0.5, 30.0)}
    assert retry_policy(RunSettings()) == RetryPolicy(3, 1.0, 30.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"graph": {}}, "has no key 'graph'; it has graphs"),
        ({"graphs": []}, None),
        ({"graphs": ["a"]}, "`langyard.graphs` must be an object"),
        ({"graphs": {"c": {}}}, "names 'c', which is no graph"),
        ({"graphs": {"a": 4}}, "`langyard.graphs.a` must be an object"),
        ({"graphs": {"a": {"concurrency": 4}}}, "`langyard.graphs.a` has no key 'concurrency'"),
        ({"graphs": {"a": {"max_concurrency": 0}}}, "must be a whole number from 1 to 1000000"),
        ({"graphs": {"a": {"max_concurrency": True}}}, "must be a whole number"),
        ({"graphs": {"a": {"retry": 3}}}, "`langyard.graphs.a.retry` must be an object"),
        ({"graphs": {"a": {"retry": {"attempts": 3}}}}, "`langyard.graphs.a.retry` has no key 'attempts'"),
        ({"graphs": {"a": {"retry": {"max_attempts": 0}}}}, "max_attempts` must be a whole number from 1 to 1000"),
        ({"graphs": {"a": {"retry": {"max_attempts": True}}}}, "max_attempts` must be a whole number"),
        ({"graphs": {"a": {"retry": {"backoff_seconds": -1}}}}, "backoff_seconds` must be a number of seconds"),
        ({"graphs": {"a": {"retry": {"max_backoff_seconds": "1"}}}}, "max_backoff_seconds` must be a number"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, given: Any, words: str | None):
    if words is None:
        assert section(tmp_path, given).caps == {}
        return
    with pytest.raises(ConfigurationError, match=words):
        section(tmp_path, given)
