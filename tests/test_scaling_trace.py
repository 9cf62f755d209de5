"""A real series of requests under four kinds of policies: the same load for all, and the cheapest that holds the SLO."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TRACE = ROOT.parent / "shared" / "data" / "traces" / "nab_elb_request_count_8c0756.csv"
pytestmark = pytest.mark.skipif(not TRACE.is_file(), reason="the trace is not part of the project")


def test_one_day_of_a_real_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import autoscaling_trace as bench

    few = {
        "fixed count": ["2 tasks", "4 tasks"],
        "tracking, CPU at 60 s": ["20 %"],
        "tracking, CPU at 20 s": ["20 %"],
        "steps, CPU at 60 s": ["from 25 %"],
    }
    chosen = {kind: {s: bench.POLICIES[kind][s] for s in settings} for kind, settings in few.items()}
    monkeypatch.setattr(bench, "POLICIES", chosen)
    rows = bench.table(TRACE, "1 d")
    assert [(r["kind"], r["setting"]) for r in rows] == [(k, s) for k, settings in few.items() for s in settings]
    assert len({r["requests"] for r in rows}) == 1
    by = {(r["kind"], r["setting"]): r for r in rows}
    two, four = by["fixed count", "2 tasks"], by["fixed count", "4 tasks"]
    # a quarter of a vCPU and half a GiB for a day and every task; the second pair starts after the run does
    day = 24 * (0.25 * 0.04048 + 0.5 * 0.004445)
    assert two["compute_usd"] == pytest.approx(2 * day, rel=0.002)
    assert four["compute_usd"] == pytest.approx(4 * day, rel=0.002)
    assert (two["actions"], four["actions"]) == (0, 1)
    for kind in ("tracking, CPU at 60 s", "tracking, CPU at 20 s", "steps, CPU at 60 s"):
        [row] = [r for r in rows if r["kind"] == kind]
        assert row["actions"] > 20
        assert row["compute_usd"] == pytest.approx(
            row["tasks"] * day, rel=0.03
        )  # billed from the pull on, until after the drain
    slow, fast = by["tracking, CPU at 60 s", "20 %"], by["tracking, CPU at 20 s", "20 %"]
    assert fast["p99_ms"] < slow["p99_ms"]
    assert fast["error_rate"] <= slow["error_rate"]
    best = bench.cheapest(rows)
    for row in rows:
        held = row["p99_ms"] <= bench.SLO_P99_MS and row["error_rate"] <= bench.SLO_ERRORS
        assert row["slo"] == held
        assert not held or best[row["kind"]]["compute_usd"] <= row["compute_usd"]
