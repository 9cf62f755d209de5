"""Commitments on the bill: what they cover, what they lose, and that no dollar goes missing, for any tables."""

from __future__ import annotations

import numpy as np
import pytest
from cost_tables import at, instance, tables, task, terms
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cost_laws import RUN_S, runs

from fargsim import catalog
from fargsim.report.cost import ReservedInstances, SavingsPlan, bill, compute_usd, total_usd, usd_by
from fargsim.report.cost_commitments import committed_usd

HOURS = RUN_S / 3600
LABELS = ("Compute Savings Plan", "EC2 Instance Savings Plan", "Reserved Instance")


def by_item(costs):
    return usd_by(costs, "item").to_dict()


def test_a_compute_plan_on_fargate_whole():
    """Two hours, 1 vCPU and 2 GB: 0.049370 on demand, 0.039496 under the plan; 0.02 an hour reach a part of it."""
    run = tables([task(begin=0.0, end=7200.0)])
    costs = bill(run, terms(hours=3, commitments=(SavingsPlan(0.02),)))
    # both save 20 %; memory has the lower rate and comes first: 2 GB for 0.007112, then 0.012888 of vCPU
    vcpu = 0.012888 / 0.032384
    assert by_item(costs) == {
        "fargate memory (Compute Savings Plan)": pytest.approx(2 * 0.007112),
        "fargate vCPU": pytest.approx(2 * (1 - vcpu) * 0.04048),
        "fargate vCPU (Compute Savings Plan)": pytest.approx(2 * 0.012888),
        "savings plan (unused)": pytest.approx(0.02),  # the third hour, lost
    }
    assert compute_usd(costs) == total_usd(costs)
    unused = costs[costs["item"] == "savings plan (unused)"]
    assert unused["hour_at"].tolist() == [at(7200)]
    assert unused["service"].isna().all()
    assert costs[costs["item"].str.endswith("Plan)")]["service"].eq("web").all()


def test_an_ec2_instance_plan_covers_its_family_only_used_and_idle_alike():
    hosts = [instance("i-1", end=3600.0), instance("i-2", end=3600.0, instance_type="c5.large", cpu_units=2048)]
    guest = task(end=3600.0, launch_type="EC2", instance_id="i-1", cpu_units=512, memory_mib=128)
    plan = SavingsPlan(10.0, years=3, family="m5")
    costs = bill(tables([guest], hosts), terms(hours=1, commitments=(plan,)))
    rate = 0.096 * 0.43
    assert by_item(costs) == {
        "ec2 instance (idle)": pytest.approx(0.085),
        "ec2 instance (idle, EC2 Instance Savings Plan)": pytest.approx(0.75 * rate),
        "ec2 instance (used, EC2 Instance Savings Plan)": pytest.approx(0.25 * rate),
        "savings plan (unused)": pytest.approx(10 - rate),
    }
    assert set(costs["price_basis"]) == {"listed", "assumed", "scenario"}


def test_ec2_instance_plans_come_before_compute_plans_and_reserved_instances_before_both():
    hosts = [instance(f"i-{k}", end=3600.0) for k in range(3)]
    plan, compute = SavingsPlan(0.096 * 0.63, family="m5"), SavingsPlan(5.0)
    reserved = ReservedInstances("m5.large", 1)
    costs = bill(tables([], hosts), terms(hours=1, commitments=(compute, plan, reserved)))
    assert costs.groupby("item")["quantity"].sum().to_dict() == {
        "ec2 instance (idle, Reserved Instance)": pytest.approx(1),
        "ec2 instance (idle, EC2 Instance Savings Plan)": pytest.approx(1),
        "ec2 instance (idle, Compute Savings Plan)": pytest.approx(1),
        "savings plan (unused)": pytest.approx(5 - 0.096 * 0.72),
    }


def test_spot_storage_and_licences_are_not_covered():
    rows = [
        task("spot", end=3600.0, capacity_provider="FARGATE_SPOT"),
        task("big", end=3600.0, ephemeral_storage_gib=50),
        task("win", end=3600.0, operating_system_family="WINDOWS_SERVER_2022_CORE"),
    ]
    costs = bill(tables(rows, [instance(end=3600.0, market="spot")]), terms(hours=1, commitments=(SavingsPlan(50.0),)))
    outside = set(costs.loc[~costs["item"].str.contains("avings"), "item"])
    assert outside == {
        "ec2 spot instance (idle)",
        "fargate Windows licence",
        "fargate ephemeral storage",
        "fargate spot memory",
        "fargate spot vCPU",
    }


def test_a_reserved_instance_covers_other_sizes_of_its_family_the_smallest_first():
    hosts = [instance("a", end=3600.0, instance_type="m5.2xlarge"), instance("b", end=3600.0)]
    costs = bill(tables([], hosts), terms(hours=1, commitments=(ReservedInstances("m5.xlarge", 1, "convertible", 3),)))
    price = catalog.ec2_reserved_instance_price(
        "m5.xlarge", "us-east-1", offering_class="convertible", years=3, payment="No Upfront"
    ).value
    covered = costs[costs["item"].str.contains("Reserved")].set_index("instance_id")
    # 8 units: the large takes 4, the 2xlarge 4 of its 16
    assert covered["quantity"].to_dict() == {"b": pytest.approx(1), "a": pytest.approx(0.25)}
    assert covered["usd"].sum() == pytest.approx(price)
    assert "reserved instance (unused)" not in set(costs["item"])


