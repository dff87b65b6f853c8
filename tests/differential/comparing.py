"""Compares what two servers answered, after masking what no two servers have in common: ids, times, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex>"),
    (re.compile(r"http://(127\.0\.0\.1|localhost):\d+"), "<address>"),
    (re.compile(r" at 0x[0-9a-f]+"), " at <place>"),
)
# Clocks, and versions of what is installed.
_UNLIKE = ("__request_start_time_ms__", "lc_versions", "timestamp")
ABSENT = "<absent>"


@dataclass(frozen=True)
class Difference:
    """Where two answers differ, and how."""

    label: str
    path: str
    theirs: Any
    ours: Any


def masked(value: Any) -> Any:
    """The same without what differs between any two servers."""
    if isinstance(value, dict):
        return _named_alike({key: inner for key, inner in value.items() if key not in _UNLIKE})
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, str):
        for pattern, name in _MASKS:
            value = pattern.sub(name, value)
    return value


def _named_alike(value: dict[str, Any]) -> dict[str, Any]:
    """Keys masked; of keys that are then one and the same, all the values, in an order of their own."""
    found: dict[str, list[Any]] = {}
    for key, inner in value.items():
        found.setdefault(masked(key), []).append(masked(inner))
    return {key: all_[0] if len(all_) == 1 else sorted(all_, key=str) for key, all_ in found.items()}


def differences(label: str, theirs: Any, ours: Any, path: str = "") -> Iterator[Difference]:
    """Every place where the two differ; what only one has is told once, not for each of its parts."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(label, theirs.get(key, ABSENT), ours.get(key, ABSENT), inner)
    elif isinstance(theirs, list) and isinstance(ours, list):
        for number in range(max(len(theirs), len(ours))):
            one = theirs[number] if number < len(theirs) else ABSENT
            other = ours[number] if number < len(ours) else ABSENT
            yield from differences(label, one, other, f"{path}[{number}]")
    elif theirs != ours or type(theirs) is not type(ours):
        yield Difference(label, path, theirs, ours)
