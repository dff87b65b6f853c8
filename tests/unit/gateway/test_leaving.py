"""A server that stops sends its readers elsewhere: every stream of a run ends then, also those of other protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import Response

from langyard.gateway.errors import of_any
from langyard.gateway.protocols.a2a.shapes import Ref
from langyard.gateway.protocols.a2a.streams import AgentStream
from langyard.gateway.sse import EventStream
from langyard.model.errors import Unavailable
from langyard.streams import LocalBus, Subscription
from tests.unit.gateway.serving import Served


def agent_stream(reader: Subscription) -> Response:
    return AgentStream(reader, Ref(uuid4(), reader.run_id), 1, 60.0, output=None, old=False)


def event_stream(reader: Subscription) -> Response:
    async def ending() -> tuple[int, bytes]:
        try:
            await reader.wait_end()
        except Unavailable as error:
            found = of_any(error)
            return found.status_code, bytes(found.body)
        raise AssertionError("there is no end")

    return EventStream(reader, ending, session_id="s", heartbeat_s=60.0, headers={})


@pytest.mark.parametrize("made", [agent_stream, event_stream])
async def test_a_stream_ends_when_its_server_will_see_no_more_of_the_run(made: Callable[[Subscription], Response]):
    reader = LocalBus().subscribe(uuid4())
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.start":
            reader.leave()

    answering: Awaitable[None] = made(reader)({"type": "http"}, receive, send)
    async with asyncio.timeout(30):
        await answering
    assert sent[0]["type"] == "http.response.start"


async def test_a_batch_that_is_broken_off_leaves_nobody_waiting(served: Served):
    batch = [{"assistant_id": "echo", "input": {"x": 1}}, {"assistant_id": "echo", "thread_id": str(uuid4())}]
    broken_off = await served.http.post("/runs/batch", json=batch)
    assert (broken_off.status_code, broken_off.json()["code"]) == (404, "thread_not_found")
    assert served.app.bus.open_readers == 0
