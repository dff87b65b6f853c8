"""Loads a project as a server does; for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

from langyard.config import read_project
from langyard.graphs import Graphs

PROJECTS = Path(__file__).parent / "projects"


def loaded(folder: Path, *, strict: bool = False) -> Graphs:
    project = read_project(folder / "langgraph.json")
    project.activate({})
    graphs = Graphs()
    graphs.load(project, strict=strict)
    return graphs
