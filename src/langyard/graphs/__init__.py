"""Finds, loads, describes and opens users' graphs, and runs agents side by side; for `app`, `worker` and the rules."""

from langyard.graphs.describe import Description, describe, draw
from langyard.graphs.graph import Graph
from langyard.graphs.load import LoadError
from langyard.graphs.parallel import run_parallel
from langyard.graphs.registry import Graphs

__all__ = ["Description", "Graph", "Graphs", "LoadError", "describe", "draw", "run_parallel"]
