"""How fast the queue drains, and so when to come again."""

from __future__ import annotations

import math
from uuid import UUID, uuid4

import pytest

from langyard.limits import QueueBound
from langyard.limits.queue import Drain
from langyard.model.errors import Limited
from langyard.postgres import runs as rows
from tests.unit.runs.queueing import queue

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_the_rate_is_that_of_all_workers_over_the_last_minute():
    drain = Drain()
    assert drain.per_second == 0
    drain.note(0, {ONE: 1000})
    assert drain.per_second == 0
    for second in range(1, 121):
        drain.note(second, {ONE: 1000 + 2 * second, OTHER: 3 * second})
    assert drain.per_second == pytest.approx(5)
    for second in range(121, 181):
        drain.note(second, {OTHER: 360})
    assert drain.per_second == pytest.approx(0, abs=0.1)


def test_a_worker_counts_from_when_it_was_seen_and_not_after_it_has_left():
    drain = Drain()
    drain.note(0, {ONE: 0})
    drain.note(10, {ONE: 10, OTHER: 500_000})
    drain.note(20, {OTHER: 500_020})
    assert drain.per_second == pytest.approx(30 / 20)


@pytest.mark.parametrize(("ended", "least", "most"), [(0, 60, 60), (1, 1, 60), (100_000, 1, 1)])
async def test_come_again_when_the_queue_has_drained(database: str, ended: int, least: float, most: float):
    async with queue(database) as line:
        bound = QueueBound(line.database, 10)
        await line.flood("ada", 14)
        await bound.look()
        await rows.let_in(line.database, line.worker_id, ended, max_attempts=3)
        await bound.look()
        assert bound.waiting == 14
        with pytest.raises(Limited) as refused:
            bound.check_many(1)
        assert least <= refused.value.retry_after <= most
        assert str(math.ceil(refused.value.retry_after)) in refused.value.detail
        assert bound.waiting == 14


async def test_what_was_let_in_since_the_last_look_counts(database: str):
    async with queue(database) as line:
        bound = QueueBound(line.database, 10)
        await bound.look()
        for _ in range(8):
            bound.joined()
        with bound.entering(), bound.entering():
            assert bound.waiting == 10
            with pytest.raises(Limited):
                bound.check_many(1)
        bound.check_many(2)
        await bound.look()
        assert bound.waiting == 0
        await line.start("ada", after_s=3600.0)
        thread_id = uuid4()
        for _ in range(3):
            await line.start("ada", thread_id=thread_id)
        await bound.look()
        assert bound.waiting == 3
