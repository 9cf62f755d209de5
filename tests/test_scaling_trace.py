"""Real series under every kind of policy: the same load for all, and the cheapest that holds the SLO."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TRACES = ROOT.parent / "shared" / "data" / "traces"
TRACE, CPU_TRACE = TRACES / "nab_elb_request_count_8c0756.csv", TRACES / "nab_ec2_cpu_utilization_5f5533.csv"
pytestmark = pytest.mark.skipif(not TRACE.is_file(), reason="the traces are not part of the project")
DAY_USD = 24 * (0.25 * 0.04048 + 0.5 * 0.004445)
"""A quarter of a vCPU and half a GiB for a day."""


def test_one_day_of_a_real_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import autoscaling_trace as bench

    few = {
        "fixed count": ["2 tasks", "4 tasks"],
        "tracking, CPU at 60 s": ["20 %"],
        "tracking, CPU at 20 s": ["20 %"],
        "tracking, requests per target": ["150 a minute"],
        "steps, CPU at 60 s": ["from 25 %"],
    }
    chosen = {kind: {s: bench.POLICIES[kind][s] for s in settings} for kind, settings in few.items()}
    monkeypatch.setattr(bench, "POLICIES", chosen)
    rows = bench.table(TRACE, "1 d")
    assert [(r["kind"], r["setting"]) for r in rows] == [(k, s) for k, settings in few.items() for s in settings]
    assert len({r["requests"] for r in rows}) == 1
    by = {(r["kind"], r["setting"]): r for r in rows}
    two, four = by["fixed count", "2 tasks"], by["fixed count", "4 tasks"]
    # the second pair starts after the run does
    assert two["compute_usd"] == pytest.approx(2 * DAY_USD, rel=0.002)
    assert four["compute_usd"] == pytest.approx(4 * DAY_USD, rel=0.002)
    assert (two["actions"], four["actions"]) == (0, 1)
    for kind in list(few)[1:]:
        [row] = [r for r in rows if r["kind"] == kind]
        assert row["actions"] > 20
        assert row["compute_usd"] == pytest.approx(
            row["tasks"] * DAY_USD, rel=0.03
        )  # billed from the pull on, until after the drain
    slow, fast = by["tracking, CPU at 60 s", "20 %"], by["tracking, CPU at 20 s", "20 %"]
    assert fast["p99_ms"] < slow["p99_ms"]
    assert fast["error_rate"] <= slow["error_rate"]
    best = bench.cheapest(rows)
    for row in rows:
        held = row["p99_ms"] <= bench.SLO_P99_MS and row["error_rate"] <= bench.SLO_ERRORS
        assert row["slo"] == held
        assert not held or best[row["kind"]]["compute_usd"] <= row["compute_usd"]


def test_thirty_hours_of_a_fleet_s_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import autoscaling_trace as bench

    few = {
        "fixed count": ["8 tasks"],
        "tracking, CPU at 60 s": ["55 %"],
        "steps, CPU at 60 s": ["from 65 %"],
        "predictive, with tracking at 60 s": ["55 %"],
    }
    chosen = {kind: {s: bench.CPU_POLICIES[kind][s] for s in settings} for kind, settings in few.items()}
    chosen["fixed count"]["4 tasks"] = bench.fixed(4)
    monkeypatch.setattr(bench, "CPU_POLICIES", chosen)
    rows = bench.cpu_table(CPU_TRACE, "30 h")
    by = {(r["kind"], r["setting"]): r for r in rows}
    assert {r["minutes"] for r in rows} == {1800}
    # the series never falls below 34.8 %: ten tasks' load leaves four none of their CPU; eight are busy to 43 to 85 %
    assert by["fixed count", "4 tasks"]["busy_share"] > 0.5
    assert by["fixed count", "8 tasks"]["busy_share"] == 0
    for row in rows:
        assert row["slo"] == (row["busy_share"] <= bench.SLO_BUSY_SHARE)
        assert row["compute_usd"] == pytest.approx(row["tasks"] * 1.25 * DAY_USD, rel=0.03)
    tracked, ahead = by["tracking, CPU at 60 s", "55 %"], by["predictive, with tracking at 60 s", "55 %"]
    # the forecast begins after a day, never takes away, and leaves the rest to tracking
    assert ahead["tasks"] >= tracked["tasks"] - 0.01
    assert bench.cheapest(rows)["fixed count"]["setting"] == "8 tasks"
