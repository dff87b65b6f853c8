"""One line an event on standard error, as JSON or readable text; the command line calls `configure` once.

Rooms log with `logging.getLogger(__name__).info("workflow_start", extra={"run_id": ...})`: the message is the event,
each extra a field. What user code and libraries log, with `logging`, `warnings` or structlog, comes out the same way.
No line can be forged: line ends and control characters in what others wrote are escaped, and a stack trace is one
field, or indented lines in text.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from langyard import serde

Format = Literal["auto", "json", "text"]

NAME = "langyard"
"""The name of our handler, by which a second `configure` finds the first one's."""

QUIET = ("asyncio", "httpcore", "httpx", "langyard.postgres.embedded", "openai", "urllib3", "uvicorn.error")
"""Loggers whose info is noise, or said by the command line itself: heard from warning on, or at level `debug`."""

_TRACE_LIMIT = 32 * 1024
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
# What controls a terminal or breaks or reorders lines: C0, DEL, C1, separators, bidirectional marks.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_Fields = MutableMapping[str, Any]


def configure(level: str = "info", format: Format = "auto", *, stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (standard error), from `level` on. Called again, it replaces itself.

    `auto` is text on a terminal and json elsewhere.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    as_json = format == "json" or (format == "auto" and not terminal)
    handler = logging.StreamHandler(stream)
    handler.set_name(NAME)
    handler.setFormatter(_formatter(as_json, colors=terminal))
    root = logging.getLogger()
    for other in [other for other in root.handlers if other.get_name() == NAME]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)
    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )


def _formatter(as_json: bool, *, colors: bool) -> logging.Formatter:
    render = _render_json if as_json else _Text(colors)
    return ProcessorFormatter(processors=[_facts, ProcessorFormatter.remove_processors_meta, render])


def _facts(_: object, __: str, fields: _Fields) -> _Fields:
    """When, how severe and from where; the extras; the exception as text."""
    record: logging.LogRecord = fields["_record"]
    found: _Fields = {
        "timestamp": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="microseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        **fields,
    }
    if not fields["_from_structlog"]:
        found.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
    exc_info = found.pop("exc_info", None)
    stack = found.pop("stack_info", None)
    if exc_info and (trace := _trace(exc_info)):
        found["stack_trace"] = trace
    elif stack:
        found["stack_trace"] = str(stack)
    return found


def _trace(exc_info: Any) -> str:
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    if exc_info[0] is None:
        return ""
    try:
        text = "".join(traceback.format_exception(*exc_info)).rstrip()
    except Exception as failure:  # a user's exception whose own __str__ fails must not cost the line
        text = f"{exc_info[0].__name__} (its text cannot be had: {type(failure).__name__})"
    return text if len(text) <= _TRACE_LIMIT else f"{text[: _TRACE_LIMIT // 2]}\n[...]\n{text[-_TRACE_LIMIT // 2 :]}"


def _render_json(_: object, __: str, fields: _Fields) -> str:
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", serde.dumps(fields).decode())


class _Text:
    """A line for people; the stack trace follows, indented, so that no line of it can pass for one of ours."""

    def __init__(self, colors: bool) -> None:
        self._console = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, sort_keys=False)

    def __call__(self, logger: Any, name: str, fields: _Fields) -> str:
        trace = fields.pop("stack_trace", "")
        line = self._console(logger, name, {_escaped(key): _escaped(value) for key, value in fields.items()})
        return "".join([line, *(f"\n    {_escaped(part)}" for part in trace.split("\n") if trace)])


def _escaped(value: object) -> Any:
    if isinstance(value, int | float | bool | None):
        return value
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], value if isinstance(value, str) else _text(value))


def _text(value: object) -> str:
    return serde.dumps(value).decode()
