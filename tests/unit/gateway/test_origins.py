"""Whose pages may call: what a browser sends without asking first, a WebSocket above all, is refused to the others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.acceptance.auth.serving import guarded
from tests.unit.gateway.serving import Served, serve

PAGE = "https://app.example.com"
COOKIES = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict) -> str:
    who = headers.get(b"cookie", b"").decode().removeprefix("user=")
    if not who:
        raise Auth.exceptions.HTTPException(401, "Who are you?")
    return who
"""


async def opens(served: Served, **headers: str) -> bool:
    """Whether a WebSocket opens."""
    base = str(served.http.base_url).replace("http", "ws").rstrip("/")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with suppress(InvalidStatus):
        async with connect(f"{base}/threads/{uuid4()}/stream/events", additional_headers=named):
            return True
    return False


async def posts(served: Served, **headers: str) -> int:
    """How a page fares that sends a request whose answer it could not even read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    call = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    answer = await served.http.post("/mcp", content=call, headers={"Content-Type": "application/json", **named})
    if answer.status_code != 200:
        assert answer.json()["code"] == "origin_not_allowed"
    return answer.status_code


async def test_only_our_own_pages_call_where_no_others_are_named(database: str):
    async with serve(database) as served:
        own = str(served.http.base_url).rstrip("/")
        assert (await posts(served), await opens(served)) == (200, True)
        assert (await posts(served, Origin=own), await opens(served, Origin=own)) == (200, True)
        for origin in (PAGE, "null", own + "0"):
            assert (await posts(served, Origin=origin), await opens(served, Origin=origin)) == (403, False)
        # Behind a proxy that changes the host, the browser still says whose the page is.
        proxied = {"Origin": PAGE, "Sec_Fetch_Site": "same-origin"}
        assert (await posts(served, **proxied), await opens(served, **proxied)) == (200, True)
        foreign = {"Origin": own, "Sec_Fetch_Site": "cross-site"}
        assert (await posts(served, **foreign), await opens(served, **foreign)) == (403, False)
        assert (await served.http.get("/ok", headers={"Origin": PAGE})).status_code == 200


async def test_a_page_cannot_leave_out_what_it_sends(database: str):
    """With an application of the project's own that sees to origins itself, only the browser's question protects it."""
    async with serve(database, cors_origins=("*",)) as served:
        call = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        for headers, status in (
            ({}, 200),
            ({"Origin": PAGE}, 415),
            ({"Origin": PAGE, "Content-Type": "text/plain"}, 415),
        ):
            request = served.http.build_request("POST", "/mcp", content=call, headers=headers)
            assert ("content-type" in request.headers) == ("Content-Type" in headers)
            assert (await served.http.send(request)).status_code == status


@pytest.mark.parametrize("origins", [(PAGE,), ("*",)])
async def test_the_pages_of_origins_that_are_named_call(database: str, origins: tuple[str, ...]):
    async with serve(database, cors_origins=origins) as served:
        assert (await posts(served, Origin=PAGE), await opens(served, Origin=PAGE)) == (200, True)
        other, known = "https://evil.example.com", "*" in origins
        assert (await posts(served, Origin=other), await opens(served, Origin=other)) == (200 if known else 403, known)


async def test_cookies_come_only_with_pages_that_may_send_them(database: str, tmp_path: Path):
    for credentials in (False, True):
        settings = {"cors_origins": (PAGE,), "cors_credentials": credentials}
        async with guarded(database, tmp_path, COOKIES, settings) as server:
            assert await opens(server.served, Cookie="user=ada")
            assert await opens(server.served, Cookie="user=ada", Origin=PAGE) is credentials


async def test_a_page_whose_origin_is_named_gets_all_that_the_clients_need(database: str):
    page = "http://localhost:5173"
    async with serve(database, cors_origins=(page,)) as served:
        asked = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-api-key, last-event-id, prefer",
        }
        before = await served.http.options(f"/threads/{uuid4()}/stream/events", headers=asked)
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, page)
        assert "last-event-id" in before.headers["access-control-allow-headers"]
        there = await served.http.get("/ok", headers={"Origin": page})
        assert there.headers["access-control-allow-origin"] == page
        assert {"Location", "Content-Location"} <= set(there.headers["access-control-expose-headers"].split(", "))
        for other in ("http://localhost:5174", "https://localhost:5173", "http://127.0.0.1:5173"):
            answer = await served.http.options("/ok", headers={**asked, "Origin": other})
            assert answer.status_code == 400
            assert "access-control-allow-origin" not in answer.headers
