"""A side reached over HTTP, by default through the Agent Server's routes. The sides that serve derive from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Answer, Connection, event_names, request_bytes
from benchmarks.graphs import INPUTS, graph_of
from benchmarks.load import MOST_RUNS, REQUEST_SECONDS, Outcome, Run, RunFailed, Sample, drive
from benchmarks.sides.side import Context, Side

STREAMED = ("tokens", "tokens-5ms")
IDLE_SECONDS = 60.0
_KEPT_SECONDS = 2.0
"""A connection that was silent for longer may be closed by the server in the moment in which we write."""
_WARM_STREAMS = 20
_FINISHED_AT = re.compile(rb'"finished_at":\s*([0-9.]+)')


def post(path: str, body: dict[str, Any]) -> bytes:
    """A request with a body of JSON."""
    return request_bytes("POST", path, json.dumps(body, separators=(",", ":")).encode())


@dataclass
class _User:
    """One virtual user: a connection, when it was last used, and a thread."""

    connection: Connection
    thread: str
    used_at: float = 0.0


class HttpSide(Side):
    """Users are made once and kept for all cells, so that a cell begins with open connections."""

    watches_threads = True
    """Whether a thread has a stream of its own."""

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context, name)
        self._users: list[_User] = []

    async def thread(self, connection: Connection) -> str:
        """A new thread: whatever the server keeps a conversation by."""
        answer = await connection.ask(post("/threads", {}), REQUEST_SECONDS)
        return str(json.loads(answer.body)["thread_id"])

    def request(self, graph: str, values: dict[str, Any], thread: str, streamed: bool) -> bytes:
        """The request that runs a graph on a thread and answers with its result, or with its tokens as events."""
        body = {"assistant_id": graph, "input": values}
        api = self.context.api
        if api == "stateless":
            return (
                post("/runs/stream", {**body, "stream_mode": "messages-tuple"})
                if streamed
                else post("/runs/wait", body)
            )
        if api == "stream" and not streamed:
            return post(f"/threads/{thread}/runs/stream", body)
        if streamed:
            return post(f"/threads/{thread}/runs/stream", {**body, "stream_mode": "messages-tuple"})
        return post(f"/threads/{thread}/runs/wait", body)

    def failed(self, answer: Answer) -> bool:
        """Whether the answer is something else than a finished run."""
        return answer.status != 200 or b"__error__" in answer.body[:100] or b"event: error" in answer.body

    async def load(self, scenario: str, concurrency: int, seconds: float = math.inf, runs: int = MOST_RUNS) -> Sample:
        while len(self._users) < concurrency:
            connection = self._connection()
            self._users.append(_User(connection, await self.thread(connection)))
        return await drive([self._run(user, scenario) for user in self._users[:concurrency]], seconds, runs)

    def _connection(self) -> Connection:
        return Connection(("127.0.0.1", self.servers[len(self._users) % len(self.servers)].port))

    def _run(self, user: _User, scenario: str) -> Run:
        streamed = scenario in STREAMED
        request = self.request(graph_of(scenario), INPUTS[scenario], user.thread, streamed)

        async def run() -> Outcome:
            started = time.monotonic()
            if started - user.used_at > _KEPT_SECONDS:
                user.connection = user.connection.again()
            try:
                answer = await user.connection.ask(request, REQUEST_SECONDS)
            except BaseException:
                user.used_at = 0.0
                raise
            user.used_at = ended = time.monotonic()
            if self.failed(answer):
                raise RunFailed(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
            if streamed:
                first = answer.first_event_at - started if answer.first_event_at else None
                return Outcome(first_event=first, events=len(event_names(answer.body)))
            told = _FINISHED_AT.search(answer.body[:1000])
            return Outcome(way_back=ended - float(told[1]) if told else None)

        return run

    async def idle_stream_bytes(self, count: int, protocol: bool = False) -> float:
        connection = self._connection()
        threads = [await self.thread(connection) for _ in range(count + _WARM_STREAMS)]
        connection.close()
        async with contextlib.AsyncExitStack() as opened:
            for thread in threads[:_WARM_STREAMS]:
                opened.callback((await self._watch(thread, protocol)).close)
            await asyncio.sleep(1)
            before = self.rss_bytes()
            for thread in threads[_WARM_STREAMS:]:
                opened.callback((await self._watch(thread, protocol)).close)
            await asyncio.sleep(1)
            return (self.rss_bytes() - before) / count

    async def _watch(self, thread: str, protocol: bool) -> asyncio.StreamWriter:
        """An open stream on which nothing happens, its head read: the thread's, else that of a run that sleeps."""
        if protocol:
            request = post(f"/threads/{thread}/stream/events", {"channels": ["values", "messages", "lifecycle"]})
        elif self.watches_threads:
            request = request_bytes("GET", f"/threads/{thread}/stream")
        else:
            request = self.request("sleep", {"seconds": IDLE_SECONDS}, thread, streamed=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.servers[0].port)
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RunFailed(head.decode(errors="replace"))
        return writer

    def stop(self) -> None:
        for user in self._users:
            user.connection.close()
        self._users.clear()
        super().stop()
