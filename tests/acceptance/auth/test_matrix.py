"""Every route × {nobody, the owner, another user} (I34). A route without a row here fails: say who may use it.

What the other user is answered never holds anything of the owner's, and leaves the owner's things as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from langyard import gateway
from langyard.app import build
from langyard.config import DatabaseSettings, Settings
from langyard.gateway.passage.direct import Direct
from tests.acceptance.auth.serving import Guarded, guarded

SECRET = "hers-only"
OPEN = "open"
RUN = {"assistant_id": "look", "input": {"x": 1}}
TURN = {"workflow_type": "look", "input_data": {}}
NEVER = "0 0 1 1 *"


@dataclass(frozen=True)
class Row:
    """The body, the owner's status, the other user's; `ids` are other things than the usual ones in the path."""

    owner: int
    other: int
    body: Any = None
    ids: dict[str, str] = field(default_factory=dict)
    query: str = ""


def reads(owner: int = 200, other: int = 404, body: Any = None, query: str = "", **ids: str) -> Row:
    return Row(owner, other, body, ids, query)


ROWS: dict[str, Row | str] = {
    "GET /": OPEN, "GET /ok": OPEN, "GET /info": OPEN, "GET /metrics": OPEN, "GET /docs": OPEN,
    "GET /openapi.json": OPEN, "GET /health": OPEN, "GET /health/ready": OPEN,
    "POST /workflow/execute": reads(other=404, body={**TURN, "session_id": "S"}),
    "POST /workflow/stream": reads(other=404, body={**TURN, "session_id": "S"}),
    "POST /workflow/{session_id:path}/resume": reads(409, 404, {"answer": "yes"}),
    "GET /workflow/{session_id:path}/status": reads(),
    "GET /workflows": reads(other=200),
    "GET /workflows/{name:path}": reads(other=200),
    "POST /sessions": reads(201, 201, {}),
    "GET /sessions": reads(other=200),
    "GET /sessions/{session_id:path}": reads(),
    "PATCH /sessions/{session_id:path}": reads(body={"data": {"seen": True}}),
    "POST /assistants": reads(other=409, body={"graph_id": "look", "assistant_id": "A", "if_exists": "do_nothing"}),
    "GET /assistants/{assistant_id}": reads(),
    "PATCH /assistants/{assistant_id}": reads(body={"metadata": {"seen": True}}),
    "POST /assistants/search": reads(other=200, body={"limit": 100}),
    "POST /assistants/count": reads(other=200, body={"metadata": {"secret": SECRET}}),
    "POST /assistants/{assistant_id}/versions": reads(body={}),
    "POST /assistants/{assistant_id}/latest": reads(body={"version": 1}),
    "GET /assistants/{assistant_id}/graph": reads(),
    "GET /assistants/{assistant_id}/schemas": reads(),
    "GET /assistants/{assistant_id}/subgraphs": reads(),
    "GET /assistants/{assistant_id}/subgraphs/{namespace:path}": reads(),
    "POST /threads": reads(other=409, body={"thread_id": "T", "if_exists": "do_nothing"}),
    "GET /threads/{thread_id}": reads(),
    "PATCH /threads/{thread_id}": reads(body={"metadata": {"seen": True}}),
    "POST /threads/search": reads(other=200, body={"limit": 100}),
    "POST /threads/count": reads(other=200, body={"metadata": {"secret": SECRET}}),
    "POST /threads/{thread_id}/copy": reads(other=409),
    "GET /threads/{thread_id}/storage": reads(),
    "GET /threads/{thread_id}/state": reads(),
    "POST /threads/{thread_id}/state/checkpoint": reads(body={"checkpoint": {"checkpoint_id": "K"}}),
    "GET /threads/{thread_id}/state/{checkpoint_id}": reads(),
    "POST /threads/{thread_id}/state": reads(body={"values": {"x": 5}, "as_node": "look"}),
    "GET /threads/{thread_id}/history": reads(),
    "POST /threads/{thread_id}/history": reads(body={"limit": 10}),
    "GET /threads/{thread_id}/stream": reads(other=200),
    "POST /threads/{thread_id}/stream/events": reads(other=200, body={"channels": ["values", "lifecycle"]}),
    "POST /threads/{thread_id}/commands": reads(other=200, body={"id": 1, "method": "run.start", "params": RUN}),
    "WS /threads/{thread_id}/stream/events": reads(101, 403),
    "POST /threads/{thread_id}/runs": reads(body=RUN),
    "POST /threads/{thread_id}/runs/wait": reads(body=RUN),
    "POST /threads/{thread_id}/runs/stream": reads(body=RUN),
    "POST /runs": reads(body={**RUN, "assistant_id": "A"}),
    "POST /runs/wait": reads(body={**RUN, "assistant_id": "A"}),
    "POST /runs/stream": reads(body={**RUN, "assistant_id": "A"}),
    "POST /runs/batch": reads(body=[{**RUN, "thread_id": "T"}]),
    "GET /threads/{thread_id}/runs": reads(),
    "GET /threads/{thread_id}/runs/{run_id}": reads(),
    "GET /threads/{thread_id}/runs/{run_id}/join": reads(),
    "GET /threads/{thread_id}/runs/{run_id}/stream": reads(other=200),
    "GET /runs/{run_id}": reads(),
    "GET /runs/{run_id}/join": reads(other=200),
    "GET /runs/{run_id}/stream": reads(other=200),
    "POST /threads/{thread_id}/runs/{run_id}/cancel": reads(202, thread_id="L1", run_id="P1"),
    "POST /runs/{run_id}/cancel": reads(202, run_id="P2"),
    "POST /runs/cancel": reads(204, body={"status": "all"}),
    "PUT /store/items": reads(204, 204, {"namespace": ["notes"], "key": "k", "value": {"theirs": True}}),
    "GET /store/items": reads(other=200, query="?namespace=notes&key=secret"),
    "POST /store/items/search": reads(other=200, body={}),
    "POST /store/namespaces": reads(other=200, body={}),
    "POST /runs/crons": reads(body={"assistant_id": "A", "schedule": NEVER}),
    "POST /threads/{thread_id}/runs/crons": reads(body={"assistant_id": "look", "schedule": NEVER}),
    "POST /runs/crons/search": reads(other=200, body={"limit": 100}),
    "POST /runs/crons/count": reads(other=200, body={"metadata": {"secret": SECRET}}),
    "GET /runs/crons/{cron_id}": reads(),
    "PATCH /runs/crons/{cron_id}": reads(body={"enabled": False}),
    "POST /mcp": reads(other=200, body={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    "GET /mcp": reads(405, 405),
    "DELETE /mcp": reads(404, 404),
    "GET /.well-known/agent-card.json": reads(query="?assistant_id=A"),
    "GET /a2a/{assistant_id}": reads(),
    "GET /a2a/{assistant_id}/.well-known/agent-card.json": reads(),
    "GET /a2a/{assistant_id}/.well-known/agent.json": reads(),
    "POST /a2a/{assistant_id}": reads(body={"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": "x"}}),
    # What takes things away comes last.
    "DELETE /store/items": reads(204, 204, {"namespace": ["notes"], "key": "secret"}),
    "DELETE /runs/crons/{cron_id}": reads(204),
    "DELETE /threads/{thread_id}/runs/{run_id}": reads(204),
    "DELETE /sessions/{session_id:path}": reads(204),
    "DELETE /workflow/{session_id:path}": reads(204, session_id="S2"),
    "DELETE /assistants/{assistant_id}": reads(204),
    "POST /threads/prune": reads(other=200, body={"thread_ids": ["L1"]}),
    "DELETE /threads/{thread_id}": reads(204),
}  # fmt: skip
IDS = {
    "thread_id": "T", "run_id": "R", "assistant_id": "A", "cron_id": "C", "session_id:path": "S", "checkpoint_id": "K",
}  # fmt: skip


def routes() -> Iterator[str]:
    """Every route the application has, by method and path."""
    api = gateway.create(build(Settings(database=DatabaseSettings(url="postgresql://nobody@127.0.0.1/none"))))
    waiting = list(api.routes)
    while waiting:
        route: Any = waiting.pop()
        if (inner := getattr(route, "original_router", None)) is not None:
            waiting += inner.routes
            continue
        if isinstance(route, Direct):
            continue  # leads to routes that are counted where they are
        yield from (
            f"{method} {route.path}" for method in (route.methods - {"HEAD"} if hasattr(route, "methods") else {"WS"})
        )


def test_every_route_has_a_row():
    assert set(routes()) == set(ROWS)


@dataclass
class Things:
    """What is ada's, by the names used in the table."""

    server: Guarded
    ids: dict[str, str]

    async def seen(self) -> list[Any]:
        """Them, as she sees them."""
        ada = self.server.sdk("ada")
        return [
            await ada.threads.get(self.ids["T"]),
            await ada.threads.get_history(self.ids["T"]),
            await ada.assistants.get(self.ids["A"]),
            await ada.crons.search(),
            await ada.runs.list(self.ids["T"]),
            [(await ada.runs.get(self.ids[f"L{n}"], self.ids[f"P{n}"]))["status"] for n in (1, 2, 3)],
            (await ada.store.search_items([]))["items"],
            (await self.server.served.http.get("/sessions", headers=self.server.as_user("ada"))).json()["sessions"],
        ]


