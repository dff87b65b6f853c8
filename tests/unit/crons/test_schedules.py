"""When a schedule fires, above all where daylight saving makes a day longer or shorter."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langyard.crons import Schedule
from langyard.model.errors import Invalid

NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def slots(schedule: Schedule, begin: str, number: int) -> list[str]:
    """The next so many slots after an instant of UTC, in UTC."""
    found, moment = [], utc(begin)
    for _ in range(number):
        following = schedule.after(moment)
        assert following is not None
        assert following > moment
        assert following.tzinfo is dt.UTC
        found.append(following.strftime("%m-%d %H:%M:%S").removesuffix(":00"))
        moment = following
    return found


def test_times_are_those_of_the_timezone():
    assert slots(Schedule("0 9 * * 1", NEW_YORK), "2026-01-01 00:00", 2) == ["01-05 14:00", "01-12 14:00"]
    assert slots(Schedule("0 9 * * 1"), "2026-01-01 00:00", 1) == ["01-05 09:00"]
    assert slots(Schedule("0 9 * * MON-FRI", "Asia/Kolkata"), "2026-01-02 04:00", 1) == ["01-05 03:30"]


def test_six_fields_end_with_seconds():
    assert slots(Schedule("* * * * * */20"), "2026-01-01 00:00:05", 3) == [
        "01-01 00:00:20", "01-01 00:00:40", "01-01 00:01",
    ]  # fmt: skip
    assert slots(Schedule("30 9 * * * 15"), "2026-01-01 00:00", 1) == ["01-01 09:30:15"]


@pytest.mark.parametrize(
    ("zone", "before", "fires", "after"),
    [
        # Clocks go from 2:00 to 3:00 on 8 March and on 29 March: half past two does not come, so it fires at three.
        (NEW_YORK, "2026-03-07 00:00", ["03-07 07:30", "03-08 07:00", "03-09 06:30"], "03-10 06:30"),
        (BERLIN, "2026-03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"], "03-31 00:30"),
    ],
)
def test_a_time_that_is_skipped_fires_at_the_end_of_the_gap(zone, before, fires, after):
    assert slots(Schedule("30 2 * * *", zone), before, 4) == [*fires, after]


@pytest.mark.parametrize(
    ("zone", "hour", "before", "fires"),
    [
        # Clocks go back on 1 November and on 25 October: the hour comes twice, the cron fires in the first.
        (NEW_YORK, 1, "2026-10-31 00:00", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        (BERLIN, 2, "2026-10-24 00:00", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
    ],
)
def test_a_time_that_comes_twice_fires_once(zone, hour, before, fires):
    schedule = Schedule(f"30 {hour} * * *", zone)
    assert slots(schedule, before, 3) == fires
    # Asked for within the second coming of the hour, it is not the first's, which is over.
    again = utc(f"2026-{fires[1]}").replace(minute=10) + dt.timedelta(hours=1)
    following = schedule.after(again)
    assert following is not None
    assert following == utc(f"2026-{fires[2]}")


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN])
def test_what_fires_every_so_often_fires_on_through_both_changes(zone):
    schedule = Schedule("*/30 * * * *", zone)
    for begin in ("2026-03-07 12:00", "2026-03-28 12:00", "2026-10-24 12:00", "2026-10-31 12:00"):
        moment, found = utc(begin), []
        for _ in range(60):
            following = schedule.after(moment)
            assert following is not None
            found.append(following)
            moment = following
        assert {b - a for a, b in pairwise(found)} == {dt.timedelta(minutes=30)}


@given(
    st.sampled_from(["0 0 * * *", "30 2 * * *", "15 1,2,3 * * *", "*/7 * * * *", "0 */3 * * *", "* * * * * */13"]),
    st.sampled_from([NEW_YORK, BERLIN, "Australia/Lord_Howe", "UTC"]),
    st.integers(1_735_689_600, 1_798_761_600).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC)),
)
def test_a_slot_is_always_later_and_there_is_none_between(text, zone, moment):
    schedule = Schedule(text, zone)
    following = schedule.after(moment)
    assert following is not None
    assert following > moment
    between = moment + (following - moment) / 2
    assert schedule.after(between) == following
    local = following.astimezone(ZoneInfo(zone))
    if text == "0 0 * * *":
        assert (local.hour, local.minute) == (0, 0)


@pytest.mark.parametrize("text", ["", "bad", "* * * *", "* * * * * * *", "60 * * * *", "0 0 31 13 *", "x" * 500])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(Invalid, match=r"^Invalid cron schedule: '.*'\. Reason: Invalid cron schedule\. Ensure"):
        Schedule(text)


@pytest.mark.parametrize("zone", ["Mars/X", "", "../etc/passwd", "America", "a\0b", "/etc/localtime"])
def test_what_is_no_timezone_is_refused(zone):
    with pytest.raises(Invalid, match=r"^Invalid timezone: '.*'\. Use IANA timezone"):
        Schedule("* * * * *", zone)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6 *"])
def test_a_day_that_never_comes_has_no_slot(text):
    assert Schedule(text).after(utc("2026-01-01 00:00")) is None
