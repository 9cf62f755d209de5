"""Periods by the clock on the wall: laws in any zone, and days on which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.wall_clock import wall_clock_periods

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@given(
    until=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    period_s=st.sampled_from([60, 300, 3600, 86_400, 604_800]),
    zone=st.sampled_from(ZONES),
    number=st.integers(1, 30),
)
def test_periods_meet_are_over_and_begin_at_round_times(until: datetime, period_s: int, zone: str, number: int) -> None:
    place = ZoneInfo(zone)
    periods = wall_clock_periods(until, period_s, place, number)
    assert len(periods) == number
    assert all(one[1] == other[0] for one, other in pairwise(periods))
    assert periods[-1][1] <= until
    # the next one is not over yet; a day on which the clocks change may be an hour longer
    assert until - periods[-1][1] < timedelta(seconds=period_s) + timedelta(hours=1)
    for begin, end in periods:
        assert begin < end
        local = begin.astimezone(place)
        assert local.second == local.microsecond == 0
        if period_s == 300:
            assert local.minute % 5 == 0
        if period_s >= 86_400:
            assert (local.hour, local.minute) == (0, 0)
            assert abs((end - begin).total_seconds() - period_s) <= 3600
        if period_s == 604_800:
            assert local.weekday() == 0


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 7, 1), 24)])
def test_days_on_which_the_clocks_change(day: tuple[int, int, int], hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    noon = datetime(*day, 12, tzinfo=berlin) + timedelta(days=1)
    [(begin, end)] = wall_clock_periods(noon.astimezone(UTC), 86_400, berlin, 1)
    assert (end - begin) == timedelta(hours=hours)
    # hours go on one after the other, also the one that comes twice
    full = wall_clock_periods(end, 3600, berlin, hours)
    assert full[0][0] == begin
    assert {b - a for a, b in full} == {timedelta(hours=1)}
