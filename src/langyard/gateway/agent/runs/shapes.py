"""A run as clients of the Agent Server API see it (contract A.4), and where they find it again. Used by `runs`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langyard import serde
from langyard.invocations import Invoked
from langyard.model.runs import RunEnd, shown_error
from langyard.model.shown import kwargs_json, run_json

FIELDS = (
    "run_id", "thread_id", "assistant_id", "metadata", "status", "kwargs", "multitask_strategy", "created_at",
    "updated_at", "langsmith_session_name",
)  # fmt: skip
__all__ = ["FIELDS", "NOT_FOUND", "invoked_json", "kwargs_json", "outcome_json", "path_of", "run_json"]

NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}


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
