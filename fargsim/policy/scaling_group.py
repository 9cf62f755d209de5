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
    """

    zone: int
    launched_at_us: int
    template_version: int = 1
    protected: bool = False


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
_HOUR: _Key = lambda i, now: HOUR_US - (now - i.launched_at_us) % HOUR_US  # noqa: E731

TERMINATION_POLICIES: dict[str, tuple[_Key, ...]] = {
    "Default": (_TEMPLATE, _HOUR),
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
