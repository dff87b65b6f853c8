"""`python -m benchmarks queue`: how fast runs are claimed, and what a neighbour's flood costs. Called by `__main__`.

Claims: processes with a connection each claim from one backlog, as workers do, and nothing else is done with the runs.
Noisy neighbour: one user runs the same again and again on a few slots, alone and while another keeps many runs waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from benchmarks import report, scratch
from benchmarks.client import Connection
from benchmarks.database import Database
from benchmarks.figures import percentile
from benchmarks.load import REQUEST_SECONDS, RunFailed
from benchmarks.processes import Server
from benchmarks.sides.http import post
from langyard.postgres import migrations
from langyard.postgres import runs as rows
from langyard.postgres.database import Database as Pool

CLAIMERS = (1, 4, 16)
BATCHES = (1, 10)
BACKLOG = 100_000
SLOTS = 8
SLEEP_S = 0.1
FLOOD = 500
VICTIM_RUNS = 60
_FILL = """
with threads as (
    insert into langyard.threads (thread_id, status, open_runs)
    select gen_random_uuid(), 'busy', 1 from generate_series(1, %(count)s) returning thread_id
), numbered as (select thread_id, row_number() over () as n from threads)
insert into langyard.runs (run_id, thread_id, graph_id, user_id, kwargs, turn)
select gen_random_uuid(), thread_id, 'echo', 'user ' || n %% 100, '{}', 1001 + n / 100 from numbered
"""


def claiming(url: str, worker: UUID, batch: int, begin: float, seconds: float) -> int:
    """One claimer: how many runs it got, from a moment of the clock on."""

    async def claim() -> int:
        pool = Pool(url, name="bench", max_size=2)
        await pool.open()
        try:
            await rows.claim(pool, worker, ["echo"], batch)  # its statement is prepared
            await asyncio.sleep(max(0.0, begin - time.time()))
            got, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                got += len(await rows.claim(pool, worker, ["echo"], batch))
            return got
        finally:
            await pool.close()

    return asyncio.run(claim())


def claims(database: Database, seconds: float) -> list[tuple[str, ...]]:
    """Runs claimed per second, by claimers and by runs in a claim."""
    url = database.url("queue")
    asyncio.run(migrations.migrate(url))
    found: list[tuple[str, ...]] = []
    for count in CLAIMERS:
        cells = [str(count)]
        for batch in BATCHES:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("truncate langyard.threads cascade")
                connection.execute(_FILL, {"count": BACKLOG})
                connection.execute("vacuum analyze langyard.runs, langyard.threads")
            with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
                begin = time.time() + 2.0 + count * 0.4
                begun = [processes.submit(claiming, url, uuid4(), batch, begin, seconds) for _ in range(count)]
                cells.append(report.number(sum(one.result() for one in begun) / seconds))
        found.append(tuple(cells))
    return found


class Neighbours:
    """`langyard serve` with few slots, and two users of it."""

    def __init__(self, database: Database) -> None:
        folder = scratch.project("neighbours")
        env = {
            "LANGYARD_HOME": str(folder), "LANGYARD_WORKER_SLOTS": str(SLOTS), "LANGYARD_LOG_LEVEL": "warning",
            "DATABASE_URL": database.url("neighbours"),
        }  # fmt: skip
        command = [str(Path(sys.executable).with_name("langyard")), "serve"]
        self.server = Server(command, scratch.FOLDER / "neighbours.log", env, folder)

    async def run(self, connection: Connection, user: str, session: str) -> float:
        """Seconds that one run took its user."""
        body = {"workflow_type": "sleep", "input_data": {"seconds": SLEEP_S}, "user_id": user, "session_id": session}
        began = time.monotonic()
        answer = await connection.ask(post("/workflow/execute", body), REQUEST_SECONDS * 5)
        if answer.status != 200:
            raise RunFailed(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
        return time.monotonic() - began

    async def quiet(self) -> list[float]:
        """The one user's runs, one after another."""
        connection = Connection(("127.0.0.1", self.server.port))
        try:
            return [await self.run(connection, "ada", "ada") for _ in range(VICTIM_RUNS)]
        finally:
            connection.close()

    async def flood(self, number: int) -> None:
        """One of the other user's many, who never rest."""
        connection = Connection(("127.0.0.1", self.server.port))
        try:
            while True:
                await self.run(connection, "mallory", f"mallory {number}")
        finally:
            connection.close()

    async def measure(self) -> tuple[list[float], list[float]]:
        """The one user's seconds alone, and beside the flood."""
        await self.server.listening()
        await self.quiet()
        alone = await self.quiet()
        flooding = [asyncio.create_task(self.flood(number)) for number in range(FLOOD)]
        try:
            await asyncio.sleep(3)
            beside = await self.quiet()
            for one in flooding:
                if one.done():
                    one.result()
        finally:
            for one in flooding:
                one.cancel()
            await asyncio.gather(*flooding, return_exceptions=True)
        return alone, beside


def noisy(database: Database) -> list[tuple[str, ...]]:
    """The one user's times, alone and beside the flood, and how often the one is of the other."""
    neighbours = Neighbours(database)
    try:
        alone, beside = asyncio.run(neighbours.measure())
    finally:
        neighbours.server.stop()
    found: list[tuple[str, ...]] = []
    for name, pick in (("p50 ms", statistics.median), ("p95 ms", lambda times: percentile(times, 0.95) or 0.0)):
        one, other = pick(alone), pick(beside)
        found.append((name, report.number(one * 1000), report.number(other * 1000), report.number(other / one)))
    return found


def main(given: Sequence[str]) -> None:
    """Both, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks queue", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of claims; default 4")
    parser.add_argument("--only", choices=["claims", "noisy"], help="the one or the other")
    options = parser.parse_args(given)
    # Whoever ends us, even by a time limit, ends what we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with scratch.alone(), Database() as database:
        parts = [f"# The queue\n\n{json.dumps(report.machine())}"]
        if options.only != "noisy":
            head = ("claimers", *(f"claims of {batch}: runs/s" for batch in BATCHES))
            title = f"## Runs claimed per second, out of a backlog of {BACKLOG:,} runs of 100 users"
            parts.append(f"{title}\n\n{report.table(head, claims(database, options.seconds))}")
        if options.only != "claims":
            title = f"## A run of {SLEEP_S:g} s on {SLOTS} slots, alone and beside {FLOOD} of another user"
            parts.append(f"{title}\n\n{report.table(('', 'alone', 'beside', '×'), noisy(database))}")
        print("\n\n".join(parts))
