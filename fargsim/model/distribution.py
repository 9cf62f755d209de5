"""Distributions of durations, as a scenario writes them: ``6 s``, ``{exponential: {mean: 15 ms}}``, ``{lognormal: {...}}``."""

from __future__ import annotations

import math
import re
from statistics import NormalDist
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fargsim.model.base import Own
from fargsim.model.quantity import DurationUs, format_duration, parse_duration_us


def lognormal_sigma(mean: float, quantile: float, p: float) -> float:
    """Return the smaller sigma of the lognormal with this mean whose p-quantile is `quantile`.

    With ``z`` the standard normal quantile of `p`, ``ln quantile = ln mean - sigma^2 / 2 + z sigma``: a quadratic with up to two
    positive roots. The smaller one is the distribution people mean.

    Raises
    ------
    ValueError
        When no lognormal has that quantile: it is further than ``exp(z^2 / 2)`` times the mean, or `p` is at most one half
        and the quantile is above what such a `p` allows.

    Examples
    --------
    >>> round(lognormal_sigma(40.0, 250.0, 0.99), 4)
    1.0047
    """
    z = NormalDist().inv_cdf(p)
    ratio = math.log(quantile / mean)
    if 2 * ratio > z * z or (z <= 0 and ratio > 0):
        furthest = math.exp(z * z / 2) if z > 0 else 1.0
        raise ValueError(
            f"no lognormal has a p{100 * p:g} that is {quantile / mean:.3g} times its mean: "
            f"at most {furthest:.3g} times is possible"
        )
    root = math.sqrt(z * z - 2 * ratio)
    lower = z - root
    return lower if lower >= 0 else z + root


class Constant(Own):
    """Always the same duration."""

    constant: DurationUs

    @property
    def mean_us(self) -> float:
        """Mean in microseconds."""
        return float(self.constant)


class ExponentialMean(Own):
    """Parameters of the exponential distribution."""

    mean: DurationUs = Field(gt=0)


class Exponential(Own):
    """Memoryless durations."""

    exponential: ExponentialMean

    @property
    def mean_us(self) -> float:
        """Mean in microseconds."""
        return float(self.exponential.mean)


class UniformBounds(Own):
    """Parameters of the uniform distribution."""

    min: DurationUs
    max: DurationUs

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max ({format_duration(self.max)}) is below min ({format_duration(self.min)})")
        return self


class Uniform(Own):
    """Every duration between two bounds alike."""

    uniform: UniformBounds

    @property
    def mean_us(self) -> float:
        """Mean in microseconds."""
        return (self.uniform.min + self.uniform.max) / 2


_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?)")


class LognormalShape(Own):
    """Parameters of the lognormal distribution: ``mean`` or ``median``, and one quantile such as ``p95``, or ``sigma``.

    `quantile` holds the quantile's duration and `p` its probability; in a scenario they are one key, ``p99: 250 ms``.
    """

    mean: DurationUs | None = None
    median: DurationUs | None = None
    sigma: float | None = Field(default=None, ge=0, le=10)
    p: float | None = Field(default=None, gt=0, lt=1)
    quantile: DurationUs | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_quantile(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        out: dict[str, Any] = {}
        for key, value in data.items():
            found = _QUANTILE.fullmatch(key) if isinstance(key, str) else None
            if found is None or float(found.group(1)) <= 0:
                out[key] = value
            elif "quantile" in out:
                raise ValueError("give one quantile, not two")
            else:
                out["p"], out["quantile"] = float(found.group(1)) / 100, value
        return out

    @model_validator(mode="after")
    def _determined(self) -> Self:
        if (self.mean is None) == (self.median is None):
            raise ValueError("give either mean or median")
        if (self.sigma is None) == (self.quantile is None):
            raise ValueError("give either sigma or one quantile such as p95")
        if self.mean == 0 or self.median == 0 or self.quantile == 0:
            raise ValueError("a lognormal is positive: zero is not possible")
        if (self.quantile is None) != (self.p is None):
            raise ValueError("a quantile is written as one key, like 'p99: 250 ms'")
        self.mu_sigma()
        return self

    def mu_sigma(self) -> tuple[float, float]:
        """Return the parameters of the underlying normal, for microseconds."""
        if self.sigma is not None:
            sigma = self.sigma
        elif self.mean is not None:
            assert self.quantile is not None
            assert self.p is not None
            sigma = lognormal_sigma(self.mean, self.quantile, self.p)
        else:
            assert self.quantile is not None
            assert self.p is not None
            assert self.median is not None
            z = NormalDist().inv_cdf(self.p)
            ratio = math.log(self.quantile / self.median)
            if ratio and (z == 0 or ratio / z < 0):
                raise ValueError(f"no lognormal with this median has such a p{100 * self.p:g}")
            sigma = ratio / z if z else 0.0
        if self.median is not None:
            return math.log(self.median), sigma
        assert self.mean is not None
        return math.log(self.mean) - sigma * sigma / 2, sigma


class Lognormal(Own):
    """Durations whose logarithm is normal; given by mean or median and a quantile."""

    lognormal: LognormalShape

    @property
    def mean_us(self) -> float:
        """Mean in microseconds."""
        mu, sigma = self.lognormal.mu_sigma()
        return math.exp(mu + sigma * sigma / 2)


KINDS: dict[str, type[Own]] = {
    "constant": Constant,
    "exponential": Exponential,
    "uniform": Uniform,
    "lognormal": Lognormal,
}


def _read(value: Any) -> Any:
    """Let a plain duration stand for a constant, and name the legal kinds when none fits."""
    if isinstance(value, tuple(KINDS.values())):
        return value
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        parse_duration_us(value)
        return {"constant": value}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in KINDS:
        raise ValueError(
            f"must be a duration like '6 s' or one distribution, with exactly one of the keys {', '.join(KINDS)}"
        )
    return value


def _kind(value: Any) -> str:
    return str(next(iter(value))) if isinstance(value, dict) else type(value).__name__.lower()


Distribution = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Exponential, Tag("exponential")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Lognormal, Tag("lognormal")],
    Discriminator(_kind),
    BeforeValidator(_read),
]
"""A distribution of durations in microseconds."""
