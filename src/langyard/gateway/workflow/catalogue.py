"""What workflows there are, described once each. Describing may run a user's factory: never on the gateway's loop."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from langyard.graphs import Graph, Graphs, describe
from langyard.graphs.blocking import pool

_WAIT_S = 30.0


class Catalogue:
    """The descriptions of `GET /workflows`."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._known: dict[str, tuple[Graph, asyncio.Future[dict[str, Any]]]] = {}

    async def all(self) -> list[dict[str, Any]]:
        """Every workflow by name; one that could not be loaded is there, and not available."""
        found = await asyncio.gather(*(self.get(name) for name in self._graphs.names()))
        broken = [{**_nothing(name), "available": False} for name in self._graphs.broken]
        return sorted([*found, *broken], key=lambda entry: str(entry["name"]))

    async def get(self, name: str) -> dict[str, Any]:
        """One workflow. Raises what `Graphs.get` does."""
        graph = self._graphs.get(name)
        known = self._known.get(name)
        if known is None or known[0] is not graph:
            known = self._known[name] = (graph, asyncio.ensure_future(pool.run(_described, graph)))
        try:
            async with asyncio.timeout(_WAIT_S):
                return await asyncio.shield(known[1])
        except TimeoutError:
            return {**_nothing(name), "description": graph.description}


def _described(graph: Graph) -> dict[str, Any]:
    found = asyncio.run(describe(graph))
    return {**_nothing(graph.name), "description": found.description, "schemas": asdict(found.schemas)}


def _nothing(name: str) -> dict[str, Any]:
    return {"name": name, "description": None, "available": True, "schemas": None}
