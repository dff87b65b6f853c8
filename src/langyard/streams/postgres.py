"""Events of runs that another process executes: from the log, or from a relay while nothing is missing there.

Used on the gateway's loop. However many read a run here, it is asked for once. A notification says up to which number
the log goes; only who has not got that far reads it. `poll_s` is the floor, in one statement for all runs. No
connection is held.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from langyard.model.errors import Unavailable
from langyard.model.stopping import stop
from langyard.postgres.database import Database
from langyard.postgres.rows import events as log_rows
from langyard.streams.local import LocalBus
from langyard.streams.port import Ended, NoRelay, Part, Relay
from langyard.telemetry.chores import survived

log = logging.getLogger(__name__)

# A relay that works is a moment behind the notification, which leaves before the commit is answered: what it brings
# need not be asked for.
GRACE_S = 0.01
# Events of a relay that are held back until the log has brought what is missing before them.
_HELD = 2000


@dataclass(slots=True)
class _Followed:
    """How far a run has been handed out, and what of the relay waits for what is missing before it."""

    seen: int
    told: int = 0
    fence: int = 0
    held: list[Part] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RemoteEvents:
    """Follows runs on behalf of the local bus."""

    def __init__(self, database: Database, bus: LocalBus, *, poll_s: float, relay: Relay | None = None) -> None:
        self._database = database
        self._bus = bus
        self._poll_s = poll_s
        self._relay = relay or NoRelay()
        self._runs: dict[UUID, _Followed] = {}
        self._awaited: set[UUID] = set()
        self._pulling: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll for what notifications miss."""
        self._polling = asyncio.create_task(self._poll(), name="langyard remote events")

    async def close(self) -> None:
        """Stop."""
        await stop([*self._pulling, self._polling])

    def follow(self, run_id: UUID, after: int) -> bool:
        """Bring the run's events above `after`; False when they are brought already, from wherever that has got to."""
        if run_id in self._runs:
            return False
        self._runs[run_id] = _Followed(after)
        self.expect(run_id)
        return True

    async def follow_from(self, run_id: UUID, after: int) -> None:
        """Follow it, beginning with what is stored above `after` by now. Raises `Unavailable`."""
        if self.follow(run_id, after):
            await self.pull(run_id)

    def expect(self, run_id: UUID) -> None:
        """The end of this run is waited for here."""
        if run_id not in self._awaited:
            self._awaited.add(run_id)
            self._relay.watch(run_id)

    def follows(self, run_id: UUID) -> bool:
        """Whether this run's events come from another process."""
        return run_id in self._runs

    def seen(self, run_id: UUID) -> int:
        """The highest number handed out here of a run that is followed, else 0."""
        followed = self._runs.get(run_id)
        return followed.seen if followed is not None else 0

    def told(self, run_id: UUID, number: int) -> None:
        """A notification: the run's log goes up to this number. It is read if that is news."""
        followed = self._runs.get(run_id)
        if followed is None or number <= max(followed.seen, followed.told):
            return
        checking, followed.told = followed.told > followed.seen, number
        if not (checking and self._relay.live):  # else whoever waits for the relay will see
            self._spawn(self._check(run_id, followed))

    async def _check(self, run_id: UUID, followed: _Followed) -> None:
        if self._relay.live:
            await asyncio.sleep(GRACE_S)
        if followed.seen < followed.told:
            await self.pull(run_id, followed.told)

    def complete(self, ended: Ended) -> bool:
        """Whether all stored events of a run that has ended are handed out, as far as it is followed."""
        followed = self._runs.get(ended.end.run_id)
        return followed is None or followed.seen >= ended.last

    async def pull(self, run_id: UUID, upto: int | None = None) -> None:
        """Read on and hand out, at least to number `upto` if that is said; nothing for a run nobody follows.

        Raises `Unavailable` when the database is away.
        """
        if (followed := self._runs.get(run_id)) is None:
            return
        async with followed.lock:
            while self._runs.get(run_id) is followed and (upto is None or followed.seen < upto):
                after = followed.seen
                found = await log_rows.read(self._database, run_id, after)
                for event in found:
                    self._bus.publish(run_id, event)
                if not found:
                    break
                followed.seen = found[-1].seq
            held, followed.held = followed.held, []
            for part in held:
                self._hand_out(followed, part)

    def take(self, part: Part) -> None:
        """Events from a relay: handed out when nothing is missing before them, else once the log has brought that."""
        followed = self._runs.get(part.run_id)
        if followed is None or part.fence < followed.fence or part.events[-1].seq <= followed.seen:
            return
        anew = part.fence > followed.fence > 0
        followed.fence = part.fence
        if followed.lock.locked():
            self._hold(followed, part)
        elif anew or not self._hand_out(followed, part):
            # Another attempt: what the one before it has stored comes first.
            if anew:
                self._hold(followed, part)
            self._spawn(self.pull(part.run_id))

    def forget(self, run_id: UUID) -> None:
        """The run ended, or nobody waits for it here any more."""
        self._runs.pop(run_id, None)
        if run_id in self._awaited:
            self._awaited.discard(run_id)
            self._relay.unwatch(run_id)

    async def catch_up(self) -> None:
        """Look at every followed run, notifications may have been missed; forget those nobody waits for."""
        for run_id in [run_id for run_id in self._awaited if not self._bus.waits(run_id)]:
            self.forget(run_id)
        for run_id in [run_id for run_id in self._runs if not self._bus.wanted(run_id)]:
            del self._runs[run_id]
        if not self._runs:
            return
        for run_id in await log_rows.behind(self._database, {key: run.seen for key, run in self._runs.items()}):
            await self.pull(run_id)

    def _hand_out(self, followed: _Followed, part: Part) -> bool:
        if part.fence < followed.fence:
            return True
        if part.after > followed.seen:
            self._hold(followed, part)
            return False
        for event in part.events:
            if event.seq > followed.seen:
                self._bus.publish(part.run_id, event)
        followed.seen = max(followed.seen, part.events[-1].seq)
        return True

    def _hold(self, followed: _Followed, part: Part) -> None:
        followed.held.append(part)
        if sum(len(held.events) for held in followed.held) > _HELD:
            followed.held.clear()  # the log has them all

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        async def quiet() -> None:
            with suppress(Unavailable):  # the next notification or the poll brings it
                await work

        task = asyncio.create_task(quiet())
        self._pulling.add(task)
        task.add_done_callback(self._pulling.discard)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await survived(log, "read on", self.catch_up())
