"""Streams of threads and the event protocol under `auth`: what is another user's is silent, refused or not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.acceptance.auth.serving import Guarded, guarded

CHANNELS = {"channels": ["values", "lifecycle", "input"]}


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(database, tmp_path) as found:
        yield found


async def command(server: Guarded, user: str, thread_id: str, method: str, **params: Any) -> dict[str, Any]:
    answer = await server.served.http.post(
        f"/threads/{thread_id}/commands",
        json={"id": 1, "method": method, "params": params},
        headers=server.as_user(user),
    )
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def until(server: Guarded, user: str, thread_id: str, event: str) -> str:
    """What the stream has said by the time it says this, or ends."""
    text = ""
    async with (
        asyncio.timeout(30),
        server.served.http.stream(
            "POST", f"/threads/{thread_id}/stream/events", json=CHANNELS, headers=server.as_user(user)
        ) as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            if f'"event":"{event}"' in text:
                break
    return text


async def test_i34_streams_of_a_foreign_thread_close_at_once(server: Guarded):
    thread_id = str(uuid4())
    started = await command(server, "ada", thread_id, "run.start", assistant_id="asking", input={"x": 1})
    assert started["type"] == "success"
    assert '"value":"well?"' in await until(server, "ada", thread_id, "interrupted")
    assert await until(server, "bob", thread_id, "interrupted") == ""
    thread_stream = await server.served.http.get(f"/threads/{thread_id}/stream", headers=server.as_user("bob"))
    assert (thread_stream.status_code, thread_stream.text) == (200, "")


async def test_i34_commands_on_a_foreign_thread_are_told_that_there_is_none(server: Guarded):
    thread_id = str(uuid4())
    await command(server, "ada", thread_id, "run.start", assistant_id="asking", input={"x": 1})
    await until(server, "ada", thread_id, "interrupted")
    [interrupts] = (await server.sdk("ada").threads.get(thread_id))["interrupts"].values()
    for method, params in (
        ("run.start", {"assistant_id": "asking", "input": "mine"}),
        ("input.respond", {"interrupt_id": interrupts[0]["id"], "response": "mine"}),
        ("agent.getTree", {}),
    ):
        answer = await command(server, "bob", thread_id, method, **params)
        assert (answer["type"], answer["error"]) == ("error", "unknown_error")
        assert answer["message"].startswith("404: ")
    answer = await command(server, "ada", thread_id, "input.respond", interrupt_id=interrupts[0]["id"], response="hers")
    assert answer["type"] == "success"


async def test_who_waits_for_a_thread_that_another_makes_is_shown_nothing(server: Guarded):
    thread_id = str(uuid4())
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(until(server, "bob", thread_id, "interrupted"))
        hers = group.create_task(until(server, "ada", thread_id, "interrupted"))
        while len(server.app.readers.threads()) == 0:  # noqa: ASYNC110 - a reader tells nobody that it is there
            await asyncio.sleep(0.01)
        await command(server, "ada", thread_id, "run.start", assistant_id="asking", input={"x": 1})
    assert "well?" in hers.result()
    assert waiting.result() == ""


async def test_a_socket_is_refused_before_it_is_open(server: Guarded):
    base = str(server.served.http.base_url).replace("http", "ws").rstrip("/")
    thread_id = (await server.sdk("ada").threads.create())["thread_id"]
    for headers in ({}, server.as_user("bob")):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{base}/threads/{thread_id}/stream/events", additional_headers=headers):
                pass
        assert refused.value.response.status_code == 403
    async with connect(f"{base}/threads/{thread_id}/stream/events", additional_headers=server.as_user("ada")) as socket:
        await socket.send('{"id": 1, "method": "agent.getTree"}')
        assert "no_such_run" in str(await socket.recv())
