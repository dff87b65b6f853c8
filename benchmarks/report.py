"""What an invocation prints, as Markdown, and what it writes as JSON. Called by `__main__`."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.budgets import KIB, verdicts
from benchmarks.figures import Round, failure, figures, ratio
from benchmarks.measure import MANY, Results

EXTRAS = {
    "sleepers": (f"{MANY:,} runs that sleep 1 s, at once", "seconds", 1),
    "idle-streams": (f"{MANY:,} idle streams", "KiB a stream", KIB),
    "idle-protocol": (f"{MANY:,} idle streams of the event protocol", "KiB a stream", KIB),
}


def number(value: float | None) -> str:
    """Three digits that matter, and a dash for what was not measured."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are also straight as plain text; the first is a name, the rest are figures."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def machine() -> dict[str, Any]:
    """Where and when it is measured, and how busy it is there already."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _cell(title: str, rounds: dict[str, list[Round]]) -> str:
    sides = {side: figures(found) for side, found in rounds.items()}
    for name, rival in (("runs/s", "bare-postgres"), ("CPU ms", "bare-postgres"), ("runs/s", "naive")):
        for own in sides.values():
            own[f"{name} ÷ {rival}"] = ratio(own[name], sides.get(rival, {}).get(name))
    columns = {name: [number(own[name]) for own in sides.values()] for name in next(iter(sides.values()))}
    columns = {name: cells for name, cells in columns.items() if set(cells) != {"–"}}
    failures = [f"{side} failed: {said}" for side, found in rounds.items() if (said := failure(found))]
    rows = list(zip(sides, *columns.values(), strict=True))
    return "\n\n".join([f"### {title}", table(["side", *columns], rows), *failures])


def _budgets(results: Results) -> str:
    rows = []
    reasons: dict[str, list[str]] = {}
    for one in verdicts(results):
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[one.met]
        rows.append((one.name, number(one.found), f"{one.sign} {one.limit:g} {one.unit}".strip(), verdict))
        if one.why:
            reasons.setdefault(one.why, []).append(one.name)
    notes = [f"- not measured, as {why}: {'; '.join(names)}" for why, names in reasons.items()]
    return "## Budgets\n\n" + table(("figure", "measured", "budget", "verdict"), rows) + "\n\n" + "\n".join(notes)


def markdown(results: Results) -> str:
    """The whole of it. Costs are per run; CPU is the server's alone, neither PostgreSQL's nor the load's."""
    head = "{measured_at}, {cores} cores, {system}, Python {python}, load before: {load_average}"
    notes = [f"- {side}: {note}" for side, note in results.notes.items()]
    notes += [f"- {side}: not measured: {reason}" for side, reason in results.absent.items()]
    parts = ["# Benchmarks", head.format(**results.machine), "\n".join(notes)]
    for scenario, concurrency in dict.fromkeys(cell[1:] for cell in results.rounds):
        rounds = {cell[0]: found for cell, found in results.rounds.items() if cell[1:] == (scenario, concurrency)}
        parts.append(_cell(f"{scenario}, concurrency {concurrency}", rounds))
    for name, values in results.extras.items():
        title, unit, size = EXTRAS[name]
        rows = [(side, number(value / size)) for side, value in values.items()]
        parts.append(f"### {title}\n\n{table(('side', unit), rows)}")
    return "\n\n".join(part for part in [*parts, _budgets(results)] if part).rstrip() + "\n"


def document(results: Results) -> dict[str, Any]:
    """The same for machines."""
    cells = [
        {"side": side, "scenario": scenario, "concurrency": concurrency, **figures(rounds)}
        for (side, scenario, concurrency), rounds in results.rounds.items()
    ]
    budgets = [{**dataclasses.asdict(one), "met": one.met} for one in verdicts(results)]
    rest = {"extras": results.extras, "absent": results.absent, "notes": results.notes}
    return {"machine": results.machine, "cells": cells, **rest, "budgets": budgets}
