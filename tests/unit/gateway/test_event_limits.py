"""The event protocol asked for too much: no client makes the others wait for what it is to be shown."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.unit.gateway.serving import Served, serve


async def thread_of(served: Served) -> str:
    thread_id = (await served.http.post("/threads", json={})).json()["thread_id"]
    asked = {"assistant_id": "echo", "input": {"x": 1}, "stream_resumable": True}
    await served.http.post(f"/threads/{thread_id}/runs/wait", json=asked)
    return f"/threads/{thread_id}/stream/events"


async def ask(socket: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"id": 1, "method": f"subscription.{method}", "params": params}))
    async with asyncio.timeout(60):
        while (answer := json.loads(await socket.recv())).get("id") != 1:
            pass
    found: dict[str, Any] = answer
    return found


async def test_what_is_asked_for_is_of_a_size_that_can_be_held(database: str):
    async with serve(database) as served:
        path = await thread_of(served)
        for asked in (
            {"channels": ["values"] * 1001},
            {"channels": [f"custom:{'x' * 65_536}"]},
            {"channels": ["values"], "namespaces": [["n"]] * 1001},
            {"channels": ["values"], "namespaces": [["x" * 65_536]]},
            {"channels": ["values"], "namespaces": [[""] * 65_536]},
        ):
            answer = await served.http.post(path, json=asked)
            assert answer.status_code == 400, (answer.status_code, str(asked)[:100])


async def test_a_connection_cannot_have_every_event_compared_without_end(database: str):
    async with serve(database) as served:
        base = str(served.http.base_url).replace("http", "ws").rstrip("/")
        async with connect(base + await thread_of(served)) as socket:
            spaces = [[f"n{number}"] for number in range(600)]
            first = await ask(socket, "subscribe", channels=["values"], namespaces=spaces)
            assert first["type"] == "success"
            more = await ask(socket, "subscribe", channels=["values"], namespaces=spaces)
            assert (more["type"], more["error"]) == ("error", "invalid_argument")
            name = first["result"]["subscription_id"]
            again = await ask(socket, "reconnect", subscriptions=[name] * 50_000)
            assert again["result"]["restored"] is True
            many = [name, *map(str, range(50_000))]
            assert (await ask(socket, "reconnect", subscriptions=many))["result"]["restored"] is False


async def test_a_message_is_held_to_what_bodies_are_held_to(database: str):
    async with serve(database, max_json_depth=20) as served:
        base = str(served.http.base_url).replace("http", "ws").rstrip("/")
        async with connect(base + await thread_of(served)) as socket:
            for params in ('{"a": ' + "[" * 20 + "]" * 20 + "}", r'{"a\u0000": 1}'):
                await socket.send(f'{{"id": 1, "method": "agent.getTree", "params": {params}}}')
                async with asyncio.timeout(60):
                    told = json.loads(await socket.recv())
                assert (told["type"], told["id"], told["error"]) == ("error", None, "invalid_argument")
                assert told["message"] in (
                    "The body is nested deeper than 20 levels.",
                    "A key in the body has a NUL character, which no store of JSON takes.",
                )
