"""One run: simulate, bill, certify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargsim.model.scenario import Scenario
from fargsim.policy.user_policy import UserPolicy
from fargsim.record import result as record
from fargsim.record.store import load_result, write_tables
from fargsim.report.cost import bill
from fargsim.report.cost_use import capacity_use
from fargsim.report.summary import summarize
from fargsim.sim.build import simulate
from fargsim.study.billing import billing_terms
from fargsim.study.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

    from fargsim.report.style import Picture


class Result:
    """What a user holds after a run: tables, summary and plots.

    Attributes
    ----------
    record
        Tables and provenance, and nothing else.
    """

    def __init__(self, kept: record.Result) -> None:
        self.record = kept
        self.pictures: dict[str, bytes] = {}
        """Plots that were drawn where the run was made, by file name; the report draws what is missing."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Every table as a DataFrame; ``docs/tables.md`` describes them."""
        return self.record.tables

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The birth certificate."""
        return self.record.provenance

    @cached_property
    def summary(self) -> dict[str, int | float | bool | None]:
        """One number for each question; ``docs/metrics.md`` defines them."""
        return summarize(self.record)

    def plot(self, kind: str) -> Picture:
        """Draw ``traffic``, ``latency``, ``cpu``, ``cost`` or ``gantt``; in a notebook the picture shows itself."""
        from fargsim.report.plots import plot

        return plot(self.record, kind)

    def save(self, folder: str | Path, *, format: str = "parquet", force: bool = False) -> Path:
        """Write the tables and the birth certificate into a folder of their own."""
        return write_tables(self.record, folder, format=format, force=force)  # type: ignore[arg-type]

    @classmethod
    def read(cls, folder: str | Path) -> Result:
        """Read what :meth:`save` wrote."""
        return cls(load_result(folder))

    def __repr__(self) -> str:
        scenario = self.provenance["scenario"]
        variant = f", variant {scenario['variant']}" if scenario.get("variant") else ""
        return f"<fargsim.Result of {scenario['name']}{variant}, seed {self.provenance['seed']}>"


def run(
    scenario: Scenario,
    seed: int | None = None,
    *,
    replication: int = 0,
    progress: Callable[[int], None] | None = None,
    policies: Mapping[str, UserPolicy] | None = None,
) -> Result:
    """Run a scenario to its end and bill it.

    Parameters
    ----------
    scenario
        What to simulate: from `fargsim.load`, or built in Python.
    seed
        Another seed than the scenario's.
    replication
        Number of the replication: the same seed with other random numbers.
    progress
        Called with the instant of the run, in microseconds, as it goes on.
    policies
        Scaling policies of your own by service (``SERVICE`` or ``CLUSTER/SERVICE``), each in the place of the service's own policies: a
        function that is asked once a minute, with a :class:`fargsim.policy.user_policy.UserView` and what it remembered (None at first).
        It returns the desired count or None, what to remember, and why.

    Examples
    --------
    >>> import fargsim
    >>> result = fargsim.run(fargsim.load("scenarios/quickstart.yaml"))
    >>> result.summary["tasks_started"], result.summary["running_tasks_max"]
    (3, 2)

    A policy of one's own doubles the tasks after five minutes:

    >>> def double(view, memory):
    ...     if view.at_us < 300_000_000 or memory == "done":
    ...         return None, memory, ""
    ...     return 2 * view.desired, "done", "it is five minutes past"
    >>> own = fargsim.run(fargsim.load("scenarios/quickstart.yaml"), policies={"sample-app-service": double})
    >>> own.tables["scaling"][["desired_before", "desired_after", "reason"]].values.tolist()
    [[2, 4, 'it is five minutes past']]
    """
    chosen = scenario.seed if seed is None else seed
    recorder = simulate(scenario, chosen, replication, progress, policies)
    tables = recorder.drain()
    terms = billing_terms(scenario)
    tables["costs"] = bill(tables, terms)
    tables["capacity_use"] = capacity_use(tables, terms)
    return Result(record.Result(tables, provenance(scenario, chosen, replication)))
