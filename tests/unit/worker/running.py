"""Graphs whose runs get into trouble, and a server in this process that executes them. For the worker's tests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client
from typing_extensions import TypedDict

from langyard.app import App
from langyard.postgres.rows.workers import bury
from tests.unit.gateway.serving import Served, serve, until


class State(TypedDict, total=False):
    x: int


@dataclass
class Trouble:
    """What the graphs do: `failures` are raised one by one, `entered` is set by a node that was reached, `release` lets
    it go."""

    failures: list[BaseException] = field(default_factory=list)
    calls: int = 0
    entered: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def graphs(self) -> dict[str, Any]:
        async def failing(state: State) -> State:
            self.calls += 1
            if self.failures:
                raise self.failures.pop(0)
            return {"x": self.calls}

        def threaded(state: State) -> State:
            self.entered.set()
            self.release.wait(60)
            return {"x": 1}

        async def stubborn(state: State) -> State:
            while not self.release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    self.entered.set()
                    await asyncio.sleep(0.05)
            return {"x": 1}

        async def waiting(state: State) -> State:
            self.entered.set()
            await asyncio.to_thread(self.release.wait, 60)
            return {"x": 1}

        async def blocking(state: State) -> State:
            self.entered.set()
            time.sleep(0.6)
            return {"x": 1}

        nodes = (failing, threaded, stubborn, waiting, blocking)
        return {node.__name__: _graph(node.__name__, node) for node in nodes}


def _graph(name: str, node: Any) -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("first", lambda state: {"x": 0})
    graph.add_node(name, node)
    graph.add_edge(START, "first")
    graph.add_edge("first", name)
    return graph


@dataclass
class Yard:
    """The server, its trouble, the official client, and the rows."""

    served: Served
    trouble: Trouble
    sdk: Any
    database: str

    @property
    def app(self) -> App:
        return self.served.app

    def rows(self, query: str, *params: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.database, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def run(self, run_id: str) -> dict[str, Any]:
        return self.rows("select * from langyard.runs where run_id = %s", run_id)[0]

    def thread(self, thread_id: str) -> dict[str, Any]:
        return self.rows("select * from langyard.threads where thread_id = %s", thread_id)[0]

    async def bury(self, run_id: str, *, max_attempts: int = 3) -> list[tuple[UUID, str]]:
        """As if the run's worker had died: its row is gone, and somebody looks."""
        self.rows("update langyard.runs set worker_id = gen_random_uuid() where run_id = %s", run_id)
        async with asyncio.timeout(20):
            # One whose row is being written to just now is left to the next look.
            while not (taken := await bury(self.app.database, ttl_s=4.0, max_attempts=max_attempts)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return taken

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.trouble.entered.wait, 20), "the node was not reached"

    async def until(self, run_id: str, *statuses: str) -> dict[str, Any]:
        await until(lambda: self.run(run_id)["status"] in statuses)
        return self.run(run_id)


@contextlib.asynccontextmanager
async def yard(database: str, **settings: Any) -> AsyncIterator[Yard]:
    trouble = Trouble()
    # Who is dead is found when a test looks for it, not by the worker a moment before.
    settings["worker"] = {"sweep_seconds": 3600.0, **settings.get("worker", {})}
    try:
        async with serve(database, **settings) as served:
            for name, graph in trouble.graphs().items():
                served.app.graphs.register(name, graph)
            async with get_client(url=str(served.http.base_url)) as sdk:
                yield Yard(served, trouble, sdk, database)
            trouble.release.set()
    finally:
        trouble.release.set()
