"""A stream of events as bytes: frames, gaps, heartbeats, and a reader that leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from langyard import serde
from langyard.gateway.sse import EventStream, frame
from langyard.model.errors import Unavailable
from langyard.model.events import Event
from langyard.model.runs import RunEnd
from langyard.streams import LocalBus, Subscription

RUN = uuid4()
BODY = b'{"status":"success"}'


class Client:
    """The other end: what was sent, and whether it is still there."""

    def __init__(self) -> None:
        self.sent = b""
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent += message.get("body", b"")
        self.arrived.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.sent:
                self.arrived.clear()
                await self.arrived.wait()


def stream(
    reader: Subscription | None, ending: Callable[[], Awaitable[tuple[int, bytes]]] | None = None
) -> EventStream:
    async def well() -> tuple[int, bytes]:
        return 200, BODY

    return EventStream(reader, ending or well, session_id="s", heartbeat_s=0.02, headers={})


def serve(response: EventStream, client: Client) -> asyncio.Task[None]:
    return asyncio.create_task(response({"type": "http"}, client.receive, client.send))


def end(run_id: UUID = RUN) -> RunEnd:
    return RunEnd(run_id, uuid4(), "success")


def test_a_frame_ends_with_its_id():
    assert frame("values", b"{}", "7-1") == b"event: values\r\ndata: {}\r\nid: 7-1\r\n\r\n"
    assert frame("end", b"{}") == b"event: end\r\ndata: {}\r\n\r\n"


async def test_events_in_order_then_the_end():
    bus, client = LocalBus(), Client()
    serving = serve(stream(bus.subscribe(RUN)), client)
    bus.publish(RUN, Event(1, "metadata", b'{"attempt":1}'))
    bus.publish(RUN, Event(2, "custom", b"1"))
    bus.publish(RUN, Event(3, "error", b'{"message":"the graph\'s own words"}'))
    bus.publish(RUN, Event(4, "end", b"{}"))
    bus.finish(end())
    await serving
    assert client.sent.split(b"\r\n\r\n") == [
        b'event: metadata\r\ndata: {"attempt":1,"session_id":"s"}\r\nid: 0-1',
        b"event: custom\r\ndata: 1\r\nid: 0-2",
        b"event: end\r\ndata: " + BODY,
        b"",
    ]
    assert bus.waited() == []


async def test_a_failure_is_an_error_and_the_end():
    async def failed() -> tuple[int, bytes]:
        return 500, b'{"code":"workflow_failed"}'

    bus, client = LocalBus(), Client()
    serving = serve(stream(bus.subscribe(RUN), failed), client)
    bus.finish(end())
    await serving
    assert client.sent == frame("error", b'{"code":"workflow_failed"}') + frame("end", b'{"code":"workflow_failed"}')


async def test_an_end_that_cannot_be_told_is_an_error():
    async def away() -> tuple[int, bytes]:
        raise Unavailable("The database does not answer.", code="database_unavailable")

    client = Client()
    await serve(stream(None, away), client)
    assert (
        b'event: end\r\ndata: {"detail":"The database does not answer.","code":"database_unavailable"}' in client.sent
    )


async def test_silence_is_filled_with_comments_before_and_after_the_last_event():
    bus, client, told = LocalBus(), Client(), asyncio.Event()

    async def late() -> tuple[int, bytes]:
        await told.wait()
        return 200, BODY

    serving = serve(stream(bus.subscribe(RUN), late), client)
    await client.until(b": heartbeat\r\n\r\n")
    bus.publish(RUN, Event(1, "custom", b"1"))
    bus.finish(end())
    await client.until(b"id: 0-1\r\n\r\n: heartbeat\r\n\r\n")
    told.set()
    await serving
    assert client.sent.endswith(frame("end", BODY))


async def test_a_slow_reader_is_told_how_much_it_lost():
    bus, client = LocalBus(limit=3), Client()
    serving = serve(stream(bus.subscribe(RUN)), client)
    bus.publish(RUN, Event(1, "custom", b"1"))
    await client.until(b"id: 0-1")
    client.reads.clear()
    bus.publish(RUN, Event(2, "custom", b"2"))
    await asyncio.sleep(0)
    for seq in range(3, 20):
        bus.publish(RUN, Event(seq, "custom", b"x"))
    bus.finish(end())
    client.reads.set()
    await serving
    frames = [piece.split(b"\r\n") for piece in client.sent.split(b"\r\n\r\n")]
    gaps = [lines[1] for lines in frames if lines[0] == b"event: gap"]
    shown = [lines for lines in frames if lines[0] == b"event: custom"]
    lost = sum(int(gap.removeprefix(b'data: {"lost":').removesuffix(b"}")) for gap in gaps)
    assert lost > 0
    assert len(shown) + lost == 19
    at = client.sent.index(b"event: gap")
    assert at < client.sent.index(b"id: 0-19")


async def test_who_leaves_takes_nothing_along():
    bus, client = LocalBus(), Client()
    serving = serve(stream(bus.subscribe(RUN)), client)
    bus.publish(RUN, Event(1, "custom", b"1"))
    await client.until(b"id: 0-1")
    assert bus.wanted(RUN)
    client.left.set()
    await serving
    assert bus.waited() == []


async def test_who_leaves_while_the_end_is_awaited_leaves_no_one_waiting():
    stopped = asyncio.Event()

    async def never() -> tuple[int, bytes]:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return 200, b""

    client = Client()
    serving = serve(stream(None, never), client)
    await client.until(b": heartbeat")
    client.left.set()
    await serving
    async with asyncio.timeout(5):
        await stopped.wait()


def test_no_name_ends_its_line():
    """Names of events hold the names of users' nodes (peers' regression 14)."""
    said = frame("updates|a\r\nevent: end\rdata: {}\n\x00:1", b'{"a":1}', "7\r\nid: 8")
    assert said == b'event: updates|aevent: enddata: {}:1\r\ndata: {"a":1}\r\nid: 7id: 8\r\n\r\n'
    assert frame("updates|進\ud800", serde.dumps({"é": "\ud800\r\n"})) == (
        'event: updates|進?\r\ndata: {"é":"?\\r\\n"}\r\n\r\n'.encode()
    )
