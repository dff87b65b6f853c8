"""`python -m benchmarks`: each side in turn, in interleaved rounds, on one PostgreSQL; prints tables only."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks import apart, measure, queue, report, scratch
from benchmarks.database import Database
from benchmarks.graphs import INPUTS
from benchmarks.load import RunFailed
from benchmarks.measure import Results
from benchmarks.processes import Unavailable
from benchmarks.sides import SIDES
from benchmarks.sides.side import Context, Side

USUAL = {
    "sides": list(SIDES),
    "graphs": ["echo", "chain10", "fan", "tokens", "bigstate"],
    "concurrency": [1, 16, 64],
    "seconds": 4.0,
    "rounds": 2,
    "extras": ["token-streams", *measure.EXTRAS],
}
QUICK = {
    "sides": ["bare", "bare-memory", "bare-postgres", "naive", "langyard"],
    "graphs": ["echo", "chain10"],
    "concurrency": [1, 16],
    "seconds": 1.0,
    "rounds": 1,
    "extras": [],
}
TOKEN_STREAMS = 32
APIS = ("workflow", "threads", "stateless", "stream")
EXTRA_SECONDS = 90
FAULTS = (Unavailable, RunFailed, OSError, TimeoutError, ValueError, KeyError, subprocess.SubprocessError)
"""What a side that does not do as it should may raise; it costs that side its figures, not the others theirs."""


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads `a,b`, each of them known; `none` is the empty list."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name and name != "none"]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; `--quick` only changes what is not given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    option = parser.add_argument
    option("--sides", type=_names(list(SIDES)), help=f"some of {','.join(SIDES)}; default all")
    option("--graphs", type=_names(list(INPUTS)), help=f"some of {','.join(INPUTS)}; default all but the last two")
    option("--concurrency", type=_numbers, help="users at once; default 1,16,64")
    option("--seconds", type=float, help="of each cell in each round; default 4")
    option("--rounds", type=int, help="of all sides; default 2")
    option("--extras", type=_names(["token-streams", *measure.EXTRAS]), help="what is no cell, or none; default all")
    option("--quick", action="store_true", help="a look: what needs no installation, echo and chain10, 1 s, 1 round")
    option(
        "--api",
        choices=APIS,
        default="workflow",
        help="the routes that are asked: /workflow/execute of Langyard, or of "
        "all who serve them /threads/{id}/runs/wait, /runs/wait, /threads/{id}/runs/stream",
    )
    option("--profile", action="store_true", help="write stacks under load to benchmarks/.scratch; costs speed")
    option("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    option("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.set_defaults(**(QUICK if "--quick" in given else USUAL))
    return parser.parse_args(given)


async def run(options: argparse.Namespace, database: Database) -> Results:
    """Every side, round after round, started and stopped within its turn."""
    results = Results(report.machine())
    # Whoever ends us, even by a time limit, ends what we started.
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, cast(asyncio.Task[Any], asyncio.current_task()).cancel
    )
    for number in range(options.rounds):
        for name in (name for name in options.sides if name not in results.absent):
            side = SIDES[name](Context(database, options.api))
            begun = time.monotonic()
            try:
                await _turn(side, options, results, extras=number == 0)
            except FAULTS as error:
                results.absent[name] = _line(error)
            finally:
                side.stop()
            said = results.absent.get(name) or f"{time.monotonic() - begun:.0f} s"
            print(f"round {number + 1}, {name}: {said}", file=sys.stderr)
    return results


async def _turn(side: Side, options: argparse.Namespace, results: Results, extras: bool) -> None:
    cells = [(graph, concurrency) for graph in options.graphs for concurrency in options.concurrency]
    cells += [("tokens-5ms", TOKEN_STREAMS)] if "token-streams" in options.extras else []
    await side.start()
    results.notes[side.name] = side.note
    for graph, concurrency in cells:
        one = await measure.cell(side, graph, concurrency, options.seconds, options.profile)
        results.rounds.setdefault((side.name, graph, concurrency), []).append(one)
    for name in (name for name in measure.EXTRAS if extras and name in options.extras):
        side.stop()
        try:
            await side.start()  # afresh: what the load before has left in memory is not the extra's
            async with asyncio.timeout(EXTRA_SECONDS):
                results.extras.setdefault(name, {})[side.name] = await measure.EXTRAS[name](side)
        except TimeoutError:
            results.absent[f"{side.name}: {name}"] = f"not done within {EXTRA_SECONDS} s"
        except FAULTS as error:
            results.absent[f"{side.name}: {name}"] = _line(error)


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).removeprefix("Unavailable: ")[:300]


def main() -> None:
    """The way in."""
    if sys.argv[1:2] == ["apart"]:
        apart.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["queue"]:
        queue.main(sys.argv[2:])
        return
    options = arguments(sys.argv[1:])
    # A connection a user, on either side of the loopback: the servers inherit the limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with scratch.alone(), Database() as database, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(run(options, database))
    text = report.markdown(results)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(report.document(results), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
