"""A short storm, as `make chaos` makes long ones: no promise may break, whatever the seed."""

from __future__ import annotations

import random

import pytest

from tests.acceptance.chaos.storm import storm


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_in_a_storm_every_promise_holds(tmp_path):
    seed = random.SystemRandom().randrange(1_000_000)
    report = await storm(tmp_path, seed, rounds=1, round_s=20, with_redis=seed % 2 == 0)
    assert not report.violations, str(report)
    assert report.runs > 10, str(report)
    assert sum(report.injected.values()) > 2, str(report)
