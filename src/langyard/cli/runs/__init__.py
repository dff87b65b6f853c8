"""`langyard runs`."""

from __future__ import annotations

from langyard.cli.runs.command import runs

__all__ = ["runs"]
