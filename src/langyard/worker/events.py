"""From what LangGraph streams to events as clients see them (contract section A.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph.types import Interrupt

from langyard import serde

INTERRUPT = "__interrupt__"
# Our names of stream modes and LangGraph's: the tuple form of messages is LangGraph's own.
LANGGRAPH_MODES = {
    "values": "values", "updates": "updates", "custom": "custom", "messages-tuple": "messages", "messages": "messages",
    "tasks": "tasks", "checkpoints": "checkpoints", "debug": "debug",
}  # fmt: skip
_KNOWN = ("builtins", "langgraph", "starlette", "fastapi")


def interrupt_json(interrupt: Interrupt) -> dict[str, Any]:
    """An interrupt as a client sees it."""
    return {
        "value": interrupt.value,
        "id": interrupt.id,
        "response_schema": getattr(interrupt, "response_schema", None),
    }


def payload(mode: str, chunk: Any) -> Any:
    """The data of one event."""
    if mode in ("values", "updates") and isinstance(chunk, Mapping) and INTERRUPT in chunk:
        return {**chunk, INTERRUPT: [interrupt_json(i) for i in _interrupts(chunk[INTERRUPT])]}
    if mode == "messages":
        message, metadata = chunk
        return [message, {k: v for k, v in metadata.items() if not k.startswith("__")}]
    if mode == "debug" and chunk.get("type") == "checkpoint":
        return {**chunk, "payload": _named(chunk["payload"])}
    return chunk


def _named(found: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint that says which it is, as debuggers ask."""
    return {
        **found,
        "checkpoint": _place(found.get("config")),
        "parent_checkpoint": _place(found.get("parent_config")),
    }


def _place(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    return {key: config["configurable"].get(key) for key in ("checkpoint_id", "thread_id", "checkpoint_ns")}


def failure(error: BaseException) -> dict[str, Any]:
    """An error as its run keeps it; `hidden` when its text may tell what a client must not know (contract A.5)."""
    found: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if type(error).__module__.partition(".")[0] not in _KNOWN:
        found["hidden"] = True
    return found


def encode(mode: str, namespace: Sequence[str], chunk: Any) -> tuple[str, bytes]:
    """Event name and one line of JSON."""
    name = mode if not namespace else f"{mode}|{'|'.join(namespace)}"
    return name, serde.dumps(payload(mode, chunk))


def interrupts_of(chunk: Any) -> list[Interrupt]:
    """The interrupts a values chunk carries."""
    if isinstance(chunk, Mapping) and isinstance(chunk.get(INTERRUPT), Sequence):
        return list(_interrupts(chunk[INTERRUPT]))
    return []


def without_interrupts(chunk: Any) -> Any:
    """The state alone."""
    if isinstance(chunk, Mapping) and INTERRUPT in chunk:
        return {key: value for key, value in chunk.items() if key != INTERRUPT}
    return chunk


def thread_interrupts(by_task: Mapping[str, Sequence[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Open interrupts as a thread row has them: `{task_id: [{"id", "value"}]}`."""
    return {
        task_id: [{"id": i.id, "value": i.value} for i in _interrupts(found)]
        for task_id, found in by_task.items()
        if found
    }


def _interrupts(found: Iterable[Any]) -> Iterable[Interrupt]:
    return (item for item in found if isinstance(item, Interrupt))
