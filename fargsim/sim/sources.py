"""Where requests come from: blocks of arrival instants, drawn ahead of the clock."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from fargsim.kernel import RateClock, accumulate, spread_counts
from fargsim.model.quantity import US_PER_S
from fargsim.model.traffic import Rate
from fargsim.sim.draws import BLOCK

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY_US = 86_400 * US_PER_S
HOUR_US = 3_600 * US_PER_S


class Source(Protocol):
    """A stream of arrival instants, in order."""

    def block(self) -> Ints | None:
        """Return the next instants in microseconds, possibly none yet; ``None`` when there are no more."""


class ClockSource:
    """Arrivals of a process with a given rate: Poisson, or regular in operational time.

    Parameters
    ----------
    clock
        The integrated rate.
    generator
        Draws unit exponentials; ``None`` for regular arrivals.
    """

    def __init__(self, clock: RateClock, generator: np.random.Generator | None) -> None:
        self._clock = clock
        self._generator = generator
        self._sum = 0.0
        # small streams do not need large blocks
        self._size = int(min(BLOCK, max(256, clock.expected * 1.1)))

    def block(self) -> Ints | None:
        """Return the next block of instants."""
        if self._sum > self._clock.expected:
            return None
        steps = np.ones(self._size) if self._generator is None else self._generator.standard_exponential(self._size)
        sums = accumulate(self._sum, steps)
        self._sum = float(sums[-1])
        return self._clock.instants(sums)


class InstantsSource:
    """Arrivals at given instants."""

    def __init__(self, instants_us: Ints) -> None:
        self._instants = instants_us

    def block(self) -> Ints | None:
        """Return the next instants."""
        instants, self._instants = self._instants[:BLOCK], self._instants[BLOCK:]
        return instants if instants.size else None


class LateSource:
    """The arrivals of another source from an instant on."""

    def __init__(self, inner: Source, begin_us: int) -> None:
        self._inner = inner
        self._begin_us = begin_us

    def block(self) -> Ints | None:
        """Return the next instants, without those that are too early."""
        instants = self._inner.block()
        return None if instants is None else instants[instants >= self._begin_us]


def source(
    rate: Rate, generator: np.random.Generator, start_of_day_us: int, duration_us: int, begin_us: int = 0
) -> Source:
    """Return the arrivals of an open-loop rate.

    Parameters
    ----------
    rate
        What the scenario says.
    generator
        The stream of the arrivals.
    start_of_day_us
        Time of day at the start of the run, in microseconds since midnight UTC.
    duration_us
        Length of the run.
    begin_us
        Nothing arrives before this instant.
    """
    found = _source(rate, generator, start_of_day_us, duration_us)
    return found if begin_us == 0 else LateSource(found, begin_us)


def _source(rate: Rate, generator: np.random.Generator, start_of_day_us: int, duration_us: int) -> Source:
    draws = generator if rate.process == "poisson" else None
    if rate.counts is not None:
        edges = np.arange(len(rate.counts.values) + 1, dtype=np.int64) * rate.counts.period + rate.counts.at
        counts = np.asarray(rate.counts.values, dtype=np.float64) * rate.scale
        return InstantsSource(_spread(edges, counts, generator, duration_us))
    if rate.instants is not None:
        instants = np.asarray(rate.instants, dtype=np.int64)
        return InstantsSource(instants[(instants >= 0) & (instants < duration_us)])
    return ClockSource(rate_clock(rate, start_of_day_us, duration_us), draws)


def rate_clock(rate: Rate, start_of_day_us: int, duration_us: int) -> RateClock:
    """Return the integrated rate of a constant, daily, stepped or tabulated rate over the run."""
    if rate.constant is not None:
        return RateClock([0, duration_us], [rate.constant * rate.scale])
    if rate.daily is not None:
        return _daily_clock(rate.daily_per_s(), start_of_day_us, duration_us)
    if rate.steps is None:
        raise ValueError("this rate has to be resolved first: it names a file or a closed loop")
    at = [step.at for step in rate.steps]
    per_s = [step.rate * rate.scale for step in rate.steps]
    edges, rates = [0], [0.0 if at[0] > 0 else per_s[0]]
    for instant, value in zip(at, per_s, strict=True):
        if 0 < instant < duration_us:
            edges.append(instant)
            rates.append(value)
    return RateClock([*edges, duration_us], rates)


def _daily_clock(per_s: tuple[float, ...], start_of_day_us: int, duration_us: int) -> RateClock:
    """Join the hourly figures by straight lines through the middle of each hour."""
    half = HOUR_US // 2
    first = (start_of_day_us - half) // HOUR_US
    last = (start_of_day_us + duration_us - half) // HOUR_US + 1
    knots = np.arange(first, last + 1, dtype=np.int64)
    at = knots * HOUR_US + half - start_of_day_us
    rates = np.asarray(per_s)[knots % 24]
    inner = (at > 0) & (at < duration_us)
    ends = np.interp([0, duration_us], at, rates)
    return RateClock([0, *at[inner].tolist(), duration_us], [ends[0], *rates[inner].tolist(), ends[1]], "linear")


def _spread(edges: Ints, counts: Floats, generator: np.random.Generator, duration_us: int) -> Ints:
    """Spread the counts of each period evenly at random; a fraction left by scaling becomes a request by chance."""
    whole = np.floor(counts)
    fraction = counts - whole
    numbers = (whole + (generator.random(counts.size) < fraction)).astype(np.int64)
    instants = spread_counts(edges, numbers, generator.random(int(numbers.sum())))
    return instants[(instants >= 0) & (instants < duration_us)]
