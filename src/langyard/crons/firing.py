"""What becomes of a cron's slot: the run it asks for, and the slot after it. Called by `crons` for each that is due."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langyard.assistants import Assistant
from langyard.crons.schedules import Schedule
from langyard.invocations import Invocation, request_of
from langyard.model.errors import LangyardError
from langyard.model.runs import RunRequest
from langyard.postgres.database import Row
from langyard.postgres.rows.crons import Firing

log = logging.getLogger(__name__)

_ASKED = (
    "input", "command", "config", "context", "webhook", "interrupt_before", "interrupt_after", "stream_subgraphs",
    "stream_resumable", "feedback_keys", "multitask_strategy", "durability",
    "priority",
)  # fmt: skip


def firing_of(row: Row) -> Firing:
    """What becomes of the slot at which this cron is due. Never raises: a slot must not come back for ever."""
    now = row["now"]
    if row["end_time"] is not None and row["end_time"] <= now:
        return Firing(None, None)
    try:
        upcoming = Schedule(row["schedule"], row["timezone"]).after(max(now, row["next_run_date"]))
    except LangyardError as error:
        log.warning("a cron has no schedule any more: %s", error.detail, extra={"cron_id": str(row["cron_id"])})
        return Firing(None, None)
    try:
        return Firing(request_for(row, _assistant_of(row)), upcoming)
    except LangyardError as error:
        log.warning("a cron could not fire: %s", error.detail, extra={"cron_id": str(row["cron_id"])})
        return Firing(None, upcoming)


def request_for(row: Mapping[str, Any], assistant: Assistant) -> RunRequest:
    """The run that a cron asks for. Raises `BadRequest` when it contradicts itself."""
    payload = row["payload"]
    cron_id = str(row["cron_id"])
    given = {key: payload[key] for key in _ASKED if payload.get(key) is not None}
    config = dict(given.pop("config", {}))
    configurable = {k: v for k, v in (config.get("configurable") or {}).items() if k != "cron_id"}
    modes = payload.get("stream_mode") or ["values"]
    asked = Invocation(
        assistant_id=str(assistant.assistant_id),
        config={**config, "configurable": configurable},
        metadata=row["metadata"],
        stream_mode=[modes] if isinstance(modes, str) else modes,
        on_completion=row["on_run_completed"] or "delete",
        **given,
    )
    user_id = row["user_id"] or None
    request = request_of(asked, assistant, row["thread_id"], user_id, told_of(user_id))
    # What the run can be known by, in its context as in its configurable: only the server may say it.
    config = dict(request.kwargs.get("config") or {})
    config["configurable"] = {**(config.get("configurable") or {}), "cron_id": cron_id}
    context = {**(request.kwargs.get("context") or {}), "cron_id": cron_id}
    return replace(request, kwargs={**request.kwargs, "config": config, "context": context}, awaited=False)


def told_of(user_id: str | None) -> dict[str, Any] | None:
    """What a cron's run is told of its user: who made the cron. What that one was permitted then is not remembered."""
    if user_id is None:
        return None
    user = {"identity": user_id, "is_authenticated": True, "display_name": user_id, "permissions": []}
    return {
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user_id,
        "langgraph_auth_permissions": [],
    }


def _assistant_of(row: Row) -> Assistant:
    return Assistant(
        assistant_id=row["assistant_id"], graph_id=row["graph_id"], name=row["assistant_name"],
        description=row["description"], config=row["assistant_config"], context=row["assistant_context"],
        metadata=row["assistant_metadata"], version=row["version"], created_at=row["assistant_created_at"],
        updated_at=row["assistant_updated_at"],
    )  # fmt: skip
