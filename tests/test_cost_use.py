"""Paid for, reserved, used: by hand, and as laws for any tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cost_tables import instance, period, tables, task, terms
from hypothesis import given, settings
from test_cost_commitments import commitments
from test_cost_laws import RUN_S, runs

from fargsim.report.cost import Surroundings, bill, compute_usd
from fargsim.report.cost_use import UNUSED, capacity_use


def use(tasks, hosts=(), periods=(), **columns):
    rows = [{"cpu_core_s": 0.0} | row for row in tasks]
    found = tables(rows, list(hosts), [{"memory_utilization": None, "running_mean": 1.0} | p for p in periods])
    if not periods:
        names = ["cluster", "service", "period_start_at", "period_s", "memory_utilization", "running_mean"]
        found["services"] = pd.DataFrame(columns=[*names, "requests_arrived", "requests_active_mean"])
    for name, columns_ in (("tasks", [*task()]), ("instances", [*instance()])):
        if found[name].empty:
            found[name] = pd.DataFrame(columns=[*columns_, "cpu_core_s"])
    t = terms(**({"hours": RUN_S / 3600} | columns))
    found["costs"] = bill(found, t)
    return found["costs"], capacity_use(found, t)


def test_a_fargate_task_whole():
    """An hour on the bill, 50 minutes RUNNING, ten minutes of CPU, a quarter of its memory."""
    row = task(begin=0.0, end=3600.0, started_at=300.0, stopping_at=3300.0, cpu_core_s=600.0)
    costs, got = use([row], periods=[period(0.0, 1, memory_utilization=25.0)])
    (line,) = got.to_dict("records")
    assert (line["cluster"], line["launch_type"], line["market"]) == ("default", "FARGATE", "on-demand")
    hours = 3000 / 3600
    assert (line["paid_vcpu_h"], line["paid_gib_h"]) == (1.0, 2.0)
    assert (line["reserved_vcpu_h"], line["reserved_gib_h"]) == (pytest.approx(hours), pytest.approx(2 * hours))
    assert line["used_vcpu_h"] == pytest.approx(1 / 6)
    assert line["used_gib_h"] == pytest.approx(0.25 * 2 * hours)
    assert line["paid_usd"] == compute_usd(costs) == pytest.approx(0.04048 + 2 * 0.004445)
    assert line["reserved_usd"] == pytest.approx(line["paid_usd"] * hours)
    assert line["used_usd"] == pytest.approx(0.04048 / 6 + 2 * 0.004445 * 0.25 * hours)


def test_an_instance_whole():
    """Two vCPUs and 8 GiB for an hour; a task of half a vCPU and 6 GiB for half of it, busy all the time."""
    row = task(
        begin=0.0,
        end=1800.0,
        launch_type="EC2",
        instance_id="i-1",
        cpu_units=512,
        memory_mib=6144,
        cpu_core_s=900.0,
    )
    _, got = use([row], [instance(end=3600.0)], [period(0.0, 1, memory_utilization=50.0)])
    (line,) = got.to_dict("records")
    assert (line["launch_type"], line["instance_type"], line["market"]) == ("EC2", "m5.large", "on-demand")
    assert (line["paid_vcpu_h"], line["reserved_vcpu_h"], line["used_vcpu_h"]) == (2.0, 0.25, 0.25)
    assert (line["paid_gib_h"], line["reserved_gib_h"], line["used_gib_h"]) == (8.0, 3.0, 1.5)
    assert line["paid_usd"] == pytest.approx(0.096)
    assert line["reserved_usd"] == pytest.approx(0.096 * 0.5 * 0.75)
    assert line["used_usd"] == pytest.approx(0.096 * max(0.25 / 2, 1.5 / 8))


def test_memory_of_tasks_without_a_service_is_not_metered():
    _, got = use([task(end=3600.0, service=None, cpu_core_s=1800.0)])
    (line,) = got.to_dict("records")
    assert line["used_vcpu_h"] == 0.5
    assert np.isnan(line["used_gib_h"])
    assert np.isnan(line["used_usd"])


def test_an_idle_instance_and_its_fee_are_paid_and_nothing_else():
    host = instance(end=3600.0, capacity_provider="managed")
    costs, got = use([], [host], around=Surroundings(managed_providers=frozenset({"managed"})))
    (line,) = got.to_dict("records")
    assert line["paid_usd"] == compute_usd(costs) == pytest.approx(0.096 * 1.12)
    assert (line["reserved_usd"], line["used_usd"], line["used_gib_h"]) == (0.0, 0.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(runs(), commitments)
def test_paid_is_what_compute_costs_and_reserved_is_never_more(run, chosen):
    tasks, hosts, periods = run
    costs, got = use(tasks, hosts, periods, commitments=chosen)
    assert float(got["paid_usd"].sum()) == pytest.approx(compute_usd(costs), rel=1e-9, abs=1e-12)
    assert (got["reserved_usd"] <= got["paid_usd"] * (1 + 1e-9) + 1e-12).all()
    assert (got["reserved_usd"] >= 0).all()
    fargate = got[got["launch_type"] == "FARGATE"]
    assert (fargate["reserved_vcpu_h"] <= fargate["paid_vcpu_h"] * (1 + 1e-9)).all()
    assert not got[["cluster", "launch_type", "instance_type", "market"]].duplicated().any()
    vcpu = costs[costs["item"].str.contains("fargate.*vCPU", regex=True)]
    assert float(fargate["paid_vcpu_h"].sum()) == pytest.approx(float(vcpu["quantity"].sum()))
    time = costs[costs["item"].str.startswith(("ec2 instance", "ec2 spot"))]
    assert float(got.loc[got["launch_type"] == "EC2", "paid_vcpu_h"].sum()) == pytest.approx(
        2 * float(time["quantity"].sum())
    )
    lost = got[got["launch_type"] == UNUSED]
    assert bool(len(lost)) == bool(costs["item"].str.endswith("(unused)").any())
