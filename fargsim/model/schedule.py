"""Schedules of Application Auto Scaling and EventBridge: ``at(...)``, ``rate(...)`` and ``cron(...)``, in a time zone.

Source: Application Auto Scaling API Reference, API_PutScheduledAction.html; Amazon EventBridge User Guide, eb-scheduled-rule-pattern.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fargsim.model.cron import LAST_YEAR, Cron

_KINDS = re.compile(r"(at|rate|cron)\((.*)\)")
_RATE = re.compile(r"(\d{1,9})\s+(minute|hour|day)(s?)")
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the clock on the wall has no zone


def zone_of(name: str) -> tzinfo:
    """Return an IANA time zone.

    Raises
    ------
    ValueError
        When there is none of the name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{name}' is no time zone: write an IANA name like Europe/Berlin") from None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something recurs.

    Clocks that change: a local time that does not exist is skipped, one that comes twice counts once, at its first coming. AWS says so of
    EventBridge Scheduler (Amazon EventBridge Scheduler User Guide, schedule-types.html) and nothing of Application Auto Scaling.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> nine = Schedule.parse("cron(30 2 * * ? *)", "Europe/Berlin")
    >>> [str(t) for t, _ in zip(nine.after(datetime(2026, 3, 28, tzinfo=UTC)), range(2))]
    ['2026-03-28 01:30:00+00:00', '2026-03-30 00:30:00+00:00']
    """

    text: str
    at: datetime | None = None
    every: timedelta | None = None
    cron: Cron | None = None
    zone: tzinfo = UTC

    @classmethod
    def parse(cls, text: str, zone: str = "UTC") -> Schedule:
        """Read a schedule.

        Raises
        ------
        ValueError
            What is wrong and what is legal; also where it can never come true.
        """
        place = zone_of(zone)
        found = _KINDS.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"'{text}' is no schedule: write at(2026-03-02T09:00:00), rate(5 minutes) or cron(0 9 * * ? *)"
            )
        kind, inner = found.groups()
        if kind == "at":
            return cls(text, at=_instant(inner, place), zone=place)
        if kind == "rate":
            return cls(text, every=_interval(inner), zone=place)
        cron = Cron.parse(inner)
        if cron.next(_EPOCH) is None:
            raise ValueError(f"'{text}' never fires: there is no such day up to the year {LAST_YEAR}")
        return cls(text, cron=cron, zone=place)

    def after(self, start: datetime, anchor: datetime | None = None) -> Iterator[datetime]:
        """Yield the instants at and after another one, in order, in UTC.

        Parameters
        ----------
        start
            Nothing before it; with a zone.
        anchor
            What a rate counts from; `start` unless given. The anchor itself is not an instant of a rate.
        """
        if self.at is not None:
            if self.at >= start:
                yield self.at
        elif self.every is not None:
            base = anchor or start
            number = max(1, -(-(start - base) // self.every))
            while True:
                yield base + number * self.every
                number += 1
        else:
            yield from self._of_cron(start)

    def _of_cron(self, start: datetime) -> Iterator[datetime]:
        assert self.cron is not None
        local = start.astimezone(self.zone).replace(tzinfo=None) - timedelta(hours=3)
        while (found := self.cron.next(local)) is not None:
            local = found
            instant = found.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            # a local time that the clocks leave out does not come back as itself
            if instant.astimezone(self.zone).replace(tzinfo=None) == found and instant >= start:
                yield instant


def _instant(text: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the zone stands beside it
    except ValueError:
        raise ValueError(f"'at({text})': write at(yyyy-mm-ddThh:mm:ss), like at(2026-03-02T09:00:00)") from None
    return found.replace(tzinfo=zone).astimezone(UTC)


def _interval(text: str) -> timedelta:
    found = _RATE.fullmatch(text.strip())
    if found is None or int(found.group(1)) == 0:
        raise ValueError(f"'rate({text})': write rate(value unit), a whole number above 0 and minutes, hours or days")
    number = int(found.group(1))
    if (number == 1) == bool(found.group(3)):
        unit = found.group(2)
        right = unit if number == 1 else f"{unit}s"
        raise ValueError(f"'rate({text})': write rate({number} {right})")
    return number * _UNITS[found.group(2)]
