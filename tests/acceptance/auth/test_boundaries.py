"""Ways around who owns what: handlers that ask less than they could, requests that ask more than they seem to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID, uuid4

from tests.acceptance.auth.serving import Guarded, guarded

KNOWN = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict) -> str:
    return headers[b"authorization"].decode().removeprefix("Bearer ")
"""

# `create` says whose a thing will be and filters nothing; what is there is guarded by the others.
LAX = (
    KNOWN
    + """


@auth.on
async def owned(ctx, value):
    return {"owner": ctx.user.identity}


@auth.on.threads.create
@auth.on.assistants.create
async def create(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
"""
)

# Everybody may look on, only the owner may change anything.
SHOWN = (
    KNOWN
    + """


@auth.on
async def owned(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.read
async def read(ctx, value):
    return True
"""
)


async def test_a_cron_cannot_be_given_to_another_user(database: str, tmp_path: Path):
    async with guarded(database, tmp_path) as server:
        ada, bob = server.sdk("ada"), server.sdk("bob")
        cron = await bob.crons.create("look", schedule="0 0 1 1 *", input={})
        changed = await bob.crons.update(cron["cron_id"], metadata={"owner": "ada", "topic": "engines"})
        assert changed["metadata"] == {"owner": "bob", "topic": "engines"}
        assert await ada.crons.search() == []
        kept = await bob.crons.update(cron["cron_id"], enabled=False)
        assert (kept["metadata"], kept["enabled"]) == ({"owner": "bob", "topic": "engines"}, False)


async def test_i21_what_is_there_is_not_given_to_who_may_not_read_it(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, LAX) as server:
        http, ids = server.served.http, {"thread_id": str(uuid4()), "assistant_id": str(uuid4())}
        asks: dict[str, Any] = {
            "/threads": {"thread_id": ids["thread_id"], "metadata": {"graph_id": "look"}},
            "/assistants": {"assistant_id": ids["assistant_id"], "graph_id": "look"},
        }
        steps = {"supersteps": [{"updates": [{"as_node": "look", "values": {"x": 666}}]}]}
        for path, body in asks.items():
            asked = {**body, "if_exists": "do_nothing"}
            made = await http.post(path, json=asked, headers=server.as_user("ada"))
            assert made.json()["metadata"]["owner"] == "ada"
            again = await http.post(path, json=asked, headers=server.as_user("ada"))
            assert (again.status_code, again.json()) == (200, made.json())
            refused = await http.post(path, json=asked, headers=server.as_user("bob"))
            assert (refused.status_code, refused.json()["detail"].endswith("already exists")) == (409, True)
        asked = {**asks["/threads"], **steps, "if_exists": "do_nothing"}
        assert (await http.post("/threads", json=asked, headers=server.as_user("bob"))).status_code == 409
        assert not (await server.sdk("ada").threads.get_state(ids["thread_id"]))["values"]


async def test_the_history_of_a_thread_is_made_by_who_may_change_it(database: str, tmp_path: Path):
    source = SHOWN.replace("@auth.on.threads.read", "@auth.on.threads.create\n@auth.on.threads.read")
    async with guarded(database, tmp_path, source) as server:
        thread_id = (await server.sdk("ada").threads.create(metadata={"owner": "ada", "graph_id": "look"}))["thread_id"]
        steps = [{"updates": [{"as_node": "look", "values": {"x": 666}}]}]
        asked = {"thread_id": thread_id, "if_exists": "do_nothing", "supersteps": steps}
        refused = await server.served.http.post("/threads", json=asked, headers=server.as_user("bob"))
        assert refused.status_code == 409
        assert not (await server.sdk("ada").threads.get_state(thread_id))["values"]


async def test_who_may_only_read_a_run_does_not_stop_it_by_leaving(database: str, tmp_path: Path):
    async with guarded(database, tmp_path, SHOWN) as server:
        ada, http = server.sdk("ada"), server.served.http
        thread_id = (await ada.threads.create())["thread_id"]
        run = await ada.runs.create(thread_id, "look", input={}, after_seconds=3600)
        for place in (f"/threads/{thread_id}/runs/{run['run_id']}", f"/runs/{run['run_id']}"):
            assert (await http.get(place, headers=server.as_user("bob"))).status_code == 200
            for way in ("join", "stream"):
                asked = f"{place}/{way}?cancel_on_disconnect=true"
                refused = await http.get(asked, headers=server.as_user("bob"))
                assert "not found" in refused.text
        await leaves(server, "ada", f"/threads/{thread_id}/runs/{run['run_id']}/join?cancel_on_disconnect=true")
        async with asyncio.timeout(30):
            await server.app.runs.wait(UUID(run["run_id"]))
        assert (await ada.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"


async def leaves(server: Guarded, user: str, path: str) -> None:
    """Ask, and go away as soon as there is an answer."""
    async with server.served.http.stream("GET", path, headers=server.as_user(user)) as answer:
        assert answer.status_code == 200


async def test_of_a_header_that_comes_twice_the_first_counts_everywhere(database: str, tmp_path: Path):
    source = """
from langgraph_sdk import Auth

auth = Auth()
asked = []


@auth.authenticate
async def authenticate(headers: dict, authorization: str | None) -> str:
    asked.append((headers[b"authorization"].decode(), authorization))
    return authorization
"""
    cache = {"cache_keys": ["authorization"], "ttl_seconds": 600}
    async with guarded(database, tmp_path, source, auth={"cache": cache}) as server:
        twice = [("Authorization", "bob"), ("Authorization", "ada")]
        await server.served.http.post("/threads", json={}, headers=twice)
        assert server.asked == [("bob", "bob")]
        await server.served.http.post("/threads", json={}, headers={"Authorization": "ada"})
        assert server.asked == [("bob", "bob"), ("ada", "ada")], "bob is not remembered as ada"


async def test_a_key_is_kept_for_an_identity_of_any_length(database: str, tmp_path: Path):
    async with guarded(database, tmp_path) as server:
        # Long, and too various to be compressed into what an index takes.
        tokens = [token_hex(4500), token_hex(4500)]
        runs = []
        for token in (*tokens, tokens[0]):
            headers = {**server.as_user(token), "Idempotency-Key": "k"}
            asked = {"assistant_id": "look", "input": {"x": 1}}
            made = await server.served.http.post("/runs", json=asked, headers=headers)
            assert made.status_code == 200, made.text
            runs.append(made.json()["run_id"])
        assert runs[0] == runs[2] != runs[1]
