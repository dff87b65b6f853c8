"""`langyard` of `langgraph.json`, the one key that is ours: what holds for single graphs, checked; for `app`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langyard.config.project import Project
from langyard.model.errors import ConfigurationError

_MOST = 1_000_000
_OPTIONS = ("max_concurrency",)


@dataclass(frozen=True, slots=True)
class GraphSection:
    """What is said of one graph: `max_concurrency` runs of it at once, over all processes."""

    max_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class OwnSection:
    """The whole section, graphs by name."""

    graphs: Mapping[str, GraphSection] = field(default_factory=dict)

    @property
    def caps(self) -> dict[str, int]:
        """The graphs of which not all runs may run at once, and how many may."""
        found = ((name, graph.max_concurrency) for name, graph in self.graphs.items())
        return {name: cap for name, cap in found if cap is not None}


def own_section(project: Project | None) -> OwnSection:
    """The section of the project's file, empty where it has none. Raises ConfigurationError."""
    given = project.section("langyard") if project is not None else {}
    _known("langyard", given, ("graphs",))
    graphs = given.get("graphs") or {}
    if not isinstance(graphs, dict):
        raise ConfigurationError("`langyard.graphs` must be an object of graphs by name.")
    for name in graphs:
        if project is not None and name not in project.graphs:
            raise ConfigurationError(f"`langyard.graphs` names {name!r}, which is no graph of `graphs`.")
    return OwnSection({name: _graph(f"langyard.graphs.{name}", options) for name, options in graphs.items()})


def _graph(path: str, given: object) -> GraphSection:
    if not isinstance(given, dict):
        raise ConfigurationError(f"`{path}` must be an object.")
    _known(path, given, _OPTIONS)
    cap = given.get("max_concurrency")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or not 1 <= cap <= _MOST):
        raise ConfigurationError(f"`{path}.max_concurrency` must be a whole number from 1 to {_MOST}.")
    return GraphSection(cap)


def _known(path: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise ConfigurationError(f"`{path}` has no key {name!r}; it has {', '.join(names)}.")
