"""`langyard init`: what it writes works, and what is there stays."""

from __future__ import annotations

import json

import pytest

TEXT = "The harbour is full of boats, and the boats are full of herring."


def test_what_it_writes_runs(langyard, database, tmp_path, monkeypatch):
    done = langyard("init", "new/project")
    assert done.code == 0
    assert "cd new/project" in done.out
    monkeypatch.chdir(tmp_path / "new" / "project")
    listed = langyard("workflows")
    assert (listed.code, listed.err) == (0, "")
    assert listed.out.startswith("agent  input: text  ")
    answers = []
    for text in (TEXT, "Lighthouse keepers"):
        ran = langyard("run", "agent", "--input", json.dumps({"text": text}), "--session", "a", DATABASE_URL=database)
        assert ran.code == 0, ran.err
        answers.append(json.loads(ran.out)["result"]["answer"])
    assert "boats" in answers[0]
    assert "Before, we spoke of boats" in answers[1], "a session remembers"


@pytest.mark.parametrize("folder", [".", "here"])
def test_an_empty_folder_is_filled_and_hidden_files_are_none(langyard, tmp_path, folder):
    (tmp_path / folder / ".git").mkdir(parents=True)
    done = langyard("init", *([folder] if folder != "." else []))
    assert done.code == 0
    assert ("cd here" in done.out) == (folder == "here")
    written = {path.name for path in (tmp_path / folder).iterdir()}
    assert written == {".git", ".gitignore", "README.md", "agent.py", "langgraph.json"}
    assert ".langyard/" in (tmp_path / folder / ".gitignore").read_text()


@pytest.mark.parametrize("name", ["agent.py", ".gitignore", "notes.txt"])
def test_nothing_is_overwritten(langyard, tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = langyard("init")
    assert (done.code, done.out) == (1, "")
    assert f"is not empty ({name})" in done.err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_a_place_that_cannot_be_written_is_a_sentence(langyard, tmp_path):
    (tmp_path / "file").touch()
    done = langyard("init", "file/below")
    assert done.code == 1
    assert done.err.startswith("langyard: Cannot write to file/below: ")