def test_what_is_reserved_and_not_used_is_a_line_of_its_own():
    costs = bill(tables([], [instance(end=1800.0)]), terms(hours=2, commitments=(ReservedInstances("m5.large", 2),)))
    unused = costs[costs["item"] == "reserved instance (unused)"]
    assert unused["quantity"].tolist() == [pytest.approx(1.5), 2.0]
    assert unused["unit"].eq("instance-hour").all()
    assert total_usd(costs) == pytest.approx(4 * 0.096 * 0.63)


def test_of_an_hour_that_the_run_does_not_fill_its_part_counts():
    costs = bill(tables(), terms(hours=0.25, commitments=(SavingsPlan(8.0),)))
    assert total_usd(costs) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SavingsPlan(-1.0), "above 0 USD per hour, not -1"),
        (lambda: SavingsPlan(float("nan")), "above 0"),
        (lambda: SavingsPlan(1.0, family="m55"), "did you mean m5"),
        (lambda: ReservedInstances("m5.large", 0), "at least one"),
        (lambda: bill({}, terms(commitments=(ReservedInstances("m5.lage", 1),))), r"did you mean m5\.large"),
        (lambda: bill(tables([task()]), terms(commitments=(SavingsPlan(1.0, years=2),))), "it has 1, 3"),
        (lambda: bill(tables([task()]), terms(commitments=(SavingsPlan(1.0, payment="None"),))), "No Upfront, Partial"),
    ],
)
def test_bad_commitments_are_explained(make, words):
    with pytest.raises(catalog.CatalogError, match=words):
        make()


plans = st.builds(
    SavingsPlan,
    st.floats(0.001, 2.0),
    st.sampled_from(catalog.TERM_YEARS),
    st.sampled_from(catalog.PAYMENT_OPTIONS),
    st.sampled_from([None, "m5", "t3", "c5"]),
)
reservations = st.builds(
    ReservedInstances,
    st.sampled_from(["m5.large", "m5.xlarge", "t3.medium", "t3.nano"]),
    st.integers(1, 3),
    st.sampled_from(catalog.OFFERING_CLASSES),
    st.sampled_from(catalog.TERM_YEARS),
    st.sampled_from(catalog.PAYMENT_OPTIONS),
)
commitments = st.lists(st.one_of(plans, reservations), max_size=4).map(tuple)


def is_committed(items):
    return items.str.contains("|".join(LABELS)) | items.str.contains("(unused)", regex=False)


@settings(max_examples=60, deadline=None)
@given(runs(), commitments)
def test_covered_uncovered_and_unused_are_the_usage_and_the_commitment(run, chosen):
    plain = bill(tables(*run), terms(hours=HOURS))
    t = terms(hours=HOURS, commitments=chosen)
    costs = bill(tables(*run), t)
    # no usage is lost or invented: by task, instance and hour the amounts are those of the bill without commitments
    base = costs["item"].str.replace(rf", (?:{'|'.join(LABELS)})\)", ")", regex=True)
    base = base.str.replace(rf" \((?:{'|'.join(LABELS)})\)", "", regex=True)
    usage = costs.assign(item=base)[~costs["item"].str.endswith("(unused)")]
    for by in (["item"], ["item", "hour_at"], ["item", "task_id"], ["item", "instance_id"]):
        got = usage.groupby(by, dropna=False)["quantity"].sum()
        want = plain.groupby(by, dropna=False)["quantity"].sum()
        assert got.sort_index().to_numpy() == pytest.approx(want.sort_index().to_numpy(), rel=1e-9)
    # what is covered and what is unused cost exactly what was committed, neither more nor less
    paid = float(costs.loc[is_committed(costs["item"]), "usd"].sum())
    assert paid == pytest.approx(committed_usd(t), rel=1e-9, abs=1e-12)
    # a commitment changes nothing but the price: never below its own price, never above on-demand plus all of it
    assert total_usd(costs) <= total_usd(plain) + committed_usd(t) + 1e-9
    assert (costs["quantity"] > 0).all()


@settings(max_examples=60, deadline=None)
@given(runs(), commitments)
def test_sums_agree_exactly_with_commitments_too(run, chosen):
    costs = bill(tables(*run), terms(hours=HOURS, commitments=chosen))
    total = total_usd(costs)
    for columns in (["item"], ["service"], ["task_id"], ["hour_at"], ["instance_id"], ["hour_at", "service"]):
        assert float(usd_by(costs, *columns).sum()) == total
    assert sum(costs["usd"].to_list()[::-1]) == total


@settings(max_examples=60, deadline=None)
@given(runs(), commitments)
def test_a_commitment_is_lost_only_where_nothing_is_left_to_cover(run, chosen):
    costs = bill(tables(*run), terms(hours=HOURS, commitments=chosen))
    compute = [p for p in chosen if isinstance(p, SavingsPlan) and p.family is None]
    lost = set(costs.loc[costs["item"] == "savings plan (unused)", "hour_at"])
    if len(compute) == len(chosen) and chosen:
        eligible = costs["item"].isin(["fargate vCPU", "fargate memory", "ec2 instance (used)", "ec2 instance (idle)"])
        left = costs[eligible].groupby("hour_at")["usd"].sum()
        assert not (set(left[left > 1e-12].index) & lost)


@settings(max_examples=40, deadline=None)
@given(runs(), plans)
def test_more_commitment_covers_more(run, plan):
    def uncovered(usd):
        bigger = SavingsPlan(usd, plan.years, plan.payment, plan.family)
        costs = bill(tables(*run), terms(hours=HOURS, commitments=(bigger,)))
        return float(costs.loc[~is_committed(costs["item"]), "usd"].sum())

    steps = [uncovered(plan.usd_per_h * factor) for factor in (0.5, 1.0, 2.0)]
    assert np.all(np.diff(steps) <= 1e-9)
