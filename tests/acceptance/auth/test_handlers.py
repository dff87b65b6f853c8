"""What users write into `auth` (contract F): every form of `authenticate`, dispatch, results, failures, the cache."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from langyard.config import read_project
from langyard.model.errors import ConfigurationError
from tests.acceptance.auth.serving import Guarded, guarded, project
from tests.acceptance.auth.test_matrix import handshake
from tests.unit.gateway.serving import serve, until

HEAD = """
import asyncio, time
from langgraph_sdk import Auth

auth = Auth()
asked = []
"""
ANYBODY = f"""{HEAD}
@auth.authenticate
async def authenticate(headers: dict) -> str:
    return headers[b"x-user"].decode()
"""


async def make(server: Guarded, user: str = "ada", **more: Any) -> Any:
    return await server.served.http.post("/threads", json=more.pop("json", {}), headers={"x-user": user, **more})


async def test_authenticate_is_given_what_it_names(database: str, tmp_path: Path):
    source = f"""{HEAD}
@auth.authenticate
def authenticate(request, body, user, path, method, scopes, path_params, query_params, headers, authorization, scope):
    asked.append({{
        "url": str(request.url.path), "body": body, "user": user, "path": path, "method": method, "scopes": scopes,
        "path_params": path_params, "query_params": query_params, "header": headers[b"x-h"],
        "authorization": authorization, "type": scope["type"], "read": asyncio.run(request.json()) if body else None,
    }})
    return {{"identity": "ada"}}
"""
    async with guarded(database, tmp_path, source) as server:
        sent = {"metadata": {"é": 1}}
        made = await server.served.http.post(
            "/threads?a=b", json=sent, headers={"x-h": "v", "authorization": "Bearer t"}
        )
        assert made.json()["metadata"] == {"é": 1}, "the body is still there for the route"
        assert server.asked[0] == {
            "url": "/threads", "body": sent, "user": None, "path": "/threads", "method": "POST", "scopes": [],
            "path_params": {}, "query_params": {"a": "b"}, "header": b"v", "authorization": "Bearer t", "type": "http",
            "read": sent,
        }  # fmt: skip
        thread_id = made.json()["thread_id"]
        await server.served.http.get(f"/threads/{thread_id}", headers={"x-h": "v"})
        assert server.asked[1]["path_params"] == {"thread_id": thread_id}
        huge = await server.served.http.post("/threads", content=b"x" * (9 * 2**20), headers={"x-h": "v"})
        assert huge.status_code == 413


def by_case(function: str, cases: list[str]) -> str:
    """A function that does what the header `x-case` says; each of the cases is a line of its own in it."""
    lines = "".join(f"    if case == {number}:\n        {case}\n" for number, case in enumerate(cases))
    return f"{HEAD}\n{function}\n{lines}"


AUTHENTICATE = """@auth.authenticate
async def authenticate(headers: dict):
    case = int(headers[b"x-case"])"""


async def test_a_user_comes_in_many_forms(database: str, tmp_path: Path):
    forms: list[tuple[str, list[str]]] = [
        ('return "ada"', []),
        ('return {"identity": "ada", "permissions": ["a"], "key": "v"}', ["a"]),
        ('return type("U", (), {"identity": "ada", "permissions": ("b",)})()', ["b"]),
        ('return (["c"], {"identity": "ada"})', ["c"]),
    ]
    source = by_case(AUTHENTICATE, [form for form, _ in forms])
    async with guarded(database, tmp_path, source) as server:
        for number, (form, permissions) in enumerate(forms):
            body = {"assistant_id": "look", "input": {}}
            answer = await server.served.http.post("/runs/wait", json=body, headers={"x-case": str(number)})
            seen = answer.json()["seen"]
            assert (seen["identity"], seen["user"]["permissions"]) == ("ada", permissions), form


async def test_i34_how_authenticate_refuses(database: str, tmp_path: Path):
    ways = [
        ('raise Auth.exceptions.HTTPException(401, "who?")', 401),
        ('raise Auth.exceptions.HTTPException(403, "who?")', 403),
        ('raise Auth.exceptions.HTTPException(418, "who?")', 500),
        ('raise ValueError("who?")', 500),
        ('assert False, "who?"', 500),
        ("return None", 500),
        ('return {"name": "ada"}', 500),
        ('return {"identity": ""}', 500),
        ("raise asyncio.CancelledError", 500),
        ("raise StopIteration", 500),
    ]
    async with guarded(database, tmp_path, by_case(AUTHENTICATE, [way for way, _ in ways])) as server:
        for number, (way, status) in enumerate(ways):
            answer = await make(server, **{"x-case": str(number)})
            assert answer.status_code == status, way
            assert ("who?" in answer.text) is (status != 500), way


async def test_i34_what_a_handler_answers(database: str, tmp_path: Path):
    ways: list[tuple[str, int, str | None]] = [
        ("return None", 200, None),
        ("return True", 200, None),
        ("return {}", 200, None),
        ("return False", 403, "Forbidden"),
        ('assert False, "no engines"', 403, "no engines"),
        ('raise Auth.exceptions.HTTPException(409, "again", headers={"x-why": "1"})', 409, "again"),
        ('raise Auth.exceptions.HTTPException(402, "pay")', 402, "pay"),
        ('raise ValueError("secret")', 500, None),
        ('return "yes"', 500, None),
        ('return {"owner": {"$like": "a"}}', 500, None),
        ('return {"$or": [{"a": 1}]}', 500, None),
        ('return {"$or": [{"a": 1}, {}]}', 500, None),
    ]
    handler = """
