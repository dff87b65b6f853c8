"""What the research example's tests share: the example's package as its users import it, and a thread to run it in."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

PROJECT = Path(__file__).parents[3] / "examples" / "research"


@pytest.fixture(autouse=True)
def agents(monkeypatch):
    """The example's package, importable as `dependencies: ["."]` makes it; no model, the default root."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "RESEARCH_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(str(PROJECT))
    return importlib.import_module("agents.graph")


@pytest.fixture
def graph(agents) -> Any:
    return agents.graph.copy(update={"checkpointer": InMemorySaver()})


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RESEARCH_ROOT", str(tmp_path))
    return tmp_path
