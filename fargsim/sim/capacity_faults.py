"""Faults of capacity: Spot taken back, EC2 capacity that is missing, instances that fail their status checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.policy.mixed_instances import Market
from fargsim.sim.ec2_capacity import EVERY
from fargsim.sim.spot import reclaim

if TYPE_CHECKING:
    from fargsim.model.timeline import Fault
    from fargsim.sim.region import Region

MARKETS: tuple[Market, ...] = ("on-demand", "spot")


def break_capacity(region: Region, fault: Fault) -> None:
    """Let a fault of capacity happen now."""
    kit, registry = region.kit, region.registry
    if fault.ec2_spot_reclaim is not None:
        name = fault.ec2_spot_reclaim.auto_scaling_group
        group = None if name is None else registry.group(name)
        hit = reclaim(kit, registry.ec2, fault.ec2_spot_reclaim, group)
        _tell(region, f"fault: ec2_spot_reclaim: {len(hit)} Spot instances are taken back")
    if fault.fargate_spot_reclaim is not None:
        tasks = region.fargate_spot.reclaim(fault.fargate_spot_reclaim)
        _tell(region, f"fault: fargate_spot_reclaim: {len(tasks)} Fargate Spot tasks are taken back")
    if fault.ec2_capacity_unavailable is not None:
        outage = fault.ec2_capacity_unavailable
        markets = MARKETS if outage.market is None else (outage.market,)
        registry.ec2.withdraw(outage.zones or kit.zones, outage.for_, outage.instance_types or (EVERY,), markets)
        _tell(region, "fault: ec2_capacity_unavailable")
    if fault.instance_impaired is not None:
        impaired = fault.instance_impaired
        there = sorted(registry.group(impaired.auto_scaling_group).in_service, key=lambda i: i.number)
        for instance in there[: impaired.count]:
            noticed = kit.now + kit.us("asg_health_replace_delay_s")
            kit.at(noticed, lambda i=instance: i.group.replace(i, "failed status checks"))  # type: ignore[misc]
        _tell(region, f"fault: instance_impaired: {min(len(there), impaired.count)} instances fail their status checks")


def _tell(region: Region, text: str) -> None:
    for cluster in region.registry.clusters.values():
        region.kit.event(cluster.name, None, text, "FAULT", "WARN")
