"""Variants side by side: one row a run, a table for the terminal, a sentence of verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fargsim.record.result import Result
from fargsim.report.facts import facts_of, slo_words
from fargsim.report.student import Estimate, estimate
from fargsim.report.summary import COUNTS, MESSAGE_KEYS, SUMMARY_KEYS, Summary, summarize

SAME_COST = 1e-9
"""Costs whose relative difference is below this are the same: nothing but the order of additions tells them apart."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run in a comparison.

    Parameters
    ----------
    variant
        Name of the variant; ``default`` for a scenario without variants.
    replication
        Number of the replication.
    seed
        Seed of the run.
    summary
        Its summary, see :func:`fargsim.report.summary.summarize`.
    """

    variant: str
    replication: int
    seed: int | None
    summary: Summary


@dataclass(frozen=True, slots=True)
class Variant:
    """All replications of one variant.

    Parameters
    ----------
    name
        Name of the variant.
    values
        Estimates by summary key; a figure that is absent in any replication is absent here.
    slo_met
        Whether the promise was kept in every replication; ``None`` if there is nothing to keep.
    """

    name: str
    values: Mapping[str, Estimate]
    slo_met: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variants compared.

    Parameters
    ----------
    runs
        The runs, in the order given.
    variants
        One entry per variant, in the order in which they first appear.
    slo
        The promise, as :class:`fargsim.report.facts.Facts` holds it.
    best
        Name of the cheapest variant that keeps the promise (of the cheapest of all, if none was made); ``None`` if
        there is no such variant or the cost is not known.
    verdict
        The answer in a sentence or two.
    """

    runs: tuple[Run, ...]
    variants: tuple[Variant, ...]
    slo: Mapping[str, float]
    best: str | None
    verdict: str

    def frame(self) -> pd.DataFrame:
        """Return one row per run: ``variant``, ``replication``, ``seed`` and the summary keys."""
        columns: dict[str, pd.Series] = {
            "variant": pd.Series([run.variant for run in self.runs], dtype="str"),
            "replication": pd.Series([run.replication for run in self.runs], dtype="int64"),
            "seed": pd.Series([run.seed for run in self.runs], dtype="Int64"),
        }
        messages = MESSAGE_KEYS if any(key in run.summary for run in self.runs for key in MESSAGE_KEYS) else ()
        for key in (*SUMMARY_KEYS, *messages):
            dtype = "boolean" if key == "slo_met" else "Int64" if key in COUNTS else "float64"
            columns[key] = pd.Series([run.summary.get(key) for run in self.runs], dtype=dtype)
        return pd.DataFrame(columns)


def run_of(result: Result) -> Run:
    """Return a result's row in a comparison."""
    facts = facts_of(result)
    return Run(facts.variant or "default", facts.replication, facts.seed, summarize(result))


def compare(results: Sequence[Result]) -> Comparison:
    """Compare the results of one scenario's variants and replications.

    Parameters
    ----------
    results
        At least one result. The promise is that of the first: variants of one scenario share it.

    Raises
    ------
    ValueError
        If there is no result.
    """
    if not results:
        raise ValueError("there is nothing to compare")
    return compare_runs([run_of(result) for result in results], facts_of(results[0]).slo)


def compare_runs(runs: Sequence[Run], slo: Mapping[str, float]) -> Comparison:
    """Compare runs whose summaries are at hand, for example because their tables were not kept.

    Parameters
    ----------
    runs
        At least one run.
    slo
        The promise, as :class:`fargsim.report.facts.Facts` holds it.

    Raises
    ------
    ValueError
        If there is no run.
    """
    if not runs:
        raise ValueError("there is nothing to compare")
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    variants = tuple(_variant(name, some) for name, some in by_variant.items())
    judged = any(variant.slo_met is not None for variant in variants)
    priced = [v for v in variants if "cost_usd" in v.values and (v.slo_met or not judged)]
    # to nine digits, so that of equal costs the first in the scenario's order leads
    ranked = sorted(priced, key=lambda v: float(f"{v.values['cost_usd'].mean:.8e}"))
    verdict = _verdict(variants, ranked, by_variant, slo if judged else {})
    return Comparison(tuple(runs), variants, slo, ranked[0].name if ranked else None, verdict)


def _variant(name: str, runs: Sequence[Run]) -> Variant:
    values = {}
    for key in (*SUMMARY_KEYS, *MESSAGE_KEYS):
        numbers = [float(value) for run in runs if (value := run.summary.get(key)) is not None]
        if key != "slo_met" and len(numbers) == len(runs):
            values[key] = estimate(numbers)
    verdicts = [run.summary["slo_met"] for run in runs]
    return Variant(name, values, None if None in verdicts else all(verdicts))


def money(usd: float) -> str:
    """Write an amount in USD to the cent, or to four places below a dollar.

    >>> money(1234.5), money(0.01234), money(0.0)
    ('1,234.50', '0.0123', '0.00')
    """
    return f"{usd:,.2f}" if abs(usd) >= 1 or usd == 0 else f"{usd:.4f}"


def _verdict(
    variants: Sequence[Variant],
    ranked: Sequence[Variant],
    runs: Mapping[str, Sequence[Run]],
    slo: Mapping[str, float],
) -> str:
    promise = f"the SLO ({slo_words(slo)})"
    keepers = [variant.name for variant in variants if variant.slo_met]
    if slo and not keepers:
        who = (
            f"{variants[0].name} does not meet" if len(variants) == 1 else f"None of the {len(variants)} variants meets"
        )
        return f"{who} {promise}."
    if not ranked:
        unpriced = "The runs were not billed, so none is the cheapest"
        return f"{unpriced}; {', '.join(keepers)} met {promise}." if slo else f"{unpriced}."
    best = ranked[0]
    cost = f"{money(best.values['cost_usd'].mean)} USD"
    ahead = _ahead(best, ranked[1:], runs)
    if len(variants) == 1:
        return f"{best.name} meets {promise} and costs {cost}." if slo else f"{best.name} costs {cost}."
    if not slo:
        return f"{best.name} is the cheapest of {len(variants)} variants: {cost}{ahead}."
    if len(keepers) == 1:
        return f"{best.name} alone of {len(variants)} variants meets {promise}: {cost}."
    how_many = f"All {len(variants)}" if len(keepers) == len(variants) else f"{len(keepers)} of {len(variants)}"
    return f"{how_many} variants meet {promise}. The cheapest of them is {best.name}: {cost}{ahead}."


def _ahead(best: Variant, others: Sequence[Variant], runs: Mapping[str, Sequence[Run]]) -> str:
    """Say by how much the best beats the next, and whether the replications can tell them apart."""
    if not others:
        return ""
    second = others[0]
    first_usd, second_usd = best.values["cost_usd"].mean, second.values["cost_usd"].mean
    if math.isclose(first_usd, second_usd, rel_tol=SAME_COST):
        return f", as much as {second.name}"
    lead = f", {100 * (1 - first_usd / second_usd):.2g} % less than {second.name}"
    difference = _paired(runs[best.name], runs[second.name])
    if difference is None or difference.half_width is None or -difference.mean > difference.half_width:
        return lead
    return f"{lead}, a difference within the noise of {difference.n} replications"


def _paired(some: Sequence[Run], others: Sequence[Run]) -> Estimate | None:
    """Estimate the difference in cost from replications that met the same traffic."""
    costs = [{run.replication: float(run.summary["cost_usd"] or 0) for run in runs} for runs in (some, others)]
    shared = sorted(set(costs[0]) & set(costs[1]))
    return estimate([costs[0][k] - costs[1][k] for k in shared]) if len(shared) > 1 else None
