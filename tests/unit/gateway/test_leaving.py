"""Who leaves, and who is sent away: readers of a server that stops, clients that hang up, requests broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from starlette.responses import Response

from langyard.gateway.errors import of_any
from langyard.gateway.protocols.a2a.shapes import Ref
from langyard.gateway.protocols.a2a.streams import AgentStream
from langyard.gateway.sse import EventStream
from langyard.graphs.loopback import Loopback
from langyard.model.errors import Unavailable
from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.streams import LocalBus, Subscription
from tests.unit.gateway.serving import Served, until


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


@pytest.mark.parametrize("way", ["stream", "wait"])
async def test_user_code_that_leaves_is_a_client_that_leaves(served: Served, way: str):
    """It comes by a way of its own, without a socket that could be seen to close."""
    asked = {"assistant_id": "gate", "input": {}, "on_disconnect": "cancel"}
    async with httpx.AsyncClient(transport=Loopback(), base_url="http://within") as client:
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        async with client.stream("POST", f"/threads/{thread}/runs/{way}", json=asked) as answer:
            assert answer.status_code == 200
            await served.gate.reached()
        run = f"/threads/{thread}/runs/{answer.headers['content-location'].rpartition('/')[2]}"
        async with asyncio.timeout(20):
            while (await client.get(run)).json()["status"] != "interrupted":  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
    assert served.app.bus.open_readers == 0


async def test_user_code_that_is_cancelled_before_the_answer_begins_leaves_nothing_behind(served: Served):
    async with httpx.AsyncClient(transport=Loopback(), base_url="http://within") as client:
        body = {"workflow_type": "gate", "input_data": {}, "user_id": "ada"}
        asking = asyncio.create_task(client.post("/workflow/execute", json=body))
        await served.gate.reached()
        before = len(asyncio.all_tasks())
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: len(asyncio.all_tasks()) <= before - 2)


AWAY = """
create function langyard.away() returns trigger language plpgsql
    as $$ begin raise exception 'gone' using errcode = 'admin_shutdown'; end $$;
create trigger away before update of watched on langyard.runs for each row execute function langyard.away();
"""


async def test_a_run_that_is_there_and_cannot_be_watched_has_nobody_waiting(served: Served, database: str):
    request = RunRequest(uuid7(), "gate", {"input": {}}, thread_id=uuid4(), may_create=True)
    runs = served.app.runs
    first = await runs.start(request, events=False)
    assert first is not None
    await served.gate.reached()
    with psycopg.connect(database, autocommit=True) as connection:
        # As if another process had it, and the database went away in between.
        connection.execute("update langyard.runs set worker_id = gen_random_uuid()")
        connection.execute(AWAY)
    with pytest.raises(Unavailable):
        await runs.start(request, events=False)
    first.reader.close()
    assert served.app.bus.open_readers == 0
