"""What a group launches next: market, zone and type; and which of its instances its allocation strategies would have first to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fargsim.catalog.prices import ec2_on_demand_price, ec2_spot_market, ec2_spot_price
from fargsim.catalog.store import CatalogError
from fargsim.policy.mixed_instances import Market, Pool, next_market, preference, surplus_market
from fargsim.policy.spot import band_rank
from fargsim.sim.ec2_capacity import Ec2Capacity
from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.model.capacity import AutoScalingGroup, LaunchTemplateData
    from fargsim.sim.instances import InstanceRun

Choice = tuple[str, Market, str]
"""Instance type, market and zone."""


class LaunchChoice:
    """Chooses pools for one group."""

    def __init__(self, kit: Kit, spec: AutoScalingGroup, template: LaunchTemplateData, capacity: Ec2Capacity) -> None:
        self._kit = kit
        self._capacity = capacity
        self.types = spec.overrides or (template.instance_type,)
        """The instance types it may launch, in their order."""
        mixed = spec.mixed_instances_policy
        self._distribution = None if mixed is None else mixed.instances_distribution
        self._plain: Market = "spot" if template.instance_market_options else "on-demand"
        self._best_effort = spec.availability_zone_distribution.capacity_distribution_strategy == "balanced-best-effort"
        self._pools: dict[Market, list[Pool]] = {}

    def next(self, there: Sequence[InstanceRun], zones: Sequence[str], counts: Sequence[int]) -> Choice | None:
        """Return what is launched next, or None where there is no capacity for it.

        The zones are tried from the one with the fewest instances on; a group that is to stay balanced tries no other. Spot capacity that
        is missing is never made up for on demand.

        Parameters
        ----------
        there
            Instances of the group.
        counts
            Its instances by zone.
        """
        market = self._plain
        if self._distribution is not None:
            spot = sum(1 for i in there if i.market == "spot")
            market = next_market(len(there) - spot, spot, self._distribution)
        order = sorted(range(len(zones)), key=lambda n: counts[n])
        if not self._best_effort:
            order = [n for n in order if counts[n] == counts[order[0]]]
        for n in order:
            for name in self._order(market, zones[n], there):
                if self._capacity.open(market, name, zones[n]):
                    return name, market, zones[n]
        return None

    def _order(self, market: Market, zone: str, there: Iterable[InstanceRun]) -> list[str]:
        if self._distribution is None or len(self.types) == 1:
            return list(self.types)
        here = Counter(i.instance_type for i in there if i.zone == zone and i.market == market)
        return [p.instance_type for p in preference(self._of(market), market, self._distribution, here)]

    def _of(self, market: Market) -> list[Pool]:
        if market not in self._pools:
            self._pools[market] = [pool_of(name, n, market, self._kit.region) for n, name in enumerate(self.types)]
        return self._pools[market]

    def off_plan(self, there: Sequence[InstanceRun]) -> list[int]:
        """Return for each instance how little the allocation strategies want it: the lowest figure goes first."""
        if self._distribution is None:
            return [0] * len(there)
        spot = sum(1 for i in there if i.market == "spot")
        surplus = surplus_market(len(there) - spot, spot, self._distribution)
        ranks = {
            market: {
                p.instance_type: n for n, p in enumerate(preference(self._of(market), market, self._distribution, {}))
            }
            for market in sorted({i.market for i in there})
        }
        return [
            -ranks[i.market].get(i.instance_type, len(self.types)) - (len(self.types) + 1) * (i.market == surplus)
            for i in there
        ]


def pool_of(name: str, priority: int, market: Market, region: str) -> Pool:
    """Return a type as a market of a region offers it; where the catalogue has no price it counts as the dearest."""
    try:
        if market == "on-demand":
            return Pool(name, priority, ec2_on_demand_price(name, region).value)
        band = band_rank(ec2_spot_market(name, region).interruption_band)
        return Pool(name, priority, ec2_spot_price(name, region).value, band)
    except CatalogError:
        return Pool(name, priority, float("inf"), band_rank(None))
