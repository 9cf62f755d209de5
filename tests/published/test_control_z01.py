"""Published targets of the control plane Z1 to Z3: Availability Zone rebalancing.

Source: Amazon ECS Developer Guide, service-rebalancing.html.
"""

from __future__ import annotations

from collections import Counter

import pytest
from sim_helpers import SUBNETS, exact_region, network, register

from fargsim.policy.rebalancing import Moves, balanced, moves


def test_control_z01_two_tasks_in_one_of_two_zones_one_starts_then_one_stops():
    assert moves({"us-east-1a": 2, "us-east-1b": 0}, room=2) == Moves({"us-east-1b": 1}, {"us-east-1a": 1})


def test_control_z02_three_tasks_in_two_zones_are_balanced_as_one_and_two():
    assert balanced({"a": 1, "b": 2})
    assert moves({"a": 1, "b": 2}, room=3) == Moves({}, {})
    assert moves({"a": 3, "b": 0}, room=3) == Moves({"b": 1}, {"a": 1})


def test_control_z03_five_tasks_in_three_zones_are_balanced_as_two_two_one():
    assert balanced({"a": 2, "b": 2, "c": 1})
    for counts in ({"a": 5, "b": 0, "c": 0}, {"a": 3, "b": 2, "c": 0}, {"a": 0, "b": 4, "c": 1}):
        change = moves(counts, room=5)
        after = {z: n + change.starts.get(z, 0) - change.stops.get(z, 0) for z, n in counts.items()}
        assert sorted(after.values()) == [1, 2, 2]


@pytest.mark.parametrize(
    ("desired", "zones", "lopsided", "even"),
    [(2, 2, [2], [1, 1]), (3, 2, [3], [1, 2]), (5, 3, [2, 3], [1, 2, 2])],
    ids=["z01", "z02", "z03"],
)
def test_control_z01_to_z03_in_a_service(desired: int, zones: int, lopsided: list[int], even: list[int]) -> None:
    """The last of the zones has no capacity when the service begins; once it has, zones come into balance."""
    region = exact_region()
    register(region)
    subnets = list(SUBNETS)[:zones]
    region.registry.fargate.capacity.withdraw([SUBNETS[subnets[-1]]], ["on_demand"], 90_000_000)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network(*subnets),
    )
    tasks = region.registry.service("default", "web").tasks
    region.run(until="80 s")
    assert sorted(Counter(t.zone for t in tasks.values()).values()) == lopsided
    least = desired
    for second in range(80, 600, 5):
        region.run(until=f"{second} s")
        least = min(least, sum(t.alive and t.last_status == "RUNNING" for t in tasks.values()))
    assert sorted(Counter(t.zone for t in tasks.values()).values()) == even
    assert least == desired, "a task starts before another stops"
