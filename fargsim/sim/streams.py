"""Named streams of random numbers: one seed, one generator per name.

A stream's numbers depend on the seed and on its own name only, so that adding a stream moves no other and two variants of a scenario
meet the same traffic (common random numbers).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fargsim.model.distribution import Constant, Distribution, Exponential, Lognormal, Uniform

Floats = npt.NDArray[np.float64]

SAMPLERS_MAX = 1024


class Streams:
    """All random numbers of one run.

    Parameters
    ----------
    seed
        The run's seed.
    replication
        Number of the replication; each has streams of its own.

    Examples
    --------
    >>> a, b = Streams(7), Streams(7)
    >>> _ = b["boot/other"].random()
    >>> a["boot/web"].random() == b["boot/web"].random()
    True
    """

    def __init__(self, seed: int, replication: int = 0) -> None:
        self.seed = seed
        self.replication = replication
        self._open: dict[str, np.random.Generator] = {}
        self._samplers: dict[int, tuple[Distribution, Callable[[np.random.Generator, int], Floats]]] = {}
        """By the identity of a distribution, which is kept so that no other takes its number."""

    def __getitem__(self, name: str) -> np.random.Generator:
        """Return the generator of a stream; the same object each time."""
        stream = self._open.get(name)
        if stream is None:
            digest = hashlib.sha256(name.encode()).digest()
            key = (self.replication, *np.frombuffer(digest[:16], dtype="<u4").tolist())
            stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))
            self._open[name] = stream
        return stream

    def duration_us(self, name: str, distribution: Distribution | None) -> int:
        """Draw one duration in whole microseconds; ``None`` is no time at all."""
        if distribution is None:
            return 0
        if isinstance(distribution, Constant):
            return distribution.constant
        known = self._samplers.get(id(distribution))
        if known is None:
            if len(self._samplers) >= SAMPLERS_MAX:
                self._samplers.clear()
            known = self._samplers[id(distribution)] = (distribution, sampler(distribution))
        return round(float(known[1](self[name], 1)[0]))

    def identifier(self, kind: str, number: int, digits: int) -> str:
        """Return a hexadecimal identifier that looks like AWS's and is the same in every run of this seed."""
        text = f"{self.seed}/{self.replication}/{kind}/{number}".encode()
        return hashlib.blake2b(text, digest_size=(digits + 1) // 2).hexdigest()[:digits]


def sampler(distribution: Distribution) -> Callable[[np.random.Generator, int], Floats]:
    """Return a function that draws `n` durations, in microseconds, from a generator."""
    if isinstance(distribution, Constant):
        value = float(distribution.constant)
        return lambda _, n: np.full(n, value)
    if isinstance(distribution, Exponential):
        mean = float(distribution.exponential.mean)
        return lambda g, n: g.standard_exponential(n) * mean
    if isinstance(distribution, Uniform):
        low, high = distribution.uniform.min, distribution.uniform.max
        return lambda g, n: g.uniform(low, high, n)
    assert isinstance(distribution, Lognormal)
    mu, sigma = distribution.lognormal.mu_sigma()
    return lambda g, n: np.exp(mu + sigma * g.standard_normal(n))


def lognormal_us(generator: np.random.Generator, median_s: float, p95_s: float) -> int:
    """Draw one lognormal duration given by its median and 95th percentile, in microseconds."""
    sigma = math.log(p95_s / median_s) / 1.6448536269514722 if p95_s > median_s else 0.0
    return round(1e6 * median_s * math.exp(sigma * float(generator.standard_normal())))