@asynccontextmanager
async def things(database: str, folder: Path) -> AsyncIterator[Things]:
    async with guarded(database, folder) as server:
        ada, http = server.sdk("ada"), server.served.http
        marked = {"secret": SECRET}
        ids = {"T": (await ada.threads.create(metadata=marked))["thread_id"]}
        ids["A"] = (await ada.assistants.create("look", metadata=marked, name=SECRET))["assistant_id"]
        await ada.runs.wait(ids["T"], "look", input={"x": 1}, metadata=marked)
        ids["R"] = (await ada.runs.list(ids["T"]))[0]["run_id"]
        ids["K"] = (await ada.threads.get_state(ids["T"]))["checkpoint"]["checkpoint_id"]
        ids["C"] = (await ada.crons.create("look", schedule=NEVER, metadata=marked))["cron_id"]
        for number in (1, 2, 3):
            ids[f"L{number}"] = (await ada.threads.create(metadata=marked))["thread_id"]
            run = await ada.runs.create(ids[f"L{number}"], "look", input={}, after_seconds=3600, metadata=marked)
            ids[f"P{number}"] = run["run_id"]
        await ada.store.put_item(["notes"], "secret", marked)
        for session in ("S", "S2"):
            body = {"session_id": session, "data": marked}
            assert (await http.post("/sessions", json=body, headers=server.as_user("ada"))).status_code == 201
            ids[session] = session
        yield Things(server, ids)


