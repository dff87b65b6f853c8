"""Percentiles, ratios, medians, and what becomes of rounds."""

from __future__ import annotations

import pytest

from benchmarks.database import Counters
from benchmarks.figures import Round, failure, figures, median, percentile, ratio
from benchmarks.load import Sample


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7.0], 0.99, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([float(value) for value in range(1, 101)], 0.99, 99.0),
        ([float(value) for value in range(1, 102)], 0.99, 100.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_a_percentile_is_a_value_that_occurred(values, share, expected):
    assert percentile(values, share) == expected


def test_a_ratio_needs_both_and_a_divisor():
    assert ratio(3, 2) == 1.5
    assert ratio(None, 2) is None
    assert ratio(3, None) is None
    assert ratio(3, 0) is None


def test_a_median_is_of_what_is_there():
    assert median([1, None, 3]) == 2
    assert median([None]) is None


def test_costs_are_per_run_and_rates_are_medians_of_the_rounds():
    first = Round(Sample(seconds=2.0, latencies=[0.1, 0.2]), 10, 200, Counters(30, 12, 3000), 3)
    second = Round(
        Sample(seconds=1.0, latencies=[0.3] * 4, ways_back=[0.004], events=8), 8, 100, Counters(60, 36, 12000), 6
    )
    found = figures([first, second])
    assert found["runs/s"] == pytest.approx(2.5)
    assert found["CPU ms"] == pytest.approx(3.5)
    assert (found["statements"], found["transactions"], found["WAL bytes"]) == (10, 5, 1500)
    assert found["p50 ms"] == pytest.approx(300)
    assert found["way back ms"] == pytest.approx(4)
    assert found["events/s"] == pytest.approx(8)
    assert found["load CPU %"] == pytest.approx(10)
    assert found["failed"] is None


def test_what_was_not_measured_is_none_and_not_zero():
    broken = Round(Sample(seconds=1.0, failures=2, failure="500 no"), 5, 1)
    found = figures([broken])
    assert found.pop("failed") == 2
    assert found.pop("load CPU %") is not None
    assert set(found.values()) == {None}
    assert failure([broken]) == "500 no"
    assert set(figures([]).values()) == {None}
