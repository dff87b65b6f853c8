"""`langgraph dev`, the official development server, used over HTTP only. Started by `sides`."""

from __future__ import annotations

from benchmarks import scratch
from benchmarks.sides.http import HttpSide

JOBS = 64


class LangGraphDev(HttpSide):
    """In an environment of its own."""

    note = f"`langgraph dev --no-reload --n-jobs-per-worker {JOBS}`, state in memory, not in PostgreSQL"

    async def start(self) -> None:
        tools = scratch.environment("langgraph-dev", "langgraph-cli[inmem]")
        options = ["--no-browser", "--no-reload", "--n-jobs-per-worker", str(JOBS), "--server-log-level", "WARNING"]
        env = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LOG_LEVEL": "WARNING"}
        await self.serve([str(tools / "langgraph"), "dev", *options], env, scratch.project(self.name))
