"""Items of the long-term store, one operation at a time. Called by the rules in `items`.

Not through the store's own batches: there one request that fails takes down those it happens to travel with.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.store.base import GetOp, Item, ListNamespacesOp, MatchCondition, Op, PutOp, SearchItem, SearchOp
from psycopg_pool import PoolTimeout

from langyard.postgres.database import AWAY, Database, away
from langyard.postgres.queries import load
from langyard.postgres.store import Store

_SQL = load("items")
Namespace = tuple[str, ...]


async def put(
    store: Store,
    namespace: Namespace,
    key: str,
    value: dict[str, Any],
    *,
    index: Sequence[str] | bool | None,
    ttl_min: float | None,
) -> None:
    """Store an item, in place of the one that is there. `index` is False for none, or the paths to index."""
    paths: Literal[False] | list[str] | None = None
    if index is False:
        paths = False
    elif isinstance(index, Sequence):
        paths = list(index)
    await _do(store, PutOp(namespace, key, value, paths, ttl_min))


async def find(store: Store, namespace: Namespace, key: str, *, refresh: bool) -> dict[str, Any] | None:
    """An item."""
    found = await _do(store, GetOp(namespace, key, refresh))
    return _plain(found) if isinstance(found, Item) else None


async def delete(store: Store, namespace: Namespace, key: str) -> None:
    """Delete an item, if it is there."""
    await _do(store, PutOp(namespace, key, None))


async def search(
    store: Store,
    prefix: Namespace,
    *,
    filters: Mapping[str, Any] | None,
    query: str | None,
    limit: int,
    offset: int,
    refresh: bool,
) -> list[dict[str, Any]]:
    """Items whose namespace begins so, each with its `score` where there is an index and something was asked."""
    found = await _do(store, SearchOp(prefix, dict(filters or {}), limit, offset, query, refresh))
    return [{**_plain(item), "score": item.score} for item in found if isinstance(item, SearchItem)]


async def namespaces(
    store: Store, *, prefix: Namespace, suffix: Namespace, max_depth: int | None, limit: int, offset: int
) -> list[Namespace]:
    """The namespaces that hold items, in order, cut off at `max_depth`."""
    conditions = []
    if prefix:
        conditions.append(MatchCondition("prefix", prefix))
    if suffix:
        conditions.append(MatchCondition("suffix", suffix))
    found: list[Namespace] = await _do(store, ListNamespacesOp(tuple(conditions) or None, max_depth, limit, offset))
    return found


async def sweep(database: Database, limit: int) -> int:
    """Delete up to so many items that have expired; returns how many."""
    return await database.execute(_SQL["sweep"], {"limit": limit})


async def _do(store: Store, op: Op) -> Any:
    for last in (False, True):
        try:
            return (await store.abatch([op]))[0]
        except AWAY as error:
            # Each is safe to send twice, and a connection that died in the pool is only found out by using it.
            if last or isinstance(error, PoolTimeout):
                raise away(error) from error
    raise AssertionError("unreachable")


def _plain(item: Item) -> dict[str, Any]:
    return {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at.astimezone(dt.UTC),
        "updated_at": item.updated_at.astimezone(dt.UTC),
    }
