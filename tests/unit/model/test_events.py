"""Numbers of events: they only grow, over runs and machines, and fit into what clients can hold."""

from __future__ import annotations

import datetime as dt
import time
from itertools import pairwise

import pytest

from langyard.gateway.agent.protocol.envelopes import number_of
from langyard.model.events import Event, Sequence


def test_numbers_grow_however_fast_they_are_taken():
    sequence = Sequence()
    numbers = [sequence.next() for _ in range(10_000)]
    assert all(before < after for before, after in pairwise(numbers))
    assert abs((numbers[0] >> 16) - time.time() * 1000) < 60_000


def test_a_run_goes_on_where_the_one_before_ended_though_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch):
    claimed_at = dt.datetime.now(dt.UTC)
    last = Sequence(claimed_at).next()
    # The second machine believes it to be an hour earlier; its run was claimed a minute after the first.
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert Sequence(claimed_at + dt.timedelta(seconds=60)).next() > last


def test_an_event_says_its_millisecond():
    assert Event((1795336781117 << 16) | 7, "values", b"{}").id == "1795336781117-7"


def test_protocol_numbers_keep_the_order_and_are_exact_in_javascript():
    sequence = Sequence(dt.datetime(2050, 1, 1, tzinfo=dt.UTC))
    numbers = []
    for _ in range(100):
        numbers.append(number_of(sequence.next()))
        time.sleep(0)
    assert all(before <= after < 2**53 for before, after in pairwise(numbers))
    assert number_of(0) == 0
