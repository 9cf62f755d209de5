"""Random numbers of requests, by request index: the n-th request has the same numbers whoever serves it.

Two revisions may ask different work of the same request. What they ask is made of the same underlying numbers, each kind of number drawn
from a copy of one stream's first state, so that equal behaviours ask equal work and a slower one asks more of the same requests: common
random numbers between revisions as between variants.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Literal

import numpy as np
import numpy.typing as npt

from fargsim.model.behaviour import RequestBehaviour
from fargsim.model.distribution import Constant, Distribution, Exponential, Lognormal, Uniform
from fargsim.sim.streams import Streams

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint8]
Kind = Literal["none", "uniform", "exponential", "normal"]

BLOCK = 1 << 16
"""Numbers drawn at once: large enough for NumPy's speed, small enough for the processor's cache."""

_DRAW: dict[Kind, Callable[[np.random.Generator, int], Floats]] = {
    "uniform": lambda g, n: g.random(n),
    "exponential": lambda g, n: g.standard_exponential(n),
    "normal": lambda g, n: g.standard_normal(n),
}


def made_of(distribution: Distribution) -> tuple[Kind, Callable[[Floats], Floats]]:
    """Return the kind of number that a distribution is made of, and how; in microseconds.

    The same values to the last bit as `fargsim.sim.streams.sampler` draws.
    """
    if isinstance(distribution, Constant):
        value = float(distribution.constant)
        return "none", lambda z: np.full(z.size, value)
    if isinstance(distribution, Exponential):
        mean = float(distribution.exponential.mean)
        return "exponential", lambda z: z * mean
    if isinstance(distribution, Uniform):
        low, width = float(distribution.uniform.min), float(distribution.uniform.max - distribution.uniform.min)
        return "uniform", lambda z: low + width * z
    assert isinstance(distribution, Lognormal)
    mu, sigma = distribution.lognormal.mu_sigma()
    return "normal", lambda z: np.exp(mu + sigma * z)


class Numbers:
    """One stream's numbers by index, in every kind that somebody asks for.

    A kind that is asked for late is drawn as though it had been there from the first request on.

    Parameters
    ----------
    stream
        The stream; it is copied and itself left as it is.
    """

    def __init__(self, stream: np.random.Generator) -> None:
        self._first = deepcopy(stream)
        self._kinds: dict[Kind, tuple[np.random.Generator, int]] = {}

    def take(self, kind: Kind, start: int, n: int) -> Floats:
        """Return the numbers from index `start` on; no earlier ones can be asked for afterwards.

        Raises
        ------
        ValueError
            They have been drawn before.
        """
        generator, at = self._kinds.get(kind) or (deepcopy(self._first), 0)
        if start < at:
            raise ValueError(f"the numbers from {start} on have been drawn already, up to {at}")
        if kind == "none":
            return np.empty(n)
        if kind == "uniform" and start > at:
            generator.bit_generator.advance(start - at)  # type: ignore[attr-defined]
        else:
            while at < start:
                at += _DRAW[kind](generator, min(BLOCK, start - at)).size
        self._kinds[kind] = (generator, start + n)
        return _DRAW[kind](generator, n)


class Draws:
    """The numbers of the requests of one feed: what they cost, whether they fail, and what else is decided by chance.

    Parameters
    ----------
    streams, name
        The streams are ``demand/NAME/cpu``, ``demand/NAME/wait``, ``failure/NAME`` and, where they are asked for,
        ``split/LISTENER/NAME`` (target group), ``route/NAME`` (target) and ``entry/NAME`` (zone).
    """

    def __init__(self, streams: Streams, name: str) -> None:
        self._streams = streams
        self._name = name
        self._numbers: dict[str, Numbers] = {}
        self._at = 0

    def block(self, arrivals: Ints | None, n: int, think_us: Floats | None = None) -> Block:
        """Return the next `n` requests."""
        start, self._at = self._at, self._at + n
        return Block(self, arrivals, start, n, think_us)

    def take(self, what: str, kind: Kind, start: int, n: int) -> Floats:
        """Return numbers of one stream, without the feed's name: ``demand/cpu``, ``split/lb:80``."""
        if what not in self._numbers:
            first, _, rest = what.partition("/")
            name = f"{first}/{self._name}/{rest}" if first == "demand" else f"{what}/{self._name}"
            self._numbers[what] = Numbers(self._streams[name])
        return self._numbers[what].take(kind, start, n)


class Block:
    """Requests that stand one behind the other, and their numbers, made when they are asked for.

    Attributes
    ----------
    arrivals
        Instants in microseconds, shape ``(n,)``; empty in a closed loop.
    think_us
        How long the user thinks after each, in a closed loop.
    taken
        How many of them have gone on to a plane.
    """

    __slots__ = ("_columns", "_draws", "_start", "arrivals", "size", "taken", "think_us")

    def __init__(self, draws: Draws, arrivals: Ints | None, start: int, n: int, think_us: Floats | None) -> None:
        self.arrivals = np.empty(0, np.int64) if arrivals is None else arrivals
        self.think_us = np.empty(0) if think_us is None else think_us
        self.size = n
        self.taken = 0
        self._draws = draws
        self._start = start
        self._columns: dict[tuple[str, object], Floats] = {}

    def cpu(self, request: RequestBehaviour) -> Floats:
        """Return the CPU demands under a behaviour, core-microseconds."""
        return self._distributed("demand/cpu", request.cpu)

    def wait(self, request: RequestBehaviour) -> Floats | None:
        """Return the waits under a behaviour, microseconds; None for none."""
        return None if request.wait is None else self._distributed("demand/wait", request.wait)

    def fails(self, request: RequestBehaviour) -> Flags | None:
        """Return which requests fail under a behaviour; None for none."""
        if request.error_rate == 0:
            return None
        return (self.uniform("failure") < request.error_rate).astype(np.uint8)

    def uniform(self, what: str) -> Floats:
        """Return uniform numbers of a stream, for a decision other than the work."""
        return self._raw(what, "uniform")

    def _distributed(self, what: str, distribution: Distribution) -> Floats:
        found = self._columns.get((what, distribution))
        if found is None:
            kind, make = made_of(distribution)
            found = self._columns[what, distribution] = make(self._raw(what, kind))
        return found

    def _raw(self, what: str, kind: Kind) -> Floats:
        found = self._columns.get((what, kind))
        if found is None:
            found = self._columns[what, kind] = self._draws.take(what, kind, self._start, self.size)
        return found


Rows = tuple[Floats, Floats | None, Flags | None]


def work_of(block: Block, profiles: tuple[RequestBehaviour, ...], pick: slice | Ints) -> Rows:
    """Return CPU demands, waits and failures of some requests of a block.

    Returns
    -------
    tuple
        Shapes ``(n,)`` with one profile, ``(profiles, n)`` with several; waits and failures None where nobody has any.
    """
    if len(profiles) == 1:
        one = profiles[0]
        wait, fails = block.wait(one), block.fails(one)
        return block.cpu(one)[pick], None if wait is None else wait[pick], None if fails is None else fails[pick]
    cpu = np.stack([block.cpu(p)[pick] for p in profiles])
    waits = [block.wait(p) for p in profiles]
    flags = [block.fails(p) for p in profiles]
    blank = np.zeros(cpu.shape[1])
    return (
        cpu,
        None if all(w is None for w in waits) else np.stack([blank if w is None else w[pick] for w in waits]),
        None
        if all(f is None for f in flags)
        else np.stack([blank.astype(np.uint8) if f is None else f[pick] for f in flags]),
    )
