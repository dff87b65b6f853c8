"""The figures Langyard must hold, and whether it does; docs/explanation/performance.md says why. Called by `report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import failure, figures
from benchmarks.measure import MANY, Results
from benchmarks.processes import Unavailable

KIB = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """One budget and what was found, None where something it needs was not measured; `why` then says what."""

    name: str
    sign: str
    limit: float
    unit: str
    found: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """None when not measured."""
        if self.found is None:
            return None
        return self.found <= self.limit if self.sign == "≤" else self.found >= self.limit


def _figure(results: Results, name: str, side: str, scenario: str, concurrency: int) -> float:
    rounds = results.rounds.get((side, scenario, concurrency), [])
    if (value := figures(rounds)[name]) is None:
        why = results.absent.get(side) or failure(rounds) or ("it has none" if rounds else "not asked for")
        raise Unavailable(f"{side}: {why}")
    return value


def _own(name: str, scenario: str, concurrency: int) -> Callable[[Results], float]:
    return lambda results: _figure(results, name, "langyard", scenario, concurrency)


def _versus(rival: str, name: str, scenario: str, side: str = "langyard") -> Callable[[Results], float]:
    return lambda results: _figure(results, name, side, scenario, 16) / _figure(results, name, rival, scenario, 16)


def _extra(name: str, unit: float = 1) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        if "langyard" in results.extras.get(name, {}):
            return results.extras[name]["langyard"] / unit
        why = results.absent.get(f"langyard: {name}") or results.absent.get("langyard") or "not asked for"
        raise Unavailable(f"langyard, {name}: {why}")

    return value


BUDGETS: list[tuple[str, str, float, str, Callable[[Results], float]]] = [
    ("transactions per echo run at 1", "≤", 3, "", _own("transactions", "echo", 1)),
    ("transactions per echo run at 16", "≤", 2, "", _own("transactions", "echo", 16)),
    ("statements per chain10 run at 16", "≤", 4, "", _own("statements", "chain10", 16)),
    ("CPU of echo at 16 ÷ bare-postgres", "≤", 0.5, "×", _versus("bare-postgres", "CPU ms", "echo")),
    ("CPU of chain10 at 16 ÷ bare-postgres", "≤", 0.4, "×", _versus("bare-postgres", "CPU ms", "chain10")),
    ("runs/s of echo at 16 ÷ naive", "≥", 3, "×", _versus("naive", "runs/s", "echo")),
    ("runs/s of chain10 at 16 ÷ naive", "≥", 4, "×", _versus("naive", "runs/s", "chain10")),
    ("runs/s of echo at 16, two processes ÷ naive", "≥", 3, "×", _versus("naive", "runs/s", "echo", side="langyard-2")),
    ("runs/s of chain10 at 16, two processes ÷ naive", "≥", 4, "×",
     _versus("naive", "runs/s", "chain10", side="langyard-2")),
    ("runs/s of echo at 16 ÷ langgraph-dev", "≥", 20, "×", _versus("langgraph-dev", "runs/s", "echo")),
    ("runs/s of echo at 16 ÷ aegra", "≥", 15, "×", _versus("aegra", "runs/s", "echo")),
    ("runs/s of echo at 16 ÷ aegra-redis", "≥", 60, "×", _versus("aegra-redis", "runs/s", "echo")),
    ("tokens/s at 16 ÷ langgraph-dev", "≥", 5, "×", _versus("langgraph-dev", "events/s", "tokens")),
    ("first event of a stream at 1", "≤", 10, "ms", _own("first event ms", "tokens", 1)),
    ("end of the last node to the answer at 1", "≤", 5, "ms", _own("way back ms", "echo", 1)),
    (f"{MANY:,} runs that sleep 1 s", "≤", 3, "s", _extra("sleepers")),
    ("memory per idle stream", "≤", 100, "KiB", _extra("idle-streams", KIB)),
    ("memory per idle protocol stream", "≤", 100, "KiB", _extra("idle-protocol", KIB)),
    ("runs/s of echo at 16, two processes ÷ one", "≥", 1.8, "×",
     _versus("langyard", "runs/s", "echo", side="langyard-2")),
]  # fmt: skip


def verdicts(results: Results) -> list[Verdict]:
    """Every budget, in the order of the table."""
    found = []
    for name, sign, limit, unit, value in BUDGETS:
        try:
            found.append(Verdict(name, sign, limit, unit, value(results)))
        except Unavailable as reason:
            found.append(Verdict(name, sign, limit, unit, why=str(reason)))
    return found
