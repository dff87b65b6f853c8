"""langgraph.json as it is read: all of it kept, all that is wrong said at once, nothing set that was set before."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from langyard.config import read_project, start
from langyard.model.errors import ConfigurationError


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
        "store": {"path": "./store.py:store"},
        "http": {},
        "auth": {"path": "./auth.py:auth"},
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
    assert project.section("store") == {"path": "./store.py:store"}
    assert project.section("http") == project.section("checkpointer") == {}
    assert project.warnings == (
        "langgraph.json: nothing reads the key `webhoks`. Did you mean `webhooks`?",
        "langgraph.json: `store.path` has no effect in this version of Langyard.",
    )


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
        ('{"graphs": {\n  "a" "./a.py:g"\n}}', "line 2, column 7"),
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
    assert [warning[:24] for warning in read_project(file).warnings] == ["LANGGRAPH_STRICT_MSGPACK"]


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "langgraph.json").write_bytes(b'\xef\xbb\xbf{"graphs": {"a": "./a.py:g"}}')
    assert list(read_project(tmp_path / "langgraph.json").graphs) == ["a"]
