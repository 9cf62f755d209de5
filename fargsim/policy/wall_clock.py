"""Periods that follow the clock on the wall: a minute, five, an hour, a day or a week that begins where a calendar says.

Source: Amazon CloudWatch User Guide, alarm-evaluation-window.html; API Reference, API_WallClockWindow.html. On which day a week begins is
not published; Monday stands in for it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from fargsim.model.alarms import DAY_S, WEEK_S

_INSTANT = timedelta(microseconds=1)


def wall_clock_periods(until: datetime, period_s: int, zone: tzinfo, number: int) -> list[tuple[datetime, datetime]]:
    """Return the newest periods that are over at an instant, oldest first.

    Parameters
    ----------
    until
        The instant, with a zone.
    period_s
        Length of a period: 60, 300, 3600, 86,400 or 604,800 s. A day on which the clocks change is shorter or longer.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> for begin, end in wall_clock_periods(datetime(2026, 3, 30, 9, 30, tzinfo=UTC), 86_400, ZoneInfo("Europe/Berlin"), 2):
    ...     print(begin, end - begin)
    2026-03-27 23:00:00+00:00 1 day, 0:00:00
    2026-03-28 23:00:00+00:00 23:00:00
    """
    end = _begin(until, period_s, zone)
    found = []
    for _ in range(number):
        begin = _begin(end - _INSTANT, period_s, zone)
        found.append((begin, end))
        end = begin
    return found[::-1]


def _begin(at: datetime, period_s: int, zone: tzinfo) -> datetime:
    """Return when the period began that an instant lies in."""
    local = at.astimezone(zone)
    if period_s >= DAY_S:
        back = timedelta(days=local.weekday() if period_s == WEEK_S else 0)
        return (local - back).replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
    into = (local.minute * 60 + local.second) % period_s
    # in real time, not in that of the wall: an hour that comes twice is two hours
    return at.astimezone(UTC) - timedelta(seconds=into, microseconds=local.microsecond)
