"""Measures: one cell of one side, and what is no cell. Called by `__main__`."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import scratch
from benchmarks.database import FLUSH_SECONDS, Counters
from benchmarks.figures import Round
from benchmarks.load import RunFailed
from benchmarks.sides.side import Side

WARM_SECONDS = 0.7
MANY = 1000


@dataclass
class Results:
    """All that an invocation found. `rounds` by side, scenario, concurrency; `extras` by name and side; `absent` says
    why a side, or `side: extra`, was not measured."""

    machine: dict[str, Any]
    rounds: dict[tuple[str, str, int], list[Round]] = field(default_factory=dict)
    extras: dict[str, dict[str, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


async def cell(side: Side, scenario: str, concurrency: int, seconds: float, profile: bool = False) -> Round:
    """Warms the side up, then loads it. CPU is of the load alone; PostgreSQL's counters take in one more run a user."""
    await side.load(scenario, concurrency, min(WARM_SECONDS, seconds))
    before, _ = await _settled(side, scenario, concurrency)
    cpu, client = side.cpu_ms(), time.process_time()
    profiled = _profiled(side, f"{side.name}-{scenario}-{concurrency}", seconds)
    async with profiled if profile else contextlib.nullcontext():
        sample = await side.load(scenario, concurrency, seconds)
    cpu, client = side.cpu_ms() - cpu, time.process_time() - client
    after, more = await _settled(side, scenario, concurrency)
    return Round(sample, cpu, client * 1000, after - before if after and before else None, sample.runs + more)


async def _settled(side: Side, scenario: str, concurrency: int) -> tuple[Counters | None, int]:
    """The counters with every run in them, and how many runs it took to get there.

    A backend reports its transactions after the first that comes a second later: so each user waits, and runs once.
    """
    if side.database is None:
        return None, 0
    await asyncio.sleep(FLUSH_SECONDS)
    runs = (await side.load(scenario, concurrency, runs=1)).runs
    return side.context.database.counters(side.database), runs


async def _sleepers(side: Side) -> float:
    """Wall seconds until so many runs that each sleep one second have all ended."""
    await side.load("echo", MANY, runs=1)
    sample = await side.load("sleep", MANY, runs=1)
    if sample.failures:
        raise RunFailed(f"{sample.failures} of {MANY}: {sample.failure}")
    return sample.seconds


EXTRAS: dict[str, Callable[[Side], Awaitable[float]]] = {
    "sleepers": _sleepers,
    "idle-streams": lambda side: side.idle_stream_bytes(MANY),
    "idle-protocol": lambda side: side.idle_stream_bytes(MANY, protocol=True),
}


@contextlib.asynccontextmanager
async def _profiled(side: Side, name: str, seconds: float) -> AsyncIterator[None]:
    """Samples the server's stacks while it is loaded: with py-spy of PATH, else of an environment of its own."""
    spy = shutil.which("py-spy") or str(scratch.environment("py-spy", "py-spy") / "py-spy")
    command = [spy, "record", "--pid", str(side.servers[0].pid), "--duration", f"{seconds:.0f}", "--format", "raw"]
    target = scratch.FOLDER / f"profile-{name}.txt"
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, "--output", str(target), stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds + 30)
        if process.returncode is None:
            process.kill()
            await process.wait()
