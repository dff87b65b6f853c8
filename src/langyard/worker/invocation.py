"""What LangGraph is called with for a claimed run: its config and its input (contract section E)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from langyard.model.runs import ClaimedRun
from langyard.postgres.checkpoints import Checkpointer

# LangGraph's own keys in `configurable`; a client must not reach them.
_RESERVED = "__"


def config_of(claimed: ClaimedRun, recursion_limit: int | None) -> RunnableConfig:
    """The run's config: what the client gave, under what only the server may say."""
    given: Mapping[str, Any] = claimed.kwargs.get("config") or {}
    ids = {
        "thread_id": str(claimed.thread_id),
        "run_id": str(claimed.run_id),
        "graph_id": claimed.graph_id,
        "assistant_id": str(claimed.assistant_id) if claimed.assistant_id else None,
        "user_id": claimed.user_id or "",
    }
    checkpoint = claimed.kwargs.get("checkpoint") or {}
    client = {k: v for k, v in (given.get("configurable") or {}).items() if not k.startswith(_RESERVED)}
    metadata = {**(given.get("metadata") or {}), **claimed.metadata, **ids, "run_attempt": claimed.attempt}
    config: RunnableConfig = {
        "configurable": {**client, **checkpoint, **ids},
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "run_id": claimed.run_id,
    }
    if tags := given.get("tags"):
        config["tags"] = list(tags)
    if limit := given.get("recursion_limit") or recursion_limit:
        config["recursion_limit"] = limit
    return config


async def input_of(claimed: ClaimedRun, saver: Checkpointer | None, config: RunnableConfig) -> Any:
    """The input, a command, or None when an earlier attempt of this run already got past its input."""
    if saver is not None and claimed.attempt > 1:
        latest = await saver.aget_tuple(config)
        if latest is not None and latest.metadata.get("run_id") == str(claimed.run_id):
            return None
    command = claimed.kwargs.get("command")
    if command is None:
        return claimed.kwargs.get("input")
    return Command(**{key: command[key] for key in ("update", "resume", "goto") if command.get(key) is not None})
