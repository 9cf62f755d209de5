"""Which services have their zones rebalanced, and how: tables and laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.service import CreateService
from fargsim.policy.daemon import DaemonHost, daemon_step
from fargsim.policy.rebalancing import balanced, moves, why_not_rebalanced

SPREAD = {"type": "spread", "field": "attribute:ecs.availability-zone"}
BINPACK = {"type": "binpack", "field": "memory"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, None),
        ({"placementStrategy": [SPREAD, BINPACK]}, None),
        ({"placementStrategy": [BINPACK, SPREAD]}, "first placement strategy"),
        ({"placementStrategy": [{"type": "spread", "field": "instanceId"}]}, "first placement strategy"),
        ({"deploymentConfiguration": {"maximumPercent": 101}}, None),
        ({"deploymentConfiguration": {"maximumPercent": 100}}, "maximumPercent is 100"),
        ({"schedulingStrategy": "DAEMON"}, "daemon"),
        ({"launchType": "EXTERNAL"}, "EXTERNAL"),
        (
            {
                "placementConstraints": [
                    {"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1a"}
                ]
            },
            "placement constraint",
        ),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, None),
        (
            {
                "loadBalancers": [
                    {"targetGroupArn": "x", "loadBalancerName": "old", "containerName": "app", "containerPort": 80}
                ]
            },
            "Classic Load Balancer",
        ),
    ],
)
def test_who_can_be_rebalanced(more: dict[str, Any], words: str | None) -> None:
    why = why_not_rebalanced(CreateService.model_validate({"serviceName": "web", "taskDefinition": "web", **more}))
    assert why is None if words is None else words in (why or "")


@given(counts=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 12), min_size=1), room=st.integers(-1, 30))
def test_moves_never_start_more_than_there_is_room_for_and_end_in_balance_where_it_is_enough(
    counts: dict[str, int], room: int
) -> None:
    change = moves(counts, room)
    started, stopped = sum(change.starts.values()), sum(change.stops.values())
    assert started == stopped <= max(0, room)
    assert not set(change.starts) & set(change.stops), "no zone gains and loses"
    after = {z: n + change.starts.get(z, 0) - change.stops.get(z, 0) for z, n in counts.items()}
    assert min(after.values()) >= 0
    assert balanced(after) or started == room
    # no way to balance moves fewer tasks
    least = sum(max(0, n - -(-sum(counts.values()) // len(counts))) for n in counts.values())
    if balanced(after):
        base = sum(counts.values()) // len(counts)
        assert started <= least + sum(n > base for n in counts.values())


def hosts(rows: list[tuple[str, str | None, bool, bool, bool]]) -> list[DaemonHost]:
    return [DaemonHost(n, *row) for n, row in enumerate(rows)]  # type: ignore[arg-type]


HOSTS = st.lists(
    st.tuples(
        st.sampled_from(["wanted", "unmet", "draining"]),
        st.sampled_from([None, "pending", "undecided", "healthy", "unhealthy"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
).map(hosts)


@given(at=HOSTS, percent=st.integers(0, 100), failed=st.booleans(), resolving=st.booleans(), launches=st.integers(0, 5))
def test_a_daemon_step_keeps_its_bounds(
    at: list[DaemonHost], percent: int, failed: bool, resolving: bool, launches: int
) -> None:
    step = daemon_step(at, minimum_healthy_percent=percent, failed=failed, resolving=resolving, launches=launches)
    by_row = {h.host: h for h in at}
    assert step.desired == sum(h.place == "wanted" for h in at)
    assert len(step.starts) <= launches
    for row in step.starts:
        assert by_row[row].place == "wanted"
        assert by_row[row].standing is None
        assert not by_row[row].blocked
    assert not (failed and step.starts)
    healthy = sum(h.place == "wanted" and h.standing == "healthy" for h in at)
    given_up = [row for row, why in step.stops if why == "revision" and by_row[row].standing == "healthy"]
    assert not given_up or 100 * (healthy - len(given_up)) >= step.desired * percent
    assert len({row for row, _ in step.stops}) == len(step.stops)
    for row, why in step.stops:
        host = by_row[row]
        assert host.standing is not None
        assert (why == "draining") == (host.place == "draining")
        assert why != "draining" or host.alone
        assert why != "revision" or not host.newest
    assert not (step.complete and any(why in ("revision", "unhealthy") for _, why in step.stops))
    assert not (step.stalled and (step.starts or step.stops or step.complete))
