"""Traffic: when requests arrive, and when jobs are started."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fargsim.model.base import Own
from fargsim.model.distribution import Distribution
from fargsim.model.quantity import RATE_UNITS_PER_S, DurationUs, RatePerS
from fargsim.model.service import RunTask


def _unit(value: Any) -> Any:
    """Let ``1/s`` stand for ``/s``."""
    return re.sub(r"^\s*1\s*/", "/", value) if isinstance(value, str) else value


RateUnit = Annotated[Literal["/s", "/min", "/h", "/d"], BeforeValidator(_unit)]


class Step(Own):
    """A rate that holds from an instant on."""

    at: DurationUs
    rate: RatePerS


class TraceFile(Own):
    """A CSV file of counts or rates per period.

    Parameters
    ----------
    file
        Path of the file, relative to the scenario.
    time, value
        Names of the columns.
    kind
        ``sum``: requests in the period; ``rate``: requests per second.
    period
        Length of a period; ``None`` reads it off the most frequent step.
    start
        Instant of the trace (as written in it) that falls on the start of the run; ``None`` is its first row.
    """

    file: str
    time: str = "timestamp"
    value: str = "value"
    kind: Literal["sum", "rate"] = "sum"
    period: DurationUs | None = Field(default=None, gt=0)
    start: str | None = None


class TimestampsFile(Own):
    """A CSV file with one row per request."""

    file: str
    time: str = "timestamp"


class Users(Own):
    """A closed loop: a number of users, each thinking between an answer and the next request."""

    count: int = Field(ge=1, le=1_000_000)
    think: Distribution


RATE_KINDS = ("constant", "daily", "steps", "trace", "timestamps", "users")


class Rate(Own):
    """When requests arrive: exactly one of the kinds.

    Parameters
    ----------
    constant
        The same rate throughout.
    daily
        24 figures, one an hour from midnight UTC, joined by straight lines through the middle of each hour; in `unit`.
    peak
        With `daily`: scale the figures so that the largest is this rate.
    steps
        Rates that hold from an instant of the run on.
    trace
        Counts or rates of a CSV file.
    timestamps
        Arrival instants of a CSV file.
    users
        A closed loop of users.
    process
        ``poisson`` arrivals of the rate, or ``regular`` ones at equal distances in operational time.
    """

    constant: RatePerS | None = None
    daily: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(default=None, min_length=24, max_length=24)
    unit: RateUnit = "/s"
    peak: RatePerS | None = Field(default=None, gt=0)
    steps: tuple[Step, ...] | None = Field(default=None, min_length=1)
    trace: TraceFile | None = None
    timestamps: TimestampsFile | None = None
    users: Users | None = None
    scale: float = Field(default=1.0, ge=0, le=1e6)
    process: Literal["poisson", "regular"] = "poisson"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [k for k in RATE_KINDS if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(RATE_KINDS)}" + (f", not {', '.join(given)}" if given else "")
            )
        if self.peak is not None and (self.daily is None or max(self.daily) <= 0):
            raise ValueError("peak scales the figures of daily, which must not all be zero")
        if self.steps is not None and any(b.at <= a.at for a, b in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("the instants of steps must increase")
        return self

    def daily_per_s(self) -> tuple[float, ...]:
        """Return the 24 hourly figures as rates per second, scaled to the peak."""
        assert self.daily is not None
        factor = RATE_UNITS_PER_S[self.unit]
        if self.peak is not None:
            factor = self.peak / max(self.daily)
        return tuple(x * factor * self.scale for x in self.daily)


class Traffic(Own):
    """Requests to a service."""

    to: str
    cluster: str = "default"
    name: str | None = None
    rate: Rate

    @property
    def stream(self) -> str:
        """The name of its random streams."""
        return self.name or self.to


class Jobs(Own):
    """RunTask calls that arrive at a rate."""

    name: str = Field(min_length=1)
    run_task: RunTask
    rate: Rate

    @model_validator(mode="after")
    def _open_loop(self) -> Self:
        if self.rate.users is not None:
            raise ValueError("jobs arrive in an open loop: users are for requests")
        return self
