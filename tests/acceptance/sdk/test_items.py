"""The long-term store through the official SDK's `client.store`, and the same store inside a graph (contract A.10)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from typing_extensions import TypedDict

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.serving import Served

EMBED = '''
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

WORDS = ["engine", "flower", "river"]


def embed(texts):
    """How often each word is said; never nothing, for cosine has no angle to it."""
    return [[text.lower().count(word) + 0.01 for word in WORDS] for text in texts]


class State(TypedDict, total=False):
    found: list[str]


async def look(state, runtime):
    found = await runtime.store.asearch(("notes",), query="a river", limit=1)
    return {"found": [item.key for item in found]}


def build():
    graph = StateGraph(State)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    return graph
'''


async def refused(asked: Any) -> tuple[int, str]:
    """The status and the text of a refusal."""
    with pytest.raises(APIStatusError) as caught:
        await asked
    return caught.value.response.status_code, caught.value.response.text


def detail(text: str) -> str:
    found: str = json.loads(text)["detail"]
    return found


async def test_an_item_is_stored_found_replaced_and_deleted(agents: Agents):
    store = agents.sdk.store
    await store.put_item(["users", "ada"], "profile", {"likes": "engines", "n": 1})
    item = await store.get_item(["users", "ada"], "profile")
    assert item["namespace"] == ["users", "ada"]
    assert item["key"] == "profile"
    assert item["value"] == {"likes": "engines", "n": 1}
    assert dt.datetime.fromisoformat(str(item["created_at"])).utcoffset() == dt.timedelta()
    await store.put_item(["users", "ada"], "profile", {"likes": "notes\u0000"})
    again = await store.get_item(["users", "ada"], "profile")
    assert again["value"]["likes"] == "notes\ufffd"
    assert again["created_at"] == item["created_at"]
    assert again["updated_at"] > item["updated_at"]
    await store.delete_item(["users", "ada"], "profile")
    await store.delete_item(["users", "ada"], "profile")
    assert await store.get_item(["users", "ada"], "profile") is None


async def test_i26_a_missing_item_is_null_a_namespace_is_joined_by_dots_and_what_is_found_has_a_score(agents: Agents):
    http = agents.served.http
    missing = await http.get("/store/items", params={"namespace": "users.ada", "key": "nothing"})
    assert (missing.status_code, missing.content) == (200, b"null")
    await agents.sdk.store.put_item(["users", "ada"], "a b/c?d", {"x": 1})
    got = await http.get("/store/items?namespace=users.ada&key=a%20b%2Fc%3Fd")
    assert got.json()["value"] == {"x": 1}
    assert set(got.json()) == {"namespace", "key", "value", "created_at", "updated_at"}
    found = (await http.post("/store/items/search", json={"namespace_prefix": ["users"]})).json()
    assert [(item["key"], item["score"]) for item in found["items"]] == [("a b/c?d", None)]


async def test_what_is_wrong_is_said_in_the_contracts_words(agents: Agents):
    store, http = agents.sdk.store, agents.served.http
    for bad in (["a", ""], ["a.b"]):
        answer = await http.put("/store/items", json={"namespace": bad, "key": "k", "value": {}})
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("text/plain")
        label = bad[-1]
        assert answer.text == f"Namespace label '{label}' must be a non-empty string without periods"
    status, text = await refused(store.put_item([], "k", {}))
    assert (status, detail(text)) == (400, "Namespace cannot be empty.")
    status, text = await refused(store.put_item(["langgraph"], "k", {}))
    assert (status, detail(text)) == (400, "Root label for namespace cannot be \"langgraph\". Got: ('langgraph',)")
    answer = await http.get("/store/items?namespace=a")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "Key is required", "detail": "Key is required", "code": "key_required"},
    )
    status, text = await refused(store.search_items(["a"], filter={"x": {"$bogus": 1}}))
    assert (status, detail(text)) == (400, "Unsupported operator: $bogus")
    bodies: list[Any] = [{"namespace": ["a"], "key": "k", "value": 1}, {"namespace": ["a"], "value": {}}, {}, []]
    bodies += [{"namespace": ["a\0"], "key": "k", "value": {}}, {"namespace": ["a"], "key": "k" * 3000, "value": {}}]
    for body in bodies:
        answer = await http.put("/store/items", json=body)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)
    assert (await http.put("/store/items", content=b"{")).json()["detail"] == "Invalid JSON in request body"


async def test_search_filters_by_value_and_turns_pages(agents: Agents):
    store = agents.sdk.store
    for n in (2, 9, 10, 30):
        await store.put_item(["nums", str(n)], "n", {"n": n, "name": f"n{n}", "deep": {"a": n}})
    await store.put_item(["nums", "text"], "n", {"n": "15"})

    async def found(**asked: Any) -> list[Any]:
        items = (await store.search_items(asked.pop("prefix", ["nums"]), **asked))["items"]
        return [item["value"]["n"] for item in items]

    assert await found() == ["15", 30, 10, 9, 2]
    assert await found(limit=2, offset=1) == [30, 10]
    assert await found(filter={"n": 9}) == [9]
    assert await found(filter={"deep": {"a": 10}}) == [10]
    # Numbers, not texts: 9 is less than 10.
    assert await found(filter={"n": {"$gt": 9}}) == [30, 10]
    assert await found(filter={"n": {"$gte": 9, "$lt": 30}}) == [10, 9]
    assert await found(filter={"n": {"$lte": 9.5}}) == [9, 2]
    assert await found(filter={"n": {"$ne": 9}, "name": {"$eq": "n2"}}) == [2]
    assert await found(prefix=[]) == ["15", 30, 10, 9, 2]
    assert await found(prefix=["nums", "1"]) == []
    everything = await agents.served.http.post("/store/items/search", json={"limit": 100_000})
    assert len(everything.json()["items"]) == 5


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(agents: Agents):
    store = agents.sdk.store
    for namespace in (["u", "1", "mem"], ["u", "2", "mem"], ["u", "2", "prefs", "x"], ["docs"]):
        await store.put_item(namespace, "k", {})

    async def listed(**asked: Any) -> list[Any]:
        return list((await store.list_namespaces(**asked))["namespaces"])

    assert await listed() == [["docs"], ["u", "1", "mem"], ["u", "2", "mem"], ["u", "2", "prefs", "x"]]
    assert await listed(prefix=["u"], max_depth=2) == [["u", "1"], ["u", "2"]]
    assert await listed(prefix=["u", "*", "prefs"]) == [["u", "2", "prefs", "x"]]
    assert await listed(suffix=["*", "mem"]) == [["u", "1", "mem"], ["u", "2", "mem"]]
    assert await listed(limit=1, offset=1) == [["u", "1", "mem"]]
    await store.get_item(["never", "written"], "k")
    assert await listed(prefix=["never"]) == []


async def test_an_item_lives_its_minutes_from_its_last_use(agents: Agents, database: str):
    store = agents.sdk.store
    await store.put_item(["t"], "short", {"x": 1}, ttl=10)
    await store.put_item(["t"], "ever", {"x": 2})

    def left() -> float:
        with psycopg.connect(database) as connection:
            row = connection.execute("select extract(epoch from expires_at - now()) from store where key = 'short'")
            found = row.fetchone()
            assert found is not None
            return float(found[0])

    def age(minutes: int) -> None:
        with psycopg.connect(database) as connection:
            connection.execute("update store set expires_at = expires_at - make_interval(mins => %s)", (minutes,))

    assert 590 < left() <= 600
    age(5)
    assert await store.get_item(["t"], "short", refresh_ttl=False) is not None
    assert left() <= 300
    assert await store.get_item(["t"], "short") is not None
    assert left() > 590
    age(5)
    await store.search_items(["t"], refresh_ttl=False)
    assert left() <= 300
    await store.search_items(["t"])
    assert left() > 590
    age(20)
    # Gone before anybody has swept.
    assert await store.get_item(["t"], "short") is None
    assert [item["key"] for item in (await store.search_items(["t"]))["items"]] == ["ever"]
    assert await agents.app.items.sweep() == 1
    assert await agents.app.items.sweep() == 0
    assert await store.get_item(["t"], "ever") is not None


async def test_one_bad_request_takes_no_other_with_it(agents: Agents):
    store = agents.sdk.store
    good = [store.put_item(["many"], str(n), {"n": n}) for n in range(20)]
    bad = [refused(store.search_items(["many"], filter={"n": {"$no": 1}})) for _ in range(5)]
    await asyncio.gather(*good, *bad)
    assert len((await store.search_items(["many"], limit=50))["items"]) == 20


async def test_a_graph_sees_the_same_store(agents: Agents):
    class State(TypedDict, total=False):
        seen: Any

    async def swap(state: State, runtime: Runtime[None]) -> State:
        assert runtime.store is not None
        item = await runtime.store.aget(("shared",), "in")
        await runtime.store.aput(("shared",), "out", {"from": "graph"})
        return {"seen": item.value if item else None}

    graph = StateGraph(State)
    graph.add_node("swap", swap)
    graph.add_edge(START, "swap")
    agents.app.graphs.register("swap", graph)
    await agents.sdk.store.put_item(["shared"], "in", {"from": "client"})
    assert await agents.sdk.runs.wait(None, "swap", input={}) == {"seen": {"from": "client"}}
    out = await agents.sdk.store.get_item(["shared"], "out")
    assert out["value"] == {"from": "graph"}


async def test_items_are_found_by_meaning_where_an_index_is_configured(tmp_path: Path, database: str):
    (tmp_path / "agent.py").write_text(EMBED, "utf-8")
    content = {
        "dependencies": ["."],
        "graphs": {"looking": "./agent.py:build"},
        "store": {
            "index": {"dims": 3, "embed": "./agent.py:embed", "fields": ["text"]},
            "ttl": {"default_ttl": 30, "refresh_on_read": False},
        },
    }
    (tmp_path / "langgraph.json").write_text(json.dumps(content), "utf-8")
    with Served(tmp_path, DATABASE_URL=database) as served:
        client = get_client(url=served.address)
        texts = {"e": "The engine of the engine", "f": "A flower", "r": "Up the river", "hidden": "river river"}
        for key, text in texts.items():
            await client.store.put_item(["notes"], key, {"text": text}, index=False if key == "hidden" else None)
        await client.store.put_item(["notes"], "own", {"text": "engine", "more": "flower flower"}, index=["more"])
        found = (await client.store.search_items(["notes"], query="flower"))["items"]
        assert [item["key"] for item in found[:2]] in (["f", "own"], ["own", "f"])
        assert found[0]["score"] == pytest.approx(1, abs=0.01)
        assert [item["key"] for item in found].count("hidden") == 0
        assert await client.runs.wait(None, "looking", input={}) == {"found": ["r"]}
        with psycopg.connect(database) as connection:
            assert connection.execute("select distinct ttl_minutes from store").fetchall() == [(30,)]
    # Vectors of another size would be refused one by one; it is said at the start instead.
    content["store"]["index"]["dims"] = 4  # type: ignore[index]
    (tmp_path / "langgraph.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(AssertionError, match="3 dimensions"):
        Served(tmp_path, DATABASE_URL=database)
