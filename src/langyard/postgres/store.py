"""LangGraph's long-term store on LangGraph's own table, over the asking loop's pool. Made by `app`, for each loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from langgraph.store.base import TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig

from langyard.postgres.database import Database

# pgvector indexes vectors up to this many dimensions; beyond, those with half the precision.
_WIDEST = 2000
_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """How items are found by meaning: `embed` makes vectors of `dims` numbers of the texts under `fields`."""

    dims: int
    embed: Any
    fields: tuple[str, ...] = ("$",)

    def config(self) -> PostgresIndexConfig:
        """The same in LangGraph's words."""
        found: PostgresIndexConfig = {"dims": self.dims, "embed": self.embed, "fields": list(self.fields)}
        if self.dims > _WIDEST:
            found["ann_index_config"] = {"kind": "hnsw", "vector_type": "halfvec"}
        return found


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`store` of `langgraph.json`. Times to live are minutes, whole ones: LangGraph's column takes no others."""

    index: VectorIndex | None = None
    refresh_on_read: bool = True
    default_ttl_min: float | None = None
    sweep_min: float = 5.0

    def ttl(self) -> TTLConfig:
        """The same in LangGraph's words. What has expired is not seen, whenever the sweep comes to it."""
        default = None if self.default_ttl_min is None else math.ceil(self.default_ttl_min)
        return {"refresh_on_read": self.refresh_on_read, "default_ttl": default, "omit_expired": True}


class Store(AsyncPostgresStore):
    """LangGraph's store, which compares as text; here a number in a filter is compared with numbers, and as one."""

    def _get_filter_condition(self, key: str, op: str, value: Any) -> tuple[str, list[Any]]:
        if op in _SIGNS and isinstance(value, int | float) and not isinstance(value, bool):
            condition = f"(case when jsonb_typeof(value->%s) = 'number' then (value->>%s)::numeric {_SIGNS[op]} %s end)"
            return condition, [key, key, value]
        return super()._get_filter_condition(key, op, value)


def open_store(database: Database, options: StoreOptions | None = None) -> Store:
    """The store graphs see as `runtime.store`. Call on the loop that will use it; it ends with that loop."""
    options = options or StoreOptions()
    index = options.index.config() if options.index is not None else None
    store = Store(cast(Any, database.pool), index=index, ttl=options.ttl())
    store.supports_pipeline = store.supports_pipeline and not database.transaction_pooler
    return store
