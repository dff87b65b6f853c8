"""Several processes at one port: here they are doors of one loop, which is all the same to the listening socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest

from langyard.cli.supervised.doors import Door, Tally, tally_file, unnamed_file


class Guest(asyncio.Protocol):
    """A connection that stays, and says who took it."""

    def __init__(self, name: str, guests: list[Guest]) -> None:
        self.name, self.guests = name, guests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.guests.append(self)
        transport.write(self.name.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.guests.remove(self)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def fd() -> Iterator[int]:
    with tally_file(3) as file:
        yield file.fileno()


@pytest.fixture
def door(listener: socket.socket, fd: int) -> Iterator[Callable[..., Door]]:
    with contextlib.ExitStack() as stack:

        def made(place: int, guests: list[Guest] | None = None) -> Door:
            inside: list[Guest] = [] if guests is None else guests
            own = stack.enter_context(listener.dup())  # a loop watches a descriptor once
            count, tally = inside.__len__, Tally(fd, place)
            opened = Door(own, lambda: Guest(str(place), inside), connections=count, tally=tally, backlog=100, ssl=None)
            stack.callback(opened.close)
            return opened

        yield made


async def visit(listener: socket.socket, count: int) -> list[str]:
    """So many connections at once; who took each."""

    async def one() -> str:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writers.append(writer)
        return (await asyncio.wait_for(reader.read(1), 5)).decode()

    writers: list[asyncio.StreamWriter] = []
    try:
        return await asyncio.gather(*(one() for _ in range(count)))
    finally:
        for writer in writers:
            writer.close()


async def test_those_who_come_together_are_taken_evenly(listener, door):
    doors = [door(0), door(1)]
    took = await visit(listener, 16)
    assert took.count("0") == 8, took
    for each in doors:
        each.close()
        await each.wait_closed()


async def test_a_process_that_comes_later_has_the_next(listener, door):
    first: list[Guest] = []
    one = door(0, first)
    first.extend(Guest("0", first) for _ in range(5))
    one.tell()
    door(1)
    assert await visit(listener, 4) == ["1"] * 4


async def test_nobody_waits_for_a_process_that_hangs(listener, fd, door):
    Tally(fd, 1).write(0)  # it takes connections, it says
    mine: list[Guest] = []
    mine.append(Guest("0", mine))
    door(0, mine)
    assert await asyncio.wait_for(visit(listener, 3), 1) == ["0"] * 3


async def test_one_that_hangs_is_soon_left_out_of_the_count(fd):
    hanging, mine = Tally(fd, 1), Tally(fd, 0)
    hanging.write(0)
    assert mine.more_than_another(1)
    async with asyncio.timeout(5):
        while mine.more_than_another(1):  # noqa: ASYNC110 - nothing tells, that is how it is known
            await asyncio.sleep(0.01)
    assert mine.takes(1)  # it may come to itself, as a process that was stopped does
    hanging.write(0)
    assert mine.more_than_another(1)


async def test_one_that_has_closed_is_not_waited_for(listener, fd, door):
    closed = door(1)
    closed.close()
    assert not Tally(fd, 0).more_than_another(100)
    door(0)
    assert await visit(listener, 2) == ["0"] * 2


async def test_without_a_descriptor_it_waits_for_one(listener, door, caplog):
    door(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(listener.getsockname()) as client:
        client.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await asyncio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "no connection can be taken" in caplog.text
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5) == b"0"


async def test_one_without_a_descriptor_is_not_waited_for(listener, fd, door):
    door(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(listener.getsockname()):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await asyncio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        other = Tally(fd, 0)
        assert not other.more_than_another(100)
        assert other.takes(1)


async def test_what_goes_wrong_for_good_is_said_now_and_then(listener, door, caplog):
    raised: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: raised.append(found))
    door(0)
    listener.shutdown(socket.SHUT_RDWR)
    await asyncio.sleep(0.1)
    assert not raised
    assert caplog.text.count("no connection can be taken") == 1


def test_what_processes_share_needs_no_folder(monkeypatch):
    if hasattr(os, "memfd_create"):
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with tally_file(1) as counts, unnamed_file() as other:
        assert not Tally(counts.fileno()).takes(0)
        assert other.write(b"x") == 1
