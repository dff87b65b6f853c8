"""Idempotency keys in PostgreSQL: which run a key stands for, and the answer it was given. Called by the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from langyard.postgres.database import Database
from langyard.postgres.queries import load

_SQL = load("idempotency")


@dataclass(frozen=True, slots=True)
class Key:
    """A user's key. `run_id` is the run it stands for, started or not; `status` and `body` the answer, once given."""

    user_id: str
    key: str
    fingerprint: bytes
    run_id: UUID
    status: int | None = None
    body: bytes | None = None


async def claim(database: Database, user_id: str, key: str, fingerprint: bytes, run_id: UUID) -> Key:
    """The key's row as it was first made, now or earlier: compare its `run_id` and `fingerprint`."""
    params = {"user_id": user_id, "key": key, "fingerprint": fingerprint, "run_id": run_id}
    while True:
        row = await database.fetch_one(_SQL["claim"], params)
        if row is not None:
            return Key(user_id, key, row["fingerprint"], row["run_id"], row["status"], row["body"])


async def store(database: Database, key: Key, status: int, body: bytes) -> tuple[int, bytes]:
    """Keep the answer; returns the one that is kept, which is an earlier one if there was one."""
    params = {"user_id": key.user_id, "key": key.key, "run_id": key.run_id, "status": status, "body": body}
    row = await database.fetch_one(_SQL["store"], params)
    return (row["status"], row["body"]) if row is not None else (status, body)


async def release(database: Database, key: Key) -> None:
    """Forget a key whose run was never made."""
    await database.execute(_SQL["release"], {"user_id": key.user_id, "key": key.key, "run_id": key.run_id})


async def sweep(database: Database, *, retention_s: float, limit: int = 1000) -> int:
    """Forget up to `limit` keys older than `retention_s`; how many there were."""
    return await database.execute(_SQL["sweep"], {"retention_s": retention_s, "limit": limit})
