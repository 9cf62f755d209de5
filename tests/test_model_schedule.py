"""Schedules: AWS's cron with its zones, rates, single instants, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargsim.model.cron import Cron
from fargsim.model.schedule import Schedule


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # the examples of scheduled-scaling-using-cron-expressions.html
        ("0 10 * * ? *", "2026-03-02T10:00", "2026-03-03T10:00"),
        ("15 12 * * ? *", "2026-03-02T10:00", "2026-03-02T12:15"),
        ("0 18 ? * MON-FRI *", "2026-03-06T18:00", "2026-03-09T18:00"),  # a Friday
        ("0 8 1 * ? *", "2026-03-02T10:00", "2026-04-01T08:00"),
        ("0/15 * * * ? *", "2026-03-02T10:46", "2026-03-02T11:00"),
        ("0/10 * ? * MON-FRI *", "2026-03-06T23:50", "2026-03-09T00:00"),
        ("0/5 8-17 ? * MON-FRI *", "2026-03-06T17:55", "2026-03-09T08:00"),
        # L, W, #, lists, steps, names, years
        ("0 0 L * ? *", "2028-02-01T00:00", "2028-02-29T00:00"),
        ("0 0 1W * ? *", "2026-07-31T12:00", "2026-08-03T00:00"),  # the 1st is a Saturday: not back into July
        ("0 0 15W * ? *", "2026-08-10T00:00", "2026-08-14T00:00"),  # the 15th is a Saturday
        ("0 0 31W * ? *", "2026-04-01T00:00", "2026-05-29T00:00"),  # April has no 31st
        ("0 9 ? * 2#1 *", "2026-03-03T00:00", "2026-04-06T09:00"),
        ("0 9 ? * FRI#5 *", "2026-03-02T00:00", "2026-05-29T09:00"),  # the first month with five Fridays
        ("0 9 ? * 6L *", "2026-03-02T00:00", "2026-03-27T09:00"),
        ("0 9 ? * L *", "2026-03-02T00:00", "2026-03-07T09:00"),  # Saturday
        ("0 9 ? * SUN *", "2026-03-02T00:00", "2026-03-08T09:00"),
        ("0 9 ? * 1 *", "2026-03-02T00:00", "2026-03-08T09:00"),
        ("0 9 ? JAN,jul MON *", "2026-03-02T00:00", "2026-07-06T09:00"),
        ("0 0 1 1 ? 2030/10", "2026-03-02T00:00", "2030-01-01T00:00"),
        ("0 22-2/2 * * ? *", "2026-03-02T22:00", "2026-03-03T00:00"),
        ("0 0 29 2 ? *", "2026-03-02T00:00", "2028-02-29T00:00"),
    ],
)
def test_the_next_time(cron: str, after: str, expected: str) -> None:
    assert Cron.parse(cron).next(local(after)) == local(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cron(0 9 * * *)", "cron has six fields"),
        ("cron(0 9 * * * *)", "exactly one of day-of-month and day-of-week must be [?]"),
        ("cron(0 9 ? * ? *)", "exactly one of day-of-month and day-of-week must be [?]"),
        ("cron(60 9 * * ? *)", "'60': minutes takes 0 to 59, and , - [*] /"),
        ("cron(0 24 * * ? *)", "'24': hours takes 0 to 23"),
        ("cron(0 9 ? * MUN *)", "'MUN': day of week takes 1 to 7 or SUN to SAT, and , - [*] [?] / L #"),
        ("cron(0 9 ? * 0 *)", "'0': day of week takes 1 to 7"),
        ("cron(0 9 ? * 2#6 *)", "behind # stands which one of the month it is, 1 to 5"),
        ("cron(0/0 9 * * ? *)", "a step is a whole number above 0"),
        ("cron(0 9 * * ? 1969)", "'1969': year takes 1970 to 2199"),
        ("cron(0 0 30 2 ? *)", "never fires: there is no such day up to the year 2199"),
        ("cron(0 0 31 4,6,9,11 ? *)", "never fires"),
        ("rate(1 minutes)", r"write rate\(1 minute\)"),
        ("rate(2 hour)", r"write rate\(2 hours\)"),
        ("rate(0 days)", "a whole number above 0 and minutes, hours or days"),
        ("at(2026-02-30T00:00:00)", "write at"),
        ("every day", "is no schedule: write at"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule.parse(text)


def test_an_unknown_zone() -> None:
    with pytest.raises(ValueError, match="'Mars/Olympus' is no time zone: write an IANA name like Europe/Berlin"):
        Schedule.parse("rate(1 hour)", "Mars/Olympus")


def first(schedule: Schedule, start: str, number: int) -> list[str]:
    found = islice(schedule.after(datetime.fromisoformat(start).replace(tzinfo=UTC)), number)
    return [t.strftime("%m-%d %H:%M") for t in found]


def test_clocks_that_change() -> None:
    # Berlin: on 29 March 2026 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00
    nine = Schedule.parse("cron(0 9 * * ? *)", "Europe/Berlin")
    assert first(nine, "2026-03-28T00:00", 3) == ["03-28 08:00", "03-29 07:00", "03-30 07:00"]
    assert first(nine, "2026-10-24T00:00", 3) == ["10-24 07:00", "10-25 08:00", "10-26 08:00"]
    half = Schedule.parse("cron(30 2 * * ? *)", "Europe/Berlin")
    assert first(half, "2026-03-28T00:00", 2) == ["03-28 01:30", "03-30 00:30"]  # 02:30 of the 29th does not exist
    assert first(half, "2026-10-24T00:00", 3) == [
        "10-24 00:30",
        "10-25 00:30",
        "10-26 01:30",
    ]  # twice there, once counted
    assert first(half, "2026-10-25T00:45", 1) == ["10-26 01:30"]  # its second coming does not count either
    instant = Schedule.parse("at(2026-07-01T09:00:00)", "America/New_York")
    assert first(instant, "2026-01-01T00:00", 2) == ["07-01 13:00"]
    assert first(instant, "2026-07-01T13:01", 2) == []


def test_rates_count_from_their_anchor() -> None:
    rate = Schedule.parse("rate(90 minutes)")
    start = datetime(2026, 3, 2, tzinfo=UTC)
    assert first(rate, "2026-03-02T00:00", 2) == ["03-02 01:30", "03-02 03:00"]
    later = islice(rate.after(start + timedelta(hours=4), anchor=start), 2)
    assert [t.hour * 60 + t.minute for t in later] == [270, 360]


@settings(max_examples=60, deadline=None)
@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu"]
    ),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1)),  # noqa: DTZ001
)
def test_a_daily_time_comes_once_a_day_at_that_time(minute: int, hour: int, zone: str, start: datetime) -> None:
    schedule = Schedule.parse(f"cron({minute} {hour} * * ? *)", zone)
    begin = start.replace(tzinfo=UTC)
    found = list(islice(schedule.after(begin), 30))
    assert all(t >= begin for t in found)
    assert all((t.astimezone(schedule.zone).hour, t.astimezone(schedule.zone).minute) == (hour, minute) for t in found)
    days = [t.astimezone(schedule.zone).date() for t in found]
    gaps = {(b - a).days for a, b in pairwise(days)}
    assert gaps <= {1, 2}  # two where the clocks leave the time out
    assert sum((b - a).days == 2 for a, b in pairwise(days)) <= 1
