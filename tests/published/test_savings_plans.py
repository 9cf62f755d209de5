"""The worked example of the Savings Plans User Guide, all five scenarios (sp-applying.html).

One hour: four r5.4xlarge, one m5.24xlarge with Windows, 400 vCPU and 1,600 GB of Fargate, and a million Lambda requests
of 0.5 GB and 3 s. The rates are the page's own, hypothetical ones.
"""

from __future__ import annotations

import numpy as np
import pytest

from fargsim.report.cost_commitments import COMPUTE_PLAN, EC2_INSTANCE_PLAN, RESERVED, Offer, allocate
from fargsim.report.cost_meter import cents

KINDS = ("r5", "vcpu", "gb", "m5", "lambda duration", "lambda requests")
USAGE = np.array([4, 400, 1600, 1, 1_500_000, 1], dtype=float).reshape(-1, 1)
ON_DEMAND = (1.00, 0.04, 0.004, 10.00, 0.000015, 0.20)
COMPUTE = (0.70, 0.03, 0.003, 8.20, 0.00001275, 0.20)


def compute_plan(usd: float) -> Offer:
    return Offer(COMPUTE_PLAN, np.array([usd]), COMPUTE)


def applied(*offers: Offer) -> tuple[dict[str, float], list[float], float]:
    """Covered amount by kind, capacity left by offer, and what is left to pay at on-demand rates."""
    covered, unused = allocate(USAGE, ON_DEMAND, offers)
    amounts = dict(zip(KINDS, covered.sum(axis=0)[:, 0].tolist(), strict=True))
    rest = float(((USAGE - covered.sum(axis=0))[:, 0] * np.array(ON_DEMAND)).sum())
    return amounts, unused[:, 0].tolist(), rest


def test_sp_scenario_1_everything_is_covered():
    amounts, unused, rest = applied(compute_plan(50.0))
    assert [amounts[k] for k in KINDS] == USAGE[:, 0].tolist()
    assert cents(round(50.0 - unused[0], 9)) == 47.13  # 47.125, rounded half up as the page does
    assert rest == 0.0
    assert float((USAGE[:, 0] * np.array(ON_DEMAND)).sum()) == pytest.approx(59.10)


def test_sp_scenario_2_a_part_of_the_usage_with_the_highest_saving():
    amounts, unused, rest = applied(compute_plan(2.0))
    assert amounts["r5"] == pytest.approx(2.9, abs=0.05)
    assert 4 - amounts["r5"] == pytest.approx(1.14, abs=0.005)
    assert unused == [0.0]
    assert rest == pytest.approx(56.24, abs=0.005)


def test_sp_scenario_3_memory_before_cpu_because_its_rate_is_lower():
    amounts, unused, rest = applied(compute_plan(19.60))
    assert (amounts["r5"], amounts["gb"], amounts["vcpu"], amounts["m5"]) == (4, 1600, pytest.approx(400), 0)
    assert unused[0] == pytest.approx(0, abs=1e-9)
    assert rest == pytest.approx(32.70)
    # a dollar less is a dollar less of cpu, not of memory
    less, _, _ = applied(compute_plan(18.60))
    assert (less["gb"], less["vcpu"]) == (1600, pytest.approx(400 - 1 / 0.03))


def test_sp_scenario_4_reserved_instances_come_first():
    two = Offer(RESERVED, np.array([2.0]), (1.0, None, None, None, None, None), 0.65)
    covered, unused = allocate(USAGE, ON_DEMAND, [compute_plan(18.20), two])
    assert covered[1, 0, 0] == 2
    assert covered[0, 0, 0] == pytest.approx(2)
    assert covered[0, 1:3, 0].tolist() == [pytest.approx(400), 1600]
    assert unused[:, 0].tolist() == [pytest.approx(0, abs=1e-9), 0]
    rest = (USAGE - covered.sum(axis=0))[:, 0] * np.array(ON_DEMAND)
    assert float(rest.sum()) == pytest.approx(32.70)


def test_sp_scenario_5_ec2_instance_plans_before_compute_plans():
    r5 = Offer(EC2_INSTANCE_PLAN, np.array([3.0]), (0.60, None, None, None, None, None))
    covered, unused = allocate(USAGE, ON_DEMAND, [compute_plan(16.80), r5])
    assert covered[1, 0, 0] == 4
    assert covered[0, 0, 0] == 0
    assert 3.0 - unused[1, 0] == pytest.approx(2.40)
    assert unused[0, 0] == pytest.approx(0, abs=1e-9)
    rest = (USAGE - covered.sum(axis=0))[:, 0] * np.array(ON_DEMAND)
    assert float(rest.sum()) == pytest.approx(32.70)
