"""`langyard run`: one JSON object on standard output, everything else on standard error."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading

import pytest

from langyard import workflows
from langyard.cli.run import USER
from tests.acceptance.serving import until
from tests.unit.cli.conftest import write


@pytest.fixture
def run(langyard, project, database):
    def call(*arguments, **environ):
        return langyard("run", *arguments, DATABASE_URL=database, **environ)

    return call


def test_the_result_is_all_of_standard_output(run):
    done = run("echo", "--input", '{"text": "secret"}', "--session", "s")
    answer = json.loads(done.out)
    assert done.code == 0
    assert (answer["status"], answer["result"]) == ("success", {"text": "secret", "seen": ["secret"]})
    assert (answer["session_id"], answer["interrupts"]) == ("s", [])
    assert 0 < answer["execution_time"] < 30
    assert "secret" not in done.err
    again = json.loads(run("echo", "--input", '{"text": "again"}', "--session", "s").out)
    assert again["result"]["seen"] == ["secret", "again"]


@pytest.mark.parametrize("how", ["-", "@input.json"])
def test_input_from_a_file_or_standard_input(run, project, monkeypatch, how):
    (project / "input.json").write_text('\ufeff{"text": "filed"}', "utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"text": "filed"}'))
    assert json.loads(run("echo", "--input", how).out)["result"]["text"] == "filed"


def test_events_are_told_as_they_come(run):
    done = run("echo", "--input", '{"text": "a"}', "--stream")
    events = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events] == ["metadata", "updates"]
    assert events[1]["data"] == {"note": {"seen": ["a"]}}
    assert json.loads(done.out)["status"] == "success"


def test_an_interrupt_is_shown_and_answered(run):
    asked = json.loads(run("asking", "--input", "{}", "--session", "s").out)
    assert (asked["status"], asked["interrupts"][0]["value"]) == ("interrupted", "really?")
    answered = json.loads(run("asking", "--resume", '"yes"', "--session", "s").out)
    assert (answered["status"], answered["result"]["seen"]) == ("success", ["yes"])
    refused = run("asking", "--resume", '"yes"', "--session", "s")
    assert (refused.code, refused.out) == (1, "")
    assert "waits for an answer" in refused.err


def test_a_failure_is_told_in_the_graphs_own_words(run):
    done = run("failing", "--input", '{"text": "good"}', "--session", "s")
    assert (done.code, done.out) == (1, "")
    assert "langyard: The workflow 'failing' failed. ValueError: not good\n" in done.err
    assert "The session s keeps what was reached." in done.err


def test_a_session_is_its_users(run):
    run("echo", "--input", '{"text": "mine"}', "--session", "s", "--user", "ada")
    done = run("echo", "--input", '{"text": "mine"}', "--session", "s", "--user", "bob")
    assert (done.code, done.out) == (1, "")
    assert "There is no session 's'" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["echo", "--input", '{"text"'], "--input is not JSON at line 1, column 8"),
        (["echo", "--input", "[1]"], "a workflow takes a JSON object"),
        (["echo", "--input", "@nowhere.json"], "--input cannot be read"),
        (["echo", "--input", "[" * 100_000], "nested too deeply"),
        (["nope", "--input", "{}"], "There is no workflow 'nope'. Those there are: asking, echo, failing, waiting."),
        (["asking", "--resume", "1", "--session", "nowhere"], "There is no session 'nowhere'"),
    ],
)
def test_bad_input_is_a_sentence(run, arguments, sentence):
    done = run(*arguments)
    assert (done.code, done.out) == (1, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_a_broken_workflow_says_why_once_and_another_ones_fault_is_not_asked_about(run, project):
    write(project, {"echo": "./agent.py:echo", "bad": "./agent.py:nope"})
    assert run("echo", "--input", '{"text": "a"}').code == 0
    done = run("bad", "--input", "{}")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("has no 'nope'") == 1


def test_an_interrupt_from_the_keyboard_cancels_the_run(run, database):
    def press() -> None:
        import psycopg

        with psycopg.connect(database, autocommit=True) as connection:
            query = "select from langyard.runs where status = 'running'"
            until(lambda: connection.execute(query).fetchone() is not None)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    done = run("waiting", "--input", "{}", "--session", "s")
    finger.join()
    assert (done.code, done.out) == (130, "")
    assert "was cancelled before its end" in done.err
    assert json.loads(run("echo", "--input", '{"text": "on"}', "--session", "s").out)["result"]["seen"] == ["on"]


def test_a_script_and_the_command_line_mean_the_same_user():
    assert USER == workflows.USER
