"""Bad input gets a sentence, a code and the right status, and loses nothing: on a real server, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.serving import Served, serve

GOOD = {"workflow_type": "echo", "input_data": {"x": 1}, "user_id": "ada"}
JSON = {"Content-Type": "application/json"}
PLAIN = json.dumps(GOOD).encode()


@pytest.fixture
async def served(database: str) -> AsyncIterator[Served]:
    async with serve(database) as found:
        yield found
        # Whatever came before, the server serves.
        assert (await found.execute("echo", session_id="after")).json()["result"]["x"] == 1


def deep(levels: int) -> bytes:
    """A body of so many levels; two of them are its own."""
    nested = b"[" * (levels - 2) + b"]" * (levels - 2)
    return b'{"workflow_type":"echo","user_id":"ada","input_data":{"log":%b}}' % nested


def with_input(text: bytes) -> bytes:
    return b'{"workflow_type":"echo","user_id":"ada","input_data":%b}' % text


MALFORMED = {
    "empty": b"",
    "blank": b" \n ",
    "no json": b"workflow_type=echo",
    "cut short": PLAIN[:-5],
    "two documents": PLAIN + PLAIN,
    "not utf-8": with_input(b'{"text":"\xff\xfe"}'),
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "half a surrogate pair": with_input(b'{"text":"\\ud800"}'),
    "half a surrogate pair in a key": with_input(b'{"\\udfff":1}'),
    "not a number": with_input(b'{"x":NaN}'),
    "infinity": with_input(b'{"x":Infinity}'),
    "a raw control": with_input(b'{"text":"\x00"}'),
    "a hundred thousand levels": b"[" * 100_000,
    "a comment": b"/* */" + PLAIN,
}


async def test_what_is_no_json(served: Served):
    for name, body in MALFORMED.items():
        found = await served.http.post("/workflow/execute", content=body, headers=JSON)
        assert (name, found.status_code, found.json()["code"]) == (name, 422, "invalid_json")
        assert found.json()["detail"].startswith("The body is "), name


WRONG = {
    "a list": ([], "an array"),
    "a string": ("x", "a string"),
    "null": (None, "null"),
    "no workflow": ({k: v for k, v in GOOD.items() if k != "workflow_type"}, "workflow_type is missing"),
    "no input": ({k: v for k, v in GOOD.items() if k != "input_data"}, "input_data is missing"),
    "no user": ({k: v for k, v in GOOD.items() if k != "user_id"}, "user_id is missing"),
    "workflow a number": (GOOD | {"workflow_type": 1}, "workflow_type must be a string"),
    "input a list": (GOOD | {"input_data": [1]}, "input_data must be an object"),
    "input a string": (GOOD | {"input_data": "x"}, "input_data must be an object"),
    "input null": (GOOD | {"input_data": None}, "input_data must be an object"),
    "user a number": (GOOD | {"user_id": 7}, "user_id must be a string"),
    "user empty": (GOOD | {"user_id": ""}, "user_id is empty"),
    "user blank": (GOOD | {"user_id": " \t"}, "user_id"),
    "user with NUL": (GOOD | {"user_id": "a\x00b"}, "user_id"),
    "user too long": (GOOD | {"user_id": "a" * 201}, "user_id has 201 characters"),
    "session a number": (GOOD | {"session_id": 7}, "session_id must be a string"),
    "session empty": (GOOD | {"session_id": ""}, "session_id is empty"),
    "session with NUL": (GOOD | {"session_id": "s\x00"}, "session_id"),
    "session with a line break": (GOOD | {"session_id": "a\nb"}, "session_id"),
    "session with a line separator": (GOOD | {"session_id": "a\u2028b"}, "session_id"),
    "session too long": (GOOD | {"session_id": "é" * 201}, "session_id has 201 characters"),
    "time-out a string": (GOOD | {"timeout": "5"}, "timeout must be a number"),
    "time-out zero": (GOOD | {"timeout": 0}, "timeout should be greater than 0"),
    "time-out negative": (GOOD | {"timeout": -1}, "timeout"),
    "time-out huge": (GOOD | {"timeout": 1e300}, "timeout"),
    "config a list": (GOOD | {"config": []}, "config must be an object"),
    "limit zero": (GOOD | {"config": {"recursion_limit": 0}}, "config.recursion_limit"),
    "limit a string": (GOOD | {"config": {"recursion_limit": "9"}}, "config.recursion_limit must be a whole number"),
    "limit a fraction": (GOOD | {"config": {"recursion_limit": 1.5}}, "config.recursion_limit must be a whole number"),
    "limit beyond 64 bits": (GOOD | {"config": {"recursion_limit": 2**70}}, "config.recursion_limit"),
    "tags a string": (GOOD | {"config": {"tags": "a"}}, "config.tags must be an array"),
    "tags of numbers": (GOOD | {"config": {"tags": [1]}}, "config.tags.0 must be a string"),
    "configurable a string": (GOOD | {"config": {"configurable": "x"}}, "config.configurable must be an object"),
}


async def test_what_has_the_wrong_form(served: Served):
    for name, (body, sentence) in WRONG.items():
        found = await served.http.post("/workflow/execute", content=json.dumps(body), headers=JSON)
        assert (name, found.status_code, found.json()["code"]) == (name, 422, "invalid_request")
        assert sentence in found.json()["detail"], name
        assert set(found.json()) == {"detail", "code"}


async def test_nul_in_keys_is_refused_however_deep(served: Served):
    for text in (b'{"a\\u0000b":1}', b'{"log":[{"deep":[{"\\u0000":1}]}]}', b'{"log":["\\u0000",{"\\u0000":1}]}'):
        found = await served.http.post("/workflow/execute", content=with_input(text), headers=JSON)
        assert (found.status_code, found.json()["code"]) == (422, "invalid_request")
        assert "NUL" in found.json()["detail"]


FINE = {
    "NUL in a value": b'{"text":"\\u0000"}',
    "a backslash that is one": b'{"log":["\\\\u0000"]}',
    "a key twice": b'{"x":1,"x":1}',
    "the largest number": b'{"x":%d}' % (2**63 - 2),
    "a key the graph does not know": b'{"unknown":{"a":[]}}',
    "nothing": b"{}",
}


async def test_what_is_odd_and_fine(served: Served):
    for name, text in FINE.items():
        found = await served.http.post("/workflow/execute", content=with_input(text), headers=JSON)
        assert (name, found.status_code) == (name, 200), found.text


async def test_numbers_beyond_64_bits_do_not_break_anything(served: Served):
    found = await served.http.post("/workflow/execute", content=with_input(b'{"x":%d}' % 10**400), headers=JSON)
    assert found.status_code in (200, 422)


async def test_nesting_up_to_the_limit_and_not_beyond(database: str):
    async with serve(database, max_json_depth=20) as served:
        assert (await served.http.post("/workflow/execute", content=deep(20), headers=JSON)).status_code == 200
        for levels in (21, 900, 50_000):
            found = await served.http.post("/workflow/execute", content=deep(levels), headers=JSON)
            assert found.status_code == 422
            assert found.json()["code"] in ("json_too_deep", "invalid_json")
        wide = with_input(b'{"log":[%b]}' % b",".join([b"[]"] * 5000))
        assert (await served.http.post("/workflow/execute", content=wide, headers=JSON)).status_code == 200


async def test_the_deepest_that_is_taken_runs_to_its_end(served: Served):
    limit = served.app.settings.gateway.max_json_depth
    found = await served.http.post("/workflow/execute", content=deep(limit), headers=JSON)
    assert found.status_code == 200
    assert found.json()["status"] == "success"


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]


async def test_a_body_of_ten_megabytes_is_too_large(served: Served):
    large = with_input(b'{"text":"%b"}' % (b"a" * 10_000_000))
    whole = await served.http.post("/workflow/execute", content=large, headers=JSON)
    routes = ["/workflow/execute", "/workflow/stream", "/workflow/s/resume", "/sessions"]
    chunked = [await served.http.post(route, content=chunks(large), headers=JSON) for route in routes]
    for found in (whole, *chunked):
        assert (found.status_code, found.json()["code"]) == (413, "request_too_large")
        assert str(served.app.settings.gateway.max_body_bytes) in found.json()["detail"]


async def test_the_limit_is_a_setting(database: str):
    async with serve(database, max_body_bytes=2048) as served:
        room = 2048 - len(with_input(b'{"text":""}'))
        for spare, status in ((0, 200), (1, 413)):
            body = with_input(b'{"text":"%b"}' % (b"a" * (room + spare)))
            assert (await served.http.post("/workflow/execute", content=body, headers=JSON)).status_code == status
            sent = await served.http.post("/workflow/execute", content=chunks(body), headers=JSON)
            assert sent.status_code == status


KINDS = {
    "application/json": 200,
    "application/json; charset=utf-8": 200,
    "Application/JSON": 200,
    "application/problem+json": 200,
    None: 200,
    "text/plain": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "": 415,
}


async def test_the_body_must_be_declared_as_json_or_not_at_all(served: Served):
    for kind, status in KINDS.items():
        headers = {} if kind is None else {"Content-Type": kind}
        found = await served.http.post("/workflow/execute", content=PLAIN, headers=headers)
        assert (kind, found.status_code) == (kind, status)
        assert status == 200 or found.json()["code"] == "unsupported_media_type"


async def test_no_such_route_and_no_such_method(served: Served):
    found = await served.http.get("/nowhere/at/all")
    assert (found.status_code, found.json()["code"]) == (404, "route_not_found")
    found = await served.http.get("/workflow/execute")
    assert (found.status_code, found.json()["code"], found.headers["allow"]) == (405, "method_not_allowed", "POST")
    found = await served.http.put("/sessions")
    assert (found.status_code, found.json()["code"]) == (405, "method_not_allowed")


PATHS = {
    "/sessions": "user_id is missing",
    "/sessions?user_id=%00": "user_id",
    "/sessions?user_id=ada&limit=many": "limit must be a whole number",
    "/sessions?user_id=ada&limit=0": "limit",
    "/sessions?user_id=ada&offset=-1": "offset",
    "/sessions?user_id=ada&offset=99999999999999999999": "offset",
    "/sessions/%00?user_id=ada": "session_id",
    "/sessions/?user_id=ada": "session_id is empty",
    "/workflow/%07/status?user_id=ada": "session_id",
    "/workflow/s/status": "user_id is missing",
    f"/workflow/{'a' * 201}/status?user_id=ada": "session_id has 201 characters",
}


async def test_what_is_wrong_in_path_and_query(served: Served):
    for path, detail in PATHS.items():
        found = await served.http.get(path)
        assert (path, found.status_code, found.json()["code"]) == (path, 422, "invalid_request")
        assert detail in found.json()["detail"], path


async def test_bytes_in_a_path_that_are_no_text(served: Served):
    assert (await served.http.get("/sessions/%ff%fe?user_id=%ff")).status_code == 404
    reader, writer = await asyncio.open_connection(served.http.base_url.host, served.http.base_url.port)
    writer.write(b"GET /sessions/\xff\xfe?user_id=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ", b"HTTP/1.1 422 "))


async def test_a_fault_of_ours_tells_an_incident_and_nothing_else(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*args: object, **more: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(served.app.sessions, "get", broken)
    found = await served.http.get("/sessions/s", params={"user_id": "ada"})
    body = found.json()
    assert (found.status_code, body["code"]) == (500, "internal_error")
    assert body["incident_id"] in body["detail"]
    assert "hunter2" not in found.text
    [told] = [r for r in caplog.records if getattr(r, "incident_id", None) == body["incident_id"]]
    assert told.exc_info is not None
    assert "hunter2" in str(told.exc_info[1])


async def test_a_client_that_stops_in_the_middle_of_its_body(served: Served, caplog: pytest.LogCaptureFixture):
    _, writer = await asyncio.open_connection(served.http.base_url.host, served.http.base_url.port)
    head = (
        b"POST /workflow/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    )
    writer.write(head + PLAIN[:20])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await served.execute("echo")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_pages_of_other_origins(database: str):
    async with serve(database, cors_origins=("https://app.example",), cors_credentials=True) as served:
        asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        asked = await served.http.options(
            "/workflow/execute", headers={**asks, "Access-Control-Request-Headers": "content-type,idempotency-key"}
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "https://app.example"
        assert asked.headers["access-control-allow-credentials"] == "true"
        refused = await served.execute("nope", headers={"Origin": "https://app.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, "https://app.example")
        other = await served.execute("echo", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    async with serve(database) as served:
        plain = await served.execute("echo", headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in plain.headers


async def test_every_route_under_a_prefix(database: str):
    async with serve(database, mount_prefix="/agents") as served:
        assert (await served.http.get("/agents/health")).status_code == 200
        assert (await served.http.post("/agents/workflow/execute", json=GOOD)).json()["result"]["x"] == 2
        assert "/agents/workflow/execute" in (await served.http.get("/agents/openapi.json")).json()["paths"]
        assert (await served.http.get("/agents/docs")).status_code == 200
        assert (await served.http.get("/health")).status_code == 404
