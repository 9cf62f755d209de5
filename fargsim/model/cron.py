"""AWS's cron expressions: six fields, with ``?``, ``L``, ``W``, ``#`` and a year.

Source: Amazon EventBridge User Guide, eb-scheduled-rule-pattern.html, to which Application Auto Scaling's
scheduled-scaling-using-cron-expressions.html refers.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIRST_YEAR, LAST_YEAR = 1970, 2199

_NUMBER = re.compile(r"\d{1,4}")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    signs: str = ", - * /"

    def legal(self) -> str:
        words = f" or {self.words[0]} to {self.words[-1]}" if self.words else ""
        return f"{self.name} takes {self.low} to {self.high}{words}, and {self.signs}"

    def number(self, text: str) -> int:
        if text.upper() in self.words:
            return self.words.index(text.upper()) + 1
        if not _NUMBER.fullmatch(text) or not self.low <= int(text) <= self.high:
            raise ValueError(f"'{text}': {self.legal()}")
        return int(text)

    def numbers(self, text: str) -> frozenset[int]:
        """Read a list of numbers, ranges and steps."""
        found: set[int] = set()
        for part in text.split(","):
            span, slash, step = part.partition("/")
            first, dash, last = span.partition("-")
            if span == "*":
                low, high = self.low, self.high
            elif dash:
                low, high = self.number(first), self.number(last)
            else:
                low = self.number(span)
                high = self.high if slash else low
            if slash and (not _NUMBER.fullmatch(step) or int(step) == 0):
                raise ValueError(f"'{part}': a step is a whole number above 0")
            # a range may run over the end, like FRI-MON
            wrapped = [low, self.high + 1 - self.low + high] if high < low else [low, high]
            size = self.high - self.low + 1
            steps = range(wrapped[0], wrapped[1] + 1, int(step) if slash else 1)
            found.update((n - self.low) % size + self.low for n in steps)
        return frozenset(found)


_MINUTES = _Field("minutes", 0, 59)
_HOURS = _Field("hours", 0, 23)
_DAY_OF_MONTH = _Field("day of month", 1, 31, signs=", - * ? / L W")
_MONTH = _Field("month", 1, 12, MONTHS)
_DAY_OF_WEEK = _Field("day of week", 1, 7, DAYS, ", - * ? / L #")
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR)

DaysOf = Callable[[int, int], frozenset[int]]
"""The days of a month of a year that are meant."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that has been read.

    Examples
    --------
    >>> weekdays = Cron.parse("30 6 ? * MON-FRI *")
    >>> print(weekdays.next(datetime(2026, 3, 6, 6, 30)))
    2026-03-09 06:30:00
    >>> print(Cron.parse("0 0 29 2 ? *").next(datetime(2026, 3, 6)), Cron.parse("0 0 30 2 ? *").next(datetime(2026, 3, 6)))
    2028-02-29 00:00:00 None
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    _days: DaysOf

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read an expression.

        Raises
        ------
        ValueError
            Which field is at fault, and what it takes.
        """
        fields = text.split()
        if len(fields) != 6:
            raise ValueError(
                f"cron has six fields (minutes hours day-of-month month day-of-week year), not {len(fields)}"
            )
        minutes, hours, day, month, weekday, year = fields
        if (day == "?") == (weekday == "?"):
            raise ValueError("exactly one of day-of-month and day-of-week must be ?")
        return cls(
            text,
            tuple(sorted(_MINUTES.numbers(minutes))),
            tuple(sorted(_HOURS.numbers(hours))),
            tuple(sorted(_MONTH.numbers(month))),
            tuple(sorted(_YEAR.numbers(year))),
            _month_days(day.upper()) if weekday == "?" else _week_days(weekday.upper()),
        )

    def next(self, after: datetime) -> datetime | None:
        """Return the first local date and time after another that is meant; None where there is none up to the year 2199.

        Parameters
        ----------
        after
            A date and time without a zone: the clock on the wall.
        """
        start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for year in self.years:
            if year < start.year:
                continue
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in sorted(self._days(year, month)):
                    date = datetime(year, month, day)  # noqa: DTZ001 - the clock on the wall has no zone
                    if date.date() < start.date():
                        continue
                    found = self._time(start if date.date() == start.date() else date)
                    if found is not None:
                        return found
        return None

    def _time(self, since: datetime) -> datetime | None:
        """Return the first time of that day that is meant, not before `since`."""
        for hour in self.hours:
            if hour >= since.hour:
                for minute in self.minutes:
                    if hour > since.hour or minute >= since.minute:
                        return since.replace(hour=hour, minute=minute)
        return None


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _month_days(text: str) -> DaysOf:
    if text == "L":
        return lambda year, month: frozenset({_length(year, month)})
    if text == "LW":
        return lambda year, month: frozenset({_nearest_weekday(year, month, _length(year, month))})
    if text.endswith("W"):
        wanted = _DAY_OF_MONTH.number(text[:-1])
        return lambda year, month: (
            frozenset({_nearest_weekday(year, month, wanted)}) if wanted <= _length(year, month) else frozenset()
        )
    days = _DAY_OF_MONTH.numbers(text)
    return lambda year, month: frozenset(d for d in days if d <= _length(year, month))


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Return the working day nearest to a day, within its month."""
    weekday = calendar.weekday(year, month, day)
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < _length(year, month) else day - 2
    return day


def _of_weekday(year: int, month: int, number: int) -> list[int]:
    """Return the days of a month that fall on a day of the week, 1 being Sunday."""
    return [d for d in range(1, _length(year, month) + 1) if (calendar.weekday(year, month, d) + 1) % 7 + 1 == number]


def _week_days(text: str) -> DaysOf:
    if "#" in text:
        name, _, nth = text.partition("#")
        number = _DAY_OF_WEEK.number(name)
        if not _NUMBER.fullmatch(nth) or not 1 <= int(nth) <= 5:
            raise ValueError(f"'{text}': behind # stands which one of the month it is, 1 to 5")
        return lambda year, month: frozenset(_of_weekday(year, month, number)[int(nth) - 1 : int(nth)])
    if text.endswith("L") and len(text) > 1:
        last = _DAY_OF_WEEK.number(text[:-1])
        return lambda year, month: frozenset(_of_weekday(year, month, last)[-1:])
    numbers = frozenset({7}) if text == "L" else _DAY_OF_WEEK.numbers(text)
    return lambda year, month: frozenset(d for n in numbers for d in _of_weekday(year, month, n))
