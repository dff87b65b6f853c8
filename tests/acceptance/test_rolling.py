"""Three replicas behind a balancer are replaced one by one under load: no run is lost, no request fails."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.acceptance.balancer import Balancer
from tests.acceptance.serving import Served, project

GRAPH = """
import asyncio, operator
from typing import Annotated, TypedDict
from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    visited: Annotated[list[str], operator.add]

def step(name):
    async def node(state: State) -> State:
        await asyncio.sleep(0.25)
        return {"visited": [name]}
    return node

steps = StateGraph(State).add_sequence([(name, step(name)) for name in ("a", "b", "c", "d", "e", "f")])
steps.set_entry_point("a")
"""
SETTINGS = {
    "LANGYARD_DRAIN_GRACE_SECONDS": "0.3",
    "LANGYARD_DRAIN_DELAY_SECONDS": "0.5",
    "LANGYARD_DB_POOL_MAX_SIZE": "4",
    "LANGYARD_POLL_SECONDS": "0.2",
}
ALL = list("abcdef")


class Client:
    """Somebody who streams and waits in turn, as the SDK does it, until told to stop."""

    def __init__(self, address: str) -> None:
        # A connection a request: which of two sides closes an idle one first is no matter of this test.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=address, limits=limits, timeout=60, trust_env=False)
        self.sdk: Any = LangGraphClient(self._http)
        self.stop = asyncio.Event()
        self.done: Counter[str] = Counter()

    async def work(self) -> None:
        async with self._http:
            while not self.stop.is_set():
                thread = (await self.sdk.threads.create())["thread_id"]
                await self._stream(thread)
                thread = (await self.sdk.threads.create())["thread_id"]
                values = await self.sdk.runs.wait(thread, "steps", input={"visited": []})
                assert values["visited"] == ALL
                self.done["waited"] += 1

    async def _stream(self, thread: str) -> None:
        last, values, starts = "", None, 0
        stream = self.sdk.runs.stream(
            thread, "steps", input={"visited": []}, stream_mode="values", stream_resumable=True
        )
        async for part in stream:
            last, starts = part.event, starts + (part.event == "metadata")
            values = part.data if part.event == "values" else values
        assert last == "end"
        assert values == {"visited": ALL}
        self.done["streamed"] += 1
        self.done["handed over"] += starts > 1


@pytest.mark.slow
async def test_replicas_are_replaced_one_by_one_under_load(tmp_path: Path, database: str):
    folder = project(tmp_path, GRAPH, steps="./agent.py:steps")
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's, of each reconnection

        def start() -> Served:
            return stack.enter_context(Served(folder, DATABASE_URL=database, **SETTINGS))

        replicas = [await asyncio.to_thread(start) for _ in range(3)]
        async with Balancer({replica.address for replica in replicas}) as balancer:
            clients = [Client(balancer.address) for _ in range(6)]
            working = [asyncio.create_task(client.work()) for client in clients]
            # All of them, and then on until a stream was under way where one went.
            for number, old in enumerate(replicas):
                replicas.append(await asyncio.to_thread(start))
                balancer.backends.add(replicas[-1].address)
                assert await asyncio.to_thread(old.stop) == 0
                balancer.backends.discard(old.address)
                assert not any(task.done() for task in working), [task for task in working if task.done()]
                if number >= 9 or (number >= 2 and any(client.done["handed over"] for client in clients)):
                    break
            for client in clients:
                client.stop.set()
            await asyncio.wait_for(asyncio.gather(*working), 60)
    total = sum((client.done for client in clients), Counter[str]())
    assert total["handed over"] > 0, "no stream was under way when its replica went"
    with psycopg.connect(database, autocommit=True) as connection:
        ended = connection.execute(
            "select status, max(attempt), count(*) from langyard.runs group by status"
        ).fetchall()
    assert [(status, attempt) for status, attempt, _ in ended] == [("success", 1)]
    assert ended[0][2] == total["waited"] + total["streamed"]
