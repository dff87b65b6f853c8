"""From what LangGraph streams to events as clients see them (contract section A.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph.types import Interrupt

from langyard import serde
from langyard.model.errors import LangyardError
from langyard.model.runs import shown_error

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
    if mode == "tasks":
        return _masked(chunk)
    if mode == "debug":
        named = _named if chunk.get("type") == "checkpoint" else _masked
        return {**chunk, "payload": named(chunk["payload"])}
    return chunk


def _given_out(mode: str, chunk: Any, output: frozenset[str]) -> Any:
    """What of the root graph's state or updates it gives out, when its output is not all of its state."""
    if not isinstance(chunk, Mapping):
        return chunk
    if mode == "values":
        return {key: value for key, value in chunk.items() if key in output or key == INTERRUPT}
    return {node: update if node == INTERRUPT else _fields(update, output) for node, update in chunk.items()}


def _fields(update: Any, output: frozenset[str]) -> Any:
    if isinstance(update, list):
        return [_fields(one, output) for one in update]
    if not isinstance(update, Mapping):
        return update
    return {key: value for key, value in update.items() if key in output} or None


def _masked(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task whose error tells as much as the run's own."""
    error = task.get("error")
    return {**task, "error": shown_error(failure(error))} if isinstance(error, BaseException) else task


def _named(found: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint that says which it is, as debuggers ask."""
    return {
        **found,
        "tasks": [_placed(task) for task in found.get("tasks") or ()],
        "checkpoint": _place(found.get("config")),
        "parent_checkpoint": _place(found.get("parent_config")),
    }


def _placed(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task that is a graph says where its checkpoints are, if not which they are."""
    state = task.get("state")
    if not isinstance(state, Mapping) or set(state) != {"configurable"}:
        return task
    return {**{key: value for key, value in task.items() if key != "state"}, "checkpoint": state["configurable"]}


def _place(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    found = config["configurable"]
    above = {"checkpoint_map": found["checkpoint_map"]} if found.get("checkpoint_map") else {}
    return {**{key: found.get(key) for key in ("checkpoint_id", "thread_id", "checkpoint_ns")}, **above}


def failure(error: BaseException) -> dict[str, Any]:
    """An error as its run keeps it; `hidden` when its text may tell what a client must not know (contract A.5)."""
    if isinstance(error, LangyardError):
        return {"error": error.code, "message": error.detail}
    found: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if type(error).__module__.partition(".")[0] not in _KNOWN:
        found["hidden"] = True
    return found


def encode(mode: str, namespace: Sequence[str], chunk: Any, output: frozenset[str] | None = None) -> tuple[str, bytes]:
    """Event name and one line of JSON; of the root graph only its `output`, if that is not all of its state."""
    if output is not None and not namespace and mode in ("values", "updates"):
        chunk = _given_out(mode, chunk, output)
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
