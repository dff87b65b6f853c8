"""What Redis adds to the contract of streams, and what it must never take away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from langyard.model.events import Event
from langyard.postgres.rows import events
from langyard.streams import Heard, NoRelay, Part, postgres
from langyard.streams.packing import pack_part
from langyard.streams.redis import at
from langyard.testing.streams import all_of, numbers_of, publish, taken
from tests.contract.test_streams import OverRedis, TwoProcesses
from tests.redis_server import RedisServer


@pytest.fixture
async def ends(database: str, redis_server: RedisServer) -> AsyncIterator[OverRedis]:
    ends = OverRedis(database, redis_server)
    await ends.open()
    yield ends
    await ends.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_events_come_before_they_are_stored(ends: OverRedis):
    outlet = await ends.begin()
    await ends.writer.close()  # from now on nothing is stored, so what arrives came over Redis
    with await ends.read(outlet) as reader:
        publish(outlet, *range(100))
        assert numbers_of(await taken(reader, 64)) == list(range(36, 100))  # the reader's bound


async def test_what_a_relay_lost_comes_from_the_log_and_in_its_place(ends: OverRedis):
    outlet = await ends.begin()
    with await ends.read(outlet) as reader:
        publish(outlet, 0, 1)
        await taken(reader, 2)
        relay, outlet._relay = outlet._relay, NoRelay()
        publish(outlet, 2, 3)
        outlet._relay = relay
        publish(outlet, 4, 5)
        await ends.finish(outlet)
        assert numbers_of(await all_of(reader)) == [2, 3, 4, 5]


async def test_a_worker_that_has_lost_the_run_is_not_heard(ends: OverRedis):
    outlet = await ends.begin()
    with await ends.read(outlet) as reader:
        publish(outlet, 1)
        [first] = await taken(reader, 1)
        later = Event(first.seq + 10, "updates", b'{"n":2}')
        ends.runs.on_part(Part(outlet.run_id, 5, 0, (later,)))  # another attempt
        [second] = await taken(reader, 1)
        ends.runs.on_part(Part(outlet.run_id, 1, first.seq, (Event(first.seq + 20, "updates", b'{"n":3}'),)))
        ends.runs.on_part(Part(outlet.run_id, 5, later.seq, (Event(first.seq + 30, "updates", b'{"n":4}'),)))
        assert numbers_of([second, *await taken(reader, 1)]) == [2, 4]


async def test_frozen_it_holds_up_nothing_and_comes_back(ends: OverRedis, redis_server: RedisServer):
    assert ends.relay is not None
    redis_server.freeze()
    try:
        outlet = await ends.begin()
        with (await ends.runs.join(outlet.run_id)).reader as reader:
            outlet.followed = True
            found = []
            for number in range(30):
                began = time.monotonic()
                publish(outlet, number)
                found += await taken(reader, 1)
                assert time.monotonic() - began < 5
            await until(lambda: ends.relay is not None and not ends.relay.live)
            assert ends.relay.latency_ms is None
            await ends.finish(outlet)
            assert numbers_of(found + await all_of(reader)) == list(range(30))
    finally:
        redis_server.thaw()
    await ends.live()
    assert ends.relay.latency_ms is not None


async def test_what_waits_to_be_sent_is_bounded(ends: OverRedis, redis_server: RedisServer):
    assert ends.relay is not None
    outlet = await ends.begin()
    outlet.followed = True
    redis_server.freeze()
    try:
        for _ in range(64):
            outlet.publish("custom", b'"' + b"x" * 500_000 + b'"')
            assert ends.relay.backlog_bytes < 10_000_000
        await until(lambda: ends.relay is not None and not ends.relay.live)
        assert ends.relay.backlog_bytes == 0
    finally:
        redis_server.thaw()


async def test_it_is_found_again_after_a_restart(ends: OverRedis, redis_server: RedisServer):
    outlet = await ends.begin()
    with await ends.read(outlet) as reader:
        redis_server.stop()
        publish(outlet, 1)
        await taken(reader, 1)
        await until(lambda: ends.relay is not None and not ends.relay.live)
        redis_server.start()
        await ends.live()
        await until(lambda: f"langyard:run:{outlet.run_id}" in redis_server.channels())
        await ends.writer.close()  # from here on only Redis can bring anything
        publish(outlet, 2)
        assert numbers_of(await taken(reader, 1)) == [2]


async def test_nonsense_on_its_channels_harms_nobody(ends: OverRedis, redis_server: RedisServer):
    outlet = await ends.begin()
    good = pack_part(1, 0, [Event(1, "x", b"{}")])
    with await ends.read(outlet) as reader, redis_server.client() as client:
        for data in (b"", b"P", b"P1", b"E1" + b"\xff" * 40, good[:-1], good + b"x", b"P9" + good[2:], b"\x00" * 5000):
            client.publish(f"langyard:run:{outlet.run_id}", data)
        client.publish("langyard:notes", b"\xff\xfe nonsense")
        client.publish("langyard:notes", b"end not-an-id")
        publish(outlet, 1)
        assert numbers_of(await taken(reader, 1)) == [1]
        assert ends.relay is not None
        assert ends.relay.live


async def test_it_needs_two_connections_and_a_channel_for_each_run(ends: OverRedis, redis_server: RedisServer):
    outlets = [await ends.begin() for _ in range(3)]
    readers = [await ends.read(outlet) for outlet in outlets for _ in range(50)]
    assert len(redis_server.connections()) == 2
    assert len(redis_server.channels()) == 3 + 1
    for reader in readers:
        reader.close()
    await until(lambda: redis_server.channels() == ["langyard:notes"])


async def test_a_password_that_is_wrong_is_as_no_redis(database: str, redis_server: RedisServer):
    with redis_server.client() as client:
        client.config_set("requirepass", "other")
    ends = TwoProcesses(database)
    ends.relay = at(redis_server.url)
    await ends.open()
    ends.relay.start(Heard(ends.runs.on_part, ends.runs.on_ended, lambda *_: None, ends.runs.on_gap))
    outlet = await ends.begin()
    with await ends.read(outlet) as reader:
        publish(outlet, 1)
        await ends.finish(outlet)
        assert numbers_of(await all_of(reader)) == [1]
        assert not ends.relay.live
    await ends.relay.close()
    await ends.close()


async def test_who_joins_while_events_are_told_but_not_stored_misses_none(ends: OverRedis):
    outlet = await ends.begin()
    with await ends.read(outlet) as early:
        publish(outlet, *range(5))
        await taken(early, 5)
        await ends.writer.commit()
        async with await psycopg.AsyncConnection.connect(ends.url) as holding:
            # Whoever holds the run's row keeps the writer waiting.
            await holding.execute("select from langyard.runs where run_id = %s for update", (outlet.run_id,))
            publish(outlet, *range(5, 10))
            assert numbers_of(await taken(early, 5)) == list(range(5, 10))
            joining = asyncio.create_task(ends.runs.join(outlet.run_id, after=0))
            await until(lambda: len(ends.there._readers[outlet.run_id]) == 2)
            publish(outlet, *range(10, 15))
            await taken(early, 5)
            await asyncio.wait({joining}, timeout=0.5)  # time enough to go wrong
            await holding.rollback()
        with (await joining).reader as late:
            publish(outlet, *range(15, 20))
            await ends.finish(outlet)
            assert numbers_of(await all_of(late)) == list(range(20))
            assert numbers_of(await all_of(early)) == list(range(15, 20))


async def test_while_all_is_well_the_log_is_not_read(ends: OverRedis, monkeypatch: pytest.MonkeyPatch):
    outlet = await ends.begin()
    asked = []

    async def read(*args: Any) -> list[Event]:
        asked.append(args)
        return await events.read(*args)

    async def behind(*args: Any) -> list[Any]:
        return []

    # However slow this machine is just now, a notification that overtakes Redis is no reason to ask, nor is the look
    # that is taken once a second.
    monkeypatch.setattr(postgres, "GRACE_S", 20.0)
    with await ends.read(outlet) as reader:
        monkeypatch.setattr(postgres, "log_rows", SimpleNamespace(read=read, behind=behind))
        for burst in range(10):
            publish(outlet, *range(burst * 5, burst * 5 + 5))
            await taken(reader, 5)
            await ends.writer.commit()
        assert asked == []
        await ends.finish(outlet)
        assert await all_of(reader)


async def test_who_is_watched_while_it_connects_is_not_forgotten(redis_server: RedisServer):
    relay, watched = at(redis_server.url), []
    relay.start(Heard(lambda part: None, lambda ended: None, lambda kind, text: None, lambda: None))
    try:
        async with asyncio.timeout(30):
            # One with every turn of the loop: some while what is known is on its way to be subscribed to.
            while not relay.live:
                watched.append(uuid4())
                relay.watch(watched[-1])
                await asyncio.sleep(0)
        await until(lambda: {f"langyard:run:{run_id}" for run_id in watched} <= set(redis_server.channels()))
    finally:
        await relay.close()
