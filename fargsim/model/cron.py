"""AWS's cron expressions: six fields, with ``?``, ``L``, ``W``, ``#`` and a year.

When they fire is worked out by aws-croniter. What is read here is what it does not say or do: which field is at fault and what it takes,
``L`` as the last day of the week, steps of weekdays.

Source: Amazon EventBridge User Guide, eb-scheduled-rule-pattern.html, to which Application Auto Scaling's
scheduled-scaling-using-cron-expressions.html refers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from aws_croniter import AwsCroniter

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

    def plain(self, text: str) -> str:
        """Read a list of numbers, ranges and steps, and write its numbers down; ``*`` stays."""
        return text if text == "*" else ",".join(map(str, sorted(self.numbers(text))))


_MINUTES = _Field("minutes", 0, 59)
_HOURS = _Field("hours", 0, 23)
_DAY_OF_MONTH = _Field("day of month", 1, 31, signs=", - * ? / L W")
_MONTH = _Field("month", 1, 12, MONTHS)
_DAY_OF_WEEK = _Field("day of week", 1, 7, DAYS, ", - * ? / L #")
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that has been read.

    Parameters
    ----------
    text
        The expression as it was written.
    plain
        The same in numbers and lists, as the library reads it.

    Examples
    --------
    >>> weekdays = Cron.parse("30 6 ? * MON-FRI *")
    >>> print(weekdays.next(datetime(2026, 3, 6, 6, 30)))
    2026-03-09 06:30:00
    >>> print(Cron.parse("0 0 29 2 ? *").next(datetime(2026, 3, 6)), Cron.parse("0 0 30 2 ? *").next(datetime(2026, 3, 6)))
    2028-02-29 00:00:00 None
    """

    text: str
    plain: str

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
        plain = (
            _MINUTES.plain(minutes),
            _HOURS.plain(hours),
            _month_day(day.upper()),
            _MONTH.plain(month),
            _week_day(weekday.upper()),
            _YEAR.plain(year),
        )
        return cls(text, " ".join(plain))

    def next(self, after: datetime) -> datetime | None:
        """Return the first local date and time after another that is meant; None where there is none up to the year 2199.

        Parameters
        ----------
        after
            A date and time without a zone: the clock on the wall.
        """
        # the library counts in UTC, which has no changes of the clock: neither has the clock on the wall
        [found] = _croniter(self.plain).get_next(after.replace(tzinfo=UTC))
        at: datetime | None = None if found is None else found.replace(tzinfo=None)
        return at


@lru_cache(maxsize=256)
def _croniter(plain: str) -> AwsCroniter:
    return AwsCroniter(plain)


def _month_day(text: str) -> str:
    """Read the day of the month: ``?``, ``L``, a day with ``W``, or numbers."""
    if text in ("?", "L"):
        return text
    return f"{_DAY_OF_MONTH.number(text[:-1])}W" if text.endswith("W") else _DAY_OF_MONTH.plain(text)


def _week_day(text: str) -> str:
    """Read the day of the week: ``?``, ``L`` (Saturday), the last or the n-th of its name in the month, or numbers."""
    if text == "?":
        return text
    if text == "L":
        return "7"
    if "#" in text:
        name, _, nth = text.partition("#")
        number = _DAY_OF_WEEK.number(name)
        if not _NUMBER.fullmatch(nth) or not 1 <= int(nth) <= 5:
            raise ValueError(f"'{text}': behind # stands which one of the month it is, 1 to 5")
        return f"{number}#{nth}"
    return f"{_DAY_OF_WEEK.number(text[:-1])}L" if text.endswith("L") else _DAY_OF_WEEK.plain(text)
