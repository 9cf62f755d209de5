"""Student's t: confidence intervals of a mean over a few replications, without SciPy at run time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


def within(t: float, df: int) -> float:
    """Return the probability that a Student variable lies between ``-t`` and ``t``.

    The finite series for whole degrees of freedom: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
    and 26.7.4.

    Parameters
    ----------
    t
        A number, zero or more.
    df
        Degrees of freedom, 1 or more.

    Examples
    --------
    >>> round(within(1.0, 1), 12)
    0.5
    """
    cosine_sq = df / (df + t * t)
    sine = t / math.sqrt(df + t * t)
    odd = df % 2
    total, term = 0.0, math.sqrt(cosine_sq) if odd else 1.0
    for j in range((df - odd) // 2):
        total += term
        term *= cosine_sq * (2 * j + 1 + odd) / (2 * j + 2 + odd)
    # An odd number of degrees has one term less, and the angle itself besides.
    return 2 / math.pi * (math.atan(t / math.sqrt(df)) + sine * total) if odd else sine * total


@lru_cache(maxsize=256)
def t_quantile(p: float, df: int) -> float:
    """Return the quantile of Student's t distribution.

    Parameters
    ----------
    p
        Probability, from 0.5 up to but not including 1.
    df
        Degrees of freedom, 1 or more.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> round(t_quantile(0.975, 9), 6)
    2.262157
    """
    if not 0.5 <= p < 1:
        raise ValueError(f"p = {p}: must be at least 0.5 and below 1")
    if df < 1:
        raise ValueError(f"df = {df}: must be at least 1")
    wanted = 2 * p - 1
    low, high = 0.0, 1.0
    while within(high, df) < wanted:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if within(middle, df) < wanted else (low, middle)
    return high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over replications and the half-width of its confidence interval.

    Parameters
    ----------
    mean
        Sample mean.
    half_width
        Half of the interval's width, in the unit of the mean; ``None`` for a single replication.
    n
        Number of replications.
    """

    mean: float
    half_width: float | None
    n: int


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Estimate a mean from independent replications.

    Parameters
    ----------
    values
        One figure per replication, at least one.
    confidence
        Probability with which the interval covers the true mean, if the replications are normal.

    Examples
    --------
    >>> round(estimate([9.0, 10.0, 11.0]).half_width, 6)
    2.484138
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Estimate(mean, t_quantile((1 + confidence) / 2, n - 1) * deviation / math.sqrt(n), n)
