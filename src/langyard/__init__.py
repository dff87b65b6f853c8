"""Langyard: the production runtime for LangGraph. For type checkers `__init__.pyi` stands in its place."""

from __future__ import annotations

import importlib
import os
from typing import Any

# LangGraph reads this once, when it is first imported, and everything of ours that imports it passes here first.
# Strict: a checkpoint may only revive the types that its graph's own schemas name.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

__version__ = "0.1.0"

_EXPORTS = {
    "WorkflowFailed": "langyard.workflows",
    "WorkflowManager": "langyard.workflows",
    "WorkflowResult": "langyard.workflows",
    "effect": "langyard.worker.effects",
    "run_parallel": "langyard.graphs",
}


def __getattr__(name: str) -> Any:
    """Python's API, imported when it is asked for: whoever wants only the version should not wait for LangGraph."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'langyard' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
