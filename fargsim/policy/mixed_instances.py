"""Mixed instances groups: on demand or Spot, and of which type.

Source: Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-mixed-instances-groups.html and allocation-strategies.html.

Stand-in: AWS knows how much spare capacity each Spot pool has and publishes none of it. What it does publish is the share of capacity
reclaimed in the past month (Spot Instance Advisor), so here the pools "with the most capacity" are those of the lowest interruption band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fargsim.model.group_options import InstancesDistribution

Market = Literal["on-demand", "spot"]
DEFAULT_SPOT_POOLS = 2
"""``SpotInstancePools`` where nothing is said."""


@dataclass(frozen=True, slots=True)
class Pool:
    """An instance type as it can be bought in one market of a zone.

    Parameters
    ----------
    instance_type
        Its name.
    priority
        Its place in the list of overrides, from 0.
    price_usd
        Per hour, in the market in question.
    band
        Rank of its interruption band, from 0 for the lowest; of Spot only.
    """

    instance_type: str
    priority: int
    price_usd: float
    band: int = 0


def on_demand_share(size: int, distribution: InstancesDistribution) -> int:
    """Return how many of a group's instances are on demand: the base, and its share above it, rounded up.

    >>> distribution = InstancesDistribution(on_demand_base_capacity=10, on_demand_percentage_above_base_capacity=50)
    >>> [on_demand_share(n, distribution) for n in (10, 20, 30, 40)]
    [10, 15, 20, 25]
    """
    above = max(0, size - distribution.on_demand_base_capacity)
    share = -(-above * distribution.on_demand_percentage_above_base_capacity // 100)
    return min(size, distribution.on_demand_base_capacity) + share


def next_market(on_demand: int, spot: int, distribution: InstancesDistribution) -> Market:
    """Return how the next instance is bought.

    >>> half = InstancesDistribution(on_demand_percentage_above_base_capacity=50)
    >>> next_market(0, 0, half), next_market(1, 0, half), next_market(1, 1, half)
    ('on-demand', 'spot', 'on-demand')
    """
    return "on-demand" if on_demand < on_demand_share(on_demand + spot + 1, distribution) else "spot"


def surplus_market(on_demand: int, spot: int, distribution: InstancesDistribution) -> Market | None:
    """Return the market that has too many instances once one is taken away; None in an empty group.

    >>> surplus_market(3, 2, InstancesDistribution(on_demand_percentage_above_base_capacity=50))
    'on-demand'
    """
    if not on_demand + spot:
        return None
    return "on-demand" if on_demand > on_demand_share(on_demand + spot - 1, distribution) else "spot"


def preference(
    pools: Sequence[Pool], market: Market, distribution: InstancesDistribution, there: Mapping[str, int]
) -> list[Pool]:
    """Return the pools of a zone in the order in which a launch tries them.

    Parameters
    ----------
    there
        Instances of the group in that zone and market, by type: ``lowest-price`` spreads them over its pools.

    Examples
    --------
    >>> pools = [Pool("m5.large", 0, 0.04, band=3), Pool("m6i.large", 1, 0.03, band=1), Pool("m5a.large", 2, 0.035, band=0)]
    >>> def first(strategy):
    ...     return preference(pools, "spot", InstancesDistribution(spot_allocation_strategy=strategy), {})[0].instance_type
    >>> first("lowest-price"), first("capacity-optimized")
    ('m6i.large', 'm5a.large')
    """
    by_price = sorted(pools, key=lambda p: (p.price_usd, p.priority))
    by_priority = sorted(pools, key=lambda p: p.priority)
    if market == "on-demand":
        return by_price if distribution.on_demand_allocation_strategy == "lowest-price" else by_priority
    strategy = distribution.spot_allocation_strategy
    if strategy == "lowest-price":
        number = distribution.spot_instance_pools or DEFAULT_SPOT_POOLS
        chosen = sorted(by_price[:number], key=lambda p: there.get(p.instance_type, 0))
        return [*chosen, *by_price[number:]]
    if strategy == "capacity-optimized-prioritized":
        return sorted(by_priority, key=lambda p: p.band)
    # price-capacity-optimized takes the cheapest of the pools with the most capacity; with capacity alone as the aim,
    # what decides between equals is the order of the list
    return sorted(by_price if strategy == "price-capacity-optimized" else by_priority, key=lambda p: p.band)
