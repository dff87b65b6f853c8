"""LangGraph's long-term store on LangGraph's own table, over the asking loop's pool. Made by `app` for workers."""

from __future__ import annotations

from typing import Any, cast

from langgraph.store.postgres.aio import AsyncPostgresStore

from langyard.postgres.database import Database


def open_store(database: Database) -> AsyncPostgresStore:
    """The store graphs see as `runtime.store`. Call on the loop that will use it; it ends with that loop."""
    store = AsyncPostgresStore(cast(Any, database.pool))
    store.supports_pipeline = store.supports_pipeline and not database.transaction_pooler
    return store
