"""Published targets of the control plane Z1 to Z3: Availability Zone rebalancing.

Source: Amazon ECS Developer Guide, service-rebalancing.html.
"""

from __future__ import annotations

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
