"""The faults of a timeline: zones that go dark or are impaired, instances and tasks that are lost, capacity that is missing.

AWS does not publish how soon the control plane gives up what a dark zone held; these times are parameters: ``zone_outage_noticed_s`` for
Fargate tasks, ``asg_health_replace_delay_s`` for instances (Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-health-checks.html: a few
minutes). Balancers find out by themselves, by health checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fargsim.model.faults import AzImpairment, AzOutage, InstanceLoss, TaskHang
from fargsim.model.timeline import FargateCapacityUnavailable, Fault
from fargsim.sim.agents import cut_off
from fargsim.sim.capacity_faults import break_capacity
from fargsim.sim.containers import set_health
from fargsim.sim.instance_states import disconnect
from fargsim.sim.kit import US_PER_S
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import crash, stop_task

if TYPE_CHECKING:
    from fargsim.sim.groups import InstanceRun
    from fargsim.sim.region import Region

BOTH = ("on_demand", "spot")
LOST = "Task stopped: availability zone {zone} is unavailable"


def break_something(region: Region, fault: Fault) -> None:
    """Let a fault happen now."""
    if fault.task_crash is not None:
        for task in oldest_running(region, fault.task_crash.cluster, fault.task_crash.service, fault.task_crash.count):
            crash(region.kit, task, fault.task_crash.exit_code)
    if fault.task_hang is not None:
        _hang(region, fault.task_hang)
    if fault.fargate_capacity_unavailable is not None:
        _no_fargate(region, fault.fargate_capacity_unavailable)
    if fault.agent_disconnected is not None:
        cut_off(region, fault.agent_disconnected)
    if fault.instance_loss is not None:
        _lose_instances(region, fault.instance_loss)
    if fault.az_outage is not None:
        _darken(region, fault.az_outage)
    if fault.az_impairment is not None:
        _impair(region, fault.az_impairment)
    if fault.fargate_platform_revision is not None:
        region.retirement.publish(fault.fargate_platform_revision.wait)
    break_capacity(region, fault)


def oldest_running(region: Region, cluster: str, service: str | None, number: int) -> list[TaskRun]:
    """Return the oldest running tasks of a service."""
    assert service is not None
    tasks = region.registry.service(cluster, service).tasks.values()
    running = [t for t in tasks if t.alive and t.last_status == "RUNNING"]
    return sorted(running, key=lambda t: t.number)[:number]


def _no_fargate(region: Region, fault: FargateCapacityUnavailable) -> None:
    options = {"FARGATE": ("on_demand",), "FARGATE_SPOT": ("spot",), None: BOTH}[fault.provider]
    region.registry.fargate.capacity.withdraw(fault.zones or region.kit.zones, options, fault.for_)


def _instances(region: Region) -> Iterator[InstanceRun]:
    for group in region.registry.groups.values():
        yield from sorted(group.every_instance, key=lambda i: i.number)


def _lose_instances(region: Region, fault: InstanceLoss) -> None:
    there = [
        i
        for i in _instances(region)
        if fault.instance_id in (None, i.instance_id)
        and fault.zone in (None, i.zone)
        and fault.auto_scaling_group in (None, i.group.name)
        and i.instance_id in {o.instance_id for o in i.group.in_service}
    ]
    for instance in sorted(there, key=lambda i: i.number)[: fault.count]:
        instance.group.lose(instance, "fault: instance_loss")


# zones


def _told(region: Region, text: str, name: str) -> None:
    for cluster in region.registry.clusters.values():
        region.kit.event(cluster.name, None, text, name, "ERROR" if name.endswith("STARTED") else "INFO")


def _launches_refused(region: Region, zone: str, for_us: int) -> None:
    region.registry.fargate.capacity.withdraw((zone,), BOTH, for_us)
    region.registry.ec2.withdraw((zone,), for_us)


def _darken(region: Region, fault: AzOutage) -> None:
    """Let a zone go dark: its targets answer nobody any more, and some time later ECS and Auto Scaling give up what was there."""
    kit, zone = region.kit, fault.zone
    tasks = [t for c in region.registry.clusters.values() for t in c.tasks.values() if t.zone == zone]
    instances = [i for i in _instances(region) if i.zone == zone]
    states = region.zone_states
    states.dark[zone] = max(states.dark.get(zone, 0), kit.now + fault.for_)
    running = sum(t.last_status == "RUNNING" for t in tasks)
    _told(
        region,
        f"fault: az_outage: {zone} is dark, {running} running tasks, {len(instances)} instances",
        "AZ_OUTAGE_STARTED",
    )
    _launches_refused(region, zone, fault.for_)
    _balancer_nodes(region)
    for instance in instances:
        disconnect(kit, instance)
    for task in tasks:
        for group, target in task.targets:
            group.meet(target, states.contact(task, group))
            group.restarted(target, None)  # what it held is cut off
        if task.started_at is None and task.fargate:
            _lose(region, task)
    kit.at(kit.now + kit.us("zone_outage_noticed_s"), lambda: _give_up(region, [t for t in tasks if t.fargate]))
    kit.at(kit.now + kit.us("asg_health_replace_delay_s"), lambda: _terminate(instances))
    kit.at(kit.now + fault.for_, lambda: _light_up(region, zone))


def _lose(region: Region, task: TaskRun) -> None:
    stop_task(region.kit, task, Stop("TerminationNotice", LOST.format(zone=task.zone), kill=True))


def _give_up(region: Region, tasks: list[TaskRun]) -> None:
    for task in tasks:
        if task.last_status != "STOPPED":
            _lose(region, task)


def _terminate(instances: list[InstanceRun]) -> None:
    for instance in instances:
        instance.group.lose(instance, "fault: az_outage")


def _light_up(region: Region, zone: str) -> None:
    if region.zone_states.dark.get(zone, 0) <= region.kit.now:
        region.zone_states.dark.pop(zone, None)
        _told(region, f"fault: az_outage: {zone} is back", "AZ_OUTAGE_ENDED")
        _balancer_nodes(region)


def _balancer_nodes(region: Region) -> None:
    """Take the balancer nodes of dark zones out, or in again: DNS answers with those of the other zones."""
    for group in region.registry.target_groups.values():
        group.close_zones(frozenset(n for n, zone in enumerate(group.zones) if region.zone_states.is_dark(zone)))


def _impair(region: Region, fault: AzImpairment) -> None:
    kit, zone = region.kit, fault.zone
    region.zone_states.impair(zone, fault.share, kit.now + fault.for_)
    _told(region, f"fault: az_impairment: {fault.share:.0%} of {zone} cannot be reached", "AZ_IMPAIRMENT_STARTED")
    _launches_refused(region, zone, fault.for_)
    _meet_again(region, zone)

    def over() -> None:
        region.zone_states.recover(zone)
        _told(region, f"fault: az_impairment: {zone} is as before", "AZ_IMPAIRMENT_ENDED")
        _meet_again(region, zone)

    kit.at(kit.now + fault.for_, over)


def _meet_again(region: Region, zone: str) -> None:
    """Let balancers meet the tasks of a zone as they are to be met now."""
    for group in region.registry.target_groups.values():
        for target in list(group.targets.values()):
            if target.task.zone == zone:
                group.meet(target, region.zone_states.contact(target.task, group))


# tasks


def _hang(region: Region, fault: TaskHang) -> None:
    """Let applications hang: requests and checks get no answer, whether of a balancer or of the container's own health check."""
    kit, states = region.kit, region.zone_states
    tasks = oldest_running(region, fault.cluster, fault.service, fault.count)

    def checks(task: TaskRun, healthy: bool) -> None:
        found = [
            c.health_check for c in task.revision.definition.container_definitions if c.health_check and c.essential
        ]
        if found and task.machine is None:
            after = found[0].interval * (1 if healthy else found[0].retries) + (0 if healthy else found[0].timeout)
            status = "HEALTHY" if healthy else "UNHEALTHY"
            kit.at(
                kit.now + after * US_PER_S,
                lambda: set_health(task, status) if (task not in states.hung) == healthy else None,
            )

    def over() -> None:
        for task in tasks:
            states.hung.discard(task)
            checks(task, healthy=True)
            for group, target in task.targets:
                group.meet(target, states.contact(task, group))
                group.restarted(target, kit.now)

    for task in tasks:
        states.hung.add(task)
        checks(task, healthy=False)
        for group, target in task.targets:
            group.meet(target, states.contact(task, group))
            group.restarted(target, None)
    if fault.for_ is not None:
        kit.at(kit.now + fault.for_, over)
