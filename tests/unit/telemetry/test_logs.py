"""One line an event, whoever logs it, and no line that somebody else wrote."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import sys
import traceback
import warnings

import pytest
import structlog

from langyard.telemetry import logs


@pytest.fixture(autouse=True)
def _logging_left_as_it_was():
    root = logging.getLogger()
    names = {"", "uvicorn", "uvicorn.access", *logs.QUIET}
    levels = {name: logging.getLogger(name).level for name in names}
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(format: logs.Format = "json", level: str = "info") -> io.StringIO:
    out = io.StringIO()
    logs.configure(level, format, stream=out)
    return out


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_fields():
    out = written()
    facts = {"workflow_type": "echo", "session_id": "s", "run_id": "r", "duration": 0.25}
    logging.getLogger("langyard.runs").info("workflow_complete", extra=facts)
    (line,) = lines(out)
    at = dt.datetime.fromisoformat(str(line.pop("timestamp")))
    assert at.utcoffset() == dt.timedelta(0)
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=1)
    assert line == {"level": "info", "logger": "langyard.runs", "event": "workflow_complete", **facts}


def test_an_error_has_its_stack_trace_in_one_field():
    out = written()
    try:
        raise ValueError("boom\nbang")
    except ValueError as error:
        logging.getLogger("langyard.runs").error("workflow_error", extra={"error": "ValueError"}, exc_info=error)
    (line,) = lines(out)
    assert (line["event"], line["error"]) == ("workflow_error", "ValueError")
    assert str(line["stack_trace"]).startswith("Traceback (most recent call last):\n")
    assert str(line["stack_trace"]).endswith("ValueError: boom\nbang")


def test_the_stack_of_a_call_comes_out_too():
    out = written()
    logging.getLogger("x").info("here", stack_info=True)
    assert "test_the_stack_of_a_call_comes_out_too" in str(lines(out)[0]["stack_trace"])


def test_an_exception_that_cannot_be_told_costs_no_line(monkeypatch):
    out = written()

    def fail(*_: object) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr(traceback, "format_exception", fail)
    logging.getLogger("x").error("bad", exc_info=ValueError("text"))
    assert "ValueError" in str(lines(out)[0]["stack_trace"])


def test_a_huge_trace_is_cut_in_the_middle():
    out = written()
    logging.getLogger("x").error("bad", exc_info=ValueError("a" * 10**6 + "the end"))
    trace = str(lines(out)[0]["stack_trace"])
    assert len(trace) < 40_000
    assert trace.endswith("the end")


@pytest.mark.parametrize("text", ['a\r\n{"event":"forged"}', "a\x1b[2Jb", "a\x85b\u2028c", "a\u202eb", "a\x7fb\x00c"])
@pytest.mark.parametrize("format", ["json", "text"])
def test_no_line_can_be_forged(text, format):
    out = written(format)
    log = logging.getLogger("langyard")
    log.info(text)
    log.info("event", extra={"field": text})
    log.info("event", extra={"nested": {"deep": [text]}})
    log.info("event %s", text)
    shown = out.getvalue()
    assert shown.count("\n") == 4
    assert len(shown.splitlines()) == 4
    assert all(part.isprintable() for part in shown.split("\n"))
    if format == "json":
        assert lines(out)[1]["field"] == text.replace("\x00", "\ufffd")


def test_a_trace_for_people_is_indented_so_that_no_line_of_it_passes_for_one_of_ours():
    out = written("text")
    forged = "2026-11-24T00:00:00+00:00 [info     ] workflow_complete"
    logging.getLogger("x").error("bad", exc_info=ValueError(f"a\n{forged}\x1b[1m"))
    first, *rest = out.getvalue().rstrip("\n").split("\n")
    assert "bad" in first
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert any(forged in line for line in rest)


def test_values_of_any_kind_come_out():
    out = written()
    values = {"path": io, "inf": float("inf"), "surrogate": "\ud800", "big": 2**80, "keys": {1: {None: b"x"}}}
    logging.getLogger("x").info("odd", extra=values)
    (line,) = lines(out)
    assert line["inf"] is None
    assert line["big"] == str(2**80)


@pytest.mark.parametrize("format", ["json", "text"])
def test_configuring_twice_writes_once(format):
    written(format)
    out = written(format)
    logging.getLogger("x").info("once")
    assert out.getvalue().count("\n") == 1


def test_handlers_of_others_are_left_alone():
    other = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(other)
    written()
    assert other in logging.getLogger().handlers


def test_libraries_and_structlog_and_warnings_go_the_same_way():
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    logging.getLogger("uvicorn.access").propagate = False
    out = written()
    logging.getLogger("uvicorn.error").warning("late", extra={"color_message": "\x1b[1mlate"})
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1.2.3.4", "GET", "/x", "1.1", 200)
    structlog.get_logger("mine").info("bound", answer=42)
    warnings.warn("old", stacklevel=1)
    late, access, bound, old = lines(out)
    assert (late["event"], "color_message" in late) == ("late", False)
    assert access["event"] == '1.2.3.4 - "GET /x HTTP/1.1" 200'
    assert (bound["event"], bound["answer"], bound["logger"], bound["level"]) == ("bound", 42, "mine", "info")
    assert (old["logger"], "old" in str(old["event"])) == ("py.warnings", True)


def test_levels():
    out = written(level="warning")
    logging.getLogger("langyard").info("quiet")
    logging.getLogger("langyard").warning("heard")
    assert [line["event"] for line in lines(out)] == ["heard"]
    out = written(level="info")
    logging.getLogger("httpx").info("noise")
    logging.getLogger("httpx").warning("trouble")
    assert [line["event"] for line in lines(out)] == ["trouble"]
    out = written(level="debug")
    logging.getLogger("httpx").info("noise")
    assert [line["event"] for line in lines(out)] == ["noise"]


def test_auto_is_text_on_a_terminal_and_json_elsewhere(monkeypatch):
    assert lines_of("auto", io.StringIO()).startswith('{"timestamp"')
    assert "\x1b[" in lines_of("auto", Terminal())
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    logs.configure("info", "auto")
    logging.getLogger("x").info("here")
    assert lines(out)[0]["event"] == "here"


def lines_of(format: logs.Format, out: io.StringIO) -> str:
    logs.configure("info", format, stream=out)
    logging.getLogger("x").info("here")
    return out.getvalue()
