"""What can go wrong, done on purpose: to processes, to their way to the database, to the database, to Redis. Seeded."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.acceptance.chaos.yard import Server, Yard
from tests.redis_server import RedisServer


class Faults:
    """Injects one fault after another until told to stop. `kills` are the moments at which a process died."""

    def __init__(self, yard: Yard, seed: int, kinds: Sequence[str] = ()) -> None:
        self._yard = yard
        self._random = random.Random(seed)
        ways: dict[str, tuple[Callable[[Server], Awaitable[None]], int]] = {
            "kill": (self._kill, 6),
            "freeze": (self._freeze, 3),
            "drain": (self._drain, 3),
            "cut": (self._cut, 4),
            "delay": (self._delay, 2),
            "refuse": (self._refuse, 2),
            "silence": (self._silence, 2),
            "postgres": (self._postgres, 1),
        }
        if yard.redis is not None:
            ways |= {
                "redis stop": (self._redis_stop, 2),
                "redis freeze": (self._redis_freeze, 2),
                "redis flush": (self._redis_flush, 1),
                "redis cut": (self._redis_cut, 1),
            }
        self._ways = {kind: way for kind, way in ways.items() if not kinds or kind in kinds}
        self.injected: Counter[str] = Counter()
        self.kills: list[tuple[float, int]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Do harm until told to stop; then everything is as it was."""
        while not stop.is_set():
            await self._once()
            await asyncio.sleep(self._random.uniform(0.2, 1.2))

    async def _once(self) -> None:
        (kind,) = self._random.choices(list(self._ways), [weight for _, weight in self._ways.values()])
        server = self._random.choice(self._yard.servers)
        self.injected[kind] += 1
        await self._ways[kind][0](server)

    async def _kill(self, server: Server) -> None:
        assert server.process is not None
        if server.works:
            self.kills.append((time.time(), server.process.pid))
        await server.end(signal.SIGKILL)
        await asyncio.sleep(self._random.uniform(0, 2))
        await server.start()
        # Somebody must be there to take its runs over, or what is measured is how long a process takes to start.
        await server.ready()

    async def _drain(self, server: Server) -> None:
        await server.end(signal.SIGTERM)
        await server.start()

    async def _freeze(self, server: Server) -> None:
        """For longer than its lease lasts."""
        with server.harm():
            server.send(signal.SIGSTOP)
            await asyncio.sleep(self._yard.lease_s + self._random.uniform(1, 2.5))
            server.send(signal.SIGCONT)

    async def _cut(self, server: Server) -> None:
        with server.harm():
            for _ in range(self._random.randint(1, 3)):
                server.wire.cut()
                await asyncio.sleep(self._random.uniform(0, 0.3))

    async def _delay(self, server: Server) -> None:
        with server.harm():
            server.wire.delay_s = self._random.uniform(0.02, 0.3)
            await asyncio.sleep(self._random.uniform(1, 3))
            server.wire.mend()

    async def _refuse(self, server: Server) -> None:
        """No connection lives and none is let in, for about as long as the lease lasts."""
        with server.harm():
            server.wire.refusing = True
            server.wire.cut()
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._yard.lease_s)
            server.wire.mend()

    async def _silence(self, server: Server) -> None:
        """Nothing gets through; what was sent arrives later, when nobody expects it any more."""
        with server.harm():
            server.wire.silence()
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._yard.lease_s)
            server.wire.mend()

    async def _postgres(self, _: Server) -> None:
        await self._yard.restart_postgres()

    async def _redis_stop(self, _: Server) -> None:
        redis = self._redis
        await asyncio.to_thread(redis.stop)
        await asyncio.sleep(self._random.uniform(0.5, 3))
        await asyncio.to_thread(redis.start)

    async def _redis_freeze(self, _: Server) -> None:
        self._redis.freeze()
        await asyncio.sleep(self._random.uniform(1, 4))
        self._redis.thaw()

    async def _redis_flush(self, _: Server) -> None:
        await asyncio.to_thread(self._redis.flush)

    async def _redis_cut(self, _: Server) -> None:
        await asyncio.to_thread(self._redis.cut)

    @property
    def _redis(self) -> RedisServer:
        assert self._yard.redis is not None
        return self._yard.redis
