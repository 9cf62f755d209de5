"""Utilisation as it was measured: a trace of CPU and memory that drives tasks directly, for services without requests."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fargsim.model.base import Issue, Own, raise_faults
from fargsim.model.quantity import DurationUs
from fargsim.model.traffic import TraceFile


class PercentFrom(Own):
    """A percentage that holds from an instant of the run on."""

    at: DurationUs
    percent: float = Field(ge=0, le=100_000)


class PercentTrace(Own):
    """Percentages over time: `steps`, or a CSV file that ``fargsim.load`` puts in their place.

    Before the first one it is 0; the last one holds to the end.
    """

    steps: tuple[PercentFrom, ...] | None = Field(default=None, min_length=1, max_length=1_000_000)
    trace: TraceFile | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.steps is None) == (self.trace is None):
            raise ValueError("give exactly one of steps, trace")
        steps = self.steps or ()
        raise_faults(
            Issue(("steps", n, "at"), "the instants of steps must increase")
            for n in range(1, len(steps))
            if steps[n].at <= steps[n - 1].at
        )
        return self


class UtilizationBehaviour(Own):
    """How much CPU and memory tasks use over time, in percent of what a task reserves.

    Parameters
    ----------
    cpu
        CPU in use. More than a task has is not used, and not made up for later.
    memory
        Memory in use; ``None`` leaves it to `memory` of the behaviour.
    tasks
        The trace is the mean over so many tasks: their load together is shared evenly by however many tasks run. ``None``: every task
        uses what the trace says, however many run.
    """

    cpu: PercentTrace
    memory: PercentTrace | None = None
    tasks: float | None = Field(default=None, gt=0, le=100_000)
