"""How long threads are kept, as a variable or `langgraph.json` says it (contract D.1 and D.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from langyard.config.values import Kind

_SWEEP_MIN = 5.0
_SWEEP_LIMIT = 10_000
_LONGEST_MIN = 52_560_000
_STRATEGIES = ("delete", "keep_latest")


@dataclass(frozen=True, slots=True)
class ThreadTtl:
    """What threads get that are made without a time of their own, in minutes (None: they stay), and how often and how
    many at once the expired are dealt with."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl_min: float | None = None
    sweep_interval_min: float = _SWEEP_MIN
    sweep_limit: int = _SWEEP_LIMIT


def thread_ttl() -> Kind:
    """The same in a variable: minutes, or the section in JSON."""

    def parse(text: str) -> ThreadTtl:
        try:
            given = json.loads(text)
        except ValueError:
            raise ValueError("it is neither a number nor JSON") from None
        return read_ttl(given if isinstance(given, dict) else {"default_ttl": given})

    return Kind(parse, 'minutes, or JSON such as {"strategy": "keep_latest", "default_ttl": 43200}')


def read_ttl(given: Any) -> ThreadTtl:
    """The section. Raises `ValueError`, whose text is a clause."""
    if not isinstance(given, dict):
        raise ValueError("it is no object")
    strategy = given.get("strategy", "delete")
    if strategy not in _STRATEGIES:
        raise ValueError("`strategy` is neither delete nor keep_latest")
    limit = given.get("sweep_limit", _SWEEP_LIMIT)
    if type(limit) is not int or limit < 1:
        raise ValueError("`sweep_limit` is no whole number above 0")
    return ThreadTtl(
        strategy=cast(Literal["delete", "keep_latest"], strategy),
        default_ttl_min=_minutes(given, "default_ttl"),
        sweep_interval_min=_minutes(given, "sweep_interval_minutes") or _SWEEP_MIN,
        sweep_limit=limit,
    )


def _minutes(given: Mapping[str, Any], name: str) -> float | None:
    found = given.get(name)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found <= _LONGEST_MIN:
        raise ValueError(f"`{name}` is no number of minutes")
    return float(found)
