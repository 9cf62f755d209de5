"""EC2 Spot: rebalance recommendation, two-minute notice, the end; one by one by the hazard of the pool, or in bursts.

Source: Amazon EC2 User Guide, spot-instance-termination-notices.html and rebalance-recommendations.html; Amazon EC2 Auto Scaling User
Guide, ec2-auto-scaling-capacity-rebalancing.html; Amazon ECS Developer Guide, container-instance-spot.html
(ECS_ENABLE_SPOT_INSTANCE_DRAINING) and managed-instance-draining.html. How often: Spot Instance Advisor (`fargsim.policy.spot`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.catalog.prices import ec2_spot_market
from fargsim.catalog.store import CatalogError
from fargsim.policy.spot import INTERRUPTED, hazard_per_hour
from fargsim.sim.instance_states import drain
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.model.spot_faults import Ec2SpotReclaim
    from fargsim.sim.ec2_capacity import Ec2Capacity
    from fargsim.sim.groups import AutoScalingGroupRun
    from fargsim.sim.instances import InstanceRun

HOUR_US = 3600 * US_PER_S


def watch(kit: Kit, instance: InstanceRun) -> None:
    """Draw when EC2 takes a Spot instance back that has just come up, and let it come."""
    capacity = instance.group.capacity
    pool = (instance.instance_type, instance.zone)
    pools = capacity.spot_instances
    if pool not in pools:
        pools[pool] = {}
        if kit.parameters.number("spot_bursts_per_day"):
            kit.env.process(_bursts(kit, capacity, pool))
    pools[pool][instance.instance_id] = instance
    hazard = _hazard(kit, instance.instance_type)
    if hazard:
        hours = float(kit.streams[f"ec2-spot/{instance.group.name}"].standard_exponential()) / hazard
        # a notice cannot come before the instance is there, a recommendation not before that
        notice_at = kit.now + round(hours * HOUR_US)
        lead_us = kit.us("spot_rebalance_lead_s")
        kit.at(max(kit.now, notice_at - lead_us), lambda: recommend(kit, instance))
        kit.at(notice_at, lambda: notice(kit, instance))


def _hazard(kit: Kit, type_name: str) -> float:
    scale = kit.parameters.number("ec2_spot_hazard_scale")
    if not scale:
        return 0.0
    try:
        band = ec2_spot_market(type_name, kit.region).interruption_band
    except CatalogError:
        band = None
    top, unknown = (kit.parameters.number(f"spot_{name}_band_percent") for name in ("top", "unknown"))
    return scale * hazard_per_hour(band, top, unknown)


def recommend(kit: Kit, instance: InstanceRun) -> None:
    """Say that a Spot instance is at elevated risk: a group with CapacityRebalance launches another and lets this one go."""
    if instance.terminated_at is not None or instance.interrupted_at is not None:
        return
    _say(kit, instance, "EC2 Instance Rebalance Recommendation", "EC2_REBALANCE_RECOMMENDATION")
    if instance.group.spec.capacity_rebalance:
        instance.group.replace_ahead(instance, "rebalance recommendation")


def notice(kit: Kit, instance: InstanceRun) -> None:
    """Give the two-minute notice: drain where ECS or the agent does that; then the instance is gone with what is left on it."""
    if instance.terminated_at is not None or instance.interrupted_at is not None:
        return
    instance.interrupted_at = kit.now
    _say(kit, instance, "EC2 Spot Instance Interruption Warning", "EC2_SPOT_INTERRUPTION_WARNING")
    if instance.group.managed_draining or instance.group.spec.agent.ecs_enable_spot_instance_draining:
        drain(kit, instance)
    kit.at(kit.now + kit.us("spot_notice_s"), lambda: instance.group.lose(instance, INTERRUPTED))


def _say(kit: Kit, instance: InstanceRun, what: str, name: str) -> None:
    text = f"{what}: {instance.instance_id} ({instance.instance_type} in {instance.zone})"
    kit.event(instance.cluster.name, None, text, name, "WARN")


def _bursts(kit: Kit, capacity: Ec2Capacity, pool: tuple[str, str]) -> Generator[simpy.Event, Any, None]:
    """Take a share of a pool back at once, now and then, whoever has it; for a while it has nothing to give."""
    draws = kit.streams[f"ec2-spot-burst/{pool[0]}/{pool[1]}"]
    share = kit.parameters.number("spot_burst_share_percent") / 100
    mean_us = 24 * HOUR_US / kit.parameters.number("spot_bursts_per_day")
    while True:
        yield kit.env.timeout(round(float(draws.standard_exponential()) * mean_us))
        capacity.withdraw([pool[1]], kit.us("spot_burst_outage_s"), [pool[0]], ["spot"])
        for instance in capacity.spot_there([pool]):
            if float(draws.random()) < share:
                recommend(kit, instance)
                notice(kit, instance)


def reclaim(
    kit: Kit, capacity: Ec2Capacity, fault: Ec2SpotReclaim, group: AutoScalingGroupRun | None
) -> list[InstanceRun]:
    """Let EC2 take Spot instances back as a scenario says; returns which."""
    pools = [
        (name, zone)
        for name, zone in capacity.spot_instances
        if (not fault.zones or zone in fault.zones) and (not fault.instance_types or name in fault.instance_types)
    ]
    there = [i for i in capacity.spot_there(pools) if group is None or i.group is group]
    there.sort(key=lambda i: i.number)
    order = kit.streams["fault/ec2_spot_reclaim"].permutation(len(there))
    hit = sorted((there[n] for n in order[: fault.number(len(there))]), key=lambda i: i.number)
    if fault.no_capacity_for:
        for name, zone in pools:
            capacity.withdraw([zone], fault.no_capacity_for, [name], ["spot"])
    for instance in hit:
        recommend(kit, instance)
        if fault.rebalance_lead:
            kit.at(kit.now + fault.rebalance_lead, lambda instance=instance: notice(kit, instance))  # type: ignore[misc]
        else:
            notice(kit, instance)
    return hit
