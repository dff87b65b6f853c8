"""The effects of one run: who does one, who waits for it, who gets what was recorded. Bound to a run by its execution.

Everything here happens on the worker's loop, so that one task at a time looks and decides; nodes in threads, or on
other loops, come over and wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langyard.model.errors import Invalid, LeaseLost, TooLarge, Unavailable
from langyard.postgres.database import Database
from langyard.postgres.rows import effects as rows
from langyard.postgres.rows.effects import Place
from langyard.postgres.writer import Lease
from langyard.worker.upkeep.counters import Counters

T = TypeVar("T")

LONGEST_KEY = 500
LARGEST = 8 * 2**20
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Found:
    """A recorded result, a fresh one for everybody who gets it."""

    value: Any


@dataclass(slots=True)
class _Process:
    """Whether this process has executed runs."""

    executes: bool = False


class Effects:
    """Used by `effect` from wherever a node runs."""

    def __init__(
        self,
        lease: Lease,
        database: Database,
        counters: Counters,
        serde: SerializerProtocol | None = None,
    ) -> None:
        """`lease` is the run's as long as this attempt has it. Call on the worker's loop."""
        self.loop = asyncio.get_running_loop()
        self._lease = lease
        self._database = database
        self._counters = counters
        self._serde = serde or JsonPlusSerializer()
        self._known: dict[tuple[str, bool], tuple[str, bytes]] = {}
        self._under_way: dict[tuple[str, bool], asyncio.Future[None]] = {}
        self._storing: set[asyncio.Task[Any]] = set()

    def identity(self, key: str, of_thread: bool) -> str:
        """What names the effect to the world outside, the same in every attempt."""
        return f"{self._lease.thread_id if of_thread else self._lease.run_id}:{key}"

    async def crossing(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done on the worker's loop, awaited on any."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def settle(self) -> None:
        """Wait until what was done outside is recorded: a node may have been cancelled meanwhile."""
        if self._storing:
            await asyncio.wait(self._storing)

    def waiting(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done on the worker's loop, waited for in a thread.

        Raises `RuntimeError` on the loop itself, which cannot wait for itself.
        """
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            work.close()
            raise RuntimeError("A synchronous langyard.effect cannot be used in an async node: use `async` there.")
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def claim(self, key: str, of_thread: bool) -> Found | None:
        """The recorded result; None when the caller is to do it, and then to call `store` or `release`.

        Who comes while another does it waits. Raises `Invalid`, `LeaseLost`, `Unavailable`.
        """
        _check(key)
        name = (key, of_thread)
        while True:
            self._lease.check()
            if (known := self._known.get(name)) is not None:
                self._counters.effects_reused += 1
                return self._found(known)
            if (busy := self._under_way.get(name)) is None:
                break
            await asyncio.shield(busy)
        self._under_way[name] = self.loop.create_future()
        try:
            known = await self._read(key, of_thread)
        except BaseException:  # cancelled, or the database is away: the next one looks again
            self.release(key, of_thread)
            raise
        if known is None:
            return None
        self._known[name] = known
        self._counters.effects_reused += 1
        self.release(key, of_thread)
        return self._found(known)

    async def store(self, key: str, of_thread: bool, value: Any) -> Any:
        """Record what was done; what comes back is what any later attempt will get. Then the key is free.

        Waits for a database that is away, and goes on when its caller is cancelled: what was done outside must not be
        forgotten. Raises `LeaseLost` when the run is another worker's, `TooLarge`.
        """
        task = asyncio.create_task(self._store(key, of_thread, value))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return await asyncio.shield(task)

    async def _store(self, key: str, of_thread: bool, value: Any) -> Any:
        try:
            kind, data = self._serde.dumps_typed(value)
            if len(data) > LARGEST:
                text = f"The result of the effect {key!r} has {len(data)} bytes; at most {LARGEST} can be recorded."
                raise TooLarge(text, code="effect_too_large")
            await self._write(self._place(key, of_thread), kind, data)
            self._known[key, of_thread] = (kind, data)
            return self._found((kind, data)).value
        finally:
            self.release(key, of_thread)

    def release(self, key: str, of_thread: bool) -> None:
        """It was not done, or is recorded: let whoever waits look again."""
        busy = self._under_way.pop((key, of_thread), None)
        if busy is not None and not busy.done():
            busy.set_result(None)

    async def give_up(self, key: str, of_thread: bool) -> None:
        """`release`, for those who have to cross over."""
        self.release(key, of_thread)

    def _place(self, key: str, of_thread: bool) -> Place:
        lease = self._lease
        return Place(lease.run_id, lease.thread_id, lease.fence, key, of_thread)

    def _found(self, known: tuple[str, bytes]) -> Found:
        return Found(self._serde.loads_typed(known))

    async def _read(self, key: str, of_thread: bool) -> tuple[str, bytes] | None:
        if self._lease.fence == 1 and not of_thread:
            return None  # nobody has executed this run before
        return await rows.find(self._database, self._place(key, of_thread))

    async def _write(self, place: Place, kind: str, data: bytes) -> None:
        while True:
            self._lease.check()
            try:
                recorded = await rows.record(self._database, place, kind, data)
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)
                continue
            if not recorded:
                self._lease.lose()
                raise LeaseLost(f"The lease on run {place.run_id} is lost: its effect {place.key!r} is not recorded.")
            return


def _check(key: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or "\0" in key:
        raise Invalid(f"The key of an effect must be a text of 1 to {LONGEST_KEY} characters, none of them NUL.")


_BOUND: ContextVar[Effects | None] = ContextVar("langyard effects", default=None)
_process = _Process()


def bind(effects: Effects) -> Effects:
    """From here on, in this task and what it starts, effects are those of one run."""
    _process.executes = True
    _BOUND.set(effects)
    return effects


async def settle(effects: Effects | None) -> None:
    """Wait until what a run's nodes have done outside is recorded, if anything was."""
    if effects is not None:
        await effects.settle()


def bound() -> Effects | None:
    """The effects of the run that this code belongs to; None in a process that executes no runs.

    Raises `RuntimeError` where runs are executed and this code belongs to none: in a thread that was started by hand,
    an effect would silently be none.
    """
    found = _BOUND.get()
    if found is None and _process.executes:
        raise RuntimeError(
            "langyard.effect is used outside a run. In a thread of your own, call it in "
            "contextvars.copy_context().run(...) of the node."
        )
    return found
