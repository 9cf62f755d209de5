"""What ``fargsim verify`` finds: published figures beside simulated ones, and how each simulated one came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["calibrated", "predicted", "by construction", "distance only"]
"""How a simulated figure came about.

``calibrated``: a global parameter was chosen so that it fits. ``predicted``: nothing was chosen for it. ``by construction``: the published
figure itself is an input. ``distance only``: the conditions of the measurement are not known well enough for a verdict.
"""

Role = Literal["published", "calibrated", "uncalibrated", "other"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number and what the simulation says.

    Parameters
    ----------
    what
        What it is, in words.
    unit
        Unit of all its numbers.
    published
        The published number; None where there is none.
    simulated
        Mean over the replications.
    basis
        How the simulated number came about.
    allowed
        Largest distance from the published number, in the unit; None where no verdict is asked.
    low, high
        Smallest and largest of the replications.
    uncalibrated
        The same by the model as the catalogue has it, without calibration; None where it was not run.

    Examples
    --------
    >>> figure = Figure("1,000 containers", "s", 108.0, 110.9, "predicted", allowed=10.8)
    >>> figure.ok, round(figure.off_percent, 1)
    (True, 2.7)
    """

    what: str
    unit: str
    published: float | None
    simulated: float
    basis: Basis
    allowed: float | None = None
    low: float | None = None
    high: float | None = None
    uncalibrated: float | None = None

    @property
    def ok(self) -> bool | None:
        """Whether the simulated number is as near as it must be; None where no verdict is asked."""
        if self.allowed is None or self.published is None:
            return None
        return abs(self.simulated - self.published) <= self.allowed

    @property
    def off_percent(self) -> float | None:
        """Distance from the published number in percent of it."""
        return None if not self.published else 100 * (self.simulated - self.published) / self.published

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return {True: "ok", False: "OUT", None: "-"}[self.ok]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a picture: numbers over time."""

    label: str
    role: Role
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of a picture; `log` draws its numbers on a logarithmic scale."""

    title: str
    xlabel: str
    ylabel: str
    curves: tuple[Curve, ...]
    log: bool = False


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of a fleet that cluster auto scaling grows; counts are those at its end.

    Parameters
    ----------
    minute
        The minute, counted from 1.
    running, waiting
        Tasks in RUNNING; tasks in PROVISIONING.
    metric
        ``CapacityProviderReservation`` in percent, None before the first datapoint.
    requested, registered
        Instances that the group is asked for once the metric of this minute is known; instances that have registered.
    why
        What the scaling policy said where it changed something.
    """

    minute: int
    running: int
    waiting: int
    metric: float | None
    requested: int
    registered: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One measured experiment, or one prediction of an experiment whose curve is not published."""

    key: str
    title: str
    about: tuple[str, ...]
    figures: tuple[Figure, ...]
    panels: tuple[Panel, ...]
    minutes: tuple[tuple[str, tuple[Minute, ...]], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A published worked example or limit, under its number in the list of published targets.

    Parameters
    ----------
    number
        ``Fargate 6``, ``V1``, ``C7``, ...
    what
        What goes in.
    published, found
        What is published and what comes out, in words; equal where it holds.
    basis
        How `found` came about.
    source
        Page of the AWS documentation, or where else it is published.
    verdict
        Whether it holds; None where it is only told.
    """

    number: str
    what: str
    published: str
    found: str
    source: str
    verdict: bool | None
    basis: Basis = "predicted"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A calibrated parameter: its value, the catalogue's value, and what it was calibrated on."""

    name: str
    value: float
    catalogue: float
    on: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was verified."""

    parameters: tuple[Parameter, ...]
    experiments: tuple[Experiment, ...]
    examples: tuple[Example, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What is out of its tolerance, in words."""
        figures = tuple(f"{e.title}: {f.what}" for e in self.experiments for f in e.figures if f.ok is False)
        return figures + tuple(f"{e.number}: {e.what}" for e in self.examples if e.verdict is False)

    @property
    def ok(self) -> bool:
        """Whether everything that asks for a verdict is within its tolerance."""
        return not self.failures
