"""The contract of streams on all three ways: within the process, through PostgreSQL's log, over Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from langyard.model.runs import RunEnd
from langyard.postgres.database import Database
from langyard.postgres.notifications import Listener
from langyard.postgres.writer import Finish, Lease, Writer
from langyard.runs import NoSlots, Runs
from langyard.streams import Heard, LocalBus, Outlet, RemoteEvents, Subscription
from langyard.streams.redis import RedisRelay, at
from langyard.testing.streams import LIMIT, StreamContract
from tests.redis_server import RedisServer

_RUN = """
with w as (
    insert into langyard.workers (worker_id, host, pid, version, slots, graphs, expires_at)
    values (%(worker)s, 'here', 1, '0', 1, '{}', now() + interval '1 hour')
), t as (
    insert into langyard.threads (thread_id, status, open_runs) values (%(thread)s, 'busy', 1) returning thread_id
)
insert into langyard.runs (run_id, thread_id, graph_id, kwargs, status, worker_id, fence, attempt, watched)
select %(run)s, thread_id, 'kit', '{}', 'running', %(worker)s, 1, 1, true from t
"""


class OneProcess:
    """Runs are read where they are executed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.here = self.there = LocalBus(limit=LIMIT)
        self.database = Database(url, name="contract", max_size=4)
        self.relay: RedisRelay | None = None

    async def open(self) -> None:
        await self.database.open()
        self.writer = Writer(self.database)
        self.writer.start()

    async def close(self) -> None:
        await self.writer.close()
        await self.database.close()

    async def begin(self) -> Outlet:
        run, thread, worker = (UUID(int=uuid.uuid4().int) for _ in range(3))
        await self.database.execute(_RUN, {"run": run, "thread": thread, "worker": worker})
        lease = Lease(run, thread, 1)
        self.leases = {**getattr(self, "leases", {}), run: lease}
        return Outlet(lease, self.here, self.writer, self.relay, watched=True)

    async def read(self, outlet: Outlet) -> Subscription:
        return self.there.subscribe(outlet.run_id)

    async def finish(self, outlet: Outlet) -> RunEnd:
        lease = self.leases[outlet.run_id]
        last = outlet.close("end", b"{}")
        batch = self.writer.batch()
        batch.finishes[lease.run_id] = (batch.index(lease), Finish("success", "idle", values=b'{"x": 1}'))
        await self.writer.commit(lease)
        outlet.announce(last)
        end = RunEnd(lease.run_id, lease.thread_id, "success", b'{"x": 1}')
        outlet.finish(end)
        return end

    async def cut(self) -> None:
        """There is nothing between."""


class TwoProcesses(OneProcess):
    """Runs are read by another process, through the log."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.there = LocalBus(limit=LIMIT)

    async def open(self) -> None:
        await super().open()
        self.listening = asyncio.Event()
        self.remote = RemoteEvents(self.database, self.there, poll_s=0.2, relay=self.relay)
        self.runs = Runs(self.database, self.there, NoSlots(), self.remote, poll_s=0.2, relay=self.relay)
        await self.runs.open()
        self.listener = Listener(self.url, self.runs.on_note, self._on_gap)
        self.listener.start()
        async with asyncio.timeout(30):
            await self.listening.wait()

    def _on_gap(self) -> None:
        self.listening.set()
        self.runs.on_gap()

    async def close(self) -> None:
        await self.listener.close()
        await self.runs.close()
        await super().close()

    async def read(self, outlet: Outlet) -> Subscription:
        started = await self.runs.join(outlet.run_id)
        outlet.followed = True  # as the worker learns of it
        return started.reader

    async def cut(self) -> None:
        await asyncio.to_thread(self._terminate)

    def _terminate(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )


class OverRedis(TwoProcesses):
    """Runs are read by another process that hears of them over Redis. Speaker and listener are one here: the channels
    are the same."""

    def __init__(self, url: str, server: RedisServer) -> None:
        super().__init__(url)
        self.server = server
        self.relay = at(server.url)

    async def open(self) -> None:
        await super().open()
        assert self.relay is not None
        self.heard = 0
        self.relay.start(Heard(self.runs.on_part, self.runs.on_ended, lambda *_: None, self.runs.on_gap))
        await self.live()

    async def live(self) -> None:
        assert self.relay is not None
        async with asyncio.timeout(30):
            while not self.relay.live:  # noqa: ASYNC110 - nobody else asks
                await asyncio.sleep(0.01)

    async def read(self, outlet: Outlet) -> Subscription:
        reader = await super().read(outlet)
        async with asyncio.timeout(30):
            while f"langyard:run:{outlet.run_id}" not in await asyncio.to_thread(self.server.channels):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return reader

    async def close(self) -> None:
        assert self.relay is not None
        await self.relay.close()
        await super().close()

    async def cut(self) -> None:
        await asyncio.to_thread(self.server.cut)


class OverRedisThatIsGone(OverRedis):
    """Redis is stopped for good at the first cut: PostgreSQL carries on alone."""

    async def cut(self) -> None:
        await asyncio.to_thread(self.server.stop)


class TestLocal(StreamContract):
    @pytest.fixture
    async def ends(self, database: str) -> AsyncIterator[OneProcess]:
        ends = OneProcess(database)
        await ends.open()
        yield ends
        await ends.close()


class TestPostgres(StreamContract):
    @pytest.fixture
    async def ends(self, database: str) -> AsyncIterator[TwoProcesses]:
        ends = TwoProcesses(database)
        await ends.open()
        yield ends
        await ends.close()


class TestRedis(StreamContract):
    @pytest.fixture
    async def ends(self, database: str, redis_server: RedisServer) -> AsyncIterator[OverRedis]:
        ends = OverRedis(database, redis_server)
        await ends.open()
        yield ends
        await ends.close()


class TestRedisThatGoesAway(StreamContract):
    @pytest.fixture
    async def ends(self, database: str, redis_server: RedisServer) -> AsyncIterator[OverRedisThatIsGone]:
        ends = OverRedisThatIsGone(database, redis_server)
        await ends.open()
        yield ends
        await ends.close()