async def ask(found: Things, name: str, row: Row | str, user: str | None) -> tuple[int, str]:
    """Status and text; of a stream that stays open to its owner only the status."""
    method, path = name.split(" ")
    row = row if isinstance(row, Row) else Row(200, 200)
    ids = {**IDS, **{("session_id:path" if key == "session_id" else key): value for key, value in row.ids.items()}}
    for key, thing in ids.items():
        path = path.replace(f"{{{key}}}", found.ids[thing])
    path = path.replace("{name:path}", "look").replace("{namespace:path}", "none")
    path += row.query.replace("=A", f"={found.ids['A']}")
    headers = found.server.as_user(user) if user is not None else {}
    if path == "/mcp" or "a2a" in path:
        headers["Accept"] = "application/json"
    if method == "WS":
        return await handshake(f"{found.server.served.http.base_url}{path}".replace("http", "ws", 1), headers), ""
    body = _filled(row.body, found.ids)
    async with found.server.served.http.stream(method, path, json=body, headers=headers) as answer:
        if user == "ada" and answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, ""
        async with asyncio.timeout(20):
            return answer.status_code, (await answer.aread()).decode()


async def handshake(url: str, headers: dict[str, str]) -> int:
    try:
        async with websockets.connect(url, additional_headers=headers, proxy=None):
            return 101
    except websockets.exceptions.InvalidStatus as refused:
        return refused.response.status_code


