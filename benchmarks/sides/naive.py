"""The gateway everybody writes first: FastAPI around `ainvoke`, the official saver on a pool. Started by `sides`."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks import graphs
from benchmarks.client import Connection
from benchmarks.sides.http import HttpSide, post
from benchmarks.sides.side import Context

CONNECTION = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Gives every graph the one saver."""
    async with AsyncConnectionPool(os.environ["DATABASE_URL"], max_size=20, kwargs=CONNECTION) as pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
        await saver.setup()
        for graph in graphs.GRAPHS.values():
            graph.checkpointer = saver
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/run/{graph}/{thread}")
async def run(graph: str, thread: str, values: dict[str, Any]) -> Any:
    """Runs to the end and answers with the state."""
    return await graphs.GRAPHS[graph].ainvoke(values, {"configurable": {"thread_id": thread}})


@app.post("/stream/{graph}/{thread}")
async def stream(graph: str, thread: str, values: dict[str, Any]) -> StreamingResponse:
    """Runs and answers with each token."""

    async def events() -> AsyncIterator[str]:
        config = {"configurable": {"thread_id": thread}}
        async for chunk, _ in graphs.GRAPHS[graph].astream(values, config, stream_mode="messages"):
            yield f"event: messages\ndata: {chunk.model_dump_json()}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


class Naive(HttpSide):
    """So many uvicorn workers behind one port."""

    database = "naive"
    watches_threads = False

    def __init__(self, context: Context, name: str, workers: int = 1) -> None:
        super().__init__(context, name)
        self._workers = workers
        many = f" --workers {workers}" if workers > 1 else ""
        self.note = f"FastAPI under `uvicorn{many}` with uvloop and httptools, official saver on a pool of 20"

    async def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "benchmarks.sides.naive:app", "--log-level", "warning"]
        await self.serve([*command, "--no-access-log", "--workers", str(self._workers)], {})

    async def thread(self, connection: Connection) -> str:
        return str(uuid.uuid4())

    def request(self, graph: str, values: dict[str, Any], thread: str, streamed: bool) -> bytes:
        return post(f"/{'stream' if streamed else 'run'}/{graph}/{thread}", values)
