"""The graphs of this process by name, from `langgraph.json` and from Python; `app` builds it, the rooms above ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from langyard.graphs import loopback
from langyard.graphs.graph import Graph
from langyard.graphs.load import LoadError, described, load_export
from langyard.model.errors import ConfigurationError, Conflict, Invalid, NotFound, Unavailable

logger = logging.getLogger(__name__)


class Entry(Protocol):
    """Where a graph is exported, as `langgraph.json` says it."""

    @property
    def target(self) -> str:
        """`./file.py:name` or `package.module:name`."""

    @property
    def description(self) -> str | None:
        """A sentence for those who choose among graphs."""


class Source(Protocol):
    """A read `langgraph.json`; targets that are files are meant from `root`."""

    @property
    def graphs(self) -> Mapping[str, Entry]:
        """Its graphs by name."""

    @property
    def root(self) -> Path:
        """Its folder."""


class Graphs:
    """Every graph by name. `broken` holds, by name, why a graph could not be loaded: for the log, not for clients."""

    def __init__(self) -> None:
        self.broken: dict[str, str] = {}
        self._graphs: dict[str, Graph] = {}

    def load(self, project: Source, *, strict: bool = False) -> None:
        """Imports and prepares every graph of a project. Runs user code and blocks: for start-up.

        One that fails is in `broken` and leaves the others alone; with `strict`, raises ConfigurationError naming each.
        """
        loopback.prepare()
        for name, entry in project.graphs.items():
            try:
                export = load_export(entry.target, project.root)
                self._graphs[name] = _graph(name, export.value, entry.description, export.place)
            except LoadError as wrong:
                self.broken[name] = str(wrong)
                logger.error("workflow %s is broken: %s", name, wrong)
        if strict and self.broken:
            lines = (f"workflow {name}: {why}" for name, why in self.broken.items())
            raise ConfigurationError("\n- ".join(["Not every graph can be loaded:", *lines]))

    def names(self) -> list[str]:
        """The names that `get` answers, in order of the alphabet."""
        return sorted(self._graphs)

    def get(self, name: str) -> Graph:
        """Raises NotFound (`workflow_not_found`), and Unavailable (`workflow_broken`) for one that is."""
        if (graph := self._graphs.get(name)) is not None:
            return graph
        if name in self.broken:
            raise Unavailable(
                f"The workflow {name!r} could not be loaded; the server's log says why.", code="workflow_broken"
            )
        known = ", ".join(self.names()) or "none"
        raise NotFound(f"There is no workflow {name[:100]!r}. Those there are: {known}.", code="workflow_not_found")

    def register(self, name: str, graph: object, *, description: str | None = None) -> Graph:
        """Adds a compiled graph, a builder or a factory under `name`.

        Raises Invalid when it is none of these or does not compile, Conflict (`workflow_exists`) when `name` is taken.
        """
        if not name.strip() or not name.isprintable():
            raise Invalid(f"{name!r} is no name for a workflow.")
        if name in self._graphs:
            raise Conflict(f"There is a workflow {name!r} already.", code="workflow_exists")
        try:
            added = _graph(name, graph, description, f"Workflow {name!r} cannot be registered")
        except LoadError as wrong:
            raise Invalid(str(wrong)) from wrong
        self._graphs[name] = added
        self.broken.pop(name, None)
        return added


def _graph(name: str, export: object, description: str | None, place: str) -> Graph:
    try:
        return Graph(name, export, description=description)
    except LoadError as wrong:
        raise LoadError(f"{place}: {wrong}") from wrong
    except Exception as wrong:  # compiling runs what the user built, which may raise anything
        raise LoadError(f"{place}: {described(wrong)}") from wrong
