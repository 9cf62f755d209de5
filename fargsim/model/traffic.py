"""Traffic: when requests arrive, and when jobs are started."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from fargsim.model.base import Issue, Own, raise_faults
from fargsim.model.distribution import Distribution
from fargsim.model.packed import pack_instants, unpack_instants
from fargsim.model.quantity import RATE_UNITS_PER_S, DurationUs, RatePerS
from fargsim.model.schedule import Schedule
from fargsim.model.service import RunTask


def _unit(value: Any) -> Any:
    """Let ``1/s`` stand for ``/s``."""
    return re.sub(r"^\s*1\s*/", "/", value) if isinstance(value, str) else value


RateUnit = Annotated[
    Literal["/s", "/min", "/h", "/d"],
    BeforeValidator(_unit),
    WithJsonSchema({"enum": [f"{one}{unit}" for one in ("", "1") for unit in RATE_UNITS_PER_S]}),
]


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


class Counts(Own):
    """Numbers of requests in periods of equal length, one behind the other.

    Parameters
    ----------
    period
        Length of a period.
    at
        Instant of the run at which the first period begins.
    values
        Requests in each period; they arrive evenly at random inside it. Nothing arrives before and behind the periods.
    """

    period: DurationUs = Field(gt=0)
    at: DurationUs = 0
    values: tuple[Annotated[float, Field(ge=0, le=1e12)], ...] = Field(min_length=1, max_length=1_000_000)


Instants = Annotated[
    tuple[int, ...],
    BeforeValidator(unpack_instants),
    PlainSerializer(pack_instants, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "description": "Durations since the start of the run, in order; or the packed text of a stored scenario",
            "anyOf": [
                {"type": "array", "items": {"type": "string", "examples": ["1.5 s"]}},
                {"type": "string"},
            ],
        }
    ),
]
"""Instants of the run in microseconds, in order."""


class TimestampsFile(Own):
    """A CSV file with one row per request.

    Parameters
    ----------
    file
        Path of the file, relative to the scenario.
    time
        Name of the column.
    start
        Instant of the trace (as written in it) that falls on the start of the run; ``None`` is its earliest row.
    """

    file: str
    time: str = "timestamp"
    start: str | None = None


class Users(Own):
    """A closed loop: a number of users, each thinking between the end of a request and the next one.

    Each thinks before the first request too. Whatever ends a request (an answer, an error, 503, 502, 504) lets its user think; the next
    request comes a think time after the first whole microsecond at which it has ended, and a microsecond after it at least.
    """

    count: int = Field(ge=1, le=1_000_000)
    think: Distribution


RATE_KINDS = ("constant", "daily", "steps", "counts", "instants", "trace", "timestamps", "users")


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
    counts
        Requests per period.
    instants
        Arrivals one by one, as durations since the start of the run.
    trace
        Counts or rates of a CSV file; ``fargsim.load`` puts `counts` or `steps` in its place.
    timestamps
        Arrival instants of a CSV file; ``fargsim.load`` puts `instants` in its place.
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
    counts: Counts | None = None
    instants: Instants | None = None
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
        if self.users is not None and (self.scale != 1.0 or self.process != "poisson"):
            raise ValueError("scale and process are of rates: users have a count and a think time")
        steps = self.steps or ()
        raise_faults(
            Issue(("steps", n, "at"), "the instants of steps must increase")
            for n in range(1, len(steps))
            if steps[n].at <= steps[n - 1].at
        )
        return self

    def daily_per_s(self) -> tuple[float, ...]:
        """Return the 24 hourly figures as rates per second, scaled to the peak."""
        assert self.daily is not None
        factor = RATE_UNITS_PER_S[self.unit]
        if self.peak is not None:
            factor = self.peak / max(self.daily)
        return tuple(x * factor * self.scale for x in self.daily)


class Traffic(Own):
    """Requests to a service.

    Parameters
    ----------
    listener
        The listener (``BALANCER:PORT``) or rule (``BALANCER:PORT/PRIORITY``) they reach; ``None`` is the service's production listener
        rule, or the first that forwards to its target group.
    """

    to: str
    cluster: str = "default"
    name: str | None = None
    listener: str | None = None
    rate: Rate

    @property
    def stream(self) -> str:
        """The name of its random streams."""
        return self.name or self.to


class Jobs(Own):
    """RunTask calls that arrive at a rate, or at the times of a schedule of EventBridge Scheduler.

    Parameters
    ----------
    rate
        When somebody calls RunTask, and again after a refusal.
    schedule
        ``rate(5 minutes)``, ``cron(0 9 * * ? *)`` or ``at(2026-03-02T09:00:00)``.
    time_zone
        IANA name of the zone of `schedule`; UTC by default.
    """

    name: str = Field(min_length=1)
    run_task: RunTask
    rate: Rate | None = None
    schedule: str | None = None
    time_zone: str | None = None

    @model_validator(mode="after")
    def _when(self) -> Self:
        if (self.rate is None) == (self.schedule is None):
            raise ValueError("give exactly one of rate, schedule")
        if self.rate is not None and self.rate.users is not None:
            raise ValueError("jobs arrive in an open loop: users are for requests")
        if self.schedule is None and self.time_zone is not None:
            raise ValueError("time_zone is of schedule")
        if self.schedule is not None:
            try:
                Schedule.parse(self.schedule, self.time_zone or "UTC")
            except ValueError as fault:
                raise_faults([Issue(("time_zone" if "time zone" in str(fault) else "schedule",), str(fault))])
        return self
