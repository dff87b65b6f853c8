"""The command line in this process: arguments in, exit code and output out, and everything it changed put back."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from langyard import cli

GRAPH = '''
import asyncio, operator
from typing import Annotated, TypedDict
from langgraph.graph import StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    """A text and what was seen."""
    text: str
    seen: Annotated[list[str], operator.add]

async def note(state: State) -> State:
    return {"seen": [state["text"]]}

def fail(state: State) -> State:
    raise ValueError(f"not {state['text']}")

def approve(state: State) -> State:
    return {"seen": [f"{interrupt('really?')}"]}

async def wait(state: State) -> State:
    await asyncio.sleep(3600)
    return {}

def alone(node):
    return StateGraph(State).add_node(node).set_entry_point(node.__name__).compile()

echo, failing, asking, waiting = alone(note), alone(fail), alone(approve), alone(wait)
'''
GRAPHS = {name: f"./agent.py:{name}" for name in ("echo", "failing", "asking", "waiting")}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Langyard = Callable[..., Done]


@pytest.fixture
def langyard(monkeypatch, capsys, tmp_path) -> Iterator[Langyard]:
    """Call it as the shell would, in a folder of its own. The environment is bare of settings."""
    before, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    graphs_level, terminate = logging.getLogger("langyard.graphs").level, signal.getsignal(signal.SIGTERM)
    for name in list(os.environ):
        if name.startswith(("LANGYARD_", "DATABASE_", "POSTGRES_", "REDIS_", "LOG_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **environ: str) -> Done:
        os.environ.update(environ)
        monkeypatch.setattr(sys, "argv", ["langyard", *arguments])
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        found = capsys.readouterr()
        return Done(int(code or 0), found.out, found.err)

    yield call
    os.environ.clear()
    os.environ.update(before)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("langyard_graph_") or name == "agent":
            del sys.modules[name]
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    logging.getLogger("langyard.graphs").setLevel(graphs_level)
    logging.captureWarnings(False)
    signal.signal(signal.SIGTERM, terminate)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of four sound workflows in the folder of `langyard`."""
    (tmp_path / "agent.py").write_text(GRAPH, "utf-8")
    write(tmp_path, GRAPHS)
    return tmp_path


def write(folder: Path, graphs: Mapping[str, object]) -> None:
    """A langgraph.json."""
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}), "utf-8")
