"""Runs as tasks of the protocol, in both of its forms. Pure functions, for `agent` and `streams`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.gateway.protocols.a2a import messages
from langyard.gateway.protocols.rpc import Json, RpcError
from langyard.model.runs import RunEnd, shown_error

NOT_FOUND, NOT_CANCELABLE, NO_PUSH, UNSUPPORTED = -32001, -32002, -32003, -32004
TERMINAL = ("completed", "failed", "canceled", "rejected")
_OF_STATUS = {
    "pending": "submitted", "running": "working", "success": "completed", "error": "failed", "timeout": "failed",
    "interrupted": "canceled",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ref:
    """A task's id: a run on a thread."""

    thread_id: UUID
    run_id: UUID

    def __str__(self) -> str:
        return f"{self.thread_id}:{self.run_id}"


def ref_of(value: object) -> Ref:
    """The task that an id names. Raises `RpcError`."""
    thread, _, run = value.partition(":") if isinstance(value, str) else ("", "", "")
    try:
        return Ref(UUID(thread), UUID(run))
    except ValueError:
        raise RpcError(NOT_FOUND, "Task not found.") from None


def state_of(status: str, waiting: bool = False) -> str:
    """The task's state; a run that ended because it asks wants an input."""
    return "input-required" if waiting and status == "success" else _OF_STATUS[status]


def open_task(ref: Ref, status: str, *, old: bool) -> Json:
    """A task that has not ended."""
    return _task(ref, {"state": _named(state_of(status), old=old), "timestamp": _now()}, [], [], old=old)


def ended_task(ref: Ref, end: RunEnd, output: frozenset[str] | None, length: int | None, *, old: bool) -> Json:
    """A task that has ended or waits for an answer."""
    values = values_of(end, output)
    history = messages.shown(messages.said(values), str(ref.thread_id), str(ref), old=old)
    if length is not None:
        history = history[-length:] if length else []
    return _task(ref, status_of(ref, end, old=old), artifacts_of(ref, end, values, old=old), history, old=old)


def status_of(ref: Ref, end: RunEnd, *, old: bool) -> Json:
    """How it stands, with what there is to say of it."""
    state = state_of(end.status, end.waiting or bool(end.interrupts))
    status: Json = {"state": _named(state, old=old), "timestamp": _now()}
    said = None
    if state == "failed":
        error = shown_error(end.error or {"error": "Error", "message": "The run failed."})
        said = f"{error['error']}: {error['message']}"
    elif state == "input-required":
        said = "\n".join(_question(one.get("value")) for one in end.interrupts) or "The agent waits for an answer."
    if said is not None:
        part = messages.text_part(said, old=old)
        status["message"] = messages.message(f"{ref.run_id}:status", [part], str(ref.thread_id), str(ref), old=old)
    return status


def artifacts_of(ref: Ref, end: RunEnd, values: object, *, old: bool) -> list[Json]:
    """What it gave: the last thing that the agent said, else the state; what it asks, when it asks."""
    if end.interrupts:
        asked = {"interrupts": list(end.interrupts)}
        return [_artifact(ref, "interrupt", "Interrupt", "What the agent asks.", [messages.data_part(asked, old=old)])]
    if end.status != "success":
        return []
    replies = [one for one in messages.said(values) if one.get("type") in ("ai", "assistant")]
    text = messages.text_of(replies[-1].get("content")) if replies else ""
    found = messages.text_part(text, old=old) if text else messages.data_part(values, old=old)
    return [_artifact(ref, "response", "Assistant Response", "What the agent answered.", [found])]


def working(ref: Ref, text: str, *, old: bool) -> Json:
    """The status of a task that is under way, with what its agent has said so far."""
    status: Json = {"state": _named("working", old=old), "timestamp": _now()}
    if text:
        part = messages.text_part(text, old=old)
        status["message"] = messages.message(f"{ref.run_id}:working", [part], str(ref.thread_id), str(ref), old=old)
    return status


def task_event(task: Json, *, old: bool) -> Json:
    """A task as an answer, and as the first event of a stream."""
    return task if old else {"task": task}


def status_event(ref: Ref, status: Json, *, final: bool, old: bool) -> Json:
    """A change of a task's status."""
    told = {"taskId": str(ref), "contextId": str(ref.thread_id), "status": status}
    return {"kind": "status-update", **told, "final": final} if old else {"statusUpdate": told}


def artifact_event(ref: Ref, artifact: Json, *, old: bool) -> Json:
    """What a task gave."""
    told = {"taskId": str(ref), "contextId": str(ref.thread_id), "artifact": artifact, "append": False,
            "lastChunk": True}  # fmt: skip
    return {"kind": "artifact-update", **told} if old else {"artifactUpdate": told}


def values_of(end: RunEnd, output: frozenset[str] | None) -> Any:
    """The state that a run left, as far as its graph gives it out."""
    values = serde.loads(end.values or b"{}")
    if isinstance(values, dict) and output is not None:
        return {key: value for key, value in values.items() if key in output}
    return values


def _task(ref: Ref, status: Json, artifacts: Sequence[Json], history: Sequence[Json], *, old: bool) -> Json:
    found: Mapping[str, Any] = {
        "id": str(ref),
        "contextId": str(ref.thread_id),
        "status": status,
        "artifacts": list(artifacts),
        "history": list(history),
    }
    return {"kind": "task", **found} if old else dict(found)


def _artifact(ref: Ref, name: str, title: str, description: str, found: Sequence[Json]) -> Json:
    return {"artifactId": f"{ref.run_id}:{name}", "name": title, "description": description, "parts": list(found)}


def _named(state: str, *, old: bool) -> str:
    return state if old else f"TASK_STATE_{state.upper().replace('-', '_')}"


def _question(value: object) -> str:
    return value if isinstance(value, str) else serde.dumps(value).decode()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
