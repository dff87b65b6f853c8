"""The group-commit writer: what all runs of a process want stored goes out as one statement, one commit for many.

Called by the checkpointer and the worker, on the worker's loop. One batch is under way at a time; what arrives
meanwhile gathers in the next. A batch somebody waits for goes at once, one nobody waits for within `LINGER_S`. A batch
that meets a dead database is sent again until it is committed: its rows are idempotent, and the fence decides anew.
One that a living database does not take is sent in halves, so that only the run that is to blame fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from langyard.model.errors import LeaseLost, TooLarge, Unavailable
from langyard.postgres.arrays import Blobs, Ints, Texts, Uuids
from langyard.postgres.database import SLOW, Database
from langyard.postgres.queries import load

log = logging.getLogger(__name__)

_SQL = load("writes")
WRITE, _WRITE_KEEPING = (_SQL["write"].replace("{kept}", part) for part in ("", _SQL["kept"]))

# How long a write nobody waits for may linger to share its commit: what a crash may cost under durability="async".
LINGER_S = 0.004
# Beyond this much unwritten data, writers wait: a database that is away must not fill the memory.
HIGH_WATER = 64 * 1024 * 1024
# Nobody can make events wait: beyond so much they are left out of the log, and whoever reads it is told.
CROWDED = 2 * HIGH_WATER
# PostgreSQL takes no message of a gigabyte: what comes near is sent in halves, one run that wants so much is refused.
_LARGE = 512 * 1024 * 1024
_LARGEST = 1023 * 1024 * 1024
# How long what one run wants stored is tried when it takes longer than the server's own limit, and how often at least.
_PATIENCE_S = 30.0
_TRIES = 3


@dataclass(eq=False, slots=True)
class Lease:
    """A worker's right to write for one run. `on_lost` is called once, on the loop, when the database refuses it.

    `asked` is set when the run's end was refused since it had been told to stop before: (action, reason). `refused` is
    why the lease was given up here, when the database would not take what was written under it.
    """

    run_id: UUID
    thread_id: UUID
    fence: int
    on_lost: Callable[[], None] | None = None
    lost: bool = False
    asked: tuple[str, str] | None = None
    refused: Exception | None = None

    def lose(self) -> None:
        """Mark it gone; later writes raise at once."""
        if not self.lost:
            self.lost = True
            if self.on_lost is not None:
                self.on_lost()

    def check(self) -> None:
        """Raises `LeaseLost` when the lease is known to be gone."""
        if self.lost:
            raise LeaseLost(f"The lease on run {self.run_id} is lost: another worker has taken it over.")


@dataclass(frozen=True, slots=True)
class Finish:
    """How a run ended and what its thread becomes. JSON columns are UTF-8 JSON text; None leaves a column as it is.

    `error` is for those who run the server, `thread_error` for clients. `temporary`: the thread goes with its run.
    """

    status: str
    thread_status: str
    error: bytes | None = None
    thread_error: bytes | None = None
    values: bytes | None = None
    interrupts: bytes | None = None
    config: bytes | None = None
    temporary: bool = False


@dataclass(eq=False, slots=True)
class Batch:
    """Rows by primary key, so that no statement meets the same row twice."""

    done: asyncio.Future[None]
    leases: dict[Lease, int] = field(default_factory=dict)
    blobs: dict[tuple[str, str, str, str], tuple[int, str, bytes | None]] = field(default_factory=dict)
    checkpoints: dict[tuple[str, str, str], tuple[int, str | None, bytes, bytes]] = field(default_factory=dict)
    writes: dict[tuple[str, str, str, str, int], tuple[int, str, str, str, bytes]] = field(default_factory=dict)
    rewrites: dict[tuple[str, str, str, str, int], tuple[int, str, str, str, bytes]] = field(default_factory=dict)
    events: dict[tuple[UUID, int], tuple[int, UUID, str, bytes]] = field(default_factory=dict)
    finishes: dict[UUID, tuple[int, Finish]] = field(default_factory=dict)
    followed: dict[UUID, int] = field(default_factory=dict)
    # Checkpoints of other runs that rows of a lease are for: (thread_id, namespace, checkpoint_id).
    bases: dict[tuple[str, str, str], tuple[int, UUID]] = field(default_factory=dict)
    size: int = 0
    slow: int = 0
    refused: Exception | None = None

    def index(self, lease: Lease | None) -> int:
        """The number by which this batch's rows name the lease; 0 is a write outside any run."""
        if lease is None:
            return 0
        lease.check()
        return self.leases.setdefault(lease, len(self.leases) + 1)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not (self.checkpoints or self.writes or self.rewrites or self.finishes or self.events or self.blobs)

    def params(self) -> dict[str, object]:
        """The statement's arrays."""
        b = [(*key, *row) for key, row in self.blobs.items()]
        c = [(*key, *row) for key, row in self.checkpoints.items()]
        w = [(*key, *row) for key, row in self.writes.items()]
        o = [(*key, *row) for key, row in self.rewrites.items()]
        e = [(*key, *row) for key, row in self.events.items()]
        ends = [(run_id, *row) for run_id, row in self.finishes.items()]
        kept: dict[str, object] = {}
        if self.bases:
            kept = {
                "k_lease": Ints(lease for lease, _ in self.bases.values()),
                "k_run": Uuids(run_id for _, run_id in self.bases.values()),
                **{name: Texts(key[n] for key in self.bases) for n, name in enumerate(("k_thread", "k_ns", "k_id"))},
            }
        return {
            **kept,
            "leases": Ints(self.leases.values()),
            "run_ids": Uuids(lease.run_id for lease in self.leases),
            "fences": Ints(lease.fence for lease in self.leases),
            "b_thread": Texts(r[0] for r in b),
            "b_ns": Texts(r[1] for r in b),
            "b_channel": Texts(r[2] for r in b),
            "b_version": Texts(r[3] for r in b),
            "b_lease": Ints(r[4] for r in b),
            "b_type": Texts(r[5] for r in b),
            "b_blob": Blobs(r[6] for r in b),
            "c_thread": Texts(r[0] for r in c),
            "c_ns": Texts(r[1] for r in c),
            "c_id": Texts(r[2] for r in c),
            "c_lease": Ints(r[3] for r in c),
            "c_parent": Texts(r[4] for r in c),
            "c_checkpoint": Texts(r[5] for r in c),
            "c_metadata": Texts(r[6] for r in c),
            **_write_params("w", w),
            **_write_params("o", o),
            "e_run": Uuids(r[0] for r in e),
            "e_seq": Ints(r[1] for r in e),
            "e_lease": Ints(r[2] for r in e),
            "e_thread": Uuids(r[3] for r in e),
            "e_event": Texts(r[4] for r in e),
            "e_data": Blobs(r[5] for r in e),
            "followed": Uuids(self.followed),
            "followed_seqs": Ints(self.followed.values()),
            "f_run": Uuids(run_id for run_id, _, _ in ends),
            "f_lease": Ints(lease for _, lease, _ in ends),
            "f_status": Texts(end.status for _, _, end in ends),
            "f_error": Texts(end.error for _, _, end in ends),
            "f_thread_status": Texts(end.thread_status for _, _, end in ends),
            "f_thread_error": Texts(end.thread_error for _, _, end in ends),
            "f_values": Texts(end.values for _, _, end in ends),
            "f_interrupts": Texts(end.interrupts for _, _, end in ends),
            "f_config": Texts(end.config for _, _, end in ends),
            "f_temporary": Ints(int(end.temporary) for _, _, end in ends),
        }


