"""What is asked of the long-term store."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

BAD: dict[str, Any] = {
    "nothing": {},
    "no key": {"namespace": ["a"], "value": {}},
    "no value": {"namespace": ["a"], "key": "k"},
    "value is a string": {"namespace": ["a"], "key": "k", "value": "x"},
    "value is a list": {"namespace": ["a"], "key": "k", "value": []},
    "namespace is a string": {"namespace": "a", "key": "k", "value": {}},
    "namespace is empty": {"namespace": [], "key": "k", "value": {}},
    "an empty label": {"namespace": [""], "key": "k", "value": {}},
    "a label with a dot": {"namespace": ["a.b"], "key": "k", "value": {}},
    "the reserved root": {"namespace": ["langgraph"], "key": "k", "value": {}},
    "a label is a number": {"namespace": [1], "key": "k", "value": {}},
    "key is a number": {"namespace": ["a"], "key": 1, "value": {}},
    "index is a string": {"namespace": ["a"], "key": "k", "value": {}, "index": "x"},
    "ttl is a string": {"namespace": ["a"], "key": "k", "value": {}, "ttl": "x"},
}


async def talk(side: Side) -> None:
    """Kept, read, found, listed, deleted."""
    for name, body in BAD.items():
        await side.ask(f"item, {name}", "PUT", "/store/items", body)
    for user, age in (("ada", 36), ("bob", 5), ("cy", 70)):
        await side.quietly(
            "PUT", "/store/items", {"namespace": ["users", user], "key": "age", "value": {"age": age, "who": user}}
        )
    await side.quietly("PUT", "/store/items", {"namespace": ["users", "ada", "notes"], "key": "n", "value": {"t": "x"}})
    await side.ask(
        "item, put",
        "PUT",
        "/store/items",
        {"namespace": ["users", "ada"], "key": "like", "value": {"a": 1}, "index": False, "ttl": 60},
    )
    await side.ask(
        "item, put again", "PUT", "/store/items", {"namespace": ["users", "ada"], "key": "like", "value": {"a": 2}}
    )
    await side.ask("item, read", "GET", "/store/items?namespace=users.ada&key=like")
    await side.ask("item, missing", "GET", "/store/items?namespace=users.ada&key=nothing")
    await side.ask("item, no key given", "GET", "/store/items?namespace=users.ada")
    await side.ask("item, no namespace given", "GET", "/store/items?key=like")
    await side.ask("item, refreshed", "GET", "/store/items?namespace=users.ada&key=like&refresh_ttl=true")
    searches: dict[str, Any] = {
        "prefix": {"namespace_prefix": ["users", "bob"]},
        "equal": {"namespace_prefix": ["users"], "filter": {"who": "ada"}},
        "$gt": {"namespace_prefix": ["users"], "filter": {"age": {"$gt": 40}}},
        "$lte": {"namespace_prefix": ["users"], "filter": {"age": {"$lte": 5}}},
        "$ne": {"namespace_prefix": ["users"], "filter": {"who": {"$ne": "ada"}, "age": {"$gte": 6}}},
        "$eq": {"namespace_prefix": ["users"], "filter": {"who": {"$eq": "cy"}}},
        "unknown operator": {"namespace_prefix": ["users"], "filter": {"who": {"$bogus": "cy"}}},
        "nowhere": {"namespace_prefix": ["nowhere"]},
        "limit 0": {"namespace_prefix": ["users"], "limit": 0},
        "limit below 0": {"namespace_prefix": ["users"], "limit": -1},
        "limit is a string": {"namespace_prefix": ["users"], "limit": "1"},
        "query without an index": {"namespace_prefix": ["users", "bob"], "query": "age"},
        "prefix is a string": {"namespace_prefix": "users"},
        "filter is a list": {"namespace_prefix": ["users"], "filter": []},
        "nulls": {"namespace_prefix": ["users", "bob"], "filter": None, "query": None, "refresh_ttl": None},
    }
    for name, body in searches.items():
        await side.ask(f"search of items, {name}", "POST", "/store/items/search", body)
    lists: dict[str, Any] = {
        "prefix": {"prefix": ["users"]},
        "suffix": {"suffix": ["notes"]},
        "depth": {"prefix": ["users"], "max_depth": 1},
        "depth 0": {"prefix": ["users"], "max_depth": 0},
        "wildcard": {"prefix": ["users", "*"], "max_depth": 2},
        "limit": {"prefix": ["users"], "limit": 2},
        "offset": {"prefix": ["users"], "limit": 2, "offset": 2},
        "nowhere": {"prefix": ["nowhere"]},
        "prefix is a string": {"prefix": "users"},
    }
    for name, body in lists.items():
        await side.ask(f"namespaces, {name}", "POST", "/store/namespaces", body)
    await side.ask("item, deleted", "DELETE", "/store/items", {"namespace": ["users", "ada"], "key": "like"})
    await side.ask("item, deleted again", "DELETE", "/store/items", {"namespace": ["users", "ada"], "key": "like"})
    await side.ask("item, deleted, no key", "DELETE", "/store/items", {"namespace": ["users", "ada"]})
    await side.ask("item, deleted, read", "GET", "/store/items?namespace=users.ada&key=like")
