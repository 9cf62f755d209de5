"""Where an Auto Scaling group launches instances and which ones it terminates.

Source: Amazon EC2 Auto Scaling User Guide, auto-scaling-benefits.html (zone balance) and ec2-auto-scaling-termination-policies.html;
Amazon EC2 Auto Scaling API Reference, API_CreateAutoScalingGroup.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class GroupInstance:
    """One instance in service.

    Parameters
    ----------
    zone
        Index of its zone.
    launched_at_us
        Instant of its launch.
    template_version
        Version of the launch template it was launched from.
    protected
        Whether it is protected from scale-in.
    off_plan
        How little the allocation strategies of a mixed group want it; the lowest figure goes first.
    """

    zone: int
    launched_at_us: int
    template_version: int = 1
    protected: bool = False
    off_plan: int = 0


def launch_zone(counts: Sequence[int]) -> int:
    """Return the zone of the next instance: the one with the fewest, in the group's order.

    >>> launch_zone([2, 1, 1])
    1
    """
    if not counts:
        raise ValueError("an Auto Scaling group needs one zone at least")
    return counts.index(min(counts))


_Key = Callable[[GroupInstance, int], float]
_OLDEST: _Key = lambda i, now: i.launched_at_us  # noqa: E731 - a table of keys reads best as one
_NEWEST: _Key = lambda i, now: -i.launched_at_us  # noqa: E731
_TEMPLATE: _Key = lambda i, now: i.template_version  # noqa: E731
_ALLOCATION: _Key = lambda i, now: i.off_plan  # noqa: E731
_HOUR: _Key = lambda i, now: HOUR_US - (now - i.launched_at_us) % HOUR_US  # noqa: E731

TERMINATION_POLICIES: dict[str, tuple[_Key, ...]] = {
    # of a mixed group the allocation strategies come first; elsewhere all instances are equal in that
    "Default": (_ALLOCATION, _TEMPLATE, _HOUR),
    "AllocationStrategy": (_ALLOCATION,),
    "OldestLaunchTemplate": (_TEMPLATE,),
    "OldestLaunchConfiguration": (_TEMPLATE,),
    "ClosestToNextInstanceHour": (_HOUR,),
    "OldestInstance": (_OLDEST,),
    "NewestInstance": (_NEWEST,),
}
"""What each termination policy prefers, as keys to be made small."""


def terminations(
    instances: Sequence[GroupInstance],
    number: int,
    now_us: int,
    draws: Sequence[float],
    policies: Sequence[str] = ("Default",),
) -> tuple[int, ...]:
    """Choose the instances to terminate, one after the other.

    In the zone with the most instances, of those that have one that is not protected; there by the group's policies in turn, and by lot
    where they leave several.

    Parameters
    ----------
    draws
        One uniform draw from [0, 1) for each instance to choose.
    policies
        ``TerminationPolicies`` of the group.

    Returns
    -------
    tuple of int
        Indices into `instances`; fewer than asked for where the rest is protected.

    Examples
    --------
    >>> group = [GroupInstance(0, 0), GroupInstance(0, 60), GroupInstance(1, 0)]
    >>> terminations(group, 1, now_us=3600, draws=[0.0], policies=("NewestInstance",))
    (1,)
    """
    unknown = [p for p in policies if p not in TERMINATION_POLICIES]
    if unknown:
        raise ValueError(f"unknown termination policy '{unknown[0]}': legal are {', '.join(TERMINATION_POLICIES)}")
    left = dict(enumerate(instances))
    chosen: list[int] = []
    for turn in range(number):
        counts: dict[int, int] = {}
        for instance in left.values():
            counts[instance.zone] = counts.get(instance.zone, 0) + 1
        able = [(index, instance) for index, instance in left.items() if not instance.protected]
        if not able:
            break
        most = max(counts[instance.zone] for _, instance in able)
        able = [(index, instance) for index, instance in able if counts[instance.zone] == most]
        for policy in policies:
            for key in TERMINATION_POLICIES[policy]:
                least = min(key(instance, now_us) for _, instance in able)
                able = [pair for pair in able if key(pair[1], now_us) == least]
        pick = able[min(int(draws[turn] * len(able)), len(able) - 1)][0]
        chosen.append(pick)
        del left[pick]
    return tuple(chosen)


def rebalancing(counts: Sequence[int]) -> tuple[int, int] | None:
    """Return the zones that a group out of balance launches in and then terminates from; None where it is in balance.

    Source: Amazon EC2 Auto Scaling User Guide, auto-scaling-benefits.html (rebalancing activities).

    Parameters
    ----------
    counts
        Instances by zone, of the zones that have capacity.

    Examples
    --------
    >>> rebalancing([3, 1, 2]), rebalancing([2, 1, 2])
    ((1, 0), None)
    """
    if len(counts) < 2 or max(counts) - min(counts) < 2:
        return None
    return counts.index(min(counts)), counts.index(max(counts))


def most_at_once(maximum: int) -> int:
    """Return the size that a group may reach while it rebalances: its maximum and ten percent of it, one instance at least.

    Source: Amazon EC2 Auto Scaling User Guide, auto-scaling-benefits.html.

    >>> most_at_once(5), most_at_once(40)
    (6, 44)
    """
    return maximum + max(maximum // 10, 1)


def refresh_batch(
    desired: int, healthy: int, launching: int, minimum_percent: int, maximum_percent: int
) -> tuple[int, int]:
    """Return how many instances a refresh may launch ahead and how many it may take away now.

    Source: Amazon EC2 Auto Scaling User Guide, asg-instance-refresh.html: with a maximum of 100 instances go first; above it replacements
    come first; where nothing could be replaced at all, one instance is.

    Parameters
    ----------
    healthy
        Instances in service and warm.
    launching
        Instances that are there but not warm yet.

    Examples
    --------
    >>> refresh_batch(10, 10, 0, 90, 100), refresh_batch(10, 9, 1, 90, 100), refresh_batch(10, 10, 0, 100, 110)
    ((0, 1), (0, 0), (1, 0))
    """
    least = -(-desired * minimum_percent // 100)
    most = desired * maximum_percent // 100
    if maximum_percent > 100:
        ahead = max(0, max(most, desired + 1) - healthy - launching)
        return ahead, max(0, healthy - max(least, desired))
    away = healthy - least
    if away <= 0 and healthy + launching >= desired and not launching:
        away = 1
    return 0, max(0, min(away, healthy))