def _write_params(
    prefix: str, rows: list[tuple[str, str, str, str, int, int, str, str, str, bytes]]
) -> dict[str, object]:
    return {
        f"{prefix}_thread": Texts(r[0] for r in rows),
        f"{prefix}_ns": Texts(r[1] for r in rows),
        f"{prefix}_id": Texts(r[2] for r in rows),
        f"{prefix}_task": Texts(r[3] for r in rows),
        f"{prefix}_idx": Ints(r[4] for r in rows),
        f"{prefix}_lease": Ints(r[5] for r in rows),
        f"{prefix}_path": Texts(r[6] for r in rows),
        f"{prefix}_channel": Texts(r[7] for r in rows),
        f"{prefix}_type": Texts(r[8] for r in rows),
        f"{prefix}_blob": Blobs(r[9] for r in rows),
    }


class Writer:
    """Start with `start` on the loop that will use it; `close` sends what is left."""

    def __init__(self, database: Database, *, on_queued: Callable[[], None] | None = None) -> None:
        self._database = database
        self._on_queued = on_queued
        self._batch: Batch | None = None
        self._sending: Batch | None = None
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._loop_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._loop_task = asyncio.create_task(self._run(), name="langyard writer")

    async def close(self) -> None:
        """Send what waits, then stop."""
        self._closing = True
        self._wake.set()
        self._urgent.set()
        if self._loop_task is not None:
            await self._loop_task

    def batch(self, added: int = 0) -> Batch:
        """The batch that gathers now; `added` is about how many bytes the caller is about to put in."""
        if self._batch is None:
            self._batch = Batch(asyncio.get_running_loop().create_future())
            self._wake.set()
        self._batch.size += added
        if self._batch.size > HIGH_WATER:
            self._room.clear()
            self._urgent.set()
        return self._batch

    @property
    def crowded(self) -> bool:
        """Whether so much is unwritten that not even an event may be put."""
        return self._batch is not None and self._batch.size > CROWDED

    async def room(self) -> None:
        """Wait while too much is unwritten."""
        if not self._room.is_set():
            await self._room.wait()

    async def commit(self, lease: Lease | None = None) -> None:
        """Wait until everything put so far is committed.

        Raises `LeaseLost` when the lease's rows were refused, and the database's own error for rows of no lease.
        """
        batch = self._batch or self._sending
        if batch is not None:
            if batch is self._batch:
                self._urgent.set()
            await asyncio.shield(batch.done)
            if lease is None and batch.refused is not None:
                raise batch.refused
        if lease is not None:
            lease.check()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._batch is None and self._closing:
                return
            if not self._urgent.is_set():
                try:
                    async with asyncio.timeout(LINGER_S):
                        await self._urgent.wait()
                except TimeoutError:
                    pass
            batch, self._batch = self._batch, None
            self._urgent.clear()
            if not self._closing:
                self._wake.clear()
            if batch is None:
                continue
            self._sending = batch
            await self._send(batch)
            self._sending = None
            self._room.set()
            batch.done.set_result(None)

    async def _send(self, batch: Batch, later: list[Batch] | None = None) -> None:
        """Send until it is committed or refused; what is too slow goes to `later`, if that is given."""
        if batch.empty:
            return
        if batch.size > _LARGE and (len(_owners(batch)) > 1 or _weight(batch) > _LARGEST):
            await self._refuse(batch, _too_large(batch), later)
            return
        params, delay = batch.params(), 0.05
        statement = _WRITE_KEEPING if batch.bases else WRITE
        since = time.monotonic()
        while True:
            try:
                row = await self._database.fetch_one(statement, params)
            except Unavailable as error:
                if isinstance(error.__cause__, SLOW) and await self._given_up(batch, since, later):
                    return
                # The connection may have died after the commit: sending again is harmless, not sending would lose work.
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
                continue
            except Exception as error:  # a row the server refuses as such: its run must end, others must go on
                await self._refuse(batch, error, later)
                return
            held = set(row["held"] or ()) if row else set()
            asked = {int(number): (action, reason) for number, action, reason in (row["asked"] or ())} if row else {}
            gone = await self._gone(batch, held)
            for lease, number in batch.leases.items():
                lease.asked = asked.get(number)
                if number not in held and lease.run_id not in gone:
                    lease.lose()
            if row and row["queued"] and self._on_queued is not None:
                self._on_queued()
            return

    async def _given_up(self, batch: Batch, since: float, later: list[Batch] | None) -> bool:
        """Whether what was too slow need not be sent again: not whole, not now, or not at all."""
        if len(_owners(batch)) == 1:
            if later is not None:
                later.append(batch)
                return True
            batch.slow += await self._answers(batch)
            if batch.slow < _TRIES or time.monotonic() - since < _PATIENCE_S:
                return False
        await self._refuse(batch, _too_slow(batch), later)
        return True

    async def _answers(self, batch: Batch) -> bool:
        """Whether the server takes the same statement with nothing in it: then it is not slow with everything."""
        try:
            await self._database.fetch_one(WRITE, Batch(batch.done).params())
        except Unavailable:
            return False
        return True

    async def _refuse(self, batch: Batch, error: Exception, later: list[Batch] | None) -> None:
        """In halves, so that only the guilty run fails; what is slow alone waits until the others are stored."""
        if len(owners := _owners(batch)) > 1:
            slow: list[Batch] = [] if later is None else later
            for some in (owners[::2], owners[1::2]):
                part = _part(batch, set(some))
                await self._send(part, slow)
                batch.refused = batch.refused or part.refused
            if later is None:
                for part in slow:
                    await self._send(part)
                    batch.refused = batch.refused or part.refused
            return
        log.error("a batch of writes was refused by the database", exc_info=error)
        if 0 in owners:
            batch.refused = error
        for lease, number in batch.leases.items():
            if number in owners:
                lease.refused = error
                lease.lose()

    async def _gone(self, batch: Batch, held: set[int]) -> set[UUID]:
        """Temporary runs that are not there: their end was committed, and they with it, before the connection died."""
        doubtful = [run_id for run_id, (number, end) in batch.finishes.items() if end.temporary and number not in held]
        if not doubtful:
            return set()
        try:
            left = await self._database.fetch(_SQL["left"], {"run_ids": Uuids(doubtful)})
        except Unavailable:
            return set()
        return set(doubtful) - {row["run_id"] for row in left}


