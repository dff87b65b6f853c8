"""The tables, the verdicts, and that nothing is left out silently."""

from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import arguments
from benchmarks.budgets import BUDGETS, verdicts
from benchmarks.database import Counters
from benchmarks.figures import Round
from benchmarks.load import Sample
from benchmarks.measure import Results
from benchmarks.report import document, machine, markdown, number, table


def round_of(runs: int, cpu_ms: float, transactions: int | None = None, failure: str = "") -> Round:
    asked = None if transactions is None else Counters(transactions, transactions, 100)
    sample = Sample(seconds=1.0, latencies=[0.01] * runs, failures=bool(failure), failure=failure)
    return Round(sample, cpu_ms, 1, asked, runs)


def results() -> Results:
    found = Results(machine())
    found.rounds = {
        ("bare-postgres", "echo", 16): [round_of(100, 800, 600)],
        ("naive", "echo", 16): [round_of(50, 500, 300)],
        ("langyard", "echo", 16): [round_of(200, 600, 500)],
        ("langyard", "tokens", 1): [round_of(0, 0, failure="422 no such mode")],
    }
    found.extras = {"sleepers": {"langyard": 2.5}}
    found.absent = {"aegra": "it needs Python 3.12", "langyard: idle-streams": "not done within 90 s"}
    found.notes = {"naive": "FastAPI"}
    return found


def test_numbers_keep_three_digits():
    assert [number(value) for value in (None, 0.123, 12.34, 123.4, 12345.6)] == ["–", "0.12", "12.3", "123", "12,346"]


def test_a_table_is_straight():
    lines = table(("side", "runs/s"), [("bare", "1"), ("bare-postgres", "1,000")]).splitlines()
    assert lines == [
        "| side          | runs/s |",
        "|---------------|-------:|",
        "| bare          |      1 |",
        "| bare-postgres |  1,000 |",
    ]


def test_budgets_are_met_missed_or_said_not_to_be_measured():
    verdict = {one.name: one for one in verdicts(results())}
    assert len(verdict) == len(BUDGETS)
    assert verdict["runs/s of echo at 16 ÷ naive"].found == 4
    assert verdict["runs/s of echo at 16 ÷ naive"].met is True
    assert verdict["CPU of echo at 16 ÷ bare-postgres"].found == pytest.approx(0.375)
    assert verdict["transactions per echo run at 16"].met is False
    assert verdict["1,000 runs that sleep 1 s"].met is True
    unmeasured = {name: one.why for name, one in verdict.items() if one.met is None}
    assert unmeasured["runs/s of echo at 16 ÷ aegra"] == "aegra: it needs Python 3.12"
    assert unmeasured["runs/s of echo at 16 ÷ langgraph-dev"] == "langgraph-dev: not asked for"
    assert unmeasured["first event of a stream at 1"] == "langyard: 422 no such mode"
    assert unmeasured["memory per idle stream"] == "langyard, idle-streams: not done within 90 s"


def test_the_report_says_what_is_missing_and_why():
    text = markdown(results())
    assert "- aegra: not measured: it needs Python 3.12" in text
    assert "- naive: FastAPI" in text
    assert "langyard failed: 422 no such mode" in text
    assert "as aegra: it needs Python 3.12: runs/s of echo at 16 ÷ aegra" in text
    echo = text.partition("### echo, concurrency 16")[2].partition("###")[0]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in echo.strip().splitlines()]
    langyard = dict(zip(head, next(row for row in rows if row[0] == "langyard"), strict=True))
    assert langyard["runs/s ÷ naive"] == "4.00"
    assert langyard["CPU ms ÷ bare-postgres"] == "0.38"
    assert "first event ms" not in head, "a column without figures is left out"


def test_the_document_is_json_with_the_same_figures():
    found = json.loads(json.dumps(document(results())))
    cell = next(cell for cell in found["cells"] if cell["side"] == "langyard" and cell["scenario"] == "echo")
    assert (cell["concurrency"], cell["transactions"], cell["runs/s"]) == (16, 2.5, 200)
    assert {one["met"] for one in found["budgets"]} == {True, False, None}


def test_quick_changes_only_what_is_not_given():
    assert arguments([]).seconds == 4
    quick = arguments(["--quick", "--sides", "naive", "--concurrency", "2,3"])
    assert (quick.sides, quick.concurrency, quick.seconds, quick.rounds) == (["naive"], [2, 3], 1, 1)
    assert arguments(["--extras", "none"]).extras == []


def test_an_unknown_side_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        arguments(["--sides", "naive,nobody"])
    assert "unknown: nobody; there are bare," in capsys.readouterr().err
