"""What an assistant's graph looks like and takes: drawings and schemas. For the routes of assistants.

A graph that was compiled once is described once; a factory is asked each time, with the assistant's configuration, in a
thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from langyard.assistants import Assistant
from langyard.graphs import Graph, Graphs
from langyard.graphs.apart import apart
from langyard.graphs.describe import Schemas, describe, describe_subgraphs, draw
from langyard.model.errors import GraphFailed, LangyardError

log = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
_KEPT = 1000


class Pictures:
    """Answers, kept as long as the graph is the same object."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._known: dict[tuple[Graph, object], asyncio.Task[Any]] = {}

    async def drawing(self, assistant: Assistant, xray: bool | int) -> Json:
        """Nodes and edges. Raises `GraphFailed` when a factory fails."""
        graph, config = self._asked(assistant)
        return await self._once(graph, ("drawing", xray), lambda: draw(graph, config, xray=xray))

    async def schemas(self, assistant: Assistant) -> Json:
        """The JSON schemas by the contract's names. Raises `GraphFailed`."""
        graph, config = self._asked(assistant)
        found = await self._once(graph, "schemas", lambda: describe(graph, config))
        if found.problem is not None:
            raise _failed(graph)
        return {"graph_id": graph.name, **_named(found.schemas)}

    async def subgraphs(self, assistant: Assistant, namespace: str | None, *, recurse: bool) -> Json:
        """The schemas of subgraphs by namespace. Raises `GraphFailed`."""
        graph, config = self._asked(assistant)

        def work() -> Coroutine[Any, Any, Mapping[str, Schemas]]:
            return describe_subgraphs(graph, config, namespace=namespace, recurse=recurse)

        found = await self._once(graph, ("subgraphs", namespace, recurse), work)
        return {name: _named(schemas) for name, schemas in found.items()}

    def _asked(self, assistant: Assistant) -> tuple[Graph, Any]:
        ids = {"assistant_id": str(assistant.assistant_id), "graph_id": assistant.graph_id}
        configurable = {**(assistant.config.get("configurable") or {}), **ids}
        return self._graphs.get(assistant.graph_id), {**assistant.config, "configurable": configurable}

    async def _once(self, graph: Graph, what: object, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if graph.is_factory:
            return await _guarded(graph, work)
        key = (graph, what)
        known = self._known.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            if len(self._known) >= _KEPT:
                self._known.clear()  # namespaces are the client's words: there may be any number
            known = self._known[key] = asyncio.ensure_future(_guarded(graph, work))
        found: T = await asyncio.shield(known)
        return found


async def _guarded(graph: Graph, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        return await apart(work)
    except LangyardError:
        raise
    except Exception as wrong:  # a factory is user code, and so is what draws and describes a graph's types
        log.exception("workflow %s cannot be described", graph.name)
        raise _failed(graph) from wrong


def _failed(graph: Graph) -> GraphFailed:
    return GraphFailed(f"Graph {graph.name!r} could not be had: its factory failed.")


def _named(found: Schemas) -> Json:
    return {f"{name}_schema": schema for name, schema in asdict(found).items()}