_KINDS = ("blobs", "checkpoints", "writes", "rewrites", "events", "finishes", "bases")


def _owners(batch: Batch) -> list[int]:
    return sorted({row[0] for kind in _KINDS for row in getattr(batch, kind).values()})


def _part(batch: Batch, owners: set[int]) -> Batch:
    """The rows of these leases."""
    part = Batch(batch.done, leases={lease: number for lease, number in batch.leases.items() if number in owners})
    for kind in _KINDS:
        setattr(part, kind, {key: row for key, row in getattr(batch, kind).items() if row[0] in owners})
    runs = {lease.run_id for lease in part.leases}
    part.followed = {run_id: seq for run_id, seq in batch.followed.items() if run_id in runs}
    part.size = _weight(part)
    return part


def _weight(batch: Batch) -> int:
    """Bytes of what its rows carry, but for names."""
    rows = [row for kind in _KINDS if kind != "finishes" for row in getattr(batch, kind).values()]
    ends = [text for _, end in batch.finishes.values() for text in (end.values, end.interrupts, end.error)]
    return sum(len(cell) for row in (*rows, ends) for cell in row if isinstance(cell, bytes))


def _too_large(batch: Batch) -> TooLarge:
    size = _weight(batch) / 1e6
    text = f"The run wants {size:,.0f} MB stored at once, and PostgreSQL takes less than 1,074 MB."
    return TooLarge(text, code="state_too_large")


def _too_slow(batch: Batch) -> Unavailable:
    size = _weight(batch) / 1e6
    text = f"To store the {size:,.1f} MB that the run wants stored takes PostgreSQL longer than its statement_timeout."
    return Unavailable(text, code="state_too_slow")
