"""Availability Zone rebalancing: which services can have it, and which tasks start and stop where.

Source: Amazon ECS Developer Guide, service-rebalancing.html; Amazon ECS API Reference, API_CreateService.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fargsim.model.service import CreateService

ZONE = "ecs.availability-zone"


@dataclass(frozen=True, slots=True)
class Moves:
    """What brings zones into balance.

    Parameters
    ----------
    starts, stops
        Tasks by zone; of zones in which none start or stop there is no entry.
    """

    starts: dict[str, int]
    stops: dict[str, int]


def why_not_rebalanced(spec: CreateService) -> str | None:
    """Say why a service cannot have its zones rebalanced; None where it can.

    Examples
    --------
    >>> why_not_rebalanced(CreateService(serviceName="web", taskDefinition="web"))
    >>> binpack = [{"type": "binpack", "field": "memory"}, {"type": "spread", "field": "attribute:ecs.availability-zone"}]
    >>> why_not_rebalanced(CreateService(serviceName="web", taskDefinition="web", placementStrategy=binpack))
    'its first placement strategy is not a spread over attribute:ecs.availability-zone'
    """
    if spec.scheduling_strategy == "DAEMON":
        return "it is a daemon service"
    if spec.launch_type == "EXTERNAL" or spec.deployment_controller.type == "EXTERNAL":
        return "it is EXTERNAL"
    most = spec.deployment_configuration.maximum_percent
    if most is not None and most <= 100:
        return f"maximumPercent is {most}: a task must be able to start before another stops"
    if any(b.load_balancer_name is not None for b in spec.load_balancers):
        return "it is behind a Classic Load Balancer"
    first = next(iter(spec.placement_strategy), None)
    if first is not None and not (first.type == "spread" and first.field == f"attribute:{ZONE}"):
        return f"its first placement strategy is not a spread over attribute:{ZONE}"
    if any(c.expression is not None and ZONE in c.expression for c in spec.placement_constraints):
        return f"a placement constraint asks for {ZONE}"
    return None


def balanced(counts: Mapping[str, int]) -> bool:
    """Whether no zone has two tasks more than another.

    >>> balanced({"a": 1, "b": 2}), balanced({"a": 2, "b": 0}), balanced({"a": 2, "b": 2, "c": 1})
    (True, False, True)
    """
    return not counts or max(counts.values()) - min(counts.values()) <= 1


def moves(counts: Mapping[str, int], room: int) -> Moves:
    """Return which tasks start in the zones with the fewest, and which stop in those with the most once the others are healthy.

    In balance every zone has the same number, and the rest one more each: those that have the most now. As many stop as start.

    Parameters
    ----------
    counts
        Tasks by zone, the zones without any included.
    room
        How many tasks may start beside those that are there.

    Examples
    --------
    >>> moves({"a": 2, "b": 0}, room=2)
    Moves(starts={'b': 1}, stops={'a': 1})
    >>> moves({"a": 5, "b": 0, "c": 0}, room=5)
    Moves(starts={'b': 2, 'c': 1}, stops={'a': 3})
    """
    starts: dict[str, int] = {}
    stops: dict[str, int] = {}
    now = dict(counts)
    for _ in range(max(0, room)):
        if balanced(now):
            break
        fewest = min(now, key=lambda zone: now[zone])
        most = max(now, key=lambda zone: now[zone])
        starts[fewest] = starts.get(fewest, 0) + 1
        stops[most] = stops.get(most, 0) + 1
        now[fewest] += 1
        now[most] -= 1
    return Moves(starts, stops)
