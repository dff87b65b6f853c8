"""Configs of an assistant, a thread and a run become one (contract section E). For whatever makes or shows runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_KEY = ("configurable", "metadata")


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The later over the earlier, key by key; `configurable` and `metadata` likewise within, the rest as a whole."""
    made: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key in _BY_KEY and isinstance(value, Mapping):
                made[key] = {**made.get(key, {}), **value}
            elif value is not None:
                made[key] = value
    return made


def inherited(thread: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run leaves to the later runs of its thread: everything but what it alone was told."""
    kept = merged(thread, {key: value for key, value in run.items() if key not in _BY_KEY})
    return {**kept, "configurable": thread.get("configurable") or {}}
