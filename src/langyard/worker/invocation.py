"""What LangGraph is called with for a claimed run, and the stream that comes back (contract A.5, A.7 and E)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Send
from pydantic import BaseModel

from langyard.auth import remembered
from langyard.model.configs import merged
from langyard.model.principal import User
from langyard.model.runs import ClaimedRun
from langyard.postgres.checkpoints import Checkpointer

# LangGraph's own keys in `configurable`; a client must not reach them.
_RESERVED = "__"
_HIDDEN = "langsmith:hidden"
_NOBODY: Mapping[str, Any] = {
    "langgraph_auth_user": None,
    "langgraph_auth_user_id": "",
    "langgraph_auth_permissions": [],
}
Part = tuple[tuple[str, ...], str, Any] | tuple[str, Any]


def config_of(claimed: ClaimedRun, recursion_limit: int | None) -> RunnableConfig:
    """The run's config: the client's over the thread's over the assistant's, under what only the server may say."""
    kwargs = claimed.kwargs
    given = merged(kwargs.get("assistant") or {}, claimed.thread_config, kwargs.get("config") or {})
    ids = {
        "thread_id": str(claimed.thread_id),
        "run_id": str(claimed.run_id),
        "graph_id": claimed.graph_id,
        "assistant_id": str(claimed.assistant_id) if claimed.assistant_id else None,
        "user_id": claimed.user_id or "",
    }
    checkpoint = {key: value for key, value in (kwargs.get("checkpoint") or {}).items() if value is not None}
    client = {k: v for k, v in (given.get("configurable") or {}).items() if not k.startswith(_RESERVED)}
    told = {name: value for name, value in ids.items() if name != "user_id"}
    metadata = {**(given.get("metadata") or {}), **claimed.metadata, **told, "run_attempt": claimed.attempt}
    server = {**_NOBODY, **(kwargs.get("server") or {}), "langgraph_auth_user": user_of(claimed)}
    config: RunnableConfig = {
        "configurable": {**client, **server, **checkpoint, **ids},
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "run_id": claimed.run_id,
    }
    if tags := given.get("tags"):
        config["tags"] = list(tags)
    if limit := given.get("recursion_limit") or recursion_limit:
        config["recursion_limit"] = limit
    return config


def user_of(claimed: ClaimedRun) -> User | None:
    """The user whose run it is, as `authenticate` knew it; None where nobody authenticates."""
    facts = (claimed.kwargs.get("server") or {}).get("langgraph_auth_user")
    return remembered(facts) if facts else None


def context_of(claimed: ClaimedRun, graph: Pregel[Any, Any, Any, Any]) -> Any:
    """The context as far as the graph's schema has a place for it. None when the schema needs what is missing."""
    given: Mapping[str, Any] = claimed.kwargs.get("context") or {}
    schema = graph.context_schema
    if schema is None:
        return given
    known = _names(schema)
    fitting = {key: value for key, value in given.items() if known is None or key in known}
    if not fitting and (is_dataclass(schema) or issubclass(schema, BaseModel)):
        try:
            schema()
        except Exception:  # the user's own class: what it needs may simply not be asked for by this run
            return None
    return fitting


def _names(schema: type[Any]) -> set[str] | None:
    if is_dataclass(schema):
        return {field.name for field in fields(schema) if field.init}
    if issubclass(schema, BaseModel):
        aliases = {field.alias for field in schema.model_fields.values() if field.alias}
        return None if schema.model_config.get("extra") == "allow" else {*schema.model_fields, *aliases}
    return set(get_type_hints(schema)) or None


async def input_of(claimed: ClaimedRun, saver: Checkpointer | None, config: RunnableConfig) -> Any:
    """The input, a command, or None when an earlier attempt of this run already got past its input."""
    if saver is not None and claimed.fence > 1:
        latest = await saver.aget_tuple({"configurable": {"thread_id": config["configurable"]["thread_id"]}})
        if latest is not None and latest.metadata.get("run_id") == str(claimed.run_id):
            # It goes on from its own last checkpoint, not again from the one it was to fork from.
            for key in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
                config["configurable"].pop(key, None)
            return None
    command = claimed.kwargs.get("command")
    return claimed.kwargs.get("input") if command is None else command_of(command)


def command_of(given: Mapping[str, Any]) -> Command[Any] | None:
    """A client's command; None for one that says nothing. Raises `TypeError` for a key that LangGraph does not know."""
    said = {key: value for key, value in given.items() if value is not None}
    if not said:
        return None
    if isinstance(said.get("update"), list):
        said["update"] = [tuple(pair) if isinstance(pair, list) else pair for pair in said["update"]]
    if "goto" in said:
        goto = said["goto"]
        said["goto"] = [_target(one) for one in goto] if isinstance(goto, list) else _target(goto)
    return Command(**said)


def _target(goto: Any) -> Any:
    return Send(goto["node"], goto.get("input")) if isinstance(goto, Mapping) and "node" in goto else goto


def parts(
    graph: Pregel[Any, Any, Any, Any], value: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part, None]:
    """What the graph streams as (namespace, mode, chunk), or (mode, chunk) where no subgraphs were asked for; with the
    mode `events` LangChain's own events among it."""
    if "events" in options["stream_mode"]:
        return _with_events(graph, value, config, options)
    # LangGraph's own generator, since another around it would cost every run a hundredth of its CPU.
    return cast(AsyncGenerator[Part, None], graph.astream(value, config, **options))


async def _with_events(
    graph: Pregel[Any, Any, Any, Any], value: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part, None]:
    options = {**options, "stream_mode": [mode for mode in options["stream_mode"] if mode != "events"]}
    root = str(config.get("run_id"))
    async for event in graph.astream_events(value, config, version="v2", **options):
        if event["event"] == "on_chain_stream" and event["run_id"] == root:
            item = event["data"].get("chunk")
            if isinstance(item, tuple):
                yield cast(Part, item)
        if _HIDDEN not in (event.get("tags") or ()):
            yield "events", event
