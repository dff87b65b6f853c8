"""Readiness says `degraded`, and still 200, while Redis does not answer; requests are served all the while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.redis_server import RedisServer
from tests.unit.gateway.serving import Served, serve


async def ready(served: Served) -> tuple[int, dict[str, Any]]:
    answer = await served.http.get("/health/ready")
    return answer.status_code, answer.json()


async def test_without_redis_nothing_is_said_of_it(database: str):
    async with serve(database) as served:
        status, body = await ready(served)
        assert (status, body["status"], list(body["dependencies"])) == (200, "ready", ["postgresql"])


async def test_redis_that_goes_is_named_and_missed_by_nobody(database: str, redis_server: RedisServer):
    async with serve(database, redis={"url": redis_server.url}) as served:

        async def says(status: str, redis: str) -> bool:
            code, body = await ready(served)
            found = (code, body["status"], body["dependencies"]["redis"]["status"])
            return found == (200, status, redis)

        await until_true(says, "ready", "healthy")
        for stop, start in ((redis_server.stop, redis_server.start), (redis_server.freeze, redis_server.thaw)):
            stop()
            await until_true(says, "degraded", "unhealthy")
            assert (await served.execute("echo", session_id="s")).status_code == 200
            start()
            await until_true(says, "ready", "healthy")


async def test_a_server_starts_without_the_redis_it_was_told_of(database: str):
    async with serve(database, redis={"url": "redis://127.0.0.1:1"}) as served:
        assert (await served.execute("echo", session_id="s")).status_code == 200
        status, body = await ready(served)
        assert (status, body["status"], body["dependencies"]["redis"]["latency_ms"]) == (200, "degraded", None)


async def until_true(says: Callable[..., Awaitable[bool]], *what: str) -> None:
    async with asyncio.timeout(30):
        while not await says(*what):  # noqa: ASYNC110 - readiness tells nobody
            await asyncio.sleep(0.05)