@auth.authenticate
async def authenticate(headers: dict):
    return {"identity": "ada", "case": int(headers[b"x-case"])}

@auth.on.threads.create
async def create(ctx, value):
    case = ctx.user["case"]"""
    async with guarded(database, tmp_path, by_case(handler, [way for way, _, _ in ways])) as server:
        for number, (way, status, detail) in enumerate(ways):
            answer = await make(server, **{"x-case": str(number)})
            assert answer.status_code == status, (way, answer.text)
            assert "secret" not in answer.text
            if detail is not None:
                assert answer.json()["detail"] == detail, way
            if status == 409:
                assert (answer.json()["code"], answer.headers["x-why"]) == ("conflict", "1")


async def test_i34_the_most_specific_handler_alone_is_asked(database: str, tmp_path: Path):
    source = f"""{ANYBODY}
@auth.on
async def everything(ctx, value):
    asked.append(("*", "*"))

@auth.on(actions="delete")
async def deleting(ctx, value):
    asked.append(("*", "delete"))

@auth.on.threads
async def threads(ctx, value):
    asked.append(("threads", "*"))

@auth.on.threads.create
async def create(ctx, value):
    asked.append(("threads", "create", ctx.user.identity, ctx.resource, ctx.action, type(value["thread_id"]).__name__))
"""
    async with guarded(database, tmp_path, source) as server:
        http, headers = server.served.http, {"x-user": "ada"}
        thread_id = (await make(server)).json()["thread_id"]
        await http.get(f"/threads/{thread_id}", headers=headers)
        await http.delete(f"/threads/{thread_id}", headers=headers)
        assistant_id = (await http.post("/assistants", json={"graph_id": "look"}, headers=headers)).json()[
            "assistant_id"
        ]
        await http.delete(f"/assistants/{assistant_id}", headers=headers)
        assert server.asked == [
            ("threads", "create", "ada", "threads", "create", "UUID"), ("threads", "*"), ("threads", "*"), ("*", "*"),
            ("*", "delete"),
        ]  # fmt: skip


async def test_filters_are_conditions_of_the_query(database: str, tmp_path: Path):
    """The whole language, in a search, a count and on one row, with what would break a statement that was pasted."""
    source = f"""{HEAD}
import json

@auth.authenticate
async def authenticate(headers: dict) -> dict:
    return {{"identity": "ada", "filter": headers[b"x-filter"].decode()}}

@auth.on.threads
async def threads(ctx, value):
    return json.loads(ctx.user["filter"]) if ctx.action in ("read", "search") else None
