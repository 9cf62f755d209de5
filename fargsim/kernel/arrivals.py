"""Instants of arrival: unit-rate exponentials, or counts per period, turned into whole microseconds.

A Poisson process of rate r(t) is a unit-rate process read on the clock R(t), the integral of r. So the sums of unit
exponentials, drawn once per stream, go through the inverse of R; two variants of one scenario meet the same users,
and a chunk at a time gives the same instants as all at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

US_PER_S = 1e6


def accumulate(before: float, exponentials: Floats) -> Floats:
    """Return running sums of exponentials that go on from `before` (the last sum of the chunk before, or 0).

    The additions are the same, one after the other, however the stream is cut: so are the sums.

    Examples
    --------
    >>> whole = accumulate(0.0, np.array([0.1, 0.2, 0.3]))
    >>> first = accumulate(0.0, np.array([0.1]))
    >>> bool(np.all(accumulate(first[-1], np.array([0.2, 0.3])) == whole[1:]))
    True
    """
    sums = np.empty(exponentials.size + 1, dtype=np.float64)
    sums[0] = before
    sums[1:] = exponentials
    np.cumsum(sums, out=sums)
    return sums[1:]


class RateClock:
    """The inverse of an integrated rate.

    Parameters
    ----------
    edges_us
        Instants, rising, shape ``(n + 1,)``, integer microseconds.
    rate_per_s
        Requests per second: ``"steps"`` one for each interval, shape ``(n,)``; ``"linear"`` one for each edge, shape
        ``(n + 1,)``, straight lines in between.
    shape
        ``"steps"`` or ``"linear"``.

    Raises
    ------
    ValueError
        Edges that do not rise, a negative or infinite rate, shapes that do not fit.

    Examples
    --------
    Ten requests per second, then five, evenly spaced:

    >>> clock = RateClock([0, 1_000_000, 2_000_000], [10.0, 5.0])
    >>> clock.expected
    15.0
    >>> clock.instants(np.array([1.0, 10.0, 11.0, 15.5])).tolist()  # 15.5 is past the end
    [100000, 1000000, 1200000]
    """

    def __init__(self, edges_us: npt.ArrayLike, rate_per_s: npt.ArrayLike, shape: str = "steps") -> None:
        edges = np.asarray(edges_us, dtype=np.float64)
        rate = np.asarray(rate_per_s, dtype=np.float64)
        if shape not in ("steps", "linear"):
            raise ValueError(f"shape '{shape}' is not one of steps, linear")
        if edges.ndim != 1 or edges.size < 2 or not bool(np.all(np.diff(edges) > 0.0)) or edges[0] < 0.0:
            raise ValueError("edges must rise, from 0 or later, and be two or more")
        if rate.shape != (edges.size - (1 if shape == "steps" else 0),):
            raise ValueError(f"{rate.size} rates do not fit {edges.size} edges ({shape})")
        if not bool(np.all((rate >= 0.0) & (rate < np.inf))):
            raise ValueError("a rate must be finite and not negative")
        self._edges = edges
        self._last = int(edges[-1]) - 1
        self._from = (rate if shape == "steps" else rate[:-1]) / US_PER_S
        to = self._from if shape == "steps" else rate[1:] / US_PER_S
        span = np.diff(edges)
        self._slope = (to - self._from) / span
        self._sums = np.concatenate(([0.0], np.cumsum((self._from + to) / 2.0 * span)))

    @property
    def expected(self) -> float:
        """Expected number of requests from the first edge to the last."""
        return float(self._sums[-1])

    def instants(self, sums: Floats) -> Ints:
        """Return the instants at which the integrated rate reaches each sum, to the nearest microsecond.

        Parameters
        ----------
        sums
            Rising sums of unit exponentials (`accumulate`), shape ``(n,)``.

        Returns
        -------
        Ints
            Shape ``(m,)``, m <= n: sums at or beyond `expected` fall past the last edge and are left out. A chunk that
            comes back shorter than it was is the last one.
        """
        inside = sums[: np.searchsorted(sums, self._sums[-1], side="left")]
        at = np.searchsorted(self._sums, inside, side="left") - 1
        at = np.maximum(at, 0)
        left = inside - self._sums[at]
        rate, slope = self._from[at], self._slope[at]
        root = rate + np.sqrt(np.maximum(rate * rate + 2.0 * slope * left, 0.0))
        # the root of rate x + slope x^2 / 2 = left, in the form that loses no digits; an exact 0 / 0 is an exact edge
        offset = np.divide(2.0 * left, root, out=np.zeros_like(left), where=root > 0.0)
        offset = np.minimum(offset, self._edges[at + 1] - self._edges[at])
        whole = np.rint(self._edges[at] + offset).astype(np.int64)
        return np.minimum(whole, self._last)


def spread_counts(edges_us: npt.ArrayLike, counts: Sequence[int] | Ints, uniforms: Floats) -> Ints:
    """Return instants for given counts per period: uniform order statistics in each period.

    That is a Poisson process given its counts, so nothing is assumed about the counts themselves (a measured trace).

    Parameters
    ----------
    edges_us
        Instants, rising, shape ``(n + 1,)``, integer microseconds.
    counts
        Requests in each period, shape ``(n,)``.
    uniforms
        One draw from [0, 1) for each request, in any order within a period, shape ``(sum(counts),)``.

    Raises
    ------
    ValueError
        A negative count, edges that do not rise, a number of draws that does not fit.

    Examples
    --------
    >>> spread_counts([0, 100, 200], [2, 1], np.array([0.75, 0.25, 0.5])).tolist()
    [25, 75, 150]
    """
    edges = np.asarray(edges_us, dtype=np.int64)
    number = np.asarray(counts, dtype=np.int64)
    if number.shape != (edges.size - 1,) or not bool(np.all(np.diff(edges) > 0)):
        raise ValueError("edges must rise and be one more than the counts")
    if bool(np.any(number < 0)) or uniforms.shape != (int(number.sum()),):
        raise ValueError(f"counts must not be negative, and need one draw each, not {uniforms.size}")
    period = np.repeat(np.arange(number.size), number)
    span = np.diff(edges)[period]
    instants = edges[:-1][period] + np.minimum((uniforms * span).astype(np.int64), span - 1)
    return np.sort(instants, kind="stable")
