"""`store` of `langgraph.json` (contract D.1), checked; `app` makes the long-term store of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langyard.config.project import Project
from langyard.model.errors import ConfigurationError

_SWEEP_MIN = 5.0


@dataclass(frozen=True, slots=True)
class IndexSection:
    """How items are found by meaning. `embed` is `./file.py:function` or `provider:model`, `fields` paths in items."""

    dims: int
    embed: str
    fields: tuple[str, ...] = ("$",)


@dataclass(frozen=True, slots=True)
class StoreSection:
    """The whole section."""

    index: IndexSection | None = None
    refresh_on_read: bool = True
    default_ttl_min: float | None = None
    sweep_interval_min: float = _SWEEP_MIN


def store_section(project: Project | None) -> StoreSection:
    """The section of the project's file, its defaults where it says nothing. Raises ConfigurationError."""
    given = project.section("store") if project is not None else {}
    ttl = _part(given, "ttl")
    refresh = ttl.get("refresh_on_read", True)
    if not isinstance(refresh, bool):
        raise ConfigurationError("`store.ttl.refresh_on_read` must be true or false.")
    return StoreSection(
        index=_index(_part(given, "index")),
        refresh_on_read=refresh,
        default_ttl_min=_minutes(ttl, "default_ttl"),
        sweep_interval_min=_minutes(ttl, "sweep_interval_minutes") or _SWEEP_MIN,
    )


def _index(given: Mapping[str, Any]) -> IndexSection | None:
    if not given:
        return None
    dims, embed, fields = given.get("dims"), given.get("embed"), given.get("fields") or ["$"]
    if not isinstance(dims, int) or isinstance(dims, bool) or not 1 <= dims <= 4000:
        raise ConfigurationError("`store.index.dims` must be a whole number from 1 to 4000.")
    if not isinstance(embed, str) or ":" not in embed:
        raise ConfigurationError('`store.index.embed` must be "./file.py:function" or "provider:model".')
    if not isinstance(fields, list) or not all(isinstance(field, str) and field for field in fields):
        raise ConfigurationError('`store.index.fields` must be a list of paths, as in ["$"].')
    return IndexSection(dims, embed, tuple(fields))


def _part(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name) or {}
    if not isinstance(found, dict):
        raise ConfigurationError(f"`store.{name}` must be an object.")
    return found


def _minutes(ttl: Mapping[str, Any], name: str) -> float | None:
    found = ttl.get(name)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found <= 10_000_000:
        raise ConfigurationError(f"`store.ttl.{name}` must be a number of minutes.")
    return float(found)
