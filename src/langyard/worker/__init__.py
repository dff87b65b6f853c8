"""The worker: claims runs, executes them, finishes them, on an event loop and a thread of its own."""

from __future__ import annotations

from langyard.worker.worker import Worker

__all__ = ["Worker"]
