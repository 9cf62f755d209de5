"""A metric whose values a scenario says: the datapoint of every minute, computed when somebody looks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from fargsim.policy.metric_data import Point, merge
from fargsim.sim.kit import US_PER_S

MINUTE_US = 60 * US_PER_S


class StepSeries:
    """Values that hold from an instant on, sent once a minute at its beginning.

    Parameters
    ----------
    steps
        Instants in microseconds, increasing, each with the value from then on; None for no data.

    Examples
    --------
    >>> series = StepSeries([(0, 5.0), (120_000_000, None)])
    >>> [p and p.total for p in series.windows(180_000_000, 60_000_000, 4)]
    [None, 5.0, 5.0, None]
    """

    def __init__(self, steps: Sequence[tuple[int, float | None]]) -> None:
        self._at = [at for at, _ in steps]
        self._values = [value for _, value in steps]
        self.keep_us = 0

    def windows(self, until_us: int, period_us: int, number: int) -> list[Point | None]:
        """Return the points of the `number` periods before an instant, oldest first; None where there is no data."""
        return [self._window(until_us - (back + 1) * period_us, until_us - back * period_us) for back in range(number)][
            ::-1
        ]

    def _window(self, begin_us: int, end_us: int) -> Point | None:
        minutes = range(max(0, -(-begin_us // MINUTE_US)) * MINUTE_US, end_us, MINUTE_US)
        points = []
        for minute in minutes:
            found = bisect_right(self._at, minute) - 1
            value = self._values[found] if found >= 0 else None
            if value is not None and minute + MINUTE_US <= end_us:
                points.append(Point.of(minute, minute + MINUTE_US, value))
        return merge(points)
