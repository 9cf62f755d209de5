"""Instances on the bill by hand: Spot taken back in its first hour, volumes, Windows, commitments of certain types, prices of one's own."""

from __future__ import annotations

import pytest
from cost_tables import instance, tables, task, terms

from fargsim import catalog
from fargsim.policy.spot import INTERRUPTED
from fargsim.report.cost import ReservedInstances, SavingsPlan, bill, compute_usd, total_usd, usd_by
from fargsim.report.cost_use import capacity_use


def by_item(costs):
    return usd_by(costs, "item").to_dict()


def spot(begin, end, **columns):
    return instance(begin=begin, end=end, market="spot", status_reason=INTERRUPTED, **columns)


def test_a_spot_instance_that_ec2_takes_back_in_its_first_hour_costs_nothing():
    guest = task("t", 900.0, 2700.0, launch_type="EC2", instance_id="i-1", cpu_units=1024, memory_mib=128)
    costs = bill(tables([guest], [spot(600.0, 4199.0, root_volume_gib=73)]), terms(hours=2))
    time = costs[costs["item"].str.startswith("ec2 spot instance")]
    assert time["quantity"].sum() == pytest.approx(3599 / 3600)
    assert time["usd"].tolist() == [0.0] * len(time)
    assert set(time["price_basis"]) == {"documented"}
    assert set(time["unit"]) == {"instance-hour"}
    # the volume is charged all the same
    assert by_item(costs)["ebs volume"] == pytest.approx(73 * 3599 / 3600 / 730 * 0.08)


def test_the_first_hour_is_free_at_any_price_and_of_any_type():
    p = terms(hours=2, price_overrides={"ec2_spot:m5.large": 2.0})
    assert by_item(bill(tables([], [spot(600.0, 1200.0)]), p)) == {"ec2 spot instance (idle)": 0.0}
    unlisted = spot(600.0, 1200.0, instance_type="m8i.large")  # in no feed of Spot prices
    assert by_item(bill(tables([], [unlisted]), terms(hours=2))) == {"ec2 spot instance (idle)": 0.0}


@pytest.mark.parametrize(
    "host",
    [
        spot(600.0, 4200.0),  # an hour to the second: all of it is charged
        spot(600.0, 1200.0) | {"status_reason": None},  # its owner ended it
        spot(600.0, 1200.0) | {"market": "on-demand"},
        spot(600.0, None),
        spot(0.0, 1200.0),  # there when the run began: its first hour is over
    ],
)
def test_what_is_charged_all_the_same(host):
    costs = bill(tables([], [host]), terms(hours=2))
    assert (costs["usd"] > 0).all()
    assert total_usd(costs) > 0


def test_every_volume_is_billed_and_what_it_has_above_gp3s_own():
    host = instance(root_volume_gib=30, more_volumes_gib=70, volume_iops_above=1000, volume_mib_s_above=125)
    costs = by_item(bill(tables([], [host]), terms(hours=730)))
    assert costs["ebs volume"] == pytest.approx(100 * 0.08)
    assert costs["ebs volume IOPS"] == pytest.approx(1000 * 0.005)
    assert costs["ebs volume throughput"] == pytest.approx(125 * 0.04)


WINDOWS = {"operating_system_family": "WINDOWS_SERVER_2022_CORE"}


def test_a_windows_instance_pays_its_licence_by_the_vcpu_used_and_idle_alike():
    """m5.large: 0.188 an hour on Windows, 0.096 on Linux."""
    guest = task(end=1800.0, launch_type="EC2", instance_id="i-1", cpu_units=1024, memory_mib=128)
    run = tables([guest | {"cpu_core_s": 0.0}], [instance(end=3600.0, **WINDOWS)])
    t = terms(hours=1)
    run["costs"] = bill(run, t)
    assert by_item(run["costs"]) == {
        "ec2 Windows licence (idle)": pytest.approx(0.75 * 0.092),
        "ec2 Windows licence (used)": pytest.approx(0.25 * 0.092),
        "ec2 instance (idle)": pytest.approx(0.75 * 0.096),
        "ec2 instance (used)": pytest.approx(0.25 * 0.096),
    }
    assert compute_usd(run["costs"]) == total_usd(run["costs"]) == pytest.approx(0.188)
    run["services"] = run["services"].reindex(
        columns=["cluster", "service", "memory_utilization", "running_mean", "period_s"]
    )
    (line,) = capacity_use(run, t).to_dict("records")
    assert (line["paid_usd"], line["reserved_usd"]) == (pytest.approx(0.188), pytest.approx(0.188 / 4))
    assert line["paid_vcpu_h"] == pytest.approx(2.0)


def test_windows_on_burstable_types_and_of_a_spot_instance_taken_back():
    kinds = {"t3.medium": 0.4 * 0.046, "c5.xlarge": 4 * 0.046}
    for kind, usd in kinds.items():
        costs = bill(tables([], [instance(end=3600.0, instance_type=kind, **WINDOWS)]), terms())
        licence = costs[costs["item"] == "ec2 Windows licence (idle)"]
        assert licence["usd"].sum() == pytest.approx(usd)
        assert licence["price_basis"].tolist() == ["estimated" if kind == "t3.medium" else "listed"]
    assert total_usd(bill(tables([], [spot(600.0, 1200.0, **WINDOWS)]), terms())) == 0.0


