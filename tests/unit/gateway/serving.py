"""Serves the real application on a free port of this machine, in this process, on a real database."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from langyard import gateway
from langyard.app import App, build
from langyard.config import (
    DatabaseSettings,
    GatewaySettings,
    LimitSettings,
    Project,
    RedisSettings,
    RetentionSettings,
    RunSettings,
    SessionSettings,
    Settings,
    StreamSettings,
    WebhookSettings,
    WorkerSettings,
)
from tests.unit.gateway.graphs import Gate, graphs


@dataclass
class Served:
    """The application, a client of it, and the gate in its workflow `gate`."""

    app: App
    http: httpx.AsyncClient
    gate: Gate

    async def execute(self, workflow: str, input: Any = None, *, user: str = "ada", **more: Any) -> httpx.Response:
        body = {"workflow_type": workflow, "input_data": {} if input is None else input, "user_id": user}
        headers = more.pop("headers", None)
        return await self.http.post("/workflow/execute", json=body | more, headers=headers)


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """A stream's events as (name, data); comments are named ':'."""
    name = data = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "" and value:
            yield ":", value
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line and name:
            yield name, json.loads(data)
            name = ""


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """For what the server does by itself and tells nobody."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serve(database: str, **settings: Any) -> AsyncIterator[Served]:
    """`settings` are those of the gateway, but for mappings named as other rooms, and either a `project`, whose graphs
    come besides those of the tests, or `sections` of a project file."""
    gate, project = Gate(), settings.pop("project", None)
    if sections := settings.pop("sections", {}):
        project = Project(Path("langgraph.json"), sections=sections)
    app = build(
        Settings(
            database=DatabaseSettings(url=database, migrate=False, pool_max_size=5),
            sessions=SessionSettings(**settings.pop("sessions", {})),
            runs=RunSettings(**settings.pop("runs", {})),
            worker=WorkerSettings(**{"slots": 8, "drain_grace_seconds": 0.0, **settings.pop("worker", {})}),
            redis=RedisSettings(**settings.pop("redis", {})),
            webhooks=WebhookSettings(**settings.pop("webhooks", {})),
            limits=LimitSettings(**settings.pop("limits", {})),
            retention=RetentionSettings(**settings.pop("retention", {})),
            streams=StreamSettings(**settings.pop("streams", {})),
            gateway=GatewaySettings(**settings),
        ),
        project,
    )
    for name, graph in graphs(gate).items():
        app.graphs.register(name, graph)
    # Without the protocol's name asyncio would let each answer in two pieces wait 40 ms for an acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(gateway.create(app), log_config=None, lifespan="on"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30, trust_env=False
            ) as http:
                while not server.started:
                    await asyncio.wait({serving}, timeout=0.005)
                    if serving.done():
                        serving.result()
                yield Served(app, http, gate)
        finally:
            gate.open.set()
            server.should_exit = True
            await serving
