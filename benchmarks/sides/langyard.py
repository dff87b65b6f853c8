"""Langyard itself: `langyard serve` as a user starts it. Started by `sides`."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

from benchmarks import scratch
from benchmarks.client import Answer, Connection
from benchmarks.processes import Unavailable
from benchmarks.sides.http import HttpSide, post
from benchmarks.sides.side import Context

SLOTS = 1200


class Langyard(HttpSide):
    """So many processes behind one port; asked by its workflow routes or the Agent Server's."""

    database = "langyard"

    def __init__(self, context: Context, name: str, processes: int = 1) -> None:
        super().__init__(context, name)
        self._processes = processes
        self._workflows = context.api == "workflow"
        self.watches_threads = not self._workflows
        many = f" --processes {processes}" if processes > 1 else ""
        self.note = f"`langyard serve{many}` with {SLOTS} slots, asked by the {context.api} routes"

    async def start(self) -> None:
        command = Path(sys.executable).with_name("langyard")
        if not command.exists():
            raise Unavailable("the command `langyard` is not installed beside this Python")
        folder = scratch.project(self.name)
        env = {"LANGYARD_HOME": str(folder), "LANGYARD_WORKER_SLOTS": str(SLOTS), "LANGYARD_LOG_LEVEL": "warning"}
        many = ["--processes", str(self._processes)] if self._processes > 1 else []
        await self.serve([str(command), "serve", *many], env, folder)

    async def thread(self, connection: Connection) -> str:
        return str(uuid.uuid4()) if self._workflows else await super().thread(connection)

    def request(self, graph: str, values: dict[str, Any], thread: str, streamed: bool) -> bytes:
        if not self._workflows:
            return super().request(graph, values, thread, streamed)
        body = {"workflow_type": graph, "input_data": values, "user_id": "bench", "session_id": thread}
        if streamed:
            return post("/workflow/stream", {**body, "stream_mode": ["messages"]})
        return post("/workflow/execute", body)

    def failed(self, answer: Answer) -> bool:
        finished = not self._workflows or b'"status":"success"' in answer.body
        return super().failed(answer) or not finished
