"""What `langyard runs` prints: tables and descriptions for people, JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping
from typing import Any

_COLUMNS = ("run_id", "status", "graph_id", "attempt", "created_at", "thread_id", "error")


def show(what: Any, *, as_json: bool) -> None:
    """Print words, or anything as JSON."""
    text = json.dumps(what, ensure_ascii=False, indent=2, default=str) if as_json else what
    sys.stdout.write(text + "\n")


def table(found: list[dict[str, Any]]) -> str:
    """A line for each run."""
    if not found:
        return "There are no such runs."
    lines = [[_cell(name, row[name]) for name in _COLUMNS] for row in found]
    widths = [max(len(name), *(len(line[n]) for line in lines)) for n, name in enumerate(_COLUMNS)]
    shown = [_COLUMNS, *lines]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in shown
    )


def described(run: Mapping[str, Any]) -> str:
    """A line for each thing that is known of a run."""
    width = max(len(name) for name in run)
    lines = [
        f"{name:{width}}  {_cell(name, value)}" for name, value in run.items() if name not in ("kwargs", "checkpoints")
    ]
    lines += ["", "checkpoints of the thread, the latest first"]
    own = str(run["run_id"])
    for each in run["checkpoints"]:
        whose = "this run" if each["run_id"] == own else f"run {each['run_id']}"
        lines.append(f"  {each['checkpoint_id']}  step {each['step']}  {each['source']}  {whose}")
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(sep=" ", timespec="seconds")
    if name == "error" and isinstance(value, dict):
        return f"{value.get('error')}: {value.get('message')}"
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
