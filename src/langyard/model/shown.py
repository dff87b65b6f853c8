"""A run as the Agent Server's clients know one, made of its row (contract A.4). For the gateway and for webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langyard.model.configs import merged

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
# What of a run's user whoever sees the run is shown. The rest, tokens among it, is for the graph alone.
_USER = ("identity", "display_name", "is_authenticated", "permissions")


def run_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a run. One that is told to stop counts as stopped: its worker only has to notice."""
    status = row["status"]
    if status in ("pending", "running") and row.get("cancel_action") == "interrupt":
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
    server = dict(kwargs.get("server") or {})
    if user := server.get("langgraph_auth_user"):
        server["langgraph_auth_user"] = {name: user[name] for name in _USER if name in user}
    client = config.get("configurable") or {}
    config["configurable"] = {**client, **server, **(kwargs.get("checkpoint") or {}), **ids}
    config["metadata"] = row["metadata"]
    return {**shown, "config": config, "checkpoint_during": shown["durability"] != "exit"}
