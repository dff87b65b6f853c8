"""`langyard` of langgraph.json: what holds for single graphs, and what is wrong with it in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langyard.config import own_section, read_project
from langyard.model.errors import ConfigurationError


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
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, given: Any, words: str | None):
    if words is None:
        assert section(tmp_path, given).caps == {}
        return
    with pytest.raises(ConfigurationError, match=words):
        section(tmp_path, given)
