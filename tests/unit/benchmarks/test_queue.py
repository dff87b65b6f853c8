"""The figures of the queue: claimers in processes of their own get runs, and no run is claimed twice."""

from __future__ import annotations

import psycopg
import pytest

from benchmarks import queue
from benchmarks.database import Database


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_claims_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue, "CLAIMERS", (2,))
    monkeypatch.setattr(queue, "BATCHES", (5,))
    monkeypatch.setattr(queue, "BACKLOG", 2000)
    with Database() as database:
        [(claimers, per_second)] = queue.claims(database, 0.5)
        with psycopg.connect(database.url("queue")) as connection:
            row = connection.execute(
                "select count(*), max(attempt) from langyard.runs where status = 'running'"
            ).fetchone()
    assert row is not None
    # Each claimer has prepared its statement with one claim that does not count.
    assert (claimers, row[1]) == ("2", 1)
    assert row[0] - 2 * 5 == pytest.approx(float(per_second.replace(",", "")) * 0.5, abs=1)
