"""What every way of a run's events to its readers keeps, whatever carries them: derive from `StreamContract` in a test.

The suite sees two ends: where runs are executed, and where they are read. They may be one process or two.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from langyard.model.events import Event
from langyard.model.runs import RunEnd
from langyard.streams import Outlet, Subscription

WAIT_S = 30.0
"""How long anything may take here. Nothing should take longer than a second."""
LIMIT = 64
"""How many events a reader of the ends under test may lag behind."""


class Ends(Protocol):
    """The two ends of a way under test."""

    async def begin(self) -> Outlet:
        """A run that executes from now on, read by nobody yet."""

    async def read(self, outlet: Outlet) -> Subscription:
        """A reader at the other end; whatever is published from now on reaches it."""

    async def finish(self, outlet: Outlet) -> RunEnd:
        """End the run as a worker does: committed, then told."""

    async def cut(self) -> None:
        """Break what lies between the ends, as a network does; it comes back by itself. Nothing where there is none."""


async def taken(reader: Subscription, count: int) -> list[Event]:
    """The next `count` events."""
    found: list[Event] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            await reader.wait()
            found += reader.take()
    return found


async def all_of(reader: Subscription) -> list[Event]:
    """All events to the end of the run."""
    async with asyncio.timeout(WAIT_S):
        return [event async for event in reader]


def publish(outlet: Outlet, *numbers: int) -> None:
    """Events that say which they are."""
    for number in numbers:
        outlet.publish("updates", b'{"n":%d}' % number)


def numbers_of(events: list[Event]) -> list[int]:
    """What `publish` said."""
    return [int(event.data[5:-1]) for event in events if event.name == "updates"]


class StreamContract:
    """The suite. A test class that derives from it has a fixture `ends`, open while a test runs."""

    async def test_events_come_in_order_and_each_once(self, ends: Ends) -> None:
        """Also when they come in bursts, and with pauses in which everything is stored."""
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            found = []
            for burst in range(5):
                publish(outlet, *range(burst * 10, burst * 10 + 10))
                found += await taken(reader, 10)
            await ends.finish(outlet)
            found += await all_of(reader)
            assert numbers_of(found) == list(range(50))
            assert [event.seq for event in found] == sorted({event.seq for event in found})

    async def test_the_end_comes_after_the_last_event(self, ends: Ends) -> None:
        """And says what the run left."""
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            publish(outlet, *range(20))
            told = await ends.finish(outlet)
            found = await all_of(reader)
            assert numbers_of(found) == list(range(20))
            assert found[-1].name == "end"
            assert reader.end is not None
            assert (reader.end.run_id, reader.end.status, reader.end.values) == (told.run_id, "success", told.values)

    async def test_who_waits_for_the_end_only_gets_it(self, ends: Ends) -> None:
        """Without a single event being taken."""
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            publish(outlet, *range(20))
            told = await ends.finish(outlet)
            async with asyncio.timeout(WAIT_S):
                assert await reader.wait_end() == told

    async def test_all_readers_share_what_was_encoded_once(self, ends: Ends) -> None:
        """However many there are at one end, the bytes are there once."""
        outlet = await ends.begin()
        readers = [await ends.read(outlet) for _ in range(20)]
        publish(outlet, *range(5))
        await ends.finish(outlet)
        found = [await all_of(reader) for reader in readers]
        assert {tuple(numbers_of(events)) for events in found} == {(0, 1, 2, 3, 4)}
        for same in zip(*found, strict=True):
            assert len({id(event.data) for event in same}) == 1
        for reader in readers:
            reader.close()

    async def test_who_falls_behind_is_told_of_the_gap_and_of_the_end(self, ends: Ends) -> None:
        """What waits for a reader is bounded; the newest is kept."""
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            publish(outlet, *range(LIMIT * 5))
            await ends.finish(outlet)
            async with asyncio.timeout(WAIT_S):
                while reader.end is None:  # noqa: ASYNC110 - to wait for it would be to read
                    await asyncio.sleep(0.01)
            found = await all_of(reader)
            assert 0 < len(found) <= LIMIT
            assert reader.lost == LIMIT * 5 + 1 - len(found)
            assert (numbers_of(found)[-1], found[-1].name) == (LIMIT * 5 - 1, "end")

    async def test_runs_do_not_mix(self, ends: Ends) -> None:
        """Neither their events nor their ends."""
        outlets = [await ends.begin() for _ in range(5)]
        readers = [await ends.read(outlet) for outlet in outlets]
        for step in range(10):
            for number, outlet in enumerate(outlets):
                publish(outlet, number * 100 + step)
        for number in (3, 1):
            await ends.finish(outlets[number])
            assert numbers_of(await all_of(readers[number])) == list(range(number * 100, number * 100 + 10))
        assert numbers_of(await taken(readers[0], 10)) == list(range(10))
        assert [reader.end is None for reader in readers] == [True, False, True, False, True]
        for reader in readers:
            reader.close()

    async def test_what_nobody_reads_is_not_asked_for(self, ends: Ends) -> None:
        """So that it need not be encoded."""
        outlet = await ends.begin()
        assert not outlet.wanted
        with await ends.read(outlet):
            assert outlet.wanted

    async def test_a_late_reader_begins_with_now(self, ends: Ends) -> None:
        """What nobody read is nowhere."""
        outlet = await ends.begin()
        publish(outlet, *range(10))
        with await ends.read(outlet) as reader:
            publish(outlet, *range(10, 20))
            await ends.finish(outlet)
            assert numbers_of(await all_of(reader)) == list(range(10, 20))

    async def test_two_readers_who_come_at_different_times(self, ends: Ends) -> None:
        """The later one takes nothing from the earlier one."""
        outlet = await ends.begin()
        with await ends.read(outlet) as early:
            publish(outlet, *range(10))
            begun = await taken(early, 10)
            with await ends.read(outlet) as late:
                publish(outlet, *range(10, 20))
                await ends.finish(outlet)
                assert numbers_of(begun + await all_of(early)) == list(range(20))
                assert numbers_of(await all_of(late))[-10:] == list(range(10, 20))

    async def test_who_leaves_gets_nothing_more_and_others_go_on(self, ends: Ends) -> None:
        """Nor does a run wait for its readers."""
        outlet = await ends.begin()
        gone, stays = await ends.read(outlet), await ends.read(outlet)
        publish(outlet, 1)
        await taken(stays, 1)
        await taken(gone, 1)
        gone.close()
        publish(outlet, 2)
        await ends.finish(outlet)
        assert numbers_of(await all_of(stays)) == [2]
        assert (gone.take(), gone.end) == ([], None)
        stays.close()

    async def test_names_and_bytes_come_as_they_are(self, ends: Ends) -> None:
        """Whatever the language, and however long."""
        told = [
            ("values|größe|子图:1", '{"text":"Łódź 🐘 \\u0000"}'.encode()),
            ("custom", b'"' + b"x" * 3_000_000 + b'"'),
            ("custom", b'""'),
            ("messages|" + "n" * 500, b"[" + b"1," * 1000 + b"2]"),
        ]
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            for name, data in told:
                outlet.publish(name, data)
            await ends.finish(outlet)
            assert [(event.name, event.data) for event in await all_of(reader)][:-1] == told

    async def test_a_cut_loses_nothing(self, ends: Ends) -> None:
        """Neither what was published before it, nor during it, nor after."""
        outlet = await ends.begin()
        with await ends.read(outlet) as reader:
            found = []
            for round_ in range(3):
                publish(outlet, *range(round_ * 20, round_ * 20 + 10))
                await ends.cut()
                publish(outlet, *range(round_ * 20 + 10, round_ * 20 + 20))
                found += await taken(reader, 20)
            await ends.cut()
            await ends.finish(outlet)
            found += await all_of(reader)
            assert numbers_of(found) == list(range(60))
