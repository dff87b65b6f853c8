"""The virtual users and their client, against a server that says exactly what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.client import Connection, event_names, request_bytes
from benchmarks.load import GIVE_UP_AFTER, Outcome, RunFailed, drive

Write = Callable[[asyncio.StreamWriter], object]


@asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[tuple[str, int]]:
    """A server that gives these answers in turn, whatever the connection; None closes it."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = left.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


def chunked(*events: str) -> bytes:
    body = b"".join(f"{len(event):x}\r\n{event}\r\n".encode() for event in events)
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + body
        + b"0\r\n\r\n"
    )


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
GET = request_bytes("GET", "/")


async def test_a_connection_is_kept_and_a_closed_one_is_an_error():
    async with answering(PLAIN, PLAIN, None, PLAIN) as address:
        connection = Connection(address)
        assert [(await connection.ask(GET, 5)).body for _ in range(2)] == [b"{}", b"{}"]
        with pytest.raises(ConnectionError):
            await connection.ask(GET, 5)
        connection = connection.again()
        assert (await connection.ask(GET, 5)).status == 200
        connection.close()


async def test_the_first_event_is_the_first_that_tells_something():
    metadata, token = "event: metadata\ndata: {}\n\n", "event: messages\r\ndata: []\r\n\r\n"
    async with answering(chunked(metadata, token, token), chunked(metadata), PLAIN) as address:
        connection = Connection(address)
        full, empty, plain = [await connection.ask(GET, 5) for _ in range(3)]
        connection.close()
    assert event_names(full.body) == [b"metadata", b"messages", b"messages"]
    assert full.first_event_at > 0
    assert (empty.first_event_at, plain.first_event_at) == (0, 0)


def test_an_event_counts_once_it_is_whole():
    assert event_names(b"data: 1\n\n: comment\n\nevent: end\ndata: {}\nid: 3\n\nevent: half\nda") == [
        b"message",
        b"end",
    ]


async def test_every_user_runs_so_many_times():
    ran = [0, 0]

    def user(number: int) -> Callable[[], object]:
        async def run() -> Outcome:
            ran[number] += 1
            await asyncio.sleep(0)
            return Outcome(first_event=0.5, events=3)

        return run

    sample = await drive([user(0), user(1)], runs=4)  # type: ignore[list-item]
    assert ran == [4, 4]
    assert (sample.runs, sample.events, sample.first_events, sample.failures) == (8, 24, [0.5] * 8, 0)


async def test_time_ends_a_user_after_the_run_under_way():
    async def run() -> Outcome:
        await asyncio.sleep(0.05)
        return Outcome()

    sample = await drive([run], seconds=0.12)
    assert 1 <= sample.runs <= 3
    assert sample.seconds >= 0.12


async def test_who_always_fails_leaves():
    async def run() -> Outcome:
        raise RunFailed("500 broken")

    sample = await drive([run], seconds=60)
    assert (sample.runs, sample.failures, sample.failure) == (0, GIVE_UP_AFTER, "RunFailed: 500 broken")
