"""What CloudWatch keeps of a metric: one statistic set a period, and how periods add up to longer ones.

Source: Amazon CloudWatch User Guide, cloudwatch_concepts.html (statistics, periods, aggregation).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fargsim.kernel import quantiles_from_histogram
from fargsim.model.alarms import percentile


@dataclass(frozen=True, slots=True)
class Point:
    """The statistics of one period.

    Parameters
    ----------
    start_us, end_us
        The period, in microseconds of the run; the end does not belong to it.
    count, total, low, high
        How many values there were, their sum, the smallest and the largest.
    histogram
        Counts per bucket of latency, for percentiles; None where only the four figures above are known.
    """

    start_us: int
    end_us: int
    count: float
    total: float
    low: float
    high: float
    histogram: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, start_us: int, end_us: int, value: float) -> Point:
        """Return a period that had one value.

        >>> Point.of(0, 60, 7.5).statistic("Average")
        7.5
        """
        return cls(start_us, end_us, 1.0, value, value, value)

    def statistic(self, name: str) -> float:
        """Return ``Average``, ``Sum``, ``Minimum``, ``Maximum``, ``SampleCount`` or a percentile like ``p99``.

        A percentile without a histogram is the largest value: what one knows of it from four figures.
        """
        if name == "Average":
            return self.total / self.count
        if name == "Sum":
            return self.total
        if name == "Minimum":
            return self.low
        if name == "Maximum":
            return self.high
        if name == "SampleCount":
            return self.count
        share = percentile(name)
        if share is None:
            raise ValueError(f"'{name}' is no statistic")
        if self.histogram is None:
            return self.high
        # buckets are of microseconds; the metric is in seconds
        return float(quantiles_from_histogram(self.histogram, (share,))[0]) / 1e6


def merge(points: Iterable[Point]) -> Point | None:
    """Return the statistics of several periods together; None without any.

    >>> both = merge([Point(0, 60, 2, 10.0, 4.0, 6.0), Point(60, 120, 1, 20.0, 20.0, 20.0)])
    >>> both.statistic("Average"), both.statistic("Maximum")
    (10.0, 20.0)
    """
    found = list(points)
    if len(found) < 2:
        return found[0] if found else None
    histograms = [p.histogram for p in found if p.histogram is not None]
    return Point(
        min(p.start_us for p in found),
        max(p.end_us for p in found),
        sum(p.count for p in found),
        math.fsum(p.total for p in found),
        min(p.low for p in found),
        max(p.high for p in found),
        np.sum(histograms, axis=0) if len(histograms) == len(found) else None,
    )


class Series:
    """The newest points of one metric at one resolution, oldest first.

    Parameters
    ----------
    resolution_us
        Length of a period.
    keep_us
        How far back is kept.
    """

    def __init__(self, resolution_us: int, keep_us: int) -> None:
        self.resolution_us = resolution_us
        self.keep_us = keep_us
        self._points: deque[Point] = deque()

    def add(self, point: Point) -> None:
        """Take a point; one of a period that is there already is merged with it."""
        points = self._points
        later: list[Point] = []
        while points and points[-1].end_us > point.end_us:
            later.append(points.pop())
        if points and points[-1].end_us == point.end_us:
            merged = merge((points.pop(), point))
            assert merged is not None
            point = merged
        points.append(point)
        points.extend(reversed(later))
        while points[0].end_us <= points[-1].end_us - self.keep_us:
            points.popleft()

    def newest(self, until_us: int) -> Iterator[Point]:
        """Yield the points that ended by an instant, newest first."""
        return (p for p in reversed(self._points) if p.end_us <= until_us)

    def windows(self, until_us: int, period_us: int, number: int) -> list[Point | None]:
        """Return the points of the `number` periods before an instant, oldest first; None where there is no data.

        A period that is longer than the resolution holds several points, which are merged: the window slides with the instant.

        >>> series = Series(60, 3600)
        >>> for end in (60, 120, 240): series.add(Point.of(end - 60, end, end / 60))
        >>> [p and p.total for p in series.windows(240, 60, 5)]
        [None, 1.0, 2.0, None, 4.0]
        >>> [p and p.total for p in series.windows(240, 120, 2)]
        [3.0, 4.0]
        """
        bins: list[list[Point]] = [[] for _ in range(number)]
        for point in self.newest(until_us):
            back = (until_us - point.end_us) // period_us
            if back >= number:
                break
            bins[back].append(point)
        return [merge(reversed(found)) for found in reversed(bins)]
