"""Rounds of faults amid clients, each followed by quiet and a check. `make chaos` and the suite's short run call it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.chaos.checker import Checker, Violation, quiet, recoveries
from tests.acceptance.chaos.clients import Crowd
from tests.acceptance.chaos.faults import Faults
from tests.acceptance.chaos.history import History
from tests.acceptance.chaos.yard import Yard


@dataclass
class Report:
    """What was done and what came of it."""

    seed: int
    with_redis: bool = False
    rounds: int = 0
    seconds: float = 0.0
    runs: int = 0
    executions: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            (
                f"seed {self.seed}, {'with Redis' if self.with_redis else 'PostgreSQL alone'}: {self.rounds} rounds "
                f"in {self.seconds:.0f} s"
            ),
            f"{self.runs} runs accepted, {self.executions} node executions begun",
            f"faults injected: {sum(self.injected.values())} ({_counts(self.injected)})",
            f"answers: {_counts(self.answers)}",
        ]
        if found := self.recoveries:
            p50, p99 = found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)]
            lines.append(f"recovery, death to next claim, of {len(found)} runs: p50 {p50:.2f} s, p99 {p99:.2f} s")
        lines.append(f"violations: {len(self.violations)}")
        lines += [f"  {violation.promise}: {violation.what}" for violation in self.violations]
        return "\n".join(lines)


async def storm(
    folder: Path,
    seed: int,
    *,
    rounds: int | None = None,
    minutes: float | None = None,
    round_s: float = 20.0,
    faults: Sequence[str] = (),
    lease_s: float = 2.0,
    with_redis: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Rounds until so many are done or the time is up, or until a promise is broken: then `folder` tells more."""
    report, began = Report(seed, with_redis), time.monotonic()
    async with Yard(folder, lease_s=lease_s, with_redis=with_redis) as yard:
        history, harm = History(), Faults(yard, seed, faults)
        while not report.violations and (rounds is None or report.rounds < rounds):
            if minutes is not None and report.rounds and time.monotonic() - began > minutes * 60 - round_s:
                break
            await _round(yard, history, harm, seed * 1000 + report.rounds, round_s, report)
            report.rounds += 1
            report.seconds = time.monotonic() - began
            report.runs, report.injected, report.answers = len(history.accepted), harm.injected, history.answers
            say(
                f"round {report.rounds}: {report.runs} runs, {sum(report.injected.values())} faults, "
                f"{len(report.violations)} violations"
            )
    return report


async def _round(yard: Yard, history: History, harm: Faults, seed: int, round_s: float, report: Report) -> None:
    crowd, over, stalls = Crowd(yard, history, seed), asyncio.Event(), list[tuple[float, float]]()
    watching = asyncio.create_task(_watch(stalls, yard.lease_s / 4))
    acting = asyncio.create_task(crowd.run())
    harming = asyncio.create_task(harm.run(over))
    await asyncio.wait({acting, harming}, timeout=round_s, return_when=asyncio.FIRST_COMPLETED)
    over.set()
    await harming
    crowd.stop.set()
    await yard.mend()
    came = await quiet(yard)
    await acting
    if not came or not await quiet(yard):
        report.violations.append(Violation("it becomes quiet", "runs are still open long after the last fault"))
    watching.cancel()
    checker = Checker(yard, history, stalls)
    report.violations += await checker.check()
    report.executions = sum(entry["what"] == "start" for entry in yard.executions())
    report.recoveries = recoveries(harm.kills, checker.holdings)


async def _watch(stalls: list[tuple[float, float]], limit_s: float) -> None:
    """When this very process did not get on, the machine had no time for anybody."""
    while True:
        before = time.time()
        await asyncio.sleep(0.1)
        if time.time() - before > limit_s:
            stalls.append((before, time.time()))


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
