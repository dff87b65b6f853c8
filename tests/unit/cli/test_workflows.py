"""`langyard workflows`: what there is, and what is wrong with the rest."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import GRAPHS, write


def test_they_are_listed_with_what_they_take(langyard, project):
    write(project, {"echo": {"path": "./agent.py:echo", "description": "Says it again"}})
    done = langyard("workflows")
    assert (done.code, done.err) == (0, "")
    assert done.out == "echo  input: text, seen  Says it again\n"


def test_json_is_what_the_server_answers(langyard, project):
    write(project, {"echo": GRAPHS["echo"], "bad": "./agent.py:nope"})
    done = langyard("workflows", "--json")
    bad, echo = json.loads(done.out)["workflows"]
    assert bad == {"name": "bad", "description": None, "available": False, "schemas": None}
    assert (echo["name"], echo["available"]) == ("echo", True)
    assert set(echo["schemas"]["input"]["properties"]) == {"text", "seen"}


def test_a_broken_one_is_told_with_file_line_and_reason_and_harms_nobody(langyard, project):
    (project / "bad.py").write_text("x = 1\ny = x / 0\n")
    write(project, {"echo": GRAPHS["echo"], "bad": "./bad.py:graph"})
    done = langyard("workflows")
    assert done.code == 0
    assert done.out.startswith("echo ")
    assert done.err == "bad is broken: bad.py, line 2: ZeroDivisionError: division by zero\n"
    strict = langyard("workflows", "--strict")
    assert strict.code == 1
    assert strict.err.endswith("langyard: 1 of 2 workflows cannot be loaded.\n")
    write(project, {"bad": "./bad.py:graph"})
    assert langyard("workflows").code == 1


def test_config_names_another_project(langyard, project, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert langyard("workflows", "--config", "../langgraph.json").code == 0
