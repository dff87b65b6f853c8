"""Langyard beside its rivals and the bare graph, measured in one invocation; `python -m benchmarks` is the way in."""
