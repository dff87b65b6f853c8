"""What several processes have counted, told as one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

import pytest

from langyard.telemetry.metrics import Counted, Metrics
from langyard.telemetry.siblings import Siblings


@pytest.fixture
def files() -> Iterator[list[int]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(tempfile.TemporaryFile()).fileno() for _ in range(3)]


def counted(number: int) -> Counted:
    metrics = Metrics()
    metrics.count("langgraph_requests_total", "/größe", "GET", by=number)
    metrics.observe("langgraph_request_duration_seconds", 0.02, "/größe")
    found = metrics.snapshot()
    found.gauges = {"langgraph_worker_slots": {(): number}}
    return found


def test_each_reads_what_the_others_say(files):
    ours = Siblings(files, 0, lambda place: True)
    assert ours.others() == [Counted(), Counted()]
    Siblings(files, 1, lambda place: True).write(counted(5))
    theirs, nothing = ours.others()
    assert (theirs, nothing) == (counted(5), Counted())


def test_one_that_is_gone_keeps_its_counts_and_has_no_gauges(files):
    Siblings(files, 1, lambda place: True).write(counted(5))
    theirs, _ = Siblings(files, 0, lambda place: place != 1).others()
    assert theirs.counts == counted(5).counts
    assert theirs.gauges == {}


def test_who_comes_after_goes_on_from_there(files):
    Siblings(files, 1, lambda place: True).write(counted(5))
    after = Siblings(files, 1, lambda place: True)
    metrics = Metrics()
    metrics.add(after.left())
    metrics.count("langgraph_requests_total", "/größe", "GET")
    after.write(metrics.snapshot())
    theirs = Siblings(files, 0, lambda place: True).others()[0]
    assert theirs.counts["langgraph_requests_total"] == {("/größe", "GET"): 6.0}
    assert sum(theirs.spreads["langgraph_request_duration_seconds"]["/größe",][:-1]) == 1


def test_what_is_half_written_is_not_read(files):
    Siblings(files, 1, lambda place: True).write(counted(5))
    os.pwrite(files[1], b"xxxx", 20)
    assert Siblings(files, 0, lambda place: True).others()[0] == Counted()


def test_of_what_is_half_written_holds_what_was_read_before(files):
    """A counter that is gone for a moment and then there again would be counted twice by whoever scrapes."""
    Siblings(files, 1, lambda place: True).write(counted(5))
    ours = Siblings(files, 0, lambda place: True)
    assert ours.others()[0] == counted(5)
    os.pwrite(files[1], b"xxxx", 20)
    assert ours.others()[0] == counted(5)


def test_where_there_is_no_room_the_process_goes_on(files):
    unwritable = os.open("/dev/full", os.O_WRONLY)
    try:
        Siblings([unwritable], 0, lambda place: True).write(counted(5))
    finally:
        os.close(unwritable)


def test_a_shorter_text_after_a_longer_one(files):
    theirs = Siblings(files, 1, lambda place: True)
    theirs.write(counted(123456))
    theirs.write(Counted(gauges={"langgraph_worker_slots": {(): 1.0}}))
    assert Siblings(files, 0, lambda place: True).others()[0] == Counted(gauges={"langgraph_worker_slots": {(): 1.0}})


def test_of_another_version_what_is_not_known_is_left_out():
    metrics = Metrics()
    metrics.add(Counted({"langgraph_gone_total": {(): 1.0}}, {"langgraph_request_duration_seconds": {("/",): [1.0]}}))
    metrics.add(
        Counted({"langgraph_requests_total": {("/",): 1.0}}, {"langgraph_request_duration_seconds": {(): [0] * 15}})
    )
    assert metrics.snapshot() == Counted({}, {})
