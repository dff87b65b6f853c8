"""The graph in a process of its own, without HTTP: what LangGraph and a saver cost. Started by `sides`; its own child.

The child waits on a socket for one line of JSON that says what to run, and answers with one line: the sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg_pool import AsyncConnectionPool

from benchmarks.graphs import GRAPHS, INPUTS, graph_of
from benchmarks.load import MOST_RUNS, Outcome, Run, Sample, drive
from benchmarks.processes import Unavailable
from benchmarks.sides.http import STREAMED
from benchmarks.sides.naive import CONNECTION
from benchmarks.sides.side import Context, Side

_ANSWER_BYTES = 2**26


class Bare(Side):
    """`saver` is none, memory or postgres."""

    def __init__(self, context: Context, name: str, saver: str) -> None:
        super().__init__(context, name)
        self._saver = saver
        self.database = name if saver == "postgres" else None
        self.note = f"`ainvoke` under `asyncio.run`, saver: {saver}"

    async def start(self) -> None:
        await self.serve([sys.executable, "-m", "benchmarks.sides.bare", self._saver], {})

    async def load(self, scenario: str, concurrency: int, seconds: float = math.inf, runs: int = MOST_RUNS) -> Sample:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.servers[0].port, limit=_ANSWER_BYTES)
        with contextlib.closing(writer):
            writer.write(json.dumps([scenario, concurrency, seconds, runs]).encode() + b"\n")
            line = await reader.readline()
        if not line:
            raise Unavailable(f"it failed under load: {self.servers[0].last_line()}")
        return Sample(**json.loads(line))


def _run(scenario: str, thread: str) -> Run:
    graph = GRAPHS[graph_of(scenario)]
    config = {"configurable": {"thread_id": thread}}
    values = INPUTS[scenario]

    async def run() -> Outcome:
        result: dict[str, Any] = await graph.ainvoke(values, config)
        ended = result.get("finished_at")
        return Outcome(way_back=time.monotonic() - ended if ended else None)

    async def stream() -> Outcome:
        started = time.monotonic()
        first, events = None, 0
        async for _ in graph.astream(values, config, stream_mode="messages"):
            first = first or time.monotonic() - started
            events += 1
        return Outcome(first_event=first, events=events)

    return stream if scenario in STREAMED else run


@contextlib.asynccontextmanager
async def _saver(kind: str) -> AsyncIterator[Any]:
    if kind != "postgres":
        yield InMemorySaver() if kind == "memory" else None
        return
    async with AsyncConnectionPool(os.environ["DATABASE_URL"], max_size=20, kwargs=CONNECTION) as pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
        await saver.setup()
        yield saver


async def _serve(saver: str, port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if line := await reader.readline():
                scenario, concurrency, seconds, runs = json.loads(line)
                sample = await drive([_run(scenario, str(user)) for user in range(concurrency)], seconds, runs)
                writer.write(json.dumps(dataclasses.asdict(sample)).encode() + b"\n")
                await writer.drain()

    async with _saver(saver) as checkpointer:
        for graph in GRAPHS.values():
            graph.checkpointer = checkpointer
        async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[3])))