"""
    nasty = "a'); drop table langyard.threads; -- %s %(x)s {filter}"
    threads = {
        "plain": {"owner": "ada", "n": 1},
        "tags": {"owner": "bob", "tags": ["x", "y"]},
        "nested": {"owner": "eve", "who": {"id": 1, "more": 2}, "list": ["p", "q"]},
        "nasty": {nasty: nasty},
    }
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"owner": "ada"}, {"plain"}),
        ({"owner": {"$eq": "ada"}}, {"plain"}),
        ({"owner": "ada", "n": 1}, {"plain"}),
        ({"owner": "ada", "n": 2}, set()),
        ({"owner": "ad"}, set()),
        ({"owner": None}, set()),
        ({"tags": {"$contains": "x"}}, {"tags"}),
        ({"tags": {"$contains": ["y", "x"]}}, {"tags"}),
        ({"tags": {"$contains": ["x", "z"]}}, set()),
        ({"owner": {"$contains": "ada"}}, set()),
        ({"tags": "x"}, set()),
        ({"list": {"$eq": ["p", "q"]}}, {"nested"}),
        ({"list": {"$eq": ["p"]}}, set()),
        ({"who": {"$eq": {"id": 1}}}, set()),
        ({"$or": [{"owner": "ada"}, {"tags": {"$contains": "x"}}]}, {"plain", "tags"}),
        ({"$and": [{"owner": "ada"}, {"n": 1}]}, {"plain"}),
        ({"$or": [{"$and": [{"owner": "ada"}, {"n": 2}]}, {"owner": "eve"}]}, {"nested"}),
        ({nasty: nasty}, {"nasty"}),
        ({nasty: {"$eq": [nasty]}}, set()),
    ]
    async with guarded(database, tmp_path, source) as server:
        http = server.served.http
        ids = {}
        for name, metadata in threads.items():
            made = await http.post("/threads", json={"metadata": metadata}, headers={"x-filter": "{}"})
            ids[made.json()["thread_id"]] = name
        for wanted, expected in cases:
            headers = {"x-filter": json.dumps(wanted)}
            found = await http.post("/threads/search", json={}, headers=headers)
            assert {ids[row["thread_id"]] for row in found.json()} == expected, wanted
            assert (await http.post("/threads/count", json={}, headers=headers)).json() == len(expected), wanted
            for thread_id, name in ids.items():
                one = await http.get(f"/threads/{thread_id}", headers=headers)
                assert one.status_code == (200 if name in expected else 404), (wanted, name)


@pytest.mark.parametrize(("wants", "status"), [("headers", 101), ("request", 403), ("body", 403)])
async def test_a_websocket_is_authenticated_by_its_handshake(database: str, tmp_path: Path, wants: str, status: int):
    source = f"""{HEAD}
@auth.authenticate
async def authenticate({wants}, method: str) -> str:
    asked.append(method)
    return "ada"
"""
    async with guarded(database, tmp_path, source) as server:
        thread_id = (await make(server)).json()["thread_id"]
        url = f"{server.served.http.base_url}/threads/{thread_id}/stream/events".replace("http", "ws", 1)
        assert await handshake(url, {}) == status
        assert server.asked[1:] == (["GET"] if status == 101 else [])


async def test_a_filter_on_the_store_is_refused(database: str, tmp_path: Path):
    source = f'{ANYBODY}\n@auth.on\nasync def all(ctx, value):\n    return {{"owner": ctx.user.identity}}\n'
    async with guarded(database, tmp_path, source) as server:
        answer = await server.served.http.post("/store/items/search", json={}, headers={"x-user": "ada"})
        assert (answer.status_code, "handler of its own for the store" in answer.text) == (403, True)


async def test_what_blocks_in_auth_blocks_nobody_else(database: str, tmp_path: Path):
    """A handler that waits the wrong way holds up those who ask it, never the loop that serves HTTP."""
    gate = tmp_path / "open"
    source = f"""{HEAD}
from pathlib import Path

@auth.authenticate
async def authenticate(headers: dict) -> str:
    asked.append("begun")
    while not Path({str(gate)!r}).exists():
        time.sleep(0.01)
    return "ada"
"""
    async with guarded(database, tmp_path, source) as server:
        slow = asyncio.create_task(server.served.http.get("/threads/x"))
        try:
            await until(lambda: server.asked == ["begun"])
            assert (await server.served.http.get("/ok")).status_code == 200
            assert not slow.done()
        finally:
            gate.touch()
        assert (await slow).status_code == 422


async def test_an_authentication_is_believed_again_by_its_headers_alone(database: str, tmp_path: Path):
    source = f"""{HEAD}
@auth.authenticate
async def authenticate(headers: dict) -> str:
    asked.append(headers.get(b"x-user"))
    if headers.get(b"x-user") == b"blocked":
        raise Auth.exceptions.HTTPException(401, "no")
    return (headers.get(b"x-user") or b"nobody").decode()
