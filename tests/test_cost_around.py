"""What surrounds the tasks, by hand: egress steps, zones, endpoints, logs, images, metrics, the management fee."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from cost_tables import START, instance, period, tables, task, terms
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cost_laws import RUN_S, runs

from fargsim import catalog
from fargsim.report.cost import Surroundings, bill, total_usd, usd_by
from fargsim.report.cost_around import step_shares

GB = 2**30


def around(hours=1.0, **columns):
    return terms(hours=hours, around=Surroundings(**columns))


def amounts(costs):
    return costs.groupby("item")["quantity"].sum().to_dict()


def test_the_first_100_gb_are_free_and_an_hour_across_the_edge_is_split():
    rows = [period(0.0, 80), period(3600.0, 30), period(3600.0, 10, service="api")]
    costs = bill(tables([], [], rows), around(2, egress_bytes_per_request=GB))
    got = costs[["service", "quantity", "usd_per_unit", "price_basis"]].values.tolist()
    assert got == [
        ["web", 80.0, 0.0, "documented"],
        ["api", 5.0, 0.0, "documented"],
        ["api", 5.0, 0.09, "listed"],
        ["web", 15.0, 0.0, "documented"],
        ["web", 15.0, 0.09, "listed"],
    ]
    assert total_usd(costs) == pytest.approx(20 * 0.09)


@pytest.mark.parametrize(
    ("sent_gb", "usd"),
    [
        (100, 0),
        (100 + 10 * 1024, 10 * 1024 * 0.09),
        (100 + 50 * 1024, 10 * 1024 * 0.09 + 40 * 1024 * 0.085),
        (100 + 150 * 1024 + 1, 10 * 1024 * 0.09 + 40 * 1024 * 0.085 + 100 * 1024 * 0.07 + 0.05),
    ],
)
def test_egress_steps(sent_gb, usd):
    costs = bill(tables([], [], [period(0.0, sent_gb)]), around(egress_bytes_per_request=GB))
    assert total_usd(costs) == pytest.approx(usd)


def test_what_the_account_sent_before_counts_and_a_month_begins_anew():
    january = int(datetime(2026, 1, 31, 23, tzinfo=UTC).timestamp()) // 3600
    shares = step_shares(np.array([january, january + 1]), np.array([10.0, 10.0]), 95.0)
    assert shares[0].tolist() == [pytest.approx(0.5), 1.0]
    assert shares[1].tolist() == [pytest.approx(0.5), 0.0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=60), st.floats(0, 1e6))
def test_the_steps_of_an_hour_add_up(gb, before):
    hours = np.arange(len(gb), dtype=np.int64) * 37 + int(START.timestamp()) // 3600
    shares = step_shares(hours, np.array(gb), before)
    assert (shares >= -1e-12).all()
    assert shares.sum(axis=0) == pytest.approx([1.0 if one else 0.0 for one in gb])


def test_zones_are_charged_in_both_directions():
    costs = bill(tables([], [], [period(0.0, 1000)]), around(cross_zone_bytes_per_request=GB / 10))
    assert costs[["item", "quantity", "usd"]].values.tolist() == [
        ["traffic between zones", pytest.approx(200), pytest.approx(2.0)]
    ]


def test_interface_endpoints_by_started_hour_and_byte():
    rows = [period(0.0, 1024)]
    costs = bill(tables([], [], rows), around(1.5, interface_endpoints=6, endpoint_bytes_per_request=1024 * 1024))
    assert amounts(costs) == {"interface endpoint hours": 12.0, "interface endpoint data": pytest.approx(1.0)}
    assert total_usd(costs) == pytest.approx(12 * 0.01 + 0.01)


def test_logs_by_request_and_by_running_hour_and_what_is_kept():
    rows = [task("a", 0.0, 7200.0, started_at=1800.0), task("b", 0.0, started_at=None)]
    t = around(
        2,
        log_bytes_per_request=GB / 100,
        log_bytes_per_task_h=GB,
        log_storage_bytes=730 * GB,
        ecr_storage_bytes=365 * GB,
    )
    costs = bill(tables(rows, [], [period(0.0, 50)]), t)
    by_item = usd_by(costs[~costs["item"].str.startswith("fargate")], "item").to_dict()
    assert by_item == {
        "logs ingested": pytest.approx((0.5 + 1.5) * 0.5),
        "logs kept": pytest.approx(2 * 0.03),
        "ecr storage": pytest.approx(0.1),
    }


def test_layers_through_the_nat_gateway_weigh_what_the_images_weigh():
    from fargsim.report.cost import NatGateway

    rows = [task("a", 0.0, pull_stopped_at=10.0, image_mib=512.0), task("cached", 0.0, image_mib=512.0)]
    t = terms(hours=1, nat_gateways=(NatGateway("nat", START),), around=Surroundings(images_through_nat=True))
    data = bill(tables(rows), t).set_index("item").loc["nat gateway data"]
    assert (data["task_id"], data["quantity"]) == ("a", 0.5)


def test_container_insights_by_cluster_service_and_family():
    rows = [task("a", 0.0, 5400.0), task("b", 0.0, 5400.0), task("c", 0.0, 1800.0, family="other", service=None)]
    periods = [period(0.0, 1), period(3600.0, 1)]
    costs = bill(tables(rows, [], periods), around(2, container_insights={"default": "enabled"}))
    lines = costs[costs["item"] == "container insights metrics"]
    # two hours of 8 for the cluster and 11 for the service, 6 for one family in both hours and for another in the first
    assert lines["quantity"].sum() * 730 == pytest.approx(2 * 8 + 2 * 11 + 3 * 6)
    assert lines["usd"].sum() == pytest.approx((2 * 8 + 2 * 11 + 3 * 6) / 730 * 0.30)
    assert lines.loc[lines["service"] == "web", "quantity"].sum() * 730 == pytest.approx(22)


def test_enhanced_observability_counts_tasks_and_containers_too():
    rows = [task("a", 0.0, 5400.0), task("b", 0.0, 1800.0)]
    t = around(2, container_insights={"default": "enhanced"}, containers={"web": 3})
    costs = bill(tables(rows, [], []), t)
    lines = costs[costs["item"] == "container insights metrics"]
    each = 6 + 3 * 6
    assert lines["usd"].sum() == pytest.approx((2 * 8 + 2 * 6 + 3 * each) / 730 * 0.07)
    assert lines.groupby("task_id")["quantity"].sum().mul(730).to_dict() == {
        "a": pytest.approx(2 * each),
        "b": pytest.approx(each),
    }


def test_metrics_beyond_ten_thousand_are_cheaper_for_everybody_alike():
    t = around(1, custom_metrics=15_000, high_resolution=(("default", "web"),), container_insights={})
    costs = bill(tables([], [], [period(0.0, 1)]), t)
    total = 15_002
    assert total_usd(costs) == pytest.approx((10_000 * 0.30 + 5_002 * 0.10) / 730)
    high = costs[costs["item"] == "high-resolution metrics"]
    assert high["quantity"].sum() * 730 == pytest.approx(2)
    assert high.loc[high["usd_per_unit"] == 0.3, "quantity"].sum() * 730 == pytest.approx(2 * 10_000 / total)


def test_the_management_fee_of_managed_instances():
    """Published example: c6a.2xlarge, 0.037 per hour (rounded to three places)."""
    hosts = [
        instance("i-1", end=3600.0, instance_type="c6a.2xlarge", capacity_provider="managed"),
        instance("i-2", end=3600.0, instance_type="c6a.2xlarge", capacity_provider="own"),
    ]
    costs = bill(tables([], hosts), around(managed_providers=frozenset({"managed"})))
    fee = costs[costs["item"] == "managed instances fee"]
    assert fee["instance_id"].tolist() == ["i-1"]
    assert round(float(fee["usd"].sum()), 3) == 0.037
    dear = terms(
        hours=1,
        around=Surroundings(managed_providers=frozenset({"managed"})),
        parameters=catalog.parameters({"managed_instances_fee_percent": 50}),
    )
    assert usd_by(bill(tables([], hosts), dear), "item")["managed instances fee"] == pytest.approx(0.153)


ALL = Surroundings(
    nat_bytes_per_request=1e5,
    interface_endpoints=4,
    endpoint_bytes_per_request=1e4,
    cross_zone_bytes_per_request=2e4,
    egress_bytes_per_request=1e7,
    egress_before_bytes=99 * GB,
    log_bytes_per_request=500,
    log_bytes_per_task_h=1e6,
    log_storage_bytes=1e9,
    ecr_storage_bytes=1e9,
    custom_metrics=9_990,
    container_insights={"default": "enhanced"},
    high_resolution=(("default", "web"),),
)


@settings(max_examples=40, deadline=None)
@given(runs())
def test_every_line_is_its_amount_times_its_price_and_sums_agree(run):
    tasks, _, periods = run
    costs = bill(tables(*run), terms(hours=RUN_S / 3600, around=ALL))
    total = total_usd(costs)
    for columns in (["item"], ["service"], ["task_id"], ["hour_at"], ["cluster", "item"]):
        assert float(usd_by(costs, *columns).sum()) == total
    assert (costs["usd"] - costs["quantity"] * costs["usd_per_unit"]).abs().max() <= 1e-14 * max(total, 1)
    requests = sum(p["requests_arrived"] for p in periods)
    got = amounts(costs)
    assert got.get("internet egress", 0.0) == pytest.approx(requests * 1e7 / GB)
    assert got.get("traffic between zones", 0.0) == pytest.approx(requests * 4e4 / GB)
    assert got["interface endpoint hours"] == 4 * RUN_S / 3600
    running = 0.0
    for row in tasks:
        if row["started_at"] is not None and row["started_at"] < RUN_S:
            end = RUN_S if row["execution_stopped_at"] is None else min(RUN_S, row["execution_stopped_at"])
            running += (end - row["started_at"]) / 3600
    assert got.get("logs ingested", 0.0) == pytest.approx((requests * 500 + running * 1e6) / GB)
    assert got["custom metrics"] * 730 == pytest.approx(9_990 * RUN_S / 3600)
