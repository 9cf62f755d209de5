"""The bill by hand: what each line item is, where it is booked, whose it is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from cost_tables import START, at, instance, period, tables, task, terms

from fargsim import catalog
from fargsim.record.frames import STRING, arrow_column, pandas_dtype
from fargsim.record.schema import COSTS
from fargsim.report import cost
from fargsim.report.cost import BillingTerms, LoadBalancer, NatGateway, Surroundings, bill, usd_by

HOUR = pd.Timestamp(START)


def lines(costs: pd.DataFrame, item: str) -> pd.DataFrame:
    return costs[costs["item"] == item].reset_index(drop=True)


def test_a_fargate_task_over_two_hours_whole():
    costs = bill(tables([task(begin=3000.0, end=4200.5, ephemeral_storage_gib=30)]), terms())
    got = costs[["hour_at", "item", "service", "task_id", "quantity", "unit", "usd_per_unit"]].values.tolist()
    one, two = HOUR, HOUR + pd.Timedelta(hours=1)
    first, last = 600 / 3600, 601 / 3600  # 600.5 s in the second hour, rounded up there
    assert got == [
        [one, "fargate ephemeral storage", "web", "t1", pytest.approx(first * 10), "GB-hour", 0.000111],
        [one, "fargate memory", "web", "t1", pytest.approx(first * 2), "GB-hour", 0.004445],
        [one, "fargate vCPU", "web", "t1", pytest.approx(first), "vCPU-hour", 0.04048],
        [two, "fargate ephemeral storage", "web", "t1", pytest.approx(last * 10), "GB-hour", 0.000111],
        [two, "fargate memory", "web", "t1", pytest.approx(last * 2), "GB-hour", 0.004445],
        [two, "fargate vCPU", "web", "t1", pytest.approx(last), "vCPU-hour", 0.04048],
    ]
    assert list(costs.columns) == list(cost.COST_COLUMNS)
    assert costs["usd"].to_numpy() == pytest.approx((costs["quantity"] * costs["usd_per_unit"]).to_numpy(), rel=1e-12)
    assert costs["instance_id"].isna().all()
    assert set(costs["price_basis"]) == {"listed"}


def test_the_minimum_is_booked_in_the_hour_of_the_use_even_across_an_hour_line():
    costs = bill(tables([task(begin=3590.0, end=3595.0)]), terms())
    assert set(costs["hour_at"]) == {HOUR}
    assert lines(costs, "fargate vCPU")["quantity"].tolist() == [pytest.approx(60 / 3600)]


@pytest.mark.parametrize(
    ("family", "provider", "architecture", "items"),
    [
        ("LINUX", None, "ARM64", {"fargate vCPU": 0.03238, "fargate memory": 0.00356}),
        ("LINUX", "FARGATE", "X86_64", {"fargate vCPU": 0.04048, "fargate memory": 0.004445}),
        ("LINUX", "FARGATE_SPOT", "X86_64", {"fargate spot vCPU": 0.01288871, "fargate spot memory": 0.00141527}),
        ("LINUX", "FARGATE_SPOT", "ARM64", {"fargate spot vCPU": 0.01030969, "fargate spot memory": 0.00113349}),
        (
            "WINDOWS_SERVER_2022_CORE",
            None,
            "X86_64",
            {"fargate vCPU": 0.046552, "fargate memory": 0.00511175, "fargate Windows licence": 0.046},
        ),
    ],
)
def test_which_price_applies(family, provider, architecture, items):
    row = task(
        begin=0.0, end=20.0, operating_system_family=family, capacity_provider=provider, cpu_architecture=architecture
    )
    costs = bill(tables([row]), terms())
    assert dict(zip(costs["item"], costs["usd_per_unit"], strict=True)) == items
    billed_s = 300 if family.startswith("WINDOWS") else 60
    assert lines(costs, next(iter(items)))["quantity"].tolist() == [pytest.approx(billed_s / 3600)]


def test_what_is_not_billed():
    waiting = task("waiting", begin=None, created_at=5.0)
    late = task("late", begin=86400.0)
    after = task("after", begin=90000.0)
    assert bill(tables([waiting, late, after]), terms()).empty


def test_stopping_time_is_billed_and_a_living_task_is_billed_to_the_end():
    slow = task("slow", begin=0.0, end=400.0, stopping_at=370.0)
    alive = task("alive", begin=86000.25)
    costs = lines(bill(tables([slow, alive]), terms()), "fargate vCPU")
    assert dict(zip(costs["task_id"], costs["quantity"] * 3600, strict=True)) == {
        "slow": pytest.approx(400),
        "alive": pytest.approx(400),
    }
    assert costs["hour_at"].max() == HOUR + pd.Timedelta(hours=23)


def test_two_tasks_on_an_instance_whole():
    stay = {"launch_type": "EC2", "instance_id": "i-1"}
    rows = [
        task("a", 0.0, 1800.0, cpu_units=512, **stay),
        task("b", 900.0, cpu_units=256, memory_mib=4096, service=None, **stay),
    ]
    costs = bill(tables(rows, [instance(begin=0.0, end=3600.0)]), terms())
    got = costs[["item", "service", "task_id", "instance_id", "quantity"]]
    want = [
        ["ec2 instance (idle)", None, None, "i-1", 1 - 0.125 - 0.375],
        ["ec2 instance (used)", "web", "a", "i-1", 0.25 * 0.5],
        ["ec2 instance (used)", None, "b", "i-1", 0.5 * 0.75],
    ]
    for found, expected in zip(got.itertuples(index=False), want, strict=True):
        assert [None if pd.isna(v) else v for v in found[:4]] == expected[:4]
        assert found.quantity == pytest.approx(expected[4])
    assert cost.total_usd(costs) == pytest.approx(0.096)
    assert costs["unit"].eq("instance-hour").all()
    assert costs["cluster"].eq("default").all()


def test_shares_above_the_whole_are_scaled_down_and_nothing_is_idle():
    stay = {"launch_type": "EC2", "instance_id": "i-1", "memory_mib": 128}
    rows = [task("a", 0.0, 3600.0, cpu_units=2048, **stay), task("b", 1800.0, 3600.0, cpu_units=1024, **stay)]
    costs = bill(tables(rows, [instance(end=3600.0)]), terms())
    used = dict(zip(costs["task_id"], costs["quantity"], strict=True))
    assert used == {"a": pytest.approx(0.5 + 0.5 * 2 / 3), "b": pytest.approx(0.5 / 3)}
    assert set(costs["item"]) == {"ec2 instance (used)"}
    assert costs["quantity"].sum() == 1.0


@pytest.mark.parametrize("lanes", [1, 3, 7])
def test_a_full_instance_has_no_idle_dust(lanes):
    cuts = [*(71.234567 * k for k in range(50)), 3600.0]
    stay = {"launch_type": "EC2", "instance_id": "i-1", "cpu_units": 1000, "memory_mib": 128}
    rows = [
        task(f"{lane}-{k}", low, high, **stay)
        for lane in range(lanes)
        for k, (low, high) in enumerate(itertools.pairwise(cuts))
    ]
    host = instance(end=cuts[-1], cpu_units=1000 * lanes)
    costs = bill(tables(rows, [host]), terms())
    assert set(costs["item"]) == {"ec2 instance (used)"}
    whole = bill(tables([], [host]), terms())["quantity"].sum()
    assert costs["quantity"].sum() == whole


def test_pending_instances_cost_only_their_volume_and_the_minimum_is_a_minute():
    row = instance(begin=0.0, end=40.0, running_at=30.0, root_volume_gib=30)
    costs = bill(tables([], [row]), terms())
    assert lines(costs, "ec2 instance (idle)")["quantity"].tolist() == [pytest.approx(60 / 3600)]
    ebs = lines(costs, "ebs volume")
    assert ebs["quantity"].tolist() == [pytest.approx(30 * 60 / (730 * 3600))]
    assert ebs["unit"].tolist() == ["GB-month"]
    never = instance(begin=0.0, running_at=None)
    assert bill(tables([], [never]), terms()).empty


def test_a_spot_instance():
    costs = bill(tables([], [instance(end=3600.0, market="spot")]), terms())
    assert costs["item"].tolist() == ["ec2 spot instance (idle)"]
    assert cost.total_usd(costs) == pytest.approx(catalog.ec2_spot_price("m5.large", "us-east-1").value)


def test_a_month_of_gp3():
    month = instance(begin=0.0, root_volume_gib=100)
    costs = bill(tables([], [month]), terms(hours=730))
    assert lines(costs, "ebs volume")["usd"].sum() == pytest.approx(100 * 0.08)


def balancer(services=(("default", "web"),), kind="application", begin=0.0, end=None, addresses=0):
    return LoadBalancer("lb", kind, at(begin), None if end is None else at(end), services, addresses)


def test_whole_hours_are_booked_in_the_hour_they_start():
    costs = bill(tables(), terms(hours=3, load_balancers=(balancer(begin=1800.0, end=9001.0),)))
    assert costs["item"].eq("load balancer hours").all()
    assert costs["hour_at"].tolist() == [HOUR + pd.Timedelta(hours=h) for h in (0, 1, 2)]
    assert costs["service"].tolist() == ["web"] * 3
    assert cost.total_usd(costs) == pytest.approx(3 * 0.0225)


def test_ten_minutes_of_a_balancer_cost_an_hour():
    costs = bill(tables(), terms(hours=1 / 6, load_balancers=(balancer(),)))
    assert cost.total_usd(costs) == pytest.approx(0.0225)


@pytest.mark.parametrize(
    ("assumptions", "in_flight", "units"),
    [
        ({"connections_per_request": 1, "bytes_per_request": 0, "connection_lifetime_s": 0}, 0, 100 / 25),
        ({"connections_per_request": 1, "bytes_per_request": 0, "connection_lifetime_s": 300}, 0, 30000 / 3000),
        ({"connections_per_request": 0, "bytes_per_request": 0}, 6000, 6000 / 3000),
        ({"connections_per_request": 0, "bytes_per_request": 10240}, 0, 360000 * 10240 / 1024**3),
        ({"connections_per_request": 0, "bytes_per_request": 0, "rules_per_listener": 30}, 0, 20 * 100 / 1000),
        ({"connections_per_request": 0, "bytes_per_request": 0, "rules_per_listener": 10}, 0, 0),
    ],
)
def test_the_largest_dimension_of_the_hour_counts(assumptions, in_flight, units):
    rows = [period(60.0 * k, 6000, requests_active_mean=in_flight) for k in range(60)]
    t = terms(hours=1, load_balancers=(balancer(),), parameters=catalog.parameters(assumptions))
    lcu = lines(bill(tables([], [], rows), t), "load balancer LCU")
    assert lcu["quantity"].sum() == pytest.approx(units)
    assert lcu["usd"].sum() == pytest.approx(units * 0.008)


def test_rules_of_listeners_count_as_the_run_has_told():
    rows = [period(60.0 * k, 6000) for k in range(60)]
    told = pd.DataFrame(
        {
            "period_start_at": [START + pd.Timedelta(minutes=m) for m in (0, 30, 90)],
            "period_s": 1800.0,
            "load_balancer": ["lb", "lb", "lb"],
            "lcu_rule_evaluations": [6.0, 2.0, 50.0],
        }
    )
    nothing = catalog.parameters({"connections_per_request": 0, "bytes_per_request": 0})
    t = terms(hours=1, load_balancers=(balancer(),), parameters=nothing)
    found = {**tables([], [], rows), "load_balancers": told}
    # half an hour at 6 and half an hour at 2; what lies beyond the run's end and what another balancer has is not counted
    assert lines(bill(found, t), "load balancer LCU")["quantity"].sum() == pytest.approx(4)
    found["load_balancers"] = told.assign(load_balancer="other")
    assert lines(bill(found, t), "load balancer LCU")["quantity"].sum() == 0


def test_services_behind_one_balancer_share_its_units_by_their_requests():
    rows = [
        period(0.0, 3000),
        period(0.0, 1000, service="api"),
        period(0.0, 9000, service="elsewhere", load_balancer="other"),
    ]
    both = balancer(services=(("default", "web"), ("default", "api")))
    costs = bill(tables([], [], rows), terms(hours=1, load_balancers=(both,)))
    lcu = lines(costs, "load balancer LCU").set_index("service")["quantity"]
    assert lcu["web"] == pytest.approx(3 * lcu["api"])
    assert set(lcu.index) == {"web", "api"}
    assert lines(costs, "load balancer hours")["service"].isna().all()
    assert lines(costs, "load balancer hours")["cluster"].tolist() == ["default"]


def test_a_network_balancer_counts_in_its_own_units():
    rows = [period(0.0, 800 * 3600)]
    p = catalog.parameters({"connections_per_request": 1, "bytes_per_request": 0, "connection_lifetime_s": 0})
    costs = bill(tables([], [], rows), terms(hours=1, load_balancers=(balancer(kind="network"),), parameters=p))
    assert lines(costs, "load balancer LCU")[["quantity", "usd_per_unit"]].values.tolist() == [
        [pytest.approx(1), 0.006]
    ]


def test_public_addresses():
    rows = [task(begin=10.0, end=3590.0, created_at=0.0, stopped_at=3599.5, public_ip=True)]
    costs = bill(
        tables(rows, [instance(begin=0.0, end=7200.0, public_ip=True)]),
        terms(load_balancers=(balancer(end=3600.0, addresses=3),)),
    )
    ip = lines(costs, "public IPv4")
    assert ip["usd_per_unit"].eq(0.005).all()
    assert ip[ip["task_id"] == "t1"]["quantity"].tolist() == [pytest.approx(1)]
    assert ip[ip["instance_id"] == "i-1"]["quantity"].tolist() == [1, 1]
    assert ip[ip["task_id"].isna() & ip["instance_id"].isna()]["quantity"].tolist() == [3]


def test_nat_data_by_request_and_by_pull():
    gateway = NatGateway("nat", at(0.0))
    t = terms(hours=1, nat_gateways=(gateway,), around=Surroundings(nat_bytes_per_request=1e6, nat_bytes_per_pull=1e9))
    pulled = task("pulled", 0.0, pull_stopped_at=30.0)
    cached = task("cached", 0.0)
    costs = bill(tables([pulled, cached], [], [period(0.0, 5000)]), t)
    data = lines(costs, "nat gateway data")
    assert sorted(data["quantity"]) == [pytest.approx(1e9 / 1024**3), pytest.approx(5e9 / 1024**3)]
    assert data["task_id"].dropna().tolist() == ["pulled"]
    assert data["service"].tolist() == ["web", "web"]
    assert lines(costs, "nat gateway hours")["usd"].tolist() == [pytest.approx(0.045)]
    assert lines(costs, "public IPv4")["usd"].tolist() == [pytest.approx(0.005)]


def test_prices_can_be_set_and_say_so():
    prices = {"fargate_x86_vcpu": 1.0, "ec2:m5.large": 2.0}
    costs = bill(tables([task(end=3600.0)], [instance(end=3600.0)]), terms(price_overrides=prices))
    by_item = costs.set_index("item")
    assert by_item.loc["fargate vCPU", "usd"] == 1.0
    assert by_item.loc["ec2 instance (idle)", "usd"] == 2.0
    assert by_item.loc["fargate vCPU", "price_basis"] == "scenario"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"region": "us-eats-1"}, "did you mean us-east-1"),
        ({"price_overrides": {"fargate_x86_vcpus": 1}}, "did you mean fargate_x86_vcpu"),
        ({"price_overrides": {"ec2:m5.lage": 1}}, r"did you mean m5\.large"),
        ({"price_overrides": {"alb_hour": -1}}, "at least 0"),
        ({"price_overrides": {"alb_hour": math.nan}}, "at least 0"),
        ({"spot_table": "spot-2024"}, "price table"),
        ({"end_at": at(-1)}, "cannot end before"),
        ({"start_at": START.replace(tzinfo=None)}, "no time zone"),
    ],
)
def test_bad_terms_are_explained(change, words):
    with pytest.raises(ValueError, match=words):
        terms(**change)


def test_bad_tables_are_explained():
    broken = tables([task()])
    del broken["tasks"]["public_ip"]
    with pytest.raises(ValueError, match="'tasks' lacks public_ip"):
        bill(broken, terms())
    with pytest.raises(ValueError, match="'i-9', which is not in the table"):
        bill(tables([task(launch_type="EC2", instance_id="i-9")], [instance()]), terms())


def test_the_lines_are_the_declared_table():
    t = terms(hours=2, load_balancers=(balancer(services=()),))
    for costs in (bill(tables([task()], [instance()]), t), bill({}, terms())):
        assert list(costs.columns) == list(COSTS.names)
        assert [str(costs[c.name].dtype) for c in COSTS.columns] == [str(pandas_dtype(c)) for c in COSTS.columns]
        for column in COSTS.columns:
            assert len(arrow_column(COSTS, column, costs[column.name])) == len(costs)


def test_tables_as_the_record_keeps_them():
    plain = tables(
        [task("f", end=3600.0), task("e", launch_type="EC2", instance_id="i-1")], [instance()], [period(0.0, 10)]
    )
    text = dict.fromkeys(("task_id", "cluster", "service", "capacity_provider", "instance_id", "launch_type"), STRING)
    kept = {name: frame.astype({c: d for c, d in text.items() if c in frame}) for name, frame in plain.items()}
    assert bill(kept, terms()).equals(bill(plain, terms()))


def test_no_tables_no_bill():
    costs = bill({}, terms())
    assert costs.empty
    assert list(costs.columns) == list(cost.COST_COLUMNS)
    assert cost.total_usd(costs) == cost.compute_usd(costs) == 0.0


def test_compute_is_fargate_and_instances_only():
    t = terms(hours=1, load_balancers=(balancer(),))
    costs = bill(tables([task(end=3600.0)], [instance(end=3600.0, root_volume_gib=30, public_ip=True)]), t)
    assert cost.compute_usd(costs) == pytest.approx(0.04048 + 2 * 0.004445 + 0.096)
    assert cost.total_usd(costs) > cost.compute_usd(costs)


def test_grouping_keeps_what_is_nobodys():
    costs = bill(tables([task(end=3600.0, service=None)]), terms())
    grouped = usd_by(costs, "service")
    assert len(grouped) == 1
    assert grouped.sum() == cost.total_usd(costs)


def test_terms_do_not_change():
    with pytest.raises(AttributeError):
        terms().region = "eu-west-1"
    assert isinstance(terms(), BillingTerms)


def test_order_and_types_of_the_table():
    rows = [task(f"t{k}", begin=100.0 * k, end=5000.0 + k) for k in range(5)]
    costs = bill(tables(rows, [instance()]), terms(hours=2))
    assert costs["hour_at"].is_monotonic_increasing
    assert str(costs["hour_at"].dtype) == "datetime64[us, UTC]"
    assert {str(costs[c].dtype) for c in ("quantity", "usd_per_unit", "usd")} == {"float64"}
    assert np.isfinite(costs["usd"]).all()
    assert bill(tables(rows, [instance()]), terms(hours=2)).equals(costs)
