"""A lean HTTP/1.1 client: kept connections, requests prepared as bytes, answers not decoded. Called by `sides.http`.

An ordinary client library costs more CPU than some of the servers measured with it, on the same cores.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httptools

Address = tuple[str, int]


@dataclass(slots=True)
class Answer:
    """One answer, its body whole; `first_event_at` is when a stream's first event beyond `metadata` came, else 0."""

    status: int = 0
    body: bytes = b""
    first_event_at: float = 0.0


def request_bytes(method: str, path: str, body: bytes = b"") -> bytes:
    """The request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\naccept: */*\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection(asyncio.Protocol):
    """One connection, opened by the first `ask`. After an error, or a while of silence, use what `again` gives."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._chunks: list[bytes] = []
        self._streams = False

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Sends a request and returns its whole answer. Raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, *self._address)
        self._answer, self._chunks, self._streams = Answer(), [], False
        self._parser = httptools.HttpResponseParser(self)
        self._answered = loop.create_future()
        self._transport.write(request)
        async with asyncio.timeout(seconds):
            return await self._answered

    def again(self) -> Connection:
        """A new connection to the same server, in place of this one."""
        self.close()
        return Connection(self._address)

    def close(self) -> None:
        """Drops the connection, with whatever is under way on it."""
        self._answered = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionError(f"closed before the answer ended {exc or ''}".strip()))

    def _fail(self, error: ConnectionError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._streams = self._streams or (name.lower() == b"content-type" and b"event-stream" in value)

    def on_body(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        if self._streams and not self._answer.first_event_at:
            names = event_names(b"".join(self._chunks))
            if any(name != b"metadata" for name in names):
                self._answer.first_event_at = time.monotonic()

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._answer.body = b"".join(self._chunks)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._answer)


def event_names(received: bytes) -> list[bytes]:
    """The names of the whole server-sent events among these bytes; an event without one is called `message`."""
    names = []
    for event in received.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        fields = dict(line.partition(b":")[::2] for line in event.split(b"\n"))
        if b"data" in fields:
            names.append(fields.get(b"event", b"message").strip())
    return names
