"""A run as clients of the Agent Server API see it (contract A.4), and where they find it again. Used by `runs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.invocations import Invoked
from langyard.model.configs import merged
from langyard.model.runs import RunEnd, shown_error

FIELDS = (
    "run_id", "thread_id", "assistant_id", "metadata", "status", "kwargs", "multitask_strategy", "created_at",
    "updated_at", "langsmith_session_name",
)  # fmt: skip
# What the run is called with, in the Agent Server's words; ours differ for two.
_KWARGS: Mapping[str, tuple[str, Any]] = {
    "input": ("input", None),
    "command": ("command", None),
    "context": ("context", {}),
    "stream_mode": ("stream_mode", ["values"]),
    "interrupt_before": ("interrupt_before", None),
    "interrupt_after": ("interrupt_after", None),
    "webhook": ("webhook", None),
    "feedback_keys": ("feedback_keys", None),
    "temporary": ("temporary", False),
    "subgraphs": ("stream_subgraphs", False),
    "resumable": ("stream_resumable", False),
    "durability": ("durability", "async"),
}
NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}


def run_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a run. One that is told to stop counts as stopped: its worker only has to notice."""
    status = row["status"]
    if status == "running" and row.get("cancel_action") == "interrupt":
        status = "interrupted"
    return {
        "run_id": row["run_id"],
        "thread_id": row["thread_id"],
        "assistant_id": row["assistant_id"],
        "metadata": row["metadata"],
        "status": status,
        "kwargs": kwargs_json(row),
        "multitask_strategy": row["multitask_strategy"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "langsmith_session_name": None,
    }


def kwargs_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the run is called with."""
    kwargs: Mapping[str, Any] = row["kwargs"]
    config = merged(kwargs.get("assistant") or {}, kwargs.get("config") or {})
    ids = {
        "run_id": row["run_id"],
        "thread_id": row["thread_id"],
        "graph_id": row["graph_id"],
        "assistant_id": row["assistant_id"],
        "user_id": row["user_id"] or "",
    }
    shown = {name: kwargs.get(ours, default) for name, (ours, default) in _KWARGS.items()}
    config["configurable"] = {**(config.get("configurable") or {}), **(kwargs.get("checkpoint") or {}), **ids}
    config["metadata"] = row["metadata"]
    return {**shown, "config": config, "checkpoint_during": shown["durability"] != "exit"}


def invoked_json(made: Invoked) -> dict[str, Any]:
    """A run that was just made."""
    run, request = made.run, made.request
    row = {
        "run_id": run.run_id, "thread_id": run.thread_id, "assistant_id": run.assistant_id, "graph_id": run.graph_id,
        "user_id": run.user_id, "metadata": run.metadata, "status": "pending", "kwargs": request.kwargs,
        "multitask_strategy": request.multitask_strategy, "created_at": run.created_at, "updated_at": run.created_at,
    }  # fmt: skip
    return run_json(row)


def path_of(prefix: str, thread_id: UUID | None, run_id: UUID) -> str:
    """Where a run is found; runs without a thread of the client's are found without one."""
    return f"{prefix}/threads/{thread_id}/runs/{run_id}" if thread_id is not None else f"{prefix}/runs/{run_id}"


def outcome_json(end: RunEnd, output: frozenset[str] | None) -> bytes:
    """The one document that those who wait are given; `output` are the fields that the graph gives out, if not all."""
    if end.thread_id is None:
        return serde.dumps({"__error__": NOT_FOUND})
    if end.status in ("error", "timeout"):
        return serde.dumps({"__error__": shown_error(end.error or {})})
    if not end.interrupts:
        return _values(end, output)
    found = [{"value": one.get("value"), "id": one.get("id"), "response_schema": one.get("response_schema")}
             for one in end.interrupts]  # fmt: skip
    if len(found) > 1:
        return serde.dumps({"__interrupt__": found})
    values = _values(end, output)
    tail = b'"__interrupt__":' + serde.dumps(found) + b"}"
    if not values.startswith(b"{"):
        return b"{" + tail
    return values[:-1] + (b"," if len(values) > len(b"{}") else b"") + tail


def _values(end: RunEnd, output: frozenset[str] | None) -> bytes:
    values = end.values or b"{}"
    if output is None or not values.startswith(b"{"):
        return values
    return serde.dumps({key: value for key, value in serde.loads(values).items() if key in output})
