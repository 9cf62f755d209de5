"""The law of money: with every kind of line on it, the bill is the integral of priced usage, by any grouping."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd
import pytest
from cost_tables import at, instance, period, tables, task
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_bill import SlowBill
from test_cost_commitments import commitments

from fargsim.catalog import parameters
from fargsim.policy.spot import INTERRUPTED
from fargsim.report.cost import LoadBalancer, NatGateway, SavingsPlan, Surroundings, bill, total_usd, usd_by
from fargsim.report.cost_terms import BillingTerms

RUN_US = 3 * 3_600_000_000
instants = st.integers(0, RUN_US).map(lambda us: us / 1e6)
lengths = st.integers(0, 80).flatmap(lambda n: st.integers(0, RUN_US // (n + 1))).map(lambda us: us / 1e6)
LINUX, WINDOWS = "LINUX", "WINDOWS_SERVER_2022_CORE"


def instants_in_order(draw, count):
    """So many instants, the last ones missing now and then: they have not come yet."""
    steps = [draw(instants)]
    for _ in range(count - 1):
        steps.append(steps[-1] + draw(lengths))
    there = draw(st.integers(1, 2 * count))
    return [step if n < there else None for n, step in enumerate(steps)]


@st.composite
def lives(draw):
    """Created, pulled, started, stopping, ended, stopped: in order, broken off anywhere."""
    steps = instants_in_order(draw, 6)
    names = ("created_at", "pull_started_at", "started_at", "stopping_at", "execution_stopped_at", "stopped_at")
    life = dict(zip(names, steps, strict=True))
    life["pull_stopped_at"] = life["started_at"]
    return life


@st.composite
def task_rows(draw, number, hosts):
    where = draw(st.sampled_from([None, *hosts, *hosts])) if hosts else None
    windows = draw(st.booleans()) and where is None
    cpu, memory = draw(
        st.sampled_from(
            [(256, 512), (1024, 3072), (4096, 30720)] if where is None else [(0, 64), (700, 100), (2048, 4096)]
        )
    )
    return task(
        f"t{number}",
        **draw(lives()),
        launch_type="FARGATE" if where is None else "EC2",
        instance_id=None if where is None else where["instance_id"],
        cluster=draw(st.sampled_from(["default", "other"])),
        service=draw(st.sampled_from(["web", "api", None])),
        family=draw(st.sampled_from(["web", "batch"])),
        cpu_units=cpu,
        memory_mib=memory,
        image_mib=float(draw(st.integers(0, 500))),
        ephemeral_storage_gib=draw(st.sampled_from([20, 21, 200])) if where is None and not windows else 20,
        capacity_provider=draw(st.sampled_from([None, "FARGATE", "FARGATE_SPOT"]))
        if where is None and not windows
        else None,
        operating_system_family=WINDOWS if windows else LINUX,
        cpu_architecture="X86_64" if windows else draw(st.sampled_from(["X86_64", "ARM64"])),
        public_ip=draw(st.booleans()),
    )


@st.composite
def host_rows(draw, number):
    launched, running, stopped, restarted, terminated = instants_in_order(draw, 5)
    pooled = draw(st.booleans())
    kind = draw(st.sampled_from(["m5.large", "t3.medium", "t4g.small", "g5.xlarge", "m5.2xlarge"]))
    gone = terminated if pooled else stopped
    return instance(
        f"i-{number}",
        launched_at=launched,
        running_at=running,
        registered_at=running,
        stopped_at=stopped if pooled else None,
        restarted_at=restarted if pooled else None,
        terminated_at=gone,
        capacity_provider=draw(st.sampled_from([None, "managed"])),
        market=draw(st.sampled_from(["on-demand", "spot"])),
        status_reason=draw(st.sampled_from([None, INTERRUPTED, "idle"])),
        operating_system_family=LINUX if kind.startswith("t4g") else draw(st.sampled_from([LINUX, WINDOWS])),
        public_ip=draw(st.booleans()),
        instance_type=kind,
        root_volume_gib=draw(st.sampled_from([0, 30])),
        more_volumes_gib=draw(st.sampled_from([0, 100])),
        volume_iops_above=draw(st.sampled_from([0, 2000])),
        volume_mib_s_above=draw(st.sampled_from([0, 75])),
    )


@st.composite
def runs(draw):
    hosts = [draw(host_rows(n)) for n in range(draw(st.integers(0, 3)))]
    tasks = [draw(task_rows(n, hosts)) for n in range(draw(st.integers(0, 6)))]
    periods = [
        period(
            600.0 * n,
            draw(st.integers(0, 400_000)),
            cluster=cluster,
            service=service,
            load_balancer=draw(st.sampled_from(["lb", "net", None])),
            requests_active_mean=draw(st.floats(0, 50_000)),
        )
        for n in range(draw(st.integers(0, 12)))
        for cluster, service in draw(
            st.sampled_from([[], [("default", "web")], [("default", "web"), ("other", "api")]])
        )
    ]
    found = tables(tasks, hosts, periods)
    surplus = [
        {
            "period_start_at": at(draw(instants)),
            "instance_id": host["instance_id"],
            "instance_type": host["instance_type"],
            "charged_credits": float(draw(st.integers(0, 300))),
        }
        for host in hosts
        if host["instance_type"].startswith("t")
        for _ in range(draw(st.integers(0, 2)))
    ]
    found["cpu_credits"] = pd.DataFrame(surplus)
    return found


@st.composite
def bytes_of(draw):
    some = st.sampled_from([0.0, 1e3, 2e6])
    return Surroundings(
        nat_bytes_per_request=draw(some),
        nat_bytes_per_pull=draw(some),
        images_through_nat=draw(st.booleans()),
        interface_endpoints=draw(st.integers(0, 4)),
        endpoint_bytes_per_request=draw(some),
        cross_zone_bytes_per_request=draw(some),
        egress_bytes_per_request=draw(st.sampled_from([0.0, 1e6, 1e9])),
        egress_before_bytes=draw(st.sampled_from([0.0, 99e9, 2e14])),
        log_bytes_per_request=draw(some),
        log_bytes_per_task_h=draw(some),
        log_storage_bytes=draw(some),
        ecr_storage_bytes=draw(some),
        custom_metrics=draw(st.sampled_from([0, 3, 9_998])),
        container_insights=draw(st.sampled_from([{}, {"default": "enabled", "other": "enhanced"}])),
        high_resolution=draw(st.sampled_from([(), (("default", "web"),)])),
        containers={"web": 3},
        managed_providers=draw(st.sampled_from([frozenset(), frozenset({"managed"})])),
    )


small_plans = st.lists(
    st.builds(SavingsPlan, st.floats(0.005, 0.1), st.sampled_from([1, 3])), min_size=1, max_size=2
).map(tuple)
"""Plans that are spent before everything is covered, so that it matters what they cover first."""


@st.composite
def bills(draw):
    """Terms of every kind; the run begins and ends anywhere in an hour, and the month ends in it."""
    begins = draw(instants)
    lb, net = (
        LoadBalancer(name, kind, at(begins), gone, behind, addresses)
        for name, kind, gone, behind, addresses in (
            ("lb", "application", None, (("default", "web"), ("other", "api")), 3),
            ("net", "network", at(begins + 5000), (("default", "web"),), 0),
        )
    )
    return BillingTerms(
        region=draw(st.sampled_from(["us-east-1", "eu-central-1", "ap-south-1"])),
        start_at=at(draw(st.sampled_from([0, 1234.5]))),
        end_at=at(draw(st.sampled_from([RUN_US / 1e6, 7200.0, 9000.000001]))),
        price_overrides=draw(st.sampled_from([{}, {"ec2:m5.large": 0.05, "fargate_x86_vcpu": 0.03, "alb_lcu": 0.01}])),
        load_balancers=draw(st.sampled_from([(), (lb,), (lb, net)])),
        nat_gateways=draw(st.sampled_from([(), (NatGateway("nat", at(begins), at(begins + 4000)),)])),
        around=draw(bytes_of()),
        commitments=draw(st.one_of(commitments, small_plans)),
        parameters=parameters(
            draw(st.sampled_from([{}, {"rules_per_listener": 60, "ipv4_billing_granularity_s": 3600}]))
        ),
    )


def summed(lines, *keep):
    found = defaultdict(float)
    for key, usd in lines.items():
        found[tuple(key[n] for n in keep)] += usd
    return {key: usd for key, usd in found.items() if abs(usd) > 1e-12}


def lines_of(costs):
    hour = (costs["hour_at"].astype("int64") // 3_600_000_000).tolist()
    columns = [
        costs[c].astype(object).where(costs[c].notna(), None).tolist() for c in ("task_id", "instance_id", "service")
    ]
    found = defaultdict(float)
    for key in zip(zip(costs["item"], hour, *columns, strict=True), costs["usd"], strict=True):
        found[key[0]] += key[1]
    return found


def agree(found, terms):
    """A bill agrees with the slow one, by item, hour, task, instance and service, and its sums with each other."""
    costs = bill(found, terms)
    fast, slow = lines_of(costs), SlowBill(found, terms).usd
    for keep in ((0,), (1,), (2,), (3,), (4,), (0, 1), (0, 2), (1, 3)):
        # shares of an instance are kept to 30 bits
        want = summed(slow, *keep)
        assert summed(fast, *keep) == pytest.approx(want, rel=1e-6, abs=1e-8), keep
    total = total_usd(costs)
    assert total == pytest.approx(sum(slow.values()), rel=1e-7, abs=1e-9)
    for columns in (
        ["item"],
        ["service"],
        ["task_id"],
        ["hour_at"],
        ["instance_id"],
        ["cluster", "item"],
        ["hour_at", "service"],
    ):
        grouped = usd_by(costs, *columns)
        assert float(grouped.sum()) == total
        assert sum(grouped.sample(frac=1, random_state=1)) == total
    assert (costs["usd"] >= 0).all()
    return costs


@settings(max_examples=80)
@given(runs(), bills())
def test_the_whole_bill_is_the_integral_of_priced_usage(run, terms):
    agree(run, terms)
