"""The rules of sessions: a user's dated claim on one thread. Called by `conversations` and the gateway.

A session lives `ttl_s` seconds after its last use: every call that names it slides the expiry, listing does not. To
anybody but its user it does not exist. An expired one says so until it is swept with its thread, `grace_s` later.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID, uuid4

from langyard.model.errors import Conflict, Invalid, NotFound
from langyard.model.ids import uuid7
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import sessions as rows

LONGEST_ID = 200
_BATCH = 100
# Controls (NUL among them), surrogates, and what breaks lines; joiners and every script's letters are welcome.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Session:
    """A live session as its row has it. `data` is the user's own; the workflow's state is the thread's."""

    session_id: str
    user_id: str
    thread_id: UUID
    data: Mapping[str, Any]
    created_at: dt.datetime
    last_accessed: dt.datetime
    expires_at: dt.datetime
    status: str = "active"


def check_id(value: str, name: str) -> str:
    """`value` when it may name a session or a user: 1 to 200 printable characters. Raises `Invalid`."""
    if not value.strip():
        raise Invalid(f"{name} is empty.")
    if len(value) > LONGEST_ID:
        raise Invalid(f"{name} has {len(value)} characters; at most {LONGEST_ID} are taken.")
    if not value.isprintable() and any(unicodedata.category(c) in _UNFIT for c in value):
        raise Invalid(f"{name} has characters that cannot be printed.")
    return value


class Sessions:
    """All sessions of the database. `ttl_s` is the life of one that nobody gave another."""

    def __init__(self, database: Database, *, ttl_s: float = 3600.0, grace_s: float = 86400.0) -> None:
        self._database = database
        self.ttl_s = ttl_s
        self._grace_s = grace_s

    async def create(
        self,
        user_id: str,
        *,
        session_id: str | None = None,
        data: Mapping[str, Any] | None = None,
        ttl_s: float | None = None,
    ) -> Session:
        """A new session. Raises `Conflict` (`session_exists`) when the id is taken, be it by another user."""
        wanted, thread_id = _wanted(user_id, session_id), uuid7()
        row = await rows.create(self._database, wanted, user_id, thread_id, data or {}, ttl_s or self.ttl_s)
        if row is None:
            # An answer lost with its connection is asked for again: then the session that is there is this very one.
            row = await rows.find(self._database, wanted)
            if row is None or row["thread_id"] != thread_id:
                raise Conflict(f"There is a session {wanted!r} already.", code="session_exists")
        return _session(row)

    async def ensure(self, user_id: str, session_id: str) -> str:
        """The id again, now of a live session of this user: made if there was none. Raises `NotFound` as `get` does."""
        wanted = _wanted(user_id, session_id)
        if await rows.create(self._database, wanted, user_id, uuid7(), {}, self.ttl_s) is None:
            row = await rows.find(self._database, wanted)
            if row is None or row["user_id"] != user_id or row["expired"]:
                _explain(row, wanted, user_id)
        return wanted

    async def get(self, session_id: str, user_id: str) -> Session:
        """The session, its expiry slid. Raises `NotFound` (`session_not_found`, `session_expired`)."""
        wanted = _wanted(user_id, session_id)
        row = await rows.touch(self._database, wanted, user_id)
        if row is None:
            _explain(await rows.find(self._database, wanted), wanted, user_id)
        return _session(row)

    async def update(self, session_id: str, user_id: str, data: Mapping[str, Any]) -> Session:
        """The session after its data took the keys of `data` over, its expiry slid. Raises `NotFound` as `get` does."""
        wanted = _wanted(user_id, session_id)
        row = await rows.merge(self._database, wanted, user_id, data)
        if row is None:
            _explain(await rows.find(self._database, wanted), wanted, user_id)
        return _session(row)

    async def search(self, user_id: str, *, limit: int = 50, offset: int = 0) -> list[Session]:
        """The user's live sessions, last used first."""
        check_id(user_id, "user_id")
        return [_session(row) for row in await rows.search(self._database, user_id, limit=limit, offset=offset)]

    async def count_active(self) -> int:
        """How many have not expired, whoever has them."""
        return await rows.count_active(self._database)

    async def close(self, session_id: str, user_id: str) -> Session:
        """Let nothing start on it any more; `delete` follows. Also an expired one. Raises `NotFound`."""
        wanted = _wanted(user_id, session_id)
        row = await rows.close(self._database, wanted, user_id)
        if row is None:
            _explain(None, wanted, user_id)
        return _session(row)

    async def delete(self, session: Session) -> None:
        """Delete it with its thread, runs, events and checkpoints, all at once."""
        await rows.delete(self._database, session.session_id, session.thread_id)

    async def sweep(self) -> int:
        """Delete every session that expired longer than the grace time ago; how many there were."""
        swept = 0
        while batch := await rows.sweep(self._database, grace_s=self._grace_s, limit=_BATCH):
            swept += batch
        return swept


def _wanted(user_id: str, session_id: str | None) -> str:
    check_id(user_id, "user_id")
    return str(uuid4()) if session_id is None else check_id(session_id, "session_id")


def _explain(row: Row | None, session_id: str, user_id: str) -> NoReturn:
    if row is not None and row["user_id"] == user_id and row["expired"]:
        raise NotFound(
            f"The session {session_id!r} expired at {row['expires_at'].isoformat()}; start a new one.",
            code="session_expired",
        )
    raise NotFound(f"There is no session {session_id!r}.", code="session_not_found")


def _session(row: Row) -> Session:
    return Session(**{name: row[name] for name in Session.__dataclass_fields__ if name in row})
