"""The rules of items in the long-term store, the one that graphs know as `runtime.store` (contract A.10).

Called by the gateway, on its loop, and by `app`, which sweeps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from langyard import serde
from langyard.model.errors import BadRequest, Invalid
from langyard.postgres.database import Database
from langyard.postgres.rows import items as rows
from langyard.postgres.store import Store

_OPERATORS = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"})
# An index entry of PostgreSQL holds no more than 2,704 bytes, and namespace and key share one.
_LONGEST = 2000
_BATCH = 500


class Items:
    """All items of the database. Each operation raises `Invalid` for what no store takes, and `Unavailable`."""

    def __init__(self, database: Database, store: Store, *, refresh: bool = True, ttl_min: float | None = None) -> None:
        self._database = database
        self._store = store
        self._refresh = refresh
        self._ttl_min = ttl_min

    async def put(
        self,
        namespace: Sequence[str],
        key: str,
        value: Mapping[str, Any],
        *,
        index: Sequence[str] | bool | None = None,
        ttl_min: float | None = None,
    ) -> None:
        """Store an item, in place of the one that is there. Its time to live is rounded up to whole minutes."""
        place = _place(namespace, key)
        ttl_min = self._ttl_min if ttl_min is None else ttl_min
        minutes = None if ttl_min is None else math.ceil(ttl_min)
        await rows.put(self._store, place, key, serde.plain(value), index=index, ttl_min=minutes)

    async def find(self, namespace: Sequence[str], key: str, *, refresh: bool | None = None) -> dict[str, Any] | None:
        """An item, which lives on for its full time unless `refresh` says no."""
        place = _place(namespace, key)
        return await rows.find(self._store, place, key, refresh=self._refresh if refresh is None else refresh)

    async def delete(self, namespace: Sequence[str], key: str) -> None:
        """Delete an item, if it is there."""
        await rows.delete(self._store, _place(namespace, key), key)

    async def search(
        self,
        prefix: Sequence[str] = (),
        *,
        filters: Mapping[str, Any] | None = None,
        query: str | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Items under a namespace, newest first; by meaning when there is a `query` and an index to answer it."""
        return await rows.search(
            self._store,
            _labels(prefix),
            filters=_filters(filters or {}),
            query=_without_nul(query, "query") if query else None,
            limit=limit,
            offset=offset,
            refresh=self._refresh if refresh is None else refresh,
        )

    async def namespaces(
        self,
        *,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """The namespaces that hold items; `*` in `prefix` and `suffix` stands for any label."""
        return await rows.namespaces(
            self._store,
            prefix=_labels(prefix),
            suffix=_labels(suffix),
            max_depth=max_depth,
            limit=limit,
            offset=offset,
        )

    async def sweep(self) -> int:
        """Delete what has expired, a batch at a time; returns how many."""
        gone = 0
        while (deleted := await rows.sweep(self._database, _BATCH)) > 0:
            gone += deleted
        return gone


def _place(namespace: Sequence[str], key: str) -> tuple[str, ...]:
    if not namespace:
        raise BadRequest("Namespace cannot be empty.", code="invalid_namespace")
    found = _labels(namespace)
    if found[0] == "langgraph":
        raise BadRequest(f'Root label for namespace cannot be "langgraph". Got: {found}', code="invalid_namespace")
    if len(".".join((*found, _without_nul(key, "key"))).encode()) > _LONGEST:
        raise Invalid(f"Namespace and key together are longer than {_LONGEST} bytes.", code="key_too_long")
    return found


def _labels(namespace: Sequence[str]) -> tuple[str, ...]:
    for label in namespace:
        if not label or "." in label:
            raise Invalid(
                f"Namespace label '{label[:200]}' must be a non-empty string without periods", code="invalid_label"
            )
        _without_nul(label, "namespace")
    return tuple(namespace)


def _without_nul(text: str, what: str) -> str:
    if "\0" in text:
        raise Invalid(f"{what} has a NUL character, which no store takes.")
    return text


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """A value without operators is one to be equal to, objects too."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        _without_nul(key, "filter")
        if isinstance(value, Mapping) and any(str(name).startswith("$") for name in value):
            for name in value:
                if name not in _OPERATORS:
                    raise BadRequest(f"Unsupported operator: {name}", code="unsupported_operator")
            found[key] = serde.plain(value)
        else:
            found[key] = {"$eq": serde.plain(value)}
    return found
