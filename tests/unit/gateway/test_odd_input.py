"""What no client of good will sends: it is refused in a sentence, and nothing of it stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.unit.gateway.serving import Served, serve

NUL = "a\0b"


async def wrong(served: Served, asked: list[tuple[str, str, Any]]) -> None:
    for method, path, body in asked:
        answer = await served.http.request(method, path, json=body)
        assert answer.status_code == 422, (method, path, body, answer.text)
        assert set(answer.json()) == {"detail", "code"}


async def test_no_text_with_a_nul_gets_to_the_database(database: str):
    async with serve(database) as served:
        thread_id = (await served.http.post("/threads", json={})).json()["thread_id"]
        await served.http.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "echo", "input": {"x": 1}})
        thread = f"/threads/{thread_id}"
        await wrong(
            served,
            [
                ("GET", f"{thread}/runs?status=%00", None),
                ("GET", f"{thread}/state/%00", None),
                ("GET", f"{thread}/history?before=%00", None),
                ("POST", f"{thread}/history", {"before": NUL}),
                ("POST", f"{thread}/history", {"before": {"configurable": {"checkpoint_id": NUL}}}),
                ("POST", f"{thread}/history", {"checkpoint": {"checkpoint_ns": NUL}}),
                ("POST", f"{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": NUL}}),
                ("POST", f"{thread}/state", {"values": {}, "checkpoint_id": NUL}),
                ("POST", "/threads/search", {"extract": {"a": "values.\0"}}),
                ("POST", "/assistants/search", {"name": NUL}),
                ("POST", "/assistants/count", {"graph_id": NUL}),
                ("POST", "/assistants", {"graph_id": "echo", "name": NUL}),
                ("POST", "/assistants", {"graph_id": "echo", "description": NUL}),
            ],
        )
        assert (await served.http.post(f"{thread}/history", json={"metadata": {"a": NUL}})).json() == []


async def test_what_is_not_what_it_claims_to_be_is_refused(database: str):
    async with serve(database) as served:
        thread_id = (await served.http.post("/threads", json={})).json()["thread_id"]
        (echo,) = (await served.http.post("/assistants/search", json={"graph_id": "echo"})).json()
        run = {"assistant_id": "echo", "input": {"x": 1}}
        await wrong(
            served,
            [
                ("GET", f"/assistants/{echo['assistant_id']}/graph?xray={'9' * 5000}", None),
                ("POST", f"/threads/{thread_id}/runs", {**run, "webhook": "http://xn--/"}),
                ("POST", f"/threads/{thread_id}/runs", {**run, "config": {"tags": ["a", {}]}}),
                ("POST", "/assistants", {"graph_id": "echo", "config": {"configurable": 5}}),
                ("PATCH", f"/assistants/{echo['assistant_id']}", {"config": {"recursion_limit": "many"}}),
            ],
        )
        # What a run is told of tags its thread remembers: one that no run can have would be the end of all of them.
        done = await served.http.post(f"/threads/{thread_id}/runs/wait", json=run)
        assert done.json() == {"x": 2, "log": ["x=1"]}


async def test_no_more_is_asked_for_than_a_statement_or_an_index_takes(database: str):
    many = {f"k{number}": 1 for number in range(1001)}
    async with serve(database) as served:
        (echo,) = (await served.http.post("/assistants/search", json={"graph_id": "echo"})).json()
        await wrong(
            served,
            [
                ("POST", "/store/items/search", {"filter": many}),
                ("POST", "/store/namespaces", {"prefix": list(many)}),
                ("POST", "/store/namespaces", {"suffix": list(many)}),
                ("POST", "/assistants", {"graph_id": "echo", "name": "x" * 501}),
                ("PATCH", f"/assistants/{echo['assistant_id']}", {"name": "x" * 501}),
                ("POST", "/runs/batch", [{"assistant_id": "echo"}] * 10_001),
            ],
        )
        del many["k0"]
        found = await served.http.post("/store/items/search", json={"filter": many})
        assert (found.status_code, found.json()) == (200, {"items": []})
        spaces = await served.http.post("/store/namespaces", json={"prefix": list(many), "suffix": list(many)})
        assert (spaces.status_code, spaces.json()) == (200, {"namespaces": []})
        longest = await served.http.post("/assistants", json={"graph_id": "echo", "name": "\U0001f600" * 500})
        assert longest.status_code == 200


async def test_a_body_in_chunks_is_read_where_there_need_be_none(database: str):
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"metadata": '
        yield b'{"nobody": "has"}}'

    async with serve(database) as served:
        await served.http.post("/threads", json={})
        assert (await served.http.post("/threads/count", content=chunks())).json() == 0
        assert (await served.http.post("/threads/count")).json() == 1
