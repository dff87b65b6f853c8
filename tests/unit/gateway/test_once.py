"""`Idempotency-Key` on the routes that start runs of assistants: one run, one answer, however often it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from starlette.requests import Request

from langyard.conversations import Turn
from langyard.gateway.idempotency import Idempotency
from langyard.postgres.rows import runs
from tests.unit.gateway.serving import Served, events, serve

ROUTES = ("/runs", "/runs/wait", "/runs/stream", "/threads/{}/runs", "/threads/{}/runs/wait", "/threads/{}/runs/stream")


def rows(database: str, table: str = "langyard.runs") -> int:
    with psycopg.connect(database, autocommit=True) as connection:
        found = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert found is not None
    return int(found[0])


def forget_answers(database: str) -> None:
    """What a crash between the run and its answer leaves behind."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update langyard.idempotency_keys set status = null, body = null")


async def ask(served: Served, route: str, graph: str = "echo", *, key: str = "k", x: int = 1) -> httpx.Response:
    body = {"assistant_id": graph, "input": {"x": x}, "if_not_exists": "create", "stream_mode": ["updates"]}
    return await served.http.post(route, json=body, headers={"Idempotency-Key": key})


async def told(answer: httpx.Response) -> list[tuple[str, Any]]:
    return [event async for event in events(answer) if event[0] != ":"]


@pytest.mark.parametrize("route", ROUTES)
async def test_the_same_request_gets_the_same_answer_and_runs_once(served: Served, database: str, route: str):
    route = route.format(uuid4())
    first = await ask(served, route)
    assert first.status_code == 200
    assert "idempotent-replayed" not in first.headers
    again = await ask(served, route)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-location"] == first.headers["content-location"]
    assert again.headers.get("location") == first.headers.get("location")
    assert rows(database) == 1
    other = await ask(served, route, x=2)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await ask(served, route, key="another")).status_code == 200
    assert rows(database) == 2


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_that_was_not_kept_is_had_from_the_run(served: Served, database: str, route: str):
    route = route.format(uuid4())
    first = await ask(served, route)
    if "stream" not in route and "wait" not in route:
        run_id = first.json()["run_id"]
        assert (await served.http.get(f"{first.headers['content-location']}/join")).status_code == 200
    forget_answers(database)
    again = await ask(served, route)
    assert rows(database) == 1
    if route == "/runs":
        # It has ended, and a run without a thread is shown no longer; but it does not run again.
        assert (again.status_code, again.json()["code"]) == (404, "run_not_found")
    elif "stream" not in route and "wait" not in route:
        assert again.json()["run_id"] == run_id
    elif "wait" in route:
        assert again.json() == first.json()
    else:
        assert again.content == first.content


async def test_many_at_once_are_one_run(served: Served, database: str):
    waiting = [asyncio.create_task(ask(served, "/runs/wait", "gate")) for _ in range(5)]
    await served.gate.reached()
    served.gate.open.set()
    answers = [await one for one in waiting]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.content.strip() for answer in answers} == {answers[0].content.strip()}
    assert b"through" in answers[0].content
    assert rows(database) == 1


async def test_the_first_to_claim_a_key_may_be_the_last_to_hear_of_it(served: Served):
    idempotency = Idempotency(served.app, retention_s=60)
    heads = {"type": "http", "method": "POST", "path": "/workflow/execute", "headers": [(b"idempotency-key", b"k")]}
    requests = [Request(dict(heads)) for _ in range(2)]
    earlier, later = [await idempotency.claim(request, "ada", {}) for request in requests]
    assert earlier is not None
    assert later is not None
    (first, made), (second, seen) = earlier, later
    assert (made, seen, first.run_id) == (False, True, second.run_id)

    async def start() -> Turn:
        return await served.app.conversations.start("gate", {}, user_id="ada", run_id=first.run_id)

    turn = await idempotency.once(second, seen, start)
    assert turn is not None
    with turn:
        assert await idempotency.once(first, made, start) is None


async def test_who_left_a_stream_finds_it_from_its_first_event(served: Served, database: str):
    body = {"assistant_id": "gate", "input": {"x": 1}, "stream_mode": ["updates"]}
    headers = {"Idempotency-Key": "k"}
    async with served.http.stream("POST", "/runs/stream", json=body, headers=headers) as first:
        assert first.status_code == 200
        await served.gate.reached()
    again = asyncio.create_task(served.http.post("/runs/stream", json=body, headers=headers))
    served.gate.open.set()
    found = await told(await again)
    assert [name for name, _ in found] == ["metadata", "updates", "updates", "end"]
    late = await served.http.post("/runs/stream", json=body, headers=headers)
    assert await told(late) == found
    assert rows(database) == 1


async def test_two_servers_make_one_run_of_one_key(database: str):
    async with serve(database) as one, serve(database) as other:
        for attempt in range(5):
            key = f"k{attempt}"
            answers = await asyncio.gather(
                *(ask(served, "/runs/stream", key=key) for served in (one, other) for _ in range(2))
            )
            found = [[event for event in await told(answer) if event[0] != "gap"] for answer in answers]
            assert [names[-1][0] for names in found] == ["end"] * 4
            assert all(events == found[0] for events in found)
            assert rows(database) == attempt + 1


async def test_a_batch_is_made_once_and_goes_on_where_it_was_broken_off(served: Served, database: str):
    thread_id = str((await served.http.post("/threads", json={})).json()["thread_id"])
    body = [{"assistant_id": "echo", "input": {"x": n}, "thread_id": thread_id} for n in range(4)]
    headers = {"Idempotency-Key": "k"}
    first = await served.http.post("/runs/batch", json=body, headers=headers)
    again = await served.http.post("/runs/batch", json=body, headers=headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    ids = [run["run_id"] for run in first.json()]
    assert len(set(ids)) == 4 == rows(database)
    for run_id in ids:
        await served.http.get(f"/threads/{thread_id}/runs/{run_id}/join")
    forget_answers(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from langyard.runs where run_id = any(%s::uuid[])", (ids[2:],))
    assert [run["run_id"] for run in (await served.http.post("/runs/batch", json=body, headers=headers)).json()] == ids
    assert rows(database) == 4


async def test_a_refused_request_leaves_its_key_free(served: Served):
    route = f"/threads/{uuid4()}/runs/wait"
    body: dict[str, Any] = {"assistant_id": "echo", "input": {"x": 1}}
    headers = {"Idempotency-Key": "k"}
    assert (await served.http.post(route, json=body, headers=headers)).status_code == 404
    body["if_not_exists"] = "create"
    assert (await served.http.post(route, json=body, headers=headers)).status_code == 200
    for wrong in ("", "x" * 256):
        refused = await served.http.post(route, json=body, headers={"Idempotency-Key": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_a_failure_is_told_again(served: Served, database: str):
    first, again = await ask(served, "/runs/wait", "fail"), await ask(served, "/runs/wait", "fail")
    assert first.json()["__error__"]["error"] == "RuntimeError"
    assert again.content == first.content
    assert rows(database) == 1


async def test_a_run_is_kept_as_long_as_its_key(served: Served, database: str):
    await ask(served, "/runs/wait")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update langyard.runs set finished_at = now() - interval '1 year'")
        forget_answers(database)
        assert await runs.sweep(served.app.database, grace_s=60) == 0
        connection.execute("delete from langyard.idempotency_keys")
        assert await runs.sweep(served.app.database, grace_s=60) == 1
