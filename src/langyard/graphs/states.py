"""A thread's state as clients see it (contract A.3 State): read, listed and changed through an opened graph.

Called by the rules of threads. States come back as plain dicts in the contract's form; their values are the graph's own
objects, for the serializer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.types import Command, Interrupt, PregelTask, StateSnapshot, StateUpdate

from langyard.graphs.apart import ask
from langyard.graphs.factory import AnyGraph
from langyard.graphs.graph import Graph
from langyard.model.errors import BadRequest

Json = dict[str, Any]
_SHOWN = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update made: the new checkpoint's place, and the thread's latest state after it."""

    checkpoint: Json
    values: Any
    next: tuple[str, ...]
    interrupts: dict[str, list[Json]]


async def read_state(
    graph: Graph, config: RunnableConfig, checkpointer: BaseCheckpointSaver[str], *, subgraphs: bool = False
) -> Json:
    """The state at the checkpoint the config names, or the latest."""

    async def work(opened: AnyGraph) -> Json:
        return plain_state(await opened.aget_state(config, subgraphs=subgraphs))

    return await ask(graph, config, "threads.read", work, checkpointer=checkpointer)


async def read_history(
    graph: Graph,
    config: RunnableConfig,
    checkpointer: BaseCheckpointSaver[str],
    *,
    limit: int,
    before: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Json]:
    """Up to `limit` states, newest first, older than the checkpoint `before`."""
    earlier: RunnableConfig | None = {"configurable": {"checkpoint_id": before}} if before else None

    async def work(opened: AnyGraph) -> list[Json]:
        listed = opened.aget_state_history(config, filter=dict(metadata or {}) or None, before=earlier, limit=limit)
        return [plain_state(snapshot) async for snapshot in listed]

    return await ask(graph, config, "threads.read", work, checkpointer=checkpointer)


async def update_state(
    graph: Graph,
    config: RunnableConfig,
    supersteps: Sequence[Sequence[Mapping[str, Any]]],
    checkpointer: BaseCheckpointSaver[str],
) -> Updated:
    """Write checkpoints, one a superstep, each made of updates `{values, as_node, command}`.

    Runs the graph's own branches and reducers, hence apart. Raises `BadRequest` in LangGraph's words.
    """
    configurable = config["configurable"]
    latest: RunnableConfig = {"configurable": {**configurable, "checkpoint_ns": ""}}
    for key in ("checkpoint_id", "checkpoint_map"):
        latest["configurable"].pop(key, None)

    async def work(opened: AnyGraph) -> Updated:
        made = await opened.abulk_update_state(config, [[_update(entry) for entry in step] for step in supersteps])
        snapshot = await opened.aget_state(latest)
        waiting = {task.id: [plain_interrupt(i) for i in task.interrupts] for task in snapshot.tasks if task.interrupts}
        return Updated(_place(made) or {}, snapshot.values, snapshot.next, waiting)

    try:
        return await ask(graph, config, "threads.update", work, checkpointer=checkpointer, aside=True)
    except (InvalidUpdateError, EmptyInputError, ValueError) as wrong:
        raise BadRequest(str(wrong)[:2000], code="invalid_update") from wrong


def plain_state(snapshot: StateSnapshot) -> Json:
    """A state in the contract's form."""
    place, parent = _place(snapshot.config), _place(snapshot.parent_config)
    notes = snapshot.metadata and place and {**snapshot.metadata, "thread_id": place["thread_id"]}
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_plain_task(task) for task in snapshot.tasks],
        "metadata": notes or snapshot.metadata,
        "created_at": snapshot.created_at,
        "checkpoint": place,
        "parent_checkpoint": parent,
        "interrupts": [plain_interrupt(found) for found in snapshot.interrupts],
        "checkpoint_id": place["checkpoint_id"] if place else None,
        "parent_checkpoint_id": parent["checkpoint_id"] if parent else None,
    }


def no_state() -> Json:
    """The state of a thread on which nothing has happened."""
    return plain_state(StateSnapshot({}, (), {}, None, None, None, (), ()))


def plain_interrupt(found: Interrupt) -> Json:
    """An open question in the contract's form."""
    return {"id": found.id, "value": found.value}


def _plain_task(task: PregelTask) -> Json:
    state, checkpoint = None, None
    if isinstance(task.state, StateSnapshot):
        state = plain_state(task.state)
    elif task.state is not None:
        checkpoint = {name: value for name, value in task.state["configurable"].items() if name in _SHOWN}
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": _words(task.error),
        "interrupts": [plain_interrupt(found) for found in task.interrupts],
        "checkpoint": checkpoint,
        "state": state,
        "result": task.result,
    }


def _words(error: object) -> str | None:
    """A stored error is the exception itself, or its text when its class may not be revived."""
    return error if error is None or isinstance(error, str) else repr(error)


def _place(config: RunnableConfig | None) -> Json | None:
    found = (config or {}).get("configurable", {})
    if not found.get("checkpoint_id"):
        return None
    place = {"checkpoint_id": None, "thread_id": None, "checkpoint_ns": "", **found}
    return {name: place[name] for name in _SHOWN if name in place}


def _update(entry: Mapping[str, Any]) -> StateUpdate:
    values, command = entry.get("values"), entry.get("command")
    if command:
        values = Command(**{key: command[key] for key in ("update", "resume", "goto") if command.get(key) is not None})
    return StateUpdate(cast(Any, values), entry.get("as_node"))