def _filled(body: Any, ids: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, ids) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, ids) for value in body]
    return ids.get(body, body) if isinstance(body, str) else body


@pytest.mark.slow  # hundreds of requests, for a route that lets somebody in is found nowhere else
async def test_i34_who_may_use_which_route(database: str, tmp_path: Path):
    async with things(database, tmp_path) as found:
        before, wrong = await found.seen(), []
        for name, row in ROWS.items():
            status, text = await ask(found, name, row, None)
            wanted = 403 if name.startswith("WS") else 401
            if status != (200 if row == OPEN else wanted) or SECRET in text:
                wrong.append(f"nobody: {name}: {status} {text[:200]}")
        assert await found.seen() == before
        assert not wrong, "\n".join(wrong)
        for name, row in ROWS.items():
            if isinstance(row, Row):
                status, text = await ask(found, name, row, "bob")
                if status != row.other or SECRET in text:
                    wrong.append(f"the other: {name}: {status} {text[:200]}")
        assert not wrong, "\n".join(wrong)
        assert await found.seen() == before
        for name, row in ROWS.items():
            if isinstance(row, Row):
                status, text = await ask(found, name, row, "ada")
                if status != row.owner:
                    wrong.append(f"the owner: {name}: {status} {text[:200]}")
        assert not wrong, "\n".join(wrong)


async def test_what_lists_shows_the_other_nothing(database: str, tmp_path: Path):
    async with things(database, tmp_path) as found:
        http, bob = found.server.served.http, found.server.as_user("bob")
        for path in ("/threads/search", "/assistants/search", "/runs/crons/search"):
            assert (await http.post(path, json={}, headers=bob)).json() == [], path
        for path in ("/threads/count", "/assistants/count", "/runs/crons/count"):
            assert (await http.post(path, json={}, headers=bob)).json() == 0, path
        assert (await http.post("/store/items/search", json={}, headers=bob)).json() == {"items": []}
        assert (await http.post("/store/namespaces", json={}, headers=bob)).json() == {"namespaces": []}
        assert (await http.get("/sessions", headers=bob)).json()["sessions"] == []
        answer = await http.post(
            f"/threads/{found.ids['T']}/commands", json={"id": 1, "method": "run.start", "params": RUN}, headers=bob
        )
        assert answer.json()["type"] == "error"


async def test_nobody_gets_past_what_authenticates(database: str, tmp_path: Path):
    """Paths that are none, methods that are none, slashes: everything that is not open says 401 to nobody."""
    async with guarded(database, tmp_path) as server:
        for path in ("/nowhere", "/threads/", "//threads/search", "/ok/../threads", "/info/x", "/docs/", "/Threads"):
            answer = await server.served.http.get(path)
            assert answer.status_code == 401, path
            assert answer.json()["code"] == "unauthenticated"
        assert (await server.served.http.get("/nowhere", headers=server.as_user("ada"))).status_code == 404
        assert (await server.served.http.request("PROPFIND", "/threads")).status_code == 401
        blocked = await server.served.http.get("/threads/x", headers=server.as_user("blocked"))
        assert (blocked.status_code, blocked.json()["detail"]) == (403, "Not you.")
        async with httpx.AsyncClient(base_url=str(server.served.http.base_url), trust_env=False) as http:
            assert (await http.head("/threads/x")).status_code == 401
