"""`http` of langgraph.json (contract A.13): the project's own application, prefix, switches, CORS, headers; and the
clients within it, which nobody asks who they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from langyard.config import read_project
from langyard.model.errors import ConfigurationError
from tests.acceptance.auth.serving import guarded, project
from tests.unit.gateway.serving import serve

APP = """
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from langgraph_sdk import get_client

client = get_client()  # made before there is anything to talk to
opened = []


@asynccontextmanager
async def lifespan(app):
    opened.append(len(await client.assistants.search()))
    yield {"shared": "state"}


app = FastAPI(title="Own", lifespan=lifespan)


@app.middleware("http")
async def mark(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-mw"] = "1"
    return response


@app.get("/threads/custom")
async def custom(request: Request):
    user = request.scope.get("user")
    return {"custom": True, "shared": request.state.shared, "user": user.identity if user else None}


@app.post("/ok")
@app.get("/ok")
def never():
    return {"never": True}


@app.get("/info")
def info():
    return {"mine": True}


@app.get("/fails")
def fails():
    raise RuntimeError("the password is hunter2")


@app.post("/within")
async def within():
    thread = await client.threads.create()
    parts = [part.event async for part in get_client().runs.stream(thread["thread_id"], "look", input={})]
    state = await client.threads.get_state(thread["thread_id"])
    return {"events": parts, "seen": state["values"]["seen"]["identity"], "metadata": thread["metadata"]}
"""


def own(folder: Path, source: str = APP) -> dict[str, Any]:
    (folder / "webapp.py").write_text(source, "utf-8")
    return {"app": "./webapp.py:app"}


async def test_its_routes_go_first_and_its_middleware_is_around_all(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, None, http=own(tmp_path)) as server:
        http = server.served.http
        answer = await http.get("/threads/custom")
        assert answer.json() == {"custom": True, "shared": "state", "user": None}
        assert (await http.get("/ok")).json() == {"ok": True, "services": {}}
        assert (await http.get("/info")).json() == {"mine": True}
        for path in ("/ok", "/threads/custom", "/nowhere", "/threads/none"):
            assert (await http.get(path)).headers["x-mw"] == "1", path
        assert (await http.get("/nowhere")).json()["code"] == "route_not_found"
        assert (await http.get("/threads/none")).json()["code"] == "invalid_id"
        assert (await http.delete("/threads/custom")).status_code == 422
        assert (await http.delete("/fails")).status_code == 405
        failed = await http.get("/fails")
        assert (failed.status_code, "hunter2" in failed.text) == (500, False)
        document = (await http.get("/openapi.json")).json()
        assert document["info"]["title"] == "Own"
        assert {"/threads/custom", "/threads/{thread_id}", "/within"} <= document["paths"].keys()
        assert (await http.get("/docs")).status_code == 200


async def test_clients_within_reach_the_server_and_stream(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, None, http=own(tmp_path)) as server:
        found = (await server.served.http.post("/within")).json()
        assert found["events"][0] == "metadata"
        assert found["events"][-1] == "end"


async def test_clients_within_are_not_asked_who_they_are(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, http=own(tmp_path)) as server:
        found = (await server.served.http.post("/within")).json()
        assert (found["seen"], found["metadata"]) == (None, {})
        # The way from within is not one from outside, whatever a client says of its path.
        for path in ("/noauth/threads/search", "/noauth", "//noauth/threads/search"):
            assert (await server.served.http.post(path, json={})).status_code == 401
        spoofed = {"x-forwarded-prefix": "/noauth", "root_path": "/noauth", "langyard.within": "1"}
        assert (await server.served.http.post("/threads/search", json={}, headers=spoofed)).status_code == 401


@pytest.mark.parametrize("order", ["middleware_first", "auth_first"])
async def test_custom_routes_are_open_unless_they_are_to_be_authenticated(database: str, tmp_path: Path, order: str):
    http = {**own(tmp_path), "enable_custom_route_auth": True, "middleware_order": order}
    async with guarded(database, tmp_path, http=http) as server:
        refused = await server.served.http.get("/threads/custom")
        assert (refused.status_code, refused.json()["detail"]) == (401, "Who are you?")
        assert ("x-mw" in refused.headers) is (order == "middleware_first")
        answer = await server.served.http.get("/threads/custom", headers=server.as_user("ada"))
        assert answer.json()["user"] == "ada"
        assert (await server.served.http.get("/info")).status_code == 401
        assert (await server.served.http.get("/ok")).json()["ok"] is True
        assert len(await server.sdk("ada").threads.search()) == 0
    (tmp_path / "other").mkdir()
    http = {**own(tmp_path / "other"), "middleware_order": order}
    async with guarded(database, tmp_path / "other", http=http) as server:
        assert (await server.served.http.get("/threads/custom")).json()["custom"] is True
        assert (await server.served.http.get("/threads/search")).status_code == 401


async def test_everything_is_under_the_prefix_and_what_monitors_ask_is_at_the_root_too(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, http={**own(tmp_path), "mount_prefix": "/api"}) as server:
        http = server.served.http
        for path in ("/ok", "/", "/metrics", "/api/ok", "/api/metrics", "/api/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        assert (await http.get("/api/threads/custom")).json()["custom"] is True
        assert (await http.get("/threads/custom")).status_code == 401
        assert (await http.post("/api/threads/search", json={}, headers=server.as_user("ada"))).json() == []
        assert (await http.post("/threads/search", json={}, headers=server.as_user("ada"))).status_code == 404
        assert (await http.post("/api/within")).json()["events"][-1] == "end"
        document = (await http.get("/api/openapi.json")).json()
        assert "/api/threads/custom" in document["paths"]


async def test_what_is_switched_off_is_not_there(database: str, tmp_path: Path):
    paths = {
        "assistants": ("POST", "/assistants/search"),
        "threads": ("POST", "/threads/search"),
        "runs": ("POST", "/runs/wait"),
        "store": ("POST", "/store/items/search"),
        "meta": ("GET", "/info"),
    }
    switches = {f"disable_{feature}": True for feature in paths}
    async with guarded(database, tmp_path, None, http=switches) as server:
        for method, path in (
            *paths.values(),
            ("GET", "/docs"),
            ("GET", "/openapi.json"),
            ("POST", "/runs/crons/search"),
        ):
            answer = await server.served.http.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == 404, path
        assert (await server.served.http.get("/ok")).status_code == 200
        assert (await server.served.http.get("/metrics")).status_code == 200
        assert (await server.served.execute("echo", {"x": 1})).status_code == 200


async def test_cors_is_merged_with_what_lets_a_client_work(database: str, tmp_path: Path):
    cors = {"allow_origins": ["https://app.example"], "allow_credentials": True, "expose_headers": ["x-mine"]}
    async with guarded(database, tmp_path, http={"cors": cors}) as server:
        asking = {"origin": "https://app.example", "access-control-request-method": "PATCH"}
        answer = await server.served.http.options("/threads/x", headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-credentials"]) == (200, "true")
        refused = await server.served.http.get("/threads", headers={"origin": "https://app.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")
        exposed = refused.headers["access-control-expose-headers"].lower().split(", ")
        assert {"content-location", "location", "x-pagination-next", "x-pagination-total", "x-mine"} <= set(exposed)
        other = await server.served.http.get("/ok", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_i36_headers_reach_a_run_only_if_they_are_let_through(database: str, tmp_path: Path):
    sent = {
        "X-Foo": "1", "X-Secret": "2", "MyHdr": "3", "X-Api-Key": "4", "Cookie": "a=5", "X-Tenant-Id": "6",
        "X-Service-Key": "7", "Authorization": "Bearer ada", "langgraph_auth_user_id": "root", "thread_id": "mine",
        "x-request-id": "request-1", "other": "8",
    }  # fmt: skip
    rule = {"configurable_headers": {"includes": ["x-*", "myhdr", "*_*", "auth*", "cookie"], "excludes": ["x-secret"]}}
    (tmp_path / "with").mkdir()
    async with guarded(database, tmp_path / "with", http=rule) as server:
        answer = await server.served.http.post("/runs/wait", json={"assistant_id": "look", "input": {}}, headers=sent)
        configurable = answer.json()["seen"]["configurable"]
        assert (configurable["x-foo"], configurable["myhdr"]) == ("1", "3")
        assert configurable["x-request-id"] == configurable["langgraph_request_id"] == "request-1"
        assert (configurable["langgraph_auth_user_id"], configurable["user_id"]) == ("ada", "ada")
        assert configurable["thread_id"] != "mine"
        hidden = {"x-secret", "x-api-key", "cookie", "x-tenant-id", "x-service-key", "authorization", "other"}
        assert not hidden & configurable.keys()
    (tmp_path / "without").mkdir()
    async with guarded(database, tmp_path / "without") as server:
        answer = await server.served.http.post("/runs/wait", json={"assistant_id": "look", "input": {}}, headers=sent)
        seen = answer.json()["seen"]["configurable"]
        assert not {"x-foo", "myhdr", "x-request-id", "x-secret", "cookie", "other"} & seen.keys()
        assert (seen["langgraph_auth_user_id"], seen["langgraph_request_id"]) == ("ada", "request-1")


async def test_headers_are_logged_only_if_they_are_let_through(database: str, tmp_path: Path, caplog: Any):
    caplog.set_level("INFO", logger="langyard.requests")
    async with guarded(
        database, tmp_path, http={"logging_headers": {"includes": ["*"], "excludes": ["x-not"]}}
    ) as server:
        await server.served.http.get("/threads/x", headers={**server.as_user("ada"), "x-shown": "1", "x-not": "2"})
    (line,) = (record for record in caplog.records if record.name == "langyard.requests")
    assert (line.path, line.status, line.headers["x-shown"]) == ("/threads/x", 422, "1")
    assert not {"authorization", "x-not"} & line.headers.keys()


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ({"app": "./nothing.py:app"}, "There is no file nothing.py"),
        ({"app": "./agent.py:ask"}, "not a FastAPI or Starlette application"),
        ({"mount_prefix": "/noauth"}, "the way from within"),
        ({"mount_prefix": "api/"}, "must be a path"),
        ({"disable_thread": True}, "no key `disable_thread`"),
        ({"middleware_order": "last"}, "middleware_first or auth_first"),
        ({"cors": {"allow_origin_regex": ".*", "allow_credentials": True}}, "fits every origin"),
        ({"cors": {"allow_origin_regex": "("}}, "no regular expression"),
        ({"configurable_headers": {"includes": "x-*"}}, "must be a list of texts"),
    ],
)
async def test_what_cannot_be_is_said_before_anything_is_served(tmp_path: Path, http: dict[str, Any], words: str):
    found = read_project(project(tmp_path, None, http=http))
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
        async with serve("postgresql://nobody@127.0.0.1:1/none", project=found):
            pass


async def test_a_node_calls_the_server_it_runs_in(database: str, tmp_path: Path):
    """`get_client()` and RemoteGraph inside a graph: from the worker's loop to the gateway's and back."""
    source = """
from typing import Any
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client

early = get_client()


class State(TypedDict, total=False):
    found: Any


async def call(state: State) -> State:
    thread = await early.threads.create(metadata={"from": "within"})
    events = [part.event async for part in get_client().runs.stream(thread["thread_id"], "look", input={"x": 1})]
    remote = RemoteGraph("look", client=get_client())
    answer = await remote.ainvoke({"x": 5}, {"configurable": {"thread_id": thread["thread_id"]}})
    return {"found": {"events": events, "x": answer["x"]}}


graph = StateGraph(State)
graph.add_node("call", call)
graph.add_edge(START, "call")
"""
    file = project(tmp_path)
    (tmp_path / "caller.py").write_text(source, "utf-8")
    content = json.loads(file.read_text("utf-8"))
    content["graphs"]["caller"] = "./caller.py:graph"
    file.write_text(json.dumps(content), "utf-8")
    async with serve(database, project=read_project(file)) as served:
        headers = {"Authorization": "Bearer ada"}
        answer = await served.http.post("/runs/wait", json={"assistant_id": "caller", "input": {}}, headers=headers)
        assert answer.json()["found"]["x"] == 6, answer.text
        assert answer.json()["found"]["events"][-1] == "end"


async def test_a_client_without_a_url_says_so_where_nothing_is_served():
    from langgraph_sdk import get_client

    from langyard.graphs import loopback

    loopback.prepare()
    with pytest.raises(httpx.ConnectError, match="No API is served"):
        await get_client().assistants.search()
