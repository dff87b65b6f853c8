"""What is said of long steps: on a terminal, in a file, in a log."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from langyard.cli.progress import Progress

pytestmark = pytest.mark.parametrize("err", [0, 1], indirect=True, ids=["elsewhere", "terminal"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def err(request) -> io.StringIO:
    return Terminal() if request.param else io.StringIO()


def test_a_step_is_said_while_it_lasts_and_stays(err, monkeypatch):
    monkeypatch.setattr(sys, "stderr", err)
    progress = Progress()
    with progress.step("Setting up [PostgreSQL] in /a/b"):
        during = err.getvalue()
    progress.say("Done.")
    if err.isatty():
        assert err.getvalue().endswith("Setting up [PostgreSQL] in /a/b\nDone.\n")
    else:
        assert during == "Setting up [PostgreSQL] in /a/b\n"
        assert err.getvalue() == during + "Done.\n"


def test_a_step_that_fails_says_nothing_of_success(err, monkeypatch):
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(ValueError, match="no"), Progress().step("Trying"):
        raise ValueError("no")
    if err.isatty():
        assert not err.getvalue().endswith("Trying\n")


def test_where_logs_are_json_a_step_is_an_event(err, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", err)
    with caplog.at_level(logging.INFO, "langyard.cli"), Progress(as_json=True).step("Starting"):
        pass
    assert caplog.messages == ["Starting"]
    assert err.getvalue() == ""
