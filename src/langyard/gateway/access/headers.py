"""Which headers of a request reach its run, or the log (contract D.1): those `http` of langgraph.json lets through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from langyard.model.reserved import own_configurable

NEVER = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "x-service-key", "x-tenant-id"})
# What a run's `configurable` says of the run itself; a header that happens to be called so must not.
_TAKEN = frozenset(
    {"assistant_id", "checkpoint_id", "checkpoint_map", "checkpoint_ns", "graph_id", "run_id", "thread_id", "user_id"}
)


class Section(Protocol):
    """`config.HeaderSection`."""

    @property
    def includes(self) -> tuple[str, ...]:
        """Patterns of those that are let through."""

    @property
    def excludes(self) -> tuple[str, ...]:
        """Patterns of those that are not, whatever else says."""


class HeaderRule:
    """Names are compared in lower case; `*` stands for anything."""

    def __init__(self, section: Section) -> None:
        self._includes = _pattern(section.includes)
        self._excludes = _pattern(section.excludes)

    def passed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that are let through, by their names in lower case."""
        found = {name.lower(): value for name, value in headers.items()}
        return {name: value for name, value in found.items() if self._passes(name)}

    def _passes(self, name: str) -> bool:
        if name in NEVER or self._includes is None or not self._includes.match(name):
            return False
        return self._excludes is None or not self._excludes.match(name)


def forwarded(connection: HTTPConnection) -> dict[str, Any]:
    """The request's headers that its run sees."""
    rule: HeaderRule | None = connection.app.state.forwarded
    if rule is None:
        return {}
    passed = own_configurable(rule.passed(connection.headers))
    return {name: value for name, value in passed.items() if name not in _TAKEN and not name.startswith("__")}


def _pattern(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(glob.lower()) for glob in globs)) if globs else None
