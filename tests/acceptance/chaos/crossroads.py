"""Two servers in this process on one database, under the harness's audit: where many meet on few threads, quickly.

For the state machine of the multitask strategies. Looks to the checker as a yard does.
"""

from __future__ import annotations

import asyncio
import operator
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, LiteralString, TypedDict

import httpx
import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.types import interrupt

from tests.unit.gateway.serving import serve


class State(TypedDict, total=False):
    key: str
    runs: Annotated[list[str], operator.add]


class Place:
    """A server as the checker knows it: nothing is ever done to these. `http` is used on the crossroads' loop."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.address = str(http.base_url)
        self.pids = {os.getpid()}
        self.harmed: list[tuple[float, float]] = []


class Crossroads:
    """Open with `with`. All servers share a loop in a thread of its own; `spawn` sends it work, `call` waits for it."""

    def __init__(self, database: str, servers: int = 2) -> None:
        self.url = database
        self.lease_s = 30.0
        self.down: list[tuple[float, float]] = []
        self.places: list[Place] = []
        self._count = servers
        self._ledger: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crossroads", daemon=True)
        self._stack = AsyncExitStack()

    @property
    def servers(self) -> list[Place]:
        """Where to ask."""
        return self.places

    def __enter__(self) -> Crossroads:
        with self.connect() as connection:
            connection.execute((Path(__file__).parent / "audit.sql").read_bytes())
        self._thread.start()
        self.call(self._open(), 60)
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stack.aclose(), 60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Begin it, at once and beside what is under way."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, Any], wait_s: float = 120.0) -> Any:
        """Do it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(wait_s)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the test's own."""
        return psycopg.connect(self.url, autocommit=True)

    def executions(self) -> list[dict[str, Any]]:
        """What the nodes noted."""
        return list(self._ledger)

    def clear(self) -> None:
        """Forget all that has happened: what was checked once need not be checked again with every example."""
        sql: LiteralString = (
            "truncate langyard.threads, langyard.events, checkpoints, checkpoint_blobs, checkpoint_writes, "
            "chaos.ownership, chaos.strays cascade"
        )
        with self.connect() as connection:
            for _ in range(20):
                try:
                    connection.execute(sql)
                    break
                except psycopg.errors.DeadlockDetected:
                    continue  # a server's sweep was at the same tables
        self._ledger.clear()

    async def _open(self) -> None:
        worker = {"slots": 6, "lease_ttl_seconds": self.lease_s, "poll_seconds": 0.25}
        for _ in range(self._count):
            served = await self._stack.enter_async_context(serve(self.url, worker=worker))
            for name, graph in {"count": self._count_graph(), "question": self._question_graph()}.items():
                served.app.graphs.register(name, graph)
            # Servers close what has been idle for five seconds: a client that is about to use it would not know.
            limits = httpx.Limits(keepalive_expiry=2)
            http = httpx.AsyncClient(base_url=served.http.base_url, timeout=60, trust_env=False, limits=limits)
            self.places.append(Place(await self._stack.enter_async_context(http)))

    def _note(self, what: str, node: str, config: RunnableConfig) -> None:
        told = {"what": what, "node": node, "at": time.time(), "pid": os.getpid()}
        self._ledger.append(told | {key: config["metadata"][key] for key in ("run_id", "thread_id", "run_attempt")})

    def _step(self, name: str, pause_s: float) -> Any:
        async def node(state: State, config: RunnableConfig) -> State:
            self._note("start", name, config)
            await asyncio.sleep(pause_s)
            self._note("end", name, config)
            return {"runs": [config["metadata"]["run_id"]]} if name == "one" else {}

        return node

    def _count_graph(self) -> StateGraph[State]:
        graph = StateGraph(State)
        graph.add_sequence([("one", self._step("one", 0.002)), ("two", self._step("two", 0.01))])
        return graph.set_entry_point("one")

    def _question_graph(self) -> StateGraph[State]:
        async def ask(state: State, config: RunnableConfig) -> State:
            interrupt("go on?")
            self._note("start", "ask", config)
            self._note("end", "ask", config)
            return {"runs": [config["metadata"]["run_id"]]}

        graph = StateGraph(State)
        graph.add_sequence([("one", self._step("one", 0.002)), ("ask", ask), ("two", self._step("two", 0.005))])
        return graph.set_entry_point("one")