def test_what_commitments_cover_of_windows():
    hosts = [instance(end=3600.0, **WINDOWS)]
    plan = by_item(bill(tables([], hosts), terms(hours=1, commitments=(SavingsPlan(1.0, family="m5"),))))
    rate = 0.096 * 0.63
    assert plan == {
        "ec2 Windows licence (idle)": pytest.approx(0.092),
        "ec2 instance (idle, EC2 Instance Savings Plan)": pytest.approx(rate),
        "savings plan (unused)": pytest.approx(1 - rate),
    }
    reserved = by_item(bill(tables([], hosts), terms(hours=1, commitments=(ReservedInstances("m5.large", 1),))))
    assert set(reserved) == {"ec2 Windows licence (idle)", "ec2 instance (idle)", "reserved instance (unused)"}


def test_surplus_credits_on_windows():
    import pandas as pd

    run = tables([], [instance(end=3600.0, instance_type="t3.nano", **WINDOWS)])
    run["cpu_credits"] = pd.DataFrame(
        {
            "period_start_at": run["instances"]["launched_at"],
            "instance_id": ["i-1"],
            "instance_type": ["t3.nano"],
            "charged_credits": [60.0],
        }
    )
    assert by_item(bill(run, terms(hours=1)))["cpu credits (surplus)"] == pytest.approx(0.096)


def test_reserved_instances_are_flexible_where_ec2_says_so():
    def covered(reserved, kind):
        t = terms(hours=1, commitments=(ReservedInstances(reserved, 1),))
        costs = bill(tables([], [instance(end=3600.0, instance_type=kind)]), t)
        return float(costs.loc[costs["item"].str.contains("Reserved Instance"), "quantity"].sum())

    assert covered("m5.xlarge", "m5.2xlarge") == pytest.approx(0.5)
    assert covered("m5.24xlarge", "m5.metal") == pytest.approx(1.0)
    assert covered("m5.12xlarge", "m5.metal") == pytest.approx(0.5)
    # accelerated types are covered by their own size only
    assert covered("g5.2xlarge", "g5.2xlarge") == pytest.approx(1.0)
    assert covered("g5.2xlarge", "g5.xlarge") == 0.0


def test_a_commitment_saves_its_share_of_a_price_of_ones_own():
    """Otherwise a plan could cost more than what it covers."""
    own = {"ec2:m5.large": 0.05, "fargate_x86_vcpu": 0.02}
    t = terms(hours=1, price_overrides=own, commitments=(SavingsPlan(1.0),))
    costs = bill(tables([task(end=3600.0)], [instance(end=3600.0)]), t)
    rates = costs.set_index("item")["usd_per_unit"]
    assert rates["ec2 instance (idle, Compute Savings Plan)"] == pytest.approx(0.05 * 0.72)
    assert rates["fargate vCPU (Compute Savings Plan)"] == pytest.approx(0.02 * 0.8)
    assert rates["fargate memory (Compute Savings Plan)"] == 0.003556
    reserved = terms(hours=1, price_overrides=own, commitments=(ReservedInstances("m5.large", 1),))
    assert total_usd(bill({}, reserved)) == pytest.approx(0.05 * 0.63)


def test_a_share_that_is_assumed_stays_so_whatever_price_it_is_of():
    def basis(kind, commitment):
        t = terms(hours=1, price_overrides={f"ec2:{kind}": 0.05}, commitments=(commitment,))
        costs = bill(tables([], [instance(end=3600.0, instance_type=kind)]), t)
        [found] = set(costs.loc[costs["item"].str.startswith("ec2 instance (idle, "), "price_basis"])
        return found

    assert basis("m5.large", SavingsPlan(1.0)) == "assumed"
    assert basis("m5.large", ReservedInstances("m5.large", 1)) == "assumed"
    assert basis("c5.xlarge", SavingsPlan(1.0)) == "estimated"
    assert basis("c5.xlarge", ReservedInstances("c5.xlarge", 1)) == "scenario", "a listed share of the scenario's price"


@pytest.mark.parametrize(
    ("regional", "large"), [("t3.large", "m5.large"), ("t3.xlarge", "m5.xlarge"), ("t3.2xlarge", "m5.2xlarge")]
)
def test_where_an_unlimited_instance_costs_as_much_as_one_of_fixed_performance(regional, large):
    """EC2 User Guide: a t3.large costs as much as an m5.large at 42.5 % of CPU, a t3.xlarge or t3.2xlarge at 52.5 %."""
    facts = catalog.instance_types()[regional]
    cheap, dear = (catalog.ec2_on_demand_price(k, "us-east-1").value for k in (regional, large))
    surplus = catalog.surrounding_price("cpu_credit_surplus_x86", "us-east-1").value
    baseline = facts.credits.credits_per_hour / 60 / facts.vcpu
    even = baseline + (dear - cheap) / (surplus * facts.vcpu)
    assert 100 * even == pytest.approx(42.5 if regional == "t3.large" else 52.5, abs=0.5)
