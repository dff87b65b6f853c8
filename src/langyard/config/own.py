"""`langyard` of `langgraph.json`, the one key that is ours: what holds for single graphs, checked; for `app`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langyard.config.execution import DAY, RunSettings
from langyard.config.project import Project
from langyard.model.errors import ConfigurationError
from langyard.model.retries import RetryPolicy

_MOST = 1_000_000
_ATTEMPTS = 1000
_OPTIONS = ("max_concurrency", "retry")
_RETRY = ("max_attempts", "backoff_seconds", "max_backoff_seconds")


@dataclass(frozen=True, slots=True)
class GraphSection:
    """What is said of one graph: `max_concurrency` runs of it at once, over all processes; `retry`, as written and
    checked: when a run is started again after an error of the infrastructure."""

    max_concurrency: int | None = None
    retry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnSection:
    """The whole section, graphs by name."""

    graphs: Mapping[str, GraphSection] = field(default_factory=dict)

    @property
    def caps(self) -> dict[str, int]:
        """The graphs of which not all runs may run at once, and how many may."""
        found = ((name, graph.max_concurrency) for name, graph in self.graphs.items())
        return {name: cap for name, cap in found if cap is not None}

    def retries(self, runs: RunSettings) -> dict[str, RetryPolicy]:
        """The policy of each graph that has one of its own; what it leaves open, the settings say."""
        default = retry_policy(runs)
        return {
            name: RetryPolicy(
                graph.retry.get("max_attempts", default.max_attempts),
                float(graph.retry.get("backoff_seconds", default.backoff_s)),
                float(graph.retry.get("max_backoff_seconds", default.max_backoff_s)),
            )
            for name, graph in self.graphs.items()
            if graph.retry
        }


def retry_policy(runs: RunSettings) -> RetryPolicy:
    """The policy of graphs that have none of their own."""
    return RetryPolicy(runs.retry_max_attempts, runs.retry_backoff_seconds, runs.retry_max_backoff_seconds)


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
    return GraphSection(cap, _retry(f"{path}.retry", given.get("retry", {})))


def _retry(path: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ConfigurationError(f"`{path}` must be an object.")
    _known(path, given, _RETRY)
    attempts = given.get("max_attempts", 1)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts <= _ATTEMPTS:
        raise ConfigurationError(f"`{path}.max_attempts` must be a whole number from 1 to {_ATTEMPTS}.")
    for name in _RETRY[1:]:
        seconds = given.get(name, 0)
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= DAY:
            raise ConfigurationError(f"`{path}.{name}` must be a number of seconds from 0 to {DAY:.0f}.")
    return given


def _known(path: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise ConfigurationError(f"`{path}` has no key {name!r}; it has {', '.join(names)}.")
