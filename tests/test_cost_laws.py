"""Laws of the bill for any tables: it equals a slow integral of priced usage, and its sums agree by any grouping."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

import pytest
from cost_tables import START, at, instance, period, tables, task, terms
from hypothesis import given, settings
from hypothesis import strategies as st

from fargsim.catalog import surrounding_price
from fargsim.report.cost import LoadBalancer, NatGateway, Surroundings, bill, total_usd, usd_by

RUN_S = 3 * 3600
instants = st.integers(0, RUN_S * 1_000_000).map(lambda us: us / 1e6)
BASE_HOUR = int(START.timestamp()) // 3600


@st.composite
def lives(draw):
    begin = draw(instants)
    end = draw(st.one_of(st.none(), st.integers(0, 5000 * 1_000_000)))
    return begin, None if end is None else begin + end / 1e6


@st.composite
def fargate_tasks(draw, number):
    begin, end = draw(lives())
    cpu, memory = draw(st.sampled_from([(256, 512), (1024, 3072), (4096, 30720)]))
    return task(
        f"f{number}",
        begin,
        end,
        cpu_units=cpu,
        memory_mib=memory,
        service=draw(st.sampled_from(["web", "api", None])),
        ephemeral_storage_gib=draw(st.sampled_from([20, 21, 200])),
        capacity_provider=draw(st.sampled_from([None, "FARGATE", "FARGATE_SPOT"])),
        cpu_architecture=draw(st.sampled_from(["X86_64", "ARM64"])),
        public_ip=draw(st.booleans()),
    )


@st.composite
def fleets(draw):
    hosts = []
    for k in range(draw(st.integers(0, 3))):
        begin, end = draw(lives())
        hosts.append(
            instance(
                f"i-{k}",
                begin,
                end,
                market=draw(st.sampled_from(["on-demand", "spot"])),
                public_ip=draw(st.booleans()),
                instance_type=draw(st.sampled_from(["m5.large", "t3.medium"])),
                root_volume_gib=draw(st.sampled_from([0, 30])),
            )
        )
    guests = []
    for k in range(draw(st.integers(0, 8)) if hosts else 0):
        begin, end = draw(lives())
        guests.append(
            task(
                f"e{k}",
                begin,
                end,
                launch_type="EC2",
                instance_id=draw(st.sampled_from(hosts))["instance_id"],
                service=draw(st.sampled_from(["web", None])),
                cpu_units=draw(st.sampled_from([0, 100, 512, 2048])),
                memory_mib=draw(st.sampled_from([128, 2730, 8192])),
            )
        )
    return hosts, guests


@st.composite
def runs(draw):
    hosts, guests = draw(fleets())
    fargate = [draw(fargate_tasks(k)) for k in range(draw(st.integers(0, 5)))]
    periods = [
        period(60.0 * k, draw(st.integers(0, 10_000)), requests_active_mean=draw(st.floats(0, 5000))) for k in range(3)
    ]
    return [*fargate, *guests], hosts, periods


TERMS = terms(
    hours=RUN_S / 3600,
    load_balancers=(LoadBalancer("lb", "application", at(100.0), None, (("default", "web"),), 2),),
    nat_gateways=(NatGateway("nat", at(0.0), at(4000.0)),),
    around=Surroundings(nat_bytes_per_request=1e5),
)


def micros(seconds):
    return round(seconds * 1e6)


def slow_life(row, begin_key, end_key):
    """Begin and end in microseconds, cut at the end of the run; None when it never began inside."""
    if row[begin_key] is None or row[begin_key] >= RUN_S:
        return None
    end = RUN_S if row[end_key] is None else min(row[end_key], RUN_S)
    return micros(row[begin_key]), micros(end)


def slow_seconds(begin, end, least=60):
    return max(least, math.ceil((end - begin) / 1_000_000))


def slow_fargate(tasks):
    """USD by task: billed seconds times size times price, nothing shared with the code under test but the prices."""
    found = {}
    for row in tasks:
        life = slow_life(row, "pull_started_at", "execution_stopped_at")
        if row["launch_type"] != "FARGATE" or life is None:
            continue
        kind, spot = (
            ("arm64" if row["cpu_architecture"] == "ARM64" else "x86"),
            row["capacity_provider"] == "FARGATE_SPOT",
        )
        hours = slow_seconds(*life) / 3600
        usd = hours * row["cpu_units"] / 1024 * TERMS.fargate(f"{kind}_vcpu", spot=spot).value
        usd += hours * row["memory_mib"] / 1024 * TERMS.fargate(f"{kind}_memory", spot=spot).value
        usd += hours * (row["ephemeral_storage_gib"] - 20) * TERMS.fargate("storage").value
        found[row["task_id"]] = usd
    return found


def slow_instances(tasks, hosts):
    """Instance hours by (instance, task or None), by walking through every interval between two changes."""
    found = defaultdict(float)
    for host in hosts:
        life = slow_life(host, "running_at", "terminated_at")
        if life is None:
            continue
        begin, end = life
        guests = []
        for row in tasks:
            stay = slow_life(row, "pull_started_at", "execution_stopped_at")
            if row["instance_id"] == host["instance_id"] and stay is not None:
                share = min(1.0, max(row["cpu_units"] / host["cpu_units"], row["memory_mib"] / host["memory_mib"]))
                guests.append((max(stay[0], begin), min(stay[1], end), share, row["task_id"]))
        cuts = sorted({begin, end, *(min(max(t, begin), end) for g in guests for t in g[:2])})
        for low, high in pairwise(cuts):
            here = [(share, name) for a, b, share, name in guests if a <= low and high <= b]
            whole = sum(share for share, _ in here)
            for share, name in here:
                found[host["instance_id"], name] += (high - low) * share / max(1.0, whole)
            found[host["instance_id"], None] += (high - low) * max(0.0, 1 - whole)
        found[host["instance_id"], None] += slow_seconds(begin, end) * 1_000_000 - (end - begin)
    return {k: v / 3.6e9 for k, v in found.items()}


@settings(max_examples=60, deadline=None)
@given(runs())
def test_the_bill_is_the_integral_of_priced_usage(run):
    tasks, hosts, periods = run
    costs = bill(tables(tasks, hosts, periods), TERMS)
    items = costs["item"]

    fargate = costs[items.str.startswith("fargate")].groupby("task_id")["usd"].sum().to_dict()
    assert fargate == pytest.approx(slow_fargate(tasks), rel=1e-9, abs=1e-12)

    of_instances = costs[items.str.contains("instance")]
    got = defaultdict(float)
    for line in of_instances.itertuples():
        got[line.instance_id, line.task_id if isinstance(line.task_id, str) else None] += line.quantity
    want = slow_instances(tasks, hosts)
    for key in set(got) | set(want):
        # the shares are kept to 30 bits where they are added up
        assert got[key] == pytest.approx(want.get(key, 0.0), rel=1e-6, abs=1e-8), key

    addresses = 0.0
    for row, begin, end in [(t, "created_at", "stopped_at") for t in tasks] + [
        (h, "running_at", "terminated_at") for h in hosts
    ]:
        life = slow_life(row, begin, end)
        if row["public_ip"] and life is not None:
            addresses += math.ceil((life[1] - life[0]) / 1e6) / 3600
    addresses += 2 * (RUN_S - 100) / 3600 + 4000 / 3600
    assert costs[items == "public IPv4"]["quantity"].sum() == pytest.approx(addresses)

    volumes = sum(
        h["root_volume_gib"] * slow_seconds(*life)
        for h in hosts
        if (life := slow_life(h, "launched_at", "terminated_at"))
    )
    assert costs[items == "ebs volume"]["quantity"].sum() == pytest.approx(volumes / (730 * 3600))
    requests = sum(p["requests_arrived"] for p in periods)
    assert costs[items == "nat gateway data"]["quantity"].sum() == pytest.approx(requests * 1e5 / 2**30)
    in_flight = sum(p["requests_active_mean"] * 60 / 3600 for p in periods)
    new = requests * 0.1 / 3600
    units = max(new / 25, max(new * 60, in_flight) / 3000, requests * 8192 / 2**30)
    assert costs[items == "load balancer LCU"]["quantity"].sum() == pytest.approx(units, abs=1e-12)
    assert costs[items == "load balancer hours"]["quantity"].tolist() == [1.0, 1.0, 1.0]
    assert costs[items == "nat gateway hours"]["quantity"].tolist() == [1.0, 1.0]

    rest = ~items.str.startswith("fargate") & ~items.str.contains("instance")
    names = {"public IPv4": "public_ipv4", "ebs volume": "ebs_gp3_storage", "nat gateway data": "nat_data"}
    names |= {"nat gateway hours": "nat_hour", "load balancer hours": "alb_hour", "load balancer LCU": "alb_lcu"}
    for line in costs[rest].itertuples():
        assert line.usd == pytest.approx(
            line.quantity * surrounding_price(names[line.item], "us-east-1").value, abs=1e-14
        )


@settings(max_examples=60, deadline=None)
@given(runs())
def test_sums_agree_exactly_by_any_grouping(run):
    costs = bill(tables(*run), TERMS)
    total = total_usd(costs)
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
    with_task = float(costs["usd"][costs["task_id"].notna()].sum())
    assert with_task + float(costs["usd"][costs["task_id"].isna()].sum()) == total
    assert sum(costs["usd"].to_list()[::-1]) == total


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_used_and_idle_are_the_instance_time_to_the_last_bit(fleet):
    hosts, guests = fleet
    run = tables(guests, hosts)
    costs = bill(run, TERMS)
    whole = bill(tables([], hosts), TERMS)
    of = costs[costs["item"].str.contains("instance")]
    of_whole = whole[whole["item"].str.contains("instance")]
    assert (of["quantity"] > 0).all()
    by = ["instance_id", "hour_at"]
    assert of.groupby(by)["quantity"].sum().to_dict() == of_whole.groupby(by)["quantity"].sum().to_dict()


@settings(max_examples=40, deadline=None)
@given(runs())
def test_every_line_is_booked_inside_the_run_and_costs_something(run):
    costs = bill(tables(*run), TERMS)
    hours = (costs["hour_at"].dt.as_unit("s").astype("int64") // 3600 - BASE_HOUR).tolist()
    assert all(0 <= h < RUN_S // 3600 for h in hours)
    assert (costs["quantity"] > 0).all()
    assert (costs["usd"] >= 0).all()


@settings(max_examples=40, deadline=None)
@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_sum(run, random):
    tasks, hosts, periods = run
    shuffled = list(tasks)
    random.shuffle(shuffled)
    one, two = bill(tables(tasks, hosts, periods), TERMS), bill(tables(shuffled, hosts[::-1], periods), TERMS)
    assert usd_by(two, "item").to_dict() == pytest.approx(usd_by(one, "item").to_dict(), rel=1e-9, abs=1e-12)
