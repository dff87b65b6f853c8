"""A run whose readers speak the event protocol: LangGraph's own protocol stream (`astream_events`, v3) as our events.

Messages come as content blocks, subgraphs tell of their lives, and transformers a graph was compiled with are heard.
Beyond what LangGraph lets through by default, updates, custom data, tools, tasks and checkpoints are told as well
(contract A.14). Called by the execution of a run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.language_models._compat_bridge import message_to_events
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer

from langyard import serde
from langyard.worker.events import INTERRUPT

MODES = ("values", "updates", "messages", "tools", "lifecycle", "custom", "tasks", "checkpoints")
Part = tuple[tuple[str, ...], str, Any]

_CUSTOM = "custom:"
_TASKS = "langyard.tasks"
# What a reader needs of a token's metadata; the first event of a message has all of it.
_KEPT = ("langgraph_node", "langgraph_checkpoint_ns", "run_id", "tags")
_PLACE = ("thread_id", "checkpoint_id", "checkpoint_ns")


class _Everything(StreamTransformer):
    """Asks LangGraph for all that can be told, and saves tasks from being folded away. It projects nothing."""

    before_builtins = True
    required_stream_modes = ("values", "updates", "messages", "tools", "custom", "tasks", "checkpoints")

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._tasks: StreamChannel[Any] = StreamChannel(_TASKS)

    def init(self) -> dict[str, Any]:
        """The channel of tasks, of the whole graph only: subgraphs' tasks pass the whole graph's as well."""
        return {} if self.scope else {_TASKS: self._tasks}

    def process(self, event: ProtocolEvent) -> bool:
        """Let everything through."""
        if event["method"] == "tasks" and not self.scope:
            self._tasks.push((tuple(event["params"]["namespace"]), event["params"]["data"]))
        return True


async def protocol_parts(
    graph: Pregel[Any, Any, Any, Any], value: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part, None]:
    """What the graph streams as (namespace, mode, chunk). Stopping it stops the graph."""
    yield (), "lifecycle", {"event": "running", "graph_name": config["configurable"]["graph_id"]}
    kept = {name: value for name, value in options.items() if name not in ("stream_mode", "subgraphs")}
    with suppress_langchain_beta_warning():
        run = await graph.astream_events(value, config, version="v3", transformers=[_Everything], **kept)
    async with run:
        async for event in run:
            for part in _parts(event):
                yield part


def _parts(event: ProtocolEvent) -> Iterator[Part]:
    method, params = event["method"], event["params"]
    namespace, data = tuple(params["namespace"]), params["data"]
    if method == _CUSTOM + _TASKS:
        yield data[0], "tasks", data[1]
    elif method == "messages":
        for told, metadata in _told(*data):
            yield namespace, "messages", (told, metadata)
    elif method == "lifecycle" and "namespace" in data:
        yield tuple(data["namespace"]), method, data
    elif method == "values" and (interrupts := params.get("interrupts")):
        state = data if isinstance(data, Mapping) else serde.plain(data)
        yield namespace, method, {**state, INTERRUPT: tuple(interrupts)}
    elif method == "checkpoints":
        yield namespace, method, _checkpoint(data)
    else:
        yield namespace, method, data


def _told(message: Any, metadata: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """A message's events: as they come from the model, or all at once for one that a node has returned whole."""
    if isinstance(message, BaseMessage):
        role = "ai" if isinstance(message, AIMessage) else message.type
        for told in message_to_events(message, message_id=message.id):
            first = told["event"] == "message-start"
            yield ({**told, "role": role} if first else told), metadata
    elif message.get("event") == "message-start":
        yield message, metadata
    else:
        yield message, {name: metadata[name] for name in _KEPT if name in metadata}


def _checkpoint(found: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint as LangGraph tells of it, and as the protocol names it."""
    config, parent = found.get("config") or {}, found.get("parent_config") or {}
    own, before = config.get("configurable") or {}, parent.get("configurable") or {}
    metadata = found.get("metadata") or {}
    shown: dict[str, Any] = {"id": own.get("checkpoint_id"), **{key: metadata.get(key) for key in ("step", "source")}}
    if before.get("checkpoint_id"):
        shown["parent_id"] = before["checkpoint_id"]
    places = {
        "config": {"configurable": {key: own.get(key) for key in _PLACE}},
        "parent_config": {"configurable": {key: before.get(key) for key in _PLACE}} if before else None,
    }
    return {**found, **places, **shown}
