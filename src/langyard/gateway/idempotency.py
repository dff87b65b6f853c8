"""`Idempotency-Key`: the same request asked again is answered as at first, and runs once. For all who start runs.

A key stands for one run from the moment it is first seen. Whoever comes with it starts that run or, if it is there
already, waits for its end; the database admits a run's id once. So neither a crash between key and run nor two requests
at once make two runs, and an answer that was never stored is made from the run again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from starlette.requests import Request

from langyard.gateway.parts import Parts
from langyard.gateway.wire import canonical
from langyard.model.errors import Conflict, Invalid, LangyardError
from langyard.model.ids import uuid7
from langyard.postgres import runs as run_rows
from langyard.postgres.rows import idempotency as rows
from langyard.postgres.rows.idempotency import Key
from langyard.telemetry.chores import survived

log = logging.getLogger(__name__)

T = TypeVar("T")

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
_LONGEST = 255


class Starting(asyncio.Lock):
    """Held while the run of a key is looked for and started: two requests at once in this process must not both start
    it. `used`: somebody has begun to, be it one that came with the key later than oneself."""

    used = False


class Idempotency:
    """All keys of all users."""

    def __init__(self, parts: Parts, *, retention_s: float) -> None:
        self._parts = parts
        self._retention_s = retention_s
        self._locks: weakref.WeakValueDictionary[tuple[str, str], Starting] = weakref.WeakValueDictionary()

    def starting(self, key: Key) -> Starting:
        """The same for all requests of this process that have the key at this time."""
        return self._starting(key.user_id, key.key)

    def _starting(self, user_id: str, key: str) -> Starting:
        return self._locks.setdefault((user_id, key), Starting())

    async def claim(self, request: Request, user_id: str, body: Any) -> tuple[Key, bool] | None:
        """The key of a request, and whether it was seen before; None when it has none.

        Raises `Invalid`, and `Conflict` (`idempotency_key_reused`) when it came with another request.
        """
        given = request.headers.get(HEADER)
        if given is None:
            return None
        if not 0 < len(given) <= _LONGEST or not (given.isascii() and given.isprintable()):
            raise Invalid(f"{HEADER} must be 1 to {_LONGEST} printable ASCII characters.")
        # Two paths never share a key by chance: an answer is one route's.
        said = b"%b %b\n%b" % (
            request.method.encode(),
            request.scope["path"].encode("utf-8", "replace"),
            canonical(body),
        )
        fingerprint, run_id, whose = hashlib.sha256(said).digest(), uuid7(), _short(user_id)
        # The request keeps it from here on: the first to claim a key may be the last to hear that it has.
        request.scope["langyard.starting"] = self._starting(whose, given)
        key = await rows.claim(self._parts.database, whose, given, fingerprint, run_id)
        if key.fingerprint != fingerprint:
            raise Conflict(f"This {HEADER} was used with another request.", code="idempotency_key_reused")
        return key, key.run_id != run_id

    async def once(self, key: Key, seen: bool, start: Callable[[], Awaitable[T]]) -> T | None:
        """What `start` gives, which makes the run of the key; None when the run is there already."""
        starting = self.starting(key)
        async with starting:
            if (seen or starting.used) and await self.knows(key.run_id):
                return None
            starting.used = True
            try:
                return await start()
            except BaseException:  # refused or cancelled: the key stands for nothing yet
                await self.release(key)
                raise

    async def knows(self, run_id: UUID) -> bool:
        """Whether there is such a run."""
        return await run_rows.find(self._parts.database, run_id) is not None

    async def store(self, key: Key, status: int, body: bytes) -> tuple[int, bytes]:
        """Keep an answer before it is given; what is returned is to be given."""
        return await rows.store(self._parts.database, key, status, body)

    async def release(self, key: Key) -> None:
        """The request was refused before a run was made: the key may come again with a better one."""
        with suppress(LangyardError):
            await rows.release(self._parts.database, key)

    async def sweep(self) -> None:
        """For ever: forget what is older than the retention."""
        while True:
            await asyncio.sleep(min(60.0, self._retention_s))
            while await survived(log, "sweep keys", rows.sweep(self._parts.database, retention_s=self._retention_s)):
                pass


def _short(user_id: str) -> str:
    """The user as the index of keys has room for: an identity is whatever the project says it is, a token perhaps."""
    return user_id if len(user_id) <= _LONGEST else hashlib.sha256(user_id.encode("utf-8", "replace")).hexdigest()
