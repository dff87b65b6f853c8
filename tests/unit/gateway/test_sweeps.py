"""What a server throws away by itself: expired sessions with all that is theirs, and old idempotency keys."""

from __future__ import annotations

import asyncio

import psycopg

from tests.unit.gateway.serving import serve, until


def count(database: str, table: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute(f"select count(*) from {table}").fetchone()
    assert found is not None
    return int(found[0])


async def test_an_expired_session_goes_with_its_thread_but_not_while_it_runs(database: str):
    times = {"ttl_seconds": 0.2, "grace_seconds": 0.1, "sweep_seconds": 0.05}
    async with serve(database, sessions=times) as served:
        running = asyncio.create_task(served.execute("gate", session_id="runs"))
        await served.gate.reached()
        await served.execute("ask", session_id="waits")
        await until(lambda: count(database, "langyard.sessions") == 1)
        assert not running.done()
        served.gate.open.set()
        assert (await running).json()["status"] == "success"
        tables = ["langyard.sessions", "langyard.threads", "langyard.runs", "checkpoints", "checkpoint_writes"]
        await until(lambda: not any(count(database, table) for table in tables))


async def test_a_deletion_cut_short_is_completed_by_the_sweep(database: str):
    async with serve(database, sessions={"grace_seconds": 0.0, "sweep_seconds": 0.05}) as served:
        await served.execute("echo", session_id="s")
        # All that a server does before it dies in the middle.
        await served.app.sessions.close("s", "ada")
        await until(lambda: count(database, "langyard.threads") == 0)


async def test_keys_are_kept_for_their_time_and_not_forgotten_while_their_run_is_open(database: str):
    async with serve(database, idempotency_retention_seconds=0.2) as served:
        running = asyncio.create_task(served.execute("gate", headers={"Idempotency-Key": "runs"}))
        await served.gate.reached()
        await served.execute("echo", headers={"Idempotency-Key": "ends"})
        await until(lambda: count(database, "langyard.idempotency_keys") == 1)
        assert not running.done()
        served.gate.open.set()
        await running
        await until(lambda: count(database, "langyard.idempotency_keys") == 0)