"""
    cache = {"cache_keys": ["X-User", "x-team"], "ttl_seconds": 600, "max_size": 2}
    async with guarded(database, tmp_path, source, auth={"cache": cache}) as server:
        for headers in ({"x-user": "ada"}, {"x-user": "ada"}, {"x-user": "ada", "x-team": "t"}, {"x-user": "ada"}):
            await server.served.http.get("/threads/x", headers=headers)
        assert server.asked == [b"ada", b"ada"]
        server.asked.clear()
        for _ in range(2):
            assert (await server.served.http.get("/threads/x")).status_code == 422
            assert (await server.served.http.get("/threads/x", headers={"x-user": "blocked"})).status_code == 401
        assert server.asked == [None, b"blocked", None, b"blocked"], "neither nobody nor a refusal is remembered"
        for user in ("bob", "eve", "ada"):
            await server.served.http.get("/threads/x", headers={"x-user": user})
        assert server.asked[4:] == [b"bob", b"eve", b"ada"], "the oldest makes room"


@pytest.mark.parametrize(
    ("source", "auth", "words"),
    [
        ("raise RuntimeError('broken')", {}, "auth.py, line 1: RuntimeError: broken"),
        ("auth = 1", {}, "is a int, not a langgraph_sdk.Auth"),
        (HEAD, {}, "has no @auth.authenticate"),
        (f"{HEAD}\n@auth.authenticate\nasync def a(token): ...\n", {}, "nothing is known to pass"),
        (
            f"from fastapi import Depends\n{HEAD}\n@auth.authenticate\nasync def a(x=Depends(int)): ...\n",
            {},
            "dependency",
        ),
        (ANYBODY, {"path": "./other.py:auth"}, "There is no file other.py"),
        (ANYBODY, {"pth": 1}, "no key `pth`"),
        (ANYBODY, {"cache": {"ttl_seconds": 5}}, "must name the headers"),
        (ANYBODY, {"cache": {"cache_keys": ["a"], "ttl_seconds": 0}}, "from 0 to 86400"),
    ],
)
async def test_an_auth_that_cannot_be_had_stops_the_start(
    tmp_path: Path, source: str, auth: dict[str, Any], words: str
):
    found = read_project(project(tmp_path, source, auth=auth))
    with pytest.raises(ConfigurationError) as caught:
        async with serve("postgresql://nobody@127.0.0.1:1/none", project=found):
            pass
    assert words in caught.value.detail


async def test_workflows_take_their_user_from_who_is_authenticated(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, ANYBODY) as server:
        http, ada = server.served.http, {"x-user": "ada"}
        turn = {"workflow_type": "look", "input_data": {}, "session_id": "mine"}
        answer = await http.post("/workflow/execute", json=turn, headers=ada)
        assert answer.json()["result"]["seen"]["identity"] == "ada"
        assert (await http.post("/workflow/execute", json={**turn, "user_id": "ada"}, headers=ada)).status_code == 200
        refused = await http.post("/workflow/execute", json={**turn, "user_id": "bob"}, headers=ada)
        assert (refused.status_code, refused.json()["code"]) == (403, "user_mismatch")
        assert (await http.get("/sessions/mine?user_id=ada", headers={"x-user": "bob"})).status_code == 403
        assert (await http.get("/sessions/mine", headers={"x-user": "bob"})).status_code == 404
        assert (await http.get("/sessions/mine", headers=ada)).json()["user_id"] == "ada"
        waiting = await http.post(
            "/workflow/execute", json={**turn, "workflow_type": "asking", "session_id": "q"}, headers=ada
        )
        assert waiting.json()["status"] == "interrupted"
        resumed = await http.post("/workflow/q/resume", json={"answer": "yes"}, headers=ada)
        assert resumed.json()["result"]["seen"] == {"answer": "yes"}


async def test_a_handler_that_forbids_everything_forbids_workflows_too(database: str, tmp_path: Path):
    source = f"{ANYBODY}\n@auth.on\nasync def deny(ctx, value):\n    return False\n"
    async with guarded(database, tmp_path, source) as server:
        http, headers = server.served.http, {"x-user": "ada"}
        turn = {"workflow_type": "look", "input_data": {}}
        for method, path, body in (
            ("POST", "/workflow/execute", turn), ("POST", "/workflow/stream", turn), ("GET", "/workflows", None),
            ("POST", "/sessions", {}), ("GET", "/sessions", None), ("GET", "/workflow/s/status", None),
            ("DELETE", "/workflow/s", None),
            ("POST", "/workflow/s/resume", {"answer": 1}), ("GET", "/workflows/look", None),
        ):  # fmt: skip
            answer = await http.request(method, path, json=body, headers=headers)
            assert answer.status_code == 403, path


async def test_the_document_says_how_requests_are_authenticated(database: str, tmp_path: Path):
    said = {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "security": [{"token": []}],
        "paths": {"/info": {"get": {"security": []}}},
    }
    async with guarded(database, tmp_path, ANYBODY, auth={"openapi": said}) as server:
        document = (await server.served.http.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert document["security"] == [{"token": []}]
        assert document["paths"]["/info"]["get"]["security"] == []
        assert {"401", "403"} <= document["paths"]["/threads"]["post"]["responses"].keys()
        assert "401" not in document["paths"]["/ok"]["get"]["responses"]
