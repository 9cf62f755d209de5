"""Every plot by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from fargsim.record.result import Result
from fargsim.report.facts import facts_of, firsts
from fargsim.report.plot_cost import plot_cost
from fargsim.report.plot_credits import plot_credits
from fargsim.report.plot_gantt import plot_gantt
from fargsim.report.plot_queues import plot_queues
from fargsim.report.plot_time import plot_cpu, plot_latency, plot_traffic
from fargsim.report.style import Picture

PLOTS: Mapping[str, Callable[[Result], Picture]] = MappingProxyType(
    {
        "traffic": plot_traffic,
        "latency": plot_latency,
        "cpu": plot_cpu,
        "cost": lambda result: plot_cost([result]),
        "gantt": plot_gantt,
        "queues": plot_queues,
        "credits": plot_credits,
    }
)
"""What :func:`plot` can draw of one run, in the order of a report."""

ONLY_WITH = MappingProxyType({"queues": "queues", "credits": "cpu_credits"})
"""Plots that are drawn only where a table has rows."""


def plot(result: Result, kind: str) -> Picture:
    """Draw one run.

    Parameters
    ----------
    result
        The run.
    kind
        ``traffic`` (requests, errors, running tasks over time), ``latency`` (percentiles over time), ``cpu``
        (utilisation over time), ``cost`` (by line item), ``gantt`` (task states),
        ``queues`` (depth and age over time) or ``credits`` (CPU credits of burstable instances).

    Returns
    -------
    Picture
        A Matplotlib figure; ``.png()`` gives it as bytes, ``.savefig(path)`` writes it.

    Raises
    ------
    ValueError
        If there is no plot of that kind.
    """
    if kind not in PLOTS:
        raise ValueError(f"no plot is called {kind!r}; the plots are {', '.join(PLOTS)}")
    return PLOTS[kind](result)


def _kinds(result: Result) -> list[str]:
    """Return what is drawn of a run by itself; queues and credits only where there are some."""
    without = {"cost"} | {kind for kind, table in ONLY_WITH.items() if result.tables[table].empty}
    return [kind for kind in PLOTS if kind not in without]


def draw_run(result: Result) -> dict[str, bytes]:
    """Draw every plot of one run but its costs, as PNG by file name: ``VARIANT-KIND.png``; without a variant, ``KIND.png``."""
    variant = facts_of(result).variant
    prefix = f"{variant}-" if variant else ""
    return {f"{prefix}{kind}.png": PLOTS[kind](result).png() for kind in _kinds(result)}


def draw_all(results: Sequence[Result], ready: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Draw every plot of every run, as PNG by file name: what a report folder holds under ``plots/``.

    Parameters
    ----------
    results
        Results of one scenario; of several replications of a variant the first is drawn, but the costs are the mean
        of all.
    ready
        Pictures that `draw_run` has drawn already, of the first replications.

    Returns
    -------
    dict
        ``cost.png`` for all variants together, then the pictures of each variant.
    """
    pictures = {"cost.png": plot_cost(results).png()}
    for variant, result in firsts(results).items():
        prefix = f"{variant}-" if variant else ""
        names = [f"{prefix}{kind}.png" for kind in _kinds(result)]
        if ready is not None and all(name in ready for name in names):
            pictures |= {name: ready[name] for name in names}
        else:
            pictures |= draw_run(result)
    return pictures
