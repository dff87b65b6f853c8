"""What the database does not take costs the run that wants it stored, and no other; what it takes later, nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest

from langyard.model.errors import TooLarge, Unavailable
from langyard.model.ids import uuid7
from langyard.model.runs import RunRequest
from langyard.postgres import starts
from langyard.postgres.database import Database
from langyard.postgres.writer import Lease, Writer

# As an index, a trigger or a disk would, with a limit set by whoever owns the database.
SLOW = """
create function dawdle() returns trigger language plpgsql as $$
begin if new.channel = 'slow' then perform pg_sleep(60); end if; return new; end $$;
create trigger dawdle before insert on checkpoint_blobs for each row execute function dawdle();
"""


@dataclass
class Bench:
    """A writer, and runs that have something for it."""

    url: str
    database: Database
    writer: Writer

    async def lease(self) -> Lease:
        request = RunRequest(run_id=uuid7(), graph_id="g", kwargs={}, thread_id=uuid4(), may_create=True)
        started = await starts.start(self.database, request, uuid4())
        assert started is not None
        assert started.claimed is not None
        return Lease(request.run_id, started.run.thread_id, started.claimed.fence)

    def put(self, lease: Lease | None, channel: str = "quick", size: int = 1) -> str:
        """A value of a thread's, and the thread."""
        thread = str(lease.thread_id if lease is not None else uuid4())
        batch = self.writer.batch(size)
        batch.blobs[thread, "", channel, "1"] = (batch.index(lease), "bytes", b"x" * size)
        return thread

    async def stored(self) -> set[UUID]:
        return {UUID(row["thread_id"]) for row in await self.database.fetch("select thread_id from checkpoint_blobs")}


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(SLOW)
        admin.execute(f"alter database \"{admin.info.dbname}\" set statement_timeout = '500ms'")
    opened = Database(database, name="test", max_size=3)
    await opened.open()
    writer = Writer(opened)
    writer.start()
    yield Bench(database, opened, writer)
    await writer.close()
    await opened.close()


@pytest.mark.parametrize("slow", [0, 2, 4])
async def test_a_statement_timeout_costs_only_the_run_that_is_too_slow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, slow: int
):
    monkeypatch.setattr("langyard.postgres.writer._PATIENCE_S", 0.0)
    leases = [await bench.lease() for _ in range(5)]
    for number, lease in enumerate(leases):
        bench.put(lease, "slow" if number == slow else "quick")
    async with asyncio.timeout(60):
        await bench.writer.commit()
    guilty = leases.pop(slow)
    assert await bench.stored() == {lease.thread_id for lease in leases}
    assert [lease.lost for lease in leases] == [False] * 4
    assert isinstance(guilty.refused, Unavailable)
    assert (guilty.lost, guilty.refused.code) == (True, "state_too_slow")
    assert "longer than its statement_timeout" in guilty.refused.detail
    # And it goes on.
    bench.put(leases[0], "later")
    await bench.writer.commit(leases[0])


async def test_what_is_too_slow_outside_any_run_is_told_to_who_wants_it_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("langyard.postgres.writer._PATIENCE_S", 0.0)
    lease = await bench.lease()
    bench.put(lease)
    bench.put(None, "slow")
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable, match="statement_timeout"):
            await bench.writer.commit()
    assert (await bench.stored(), lease.lost) == ({lease.thread_id}, False)


async def test_while_the_database_is_slow_with_everything_nobody_is_to_blame(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("langyard.postgres.writer._PATIENCE_S", 0.0)
    leases = [await bench.lease() for _ in range(2)]
    async with await psycopg.AsyncConnection.connect(bench.url) as other:
        # As an index that is made does.
        await other.execute("lock table checkpoint_blobs in share mode")
        for lease in leases:
            bench.put(lease)
        committing = asyncio.create_task(bench.writer.commit())
        async with asyncio.timeout(60):
            while caplog.text.count("QueryCanceled") < 10:
                await asyncio.wait({committing}, timeout=0.05)
                assert not committing.done()
        await other.rollback()
    async with asyncio.timeout(60):
        await committing
    assert [lease.lost for lease in leases] == [False] * 2
    assert await bench.stored() == {lease.thread_id for lease in leases}


async def test_more_than_a_statement_may_carry_goes_in_halves_and_what_no_half_may_carry_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("langyard.postgres.writer._LARGE", 1000)
    monkeypatch.setattr("langyard.postgres.writer._LARGEST", 2000)
    leases = [await bench.lease() for _ in range(5)]
    for lease in leases:
        bench.put(lease, size=3000 if lease is leases[1] else 900)
    async with asyncio.timeout(60):
        await bench.writer.commit()
    guilty = leases.pop(1)
    assert await bench.stored() == {lease.thread_id for lease in leases}
    assert [lease.lost for lease in leases] == [False] * 4
    assert isinstance(guilty.refused, TooLarge)
    assert (guilty.lost, guilty.refused.code) == (True, "state_too_large")
