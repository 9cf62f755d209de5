"""What a report needs to know about a run besides its tables, read from the result's provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fargsim.model.quantity import parse_duration_us, parse_share
from fargsim.record.result import Result

LATENCY_PROMISES = ("latency_mean", "latency_p50", "latency_p95", "latency_p99")


@dataclass(frozen=True, slots=True)
class Facts:
    """Name, span and promise of one run.

    Parameters
    ----------
    name
        Name of the scenario.
    variant
        Name of the variant; empty if the scenario has none.
    replication
        Number of the replication, from 0.
    seed
        Seed of the run, if known.
    start, end
        First and last instant of the run, UTC.
    slo
        What the users were promised: latencies in microseconds, ``error_rate`` as a fraction. Only what was stated.
    """

    name: str
    variant: str
    replication: int
    seed: int | None
    start: pd.Timestamp
    end: pd.Timestamp
    slo: Mapping[str, float]

    @property
    def duration_s(self) -> float:
        """Length of the run in seconds."""
        return float((self.end - self.start).total_seconds())


def facts_of(result: Result) -> Facts:
    """Read the facts of a run from its provenance.

    ``provenance["scenario"]`` is the resolved scenario as JSON: ``start`` as an ISO 8601 instant, ``duration_us`` in
    microseconds (or ``duration`` as text with its unit), ``slo`` with latencies in microseconds or as text with
    their unit.

    Raises
    ------
    ValueError
        If the provenance lacks the scenario's start or duration.
    """
    provenance = result.provenance
    scenario: Mapping[str, Any] = provenance.get("scenario") or {}
    if "start" not in scenario or not {"duration", "duration_us"} & set(scenario):
        raise ValueError("the provenance lacks scenario.start or scenario.duration_us: the span of the run is unknown")
    start = pd.Timestamp(scenario["start"])
    start = start.tz_localize("UTC") if start.tzinfo is None else start.tz_convert("UTC")
    duration_us = _duration_us(scenario["duration_us"] if "duration_us" in scenario else scenario["duration"])
    seed = provenance.get("seed", scenario.get("seed"))
    return Facts(
        name=str(scenario.get("name") or "run"),
        variant=str(provenance.get("variant") or scenario.get("variant") or ""),
        replication=int(provenance.get("replication") or 0),
        seed=None if seed is None else int(seed),
        start=start,
        end=start + pd.Timedelta(duration_us, unit="us"),
        slo=_slo(scenario.get("slo") or {}),
    )


def firsts(results: Iterable[Result]) -> dict[str, Result]:
    """Return the first result of every variant, by its name: of replications the one that stands for them."""
    found: dict[str, Result] = {}
    for result in results:
        found.setdefault(facts_of(result).variant, result)
    return found


def _duration_us(value: Any) -> int:
    return parse_duration_us(value) if isinstance(value, str) else int(value)


def _slo(given: Mapping[str, Any]) -> dict[str, float]:
    slo: dict[str, float] = {}
    for key in LATENCY_PROMISES:
        if given.get(key) is not None:
            slo[key] = float(_duration_us(given[key]))
    if given.get("error_rate") is not None:
        slo["error_rate"] = parse_share(given["error_rate"])
    return slo


def slo_words(slo: Mapping[str, float]) -> str:
    """Say a promise in words.

    >>> slo_words({"latency_p99": 400_000.0, "error_rate": 0.001})
    'p99 latency at most 400 ms, at most 0.1 % errors'
    >>> slo_words({})
    'no SLO stated'
    """
    promised = [key for key in LATENCY_PROMISES if key in slo]
    parts = [f"{key.removeprefix('latency_')} latency at most {slo[key] / 1000:,.6g} ms" for key in promised]
    if "error_rate" in slo:
        parts.append(f"at most {slo['error_rate'] * 100:.4g} % errors")
    return ", ".join(parts) or "no SLO stated"
