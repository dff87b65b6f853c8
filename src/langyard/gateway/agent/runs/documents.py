"""What `/openapi.json` tells of runs. Used by their routes."""

from __future__ import annotations

from typing import Any

from langyard.gateway.agent.runs.bodies import MOST, RunBody

_ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}
_RUN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Run",
    "properties": {
        "run_id": {"type": "string", "format": "uuid"},
        "thread_id": {"type": "string", "format": "uuid"},
        "assistant_id": {"type": ["string", "null"], "format": "uuid"},
        "metadata": _ANY,
        "status": {"type": "string", "enum": ["pending", "running", "success", "error", "timeout", "interrupted"]},
        "kwargs": _ANY,
        "multitask_strategy": {"type": "string", "enum": ["reject", "rollback", "interrupt", "enqueue"]},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "langsmith_session_name": {"type": ["string", "null"]},
    },
}


def answers(schema: dict[str, Any], description: str) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


RUN = answers(_RUN_SCHEMA, "The run.")
RUNS = answers({"type": "array", "items": _RUN_SCHEMA}, "The runs.")
WAITED = answers({}, "The state the run ended with, where it waits (`__interrupt__`), or why it failed (`__error__`).")


def asks() -> dict[str, Any]:
    """The body of one run."""
    return _takes(_body())


def asks_many() -> dict[str, Any]:
    """The body of several."""
    return _takes({"type": "array", "minItems": 1, "maxItems": MOST, "items": _body()})


def asks_to_cancel() -> dict[str, Any]:
    """The body that says which runs are to stop."""
    properties = {
        "thread_id": {"type": "string", "format": "uuid"},
        "run_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        "status": {"type": "string", "enum": ["pending", "running", "all"]},
    }
    return _takes({"type": "object", "properties": properties})


def parameters(*known: tuple[str, str, dict[str, Any]], header: bool = False) -> dict[str, Any]:
    """Query parameters as (name, description, schema); with `header` also where to read on from."""
    found = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
        for name, text, schema in known
    ]
    if header:
        text = "Read from after this event on; `-1`: from the first that is kept. Without it, from now on."
        found.append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": text,
                "schema": {"type": "string"},
            }
        )
    return {"parameters": found}


def _body() -> dict[str, Any]:
    return RunBody.model_json_schema()


def _takes(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
