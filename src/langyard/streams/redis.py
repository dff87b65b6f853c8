"""Live events over Redis or Valkey: one connection that speaks and one that listens a process, whatever it reads.

Made by `app` when there is a `REDIS_URL`; lives on the gateway's loop and takes what the worker publishes from its
thread. Nobody waits for it: what cannot be sent at once is dropped, and so is everything while Redis does not answer.
Whoever reads finds the hole by the numbers and asks PostgreSQL. Channels: `langyard:run:<run id>` and `langyard:notes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from langyard.model.events import Event
from langyard.model.stopping import stop
from langyard.streams.addresses import Dial, dialer
from langyard.streams.packing import pack_ended, pack_part, unpack
from langyard.streams.port import Ended, Heard, Part

log = logging.getLogger(__name__)

ANSWER_S = 0.5
"""Redis that takes longer to answer is taken for gone."""
SILENCE_S = 1.0
"""A connection on which nothing happens is asked this often whether it still leads anywhere."""

_RUN, _NOTES = "langyard:run:", "langyard:notes"
# Beyond these, PostgreSQL carries it: a message nobody should send through Redis, and what may wait to be sent.
_MESSAGE_BYTES = 2**20
_OUTBOX_BYTES = 8 * 2**20
_RETRY_S, _RETRY_MOST_S = 0.1, 2.0
_AWAY = (RedisError, OSError, TimeoutError, EOFError)
# An event with its run, fence and the number it follows; an end; a note and its text.
_Told = tuple[UUID, int, int, Event] | Ended | tuple[str, str]


def at(url: str) -> RedisRelay:
    """The relay at this address, not yet started. Raises ConfigurationError."""
    return RedisRelay(dialer(url, answer_s=ANSWER_S))


class RedisRelay:
    """A `Relay` over publish and subscribe. Start it with `start` on the gateway's loop, close it with `close`."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._watched: set[UUID] = set()
        self._asks: deque[tuple[str, UUID]] = deque()
        self._asking = asyncio.Event()
        self._outbox: deque[_Told] = deque()
        self._waiting = asyncio.Event()
        self._signalled = False
        self._lock = threading.Lock()
        self._bytes = 0
        self._speaks = self._listens = self._subscribes = self._closing = False
        self._was_live: bool | None = None
        self._latency_ms: float | None = None
        self._chores: list[asyncio.Task[None]] = []

    def start(self, heard: Heard) -> None:
        """Begin to connect; whether that works nobody waits for."""
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._chores = [
            asyncio.create_task(self._keep(self._speak, "speak"), name="langyard redis out"),
            asyncio.create_task(self._keep(self._listen, "listen"), name="langyard redis in"),
        ]

    async def close(self) -> None:
        """Send what waits, if Redis takes it within a moment, and disconnect."""
        self._closing = True
        self._waiting.set()
        if self._speaks:
            await asyncio.wait(self._chores[:1], timeout=ANSWER_S)
        await stop(self._chores)

    @property
    def live(self) -> bool:
        """Whether what is told arrives, as far as one can know."""
        return self._speaks and self._listens

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of the last answer, None while there is none."""
        return self._latency_ms if self.live else None

    @property
    def backlog_bytes(self) -> int:
        """About how much waits to be sent."""
        return self._bytes

    def watch(self, run_id: UUID) -> None:
        """Bring what is told of this run."""
        self._watched.add(run_id)
        self._ask("SUBSCRIBE", run_id)

    def unwatch(self, run_id: UUID) -> None:
        """No more of it."""
        self._watched.discard(run_id)
        self._ask("UNSUBSCRIBE", run_id)

    def publish(self, run_id: UUID, fence: int, after: int, event: Event) -> None:
        """Tell the event of a run; any thread."""
        self._put((run_id, fence, after, event), len(event.data))

    def finish(self, ended: Ended) -> None:
        """Tell of a run's end; any thread."""
        self._put(ended, len(ended.end.values or b""))

    def tell(self, kind: str, text: str) -> None:
        """Tell all processes; any thread."""
        self._put((kind, text), 0)

    def _ask(self, what: str, run_id: UUID) -> None:
        if self._subscribes:
            self._asks.append((what, run_id))
            self._asking.set()

    def _put(self, what: _Told, size: int) -> None:
        if not self._speaks or size > _MESSAGE_BYTES or self._bytes > _OUTBOX_BYTES:
            return
        with self._lock:
            self._bytes += size
        self._outbox.append(what)
        # Read and set without a lock: at worst one wake-up too many.
        if not self._signalled:
            self._signalled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell it
                self._loop.call_soon_threadsafe(self._waiting.set)

    async def _keep(self, work: Callable[[AbstractConnection], Coroutine[Any, Any, None]], what: str) -> None:
        """Do the work on one connection after another; the pause between grows while none holds."""
        delay = _RETRY_S
        while not self._closing:
            began = time.monotonic()
            connection: AbstractConnection | None = None
            try:
                connection = await self._dial()
                await work(connection)
            except _AWAY as error:
                self._tell_state(error)
            except Exception:  # live events would be gone for good: whatever it was, Redis is used again
                log.exception("could not %s over Redis", what)
            finally:
                if what == "speak":
                    self._speaks = False
                    self._empty()
                else:
                    self._listens = self._subscribes = False
                    self._asks.clear()
                if connection is not None:
                    with contextlib.suppress(*_AWAY):
                        await connection.disconnect(nowait=True)
            delay = _RETRY_S if time.monotonic() - began > _RETRY_MOST_S else min(delay * 2, _RETRY_MOST_S)
            await asyncio.sleep(delay)

    def _tell_state(self, error: BaseException | None = None) -> None:
        """Log it once when it changes."""
        if error is not None and self._was_live is not False:
            self._was_live = False
            log.warning(
                "Redis does not answer; PostgreSQL carries everything alone", extra={"reason": type(error).__name__}
            )
        elif error is None and self.live and self._was_live is not True:
            self._was_live = True
            log.info("Redis carries live events")

    def _empty(self) -> list[_Told]:
        self._waiting.clear()
        self._signalled = False
        taken = [self._outbox.popleft() for _ in range(len(self._outbox))]
        with self._lock:
            self._bytes = 0
        return taken

    async def _speak(self, connection: AbstractConnection) -> None:
        await self._round(connection, [("PING",)])
        self._speaks = True
        self._tell_state()
        while not self._closing or self._outbox:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._waiting.wait()
            except TimeoutError:
                await self._round(connection, [("PING",)])
                continue
            await self._round(connection, _messages(self._empty()))

    async def _round(self, connection: AbstractConnection, commands: list[tuple[str | bytes, ...]]) -> None:
        """Send all, wait for all answers, together no longer than one may take."""
        if not commands:
            return
        began = time.perf_counter()
        async with asyncio.timeout(ANSWER_S):
            await connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                await connection.read_response()
        self._latency_ms = round((time.perf_counter() - began) * 1000, 3)

    async def _listen(self, connection: AbstractConnection) -> None:
        self._asks.clear()
        # From here on, not from the answer on: what is asked in between is not among what is sent.
        self._subscribes = True
        await connection.send_command("SUBSCRIBE", _NOTES, *(f"{_RUN}{run_id}" for run_id in self._watched))
        await connection.read_response()
        self._listens = True
        self._tell_state()
        self._heard.gap()
        passing_on = asyncio.create_task(self._pass_on(connection))
        asked = False
        try:
            while not passing_on.done():
                message = await connection.read_response(timeout=SILENCE_S, disconnect_on_error=False)
                if message is None:
                    if asked:
                        raise TimeoutError
                    await connection.send_command("PING")
                asked = message is None
                if message and message[0] == b"message":
                    self._hear(message[1].decode(), message[2])
            passing_on.result()
        finally:
            await stop([passing_on])

    async def _pass_on(self, connection: AbstractConnection) -> None:
        """Subscribe and unsubscribe as asked, many at a time, in the order in which it was asked."""
        while True:
            await self._asking.wait()
            self._asking.clear()
            commands: list[tuple[str, ...]] = []
            while self._asks:
                what, run_id = self._asks.popleft()
                if commands and commands[-1][0] == what:
                    commands[-1] = (*commands[-1], f"{_RUN}{run_id}")
                else:
                    commands.append((what, f"{_RUN}{run_id}"))
            await connection.send_packed_command(connection.pack_commands(commands))

    def _hear(self, channel: str, data: bytes) -> None:
        try:
            if channel == _NOTES:
                kind, _, text = data.decode().partition(" ")
                self._heard.note(kind, text)
                return
            found = unpack(UUID(channel.removeprefix(_RUN)), data)
        except ValueError as error:
            log.warning("a message on Redis is not understood: %s", error)
            return
        if isinstance(found, Part):
            self._heard.part(found)
        else:
            self._heard.ended(found)


def _messages(taken: list[_Told]) -> list[tuple[str | bytes, ...]]:
    """One message for all that follows on one another of a run, ends after events, order kept within each run."""
    parts: dict[UUID, list[tuple[int, int, list[Event]]]] = {}
    rest: list[tuple[str | bytes, ...]] = []
    for what in taken:
        if isinstance(what, Ended):
            rest.append(("PUBLISH", f"{_RUN}{what.end.run_id}", pack_ended(what)))
        elif len(what) == 2:
            rest.append(("PUBLISH", _NOTES, " ".join(what)))
        else:
            run_id, fence, after, event = what
            gathered = parts.setdefault(run_id, [])
            if gathered and gathered[-1][0] == fence and gathered[-1][2][-1].seq == after:
                gathered[-1][2].append(event)
            else:
                gathered.append((fence, after, [event]))
    told: list[tuple[str | bytes, ...]] = [
        ("PUBLISH", f"{_RUN}{run_id}", pack_part(fence, after, events))
        for run_id, gathered in parts.items()
        for fence, after, events in gathered
    ]
    return told + rest
