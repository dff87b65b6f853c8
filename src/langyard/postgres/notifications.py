"""Wake-ups between processes over LISTEN/NOTIFY: one listening connection a process, on a direct address.

A notification makes early what polling finds anyway, so a lost one costs time and never a run. The payload is
`<kind> <run id>`, or `wake` alone. Opened by `app`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg

from langyard.model.stopping import stop

log = logging.getLogger(__name__)

CHANNEL = "langyard"
# Asking this often keeps the connection alive through firewalls and finds out that the server is gone.
_IDLE_S = 30.0

# So is a server that has gone without a word, and nobody sends what it would not answer for a quarter of an hour.
_NOTICED: dict[str, Any] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}


class Listener:
    """Calls `on_note(kind, text)` for each notification and `on_gap()` whenever some may have been missed. `listening`
    says whether notifications come at the moment."""

    def __init__(self, url: str, on_note: Callable[[str, str], None], on_gap: Callable[[], None]) -> None:
        self._url = url
        self._on_note = on_note
        self._on_gap = on_gap
        self._task: asyncio.Task[None] | None = None
        self.listening = False

    def start(self) -> None:
        """Begin to listen on the running loop; a database that is away is tried again."""
        self._task = asyncio.create_task(self._run(), name="langyard listener")

    async def close(self) -> None:
        """Stop listening."""
        await stop([self._task])

    async def _run(self) -> None:
        delay = 0.1
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="langyard listener", **_NOTICED
                ) as connection:
                    await connection.execute("listen langyard")
                    delay = 0.1
                    self.listening = True
                    self._on_gap()
                    await self._listen(connection)
            except psycopg.Error as error:
                self.listening = False
                log.warning("not listening for wake-ups: %s", type(error).__name__)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            async for note in connection.notifies(timeout=_IDLE_S):
                kind, _, text = note.payload.partition(" ")
                try:
                    self._on_note(kind, text)
                except ValueError:  # anybody may notify on this channel
                    log.warning("a notification is not understood", extra={"payload": note.payload[:200]})
            await connection.execute("select 1")
