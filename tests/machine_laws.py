"""What must hold in a region after every step: ledgers, counts, requests, deployments."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import pairwise
from typing import Any

import hypothesis
from machine_world import ADDRESSES, CLUSTER, NAMES, World

from fargsim.sim.groups import InstanceRun
from fargsim.sim.kit import US_PER_S
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.state import TaskRun

ENDS = ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED")
NEXT_OF_DEPLOYMENT = {
    "IN_PROGRESS": {"SUCCESSFUL", "STOPPED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED"},
    "ROLLBACK_REQUESTED": {"ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED"},
    "ROLLBACK_IN_PROGRESS": {"ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"},
}
"""Amazon ECS API Reference, API_ServiceDeployment.html."""
OUTCOMES = ("served", "failed", "refused_full", "no_target", "cut_off", "timed_out", "client_closed", "in_flight")


def check(world: World, at_once: bool = False) -> None:
    """Check everything that holds at any instant.

    Parameters
    ----------
    at_once
        Whether something has just been done, so that what follows from it at this very instant has yet to happen.
    """
    ledgers(world)
    cores(world)
    addresses(world)
    account(world)
    for service in world.cluster.services.values():
        books(service, at_once)
        deployments(service)
        targets(service, at_once)
    answers(world, at_once)
    requests(world)


# ledgers


def ledgers(world: World) -> None:
    """What instances have given away is what their tasks hold, in the scheduler's ledger and in the host's; never more than there is."""
    cluster = world.cluster
    view = cluster.fleet.view()
    for row, instance in cluster.instances_by_row.items():
        assert instance.row == row
        held = [t.revision.needs for t in instance.tasks.values() if t.reserved]
        waiting = _held_for_daemons(world, row)
        held += waiting
        assert int(view.free_cpu_units[row]) == instance.cpu_units - sum(n.cpu_units for n in held) >= 0
        assert int(view.free_memory_mib[row]) == instance.memory_mib - sum(n.memory_mib for n in held) >= 0
        assert int(view.free_gpus[row]) == instance.gpus - sum(n.gpus for n in held) >= 0
        assert int(view.free_enis[row]) == instance.task_enis - sum(n.enis for n in held) >= 0
        fixed = [port for n in held for port in n.host_ports]
        agents = list(instance.group.spec.agent.reserved_ports)
        assert sorted(cluster.fleet.ports_of(row)) == sorted(fixed + agents), "no port is given away twice"
        assert bool(view.active[row]) == (instance.status == "ACTIVE")
        assert bool(view.agent_connected[row]) == (instance.reconnected is None)
    for group in world.registry.groups.values():
        for instance in group.instances.values():
            host(instance)
    on_ec2 = [t for t in cluster.tasks.values() if t.instance is not None and t.reserved]
    assert cluster.reserved_cpu_units == sum(t.revision.definition.cpu_units for t in on_ec2)
    assert cluster.reserved_memory_mib == sum(t.revision.definition.memory_mib for t in on_ec2)
    there = cluster.instances_by_row.values()
    assert cluster.registered_cpu_units == sum(i.cpu_units for i in there)
    assert cluster.registered_memory_mib == sum(i.memory_mib for i in there)
    # who is told to stop is not of the group any more; of a daemon service until it is STOPPING
    counted = [t for t in on_ec2 if t.alive or t.daemon]
    by_group = Counter((t.group, t.instance.row) for t in counted if t.instance is not None)
    for name, rows in view.groups.items():
        if not name.startswith("held:"):
            assert {(name, int(r)): int(rows[r]) for r in rows.nonzero()[0]} == {
                key: n for key, n in by_group.items() if key[0] == name
            }


def cores(world: World) -> None:
    """The cores of a shared instance: never more of them busy than there are, none idle while somebody wants one."""
    sharing = world.region.kit.sharing
    for instance in world.cluster.instances_by_row.values():
        shared = sharing.in_use(instance)
        if shared is not None:
            busy, wanted, there = shared
            assert abs(busy - min(wanted, there)) <= 1e-9 * max(1.0, there)
            hypothesis.event("an instance is shared" if wanted <= there else "a shared instance is short of cores")


def _held_for_daemons(world: World, row: int) -> list[Any]:
    found = []
    for service in world.cluster.services.values():
        held = getattr(service.controller, "_held", {})
        if row in held:
            found.append(held[row])
    return found


def host(instance: InstanceRun) -> None:
    """The host's own ledger."""
    there = [t for t in instance.tasks.values() if t.on_host]
    size = [t.revision.definition for t in there]
    assert instance.host_cpu_units == instance.cpu_units - sum(d.cpu_units for d in size) >= 0
    assert instance.host_memory_mib == instance.memory_mib - sum(d.memory_mib for d in size) >= 0
    assert instance.host_gpus == instance.gpus - sum(t.revision.needs.gpus for t in there) >= 0
    ports = [port for t in there for port in t.revision.needs.host_ports]
    assert len(ports) == len(set(ports))
    assert instance.host_ports == set(ports)
    chosen = [
        (port, protocol)
        for t in instance.tasks.values()
        for port, (_, _, protocol) in zip(t.dynamic_ports, t.revision.needs.dynamic_ports, strict=False)
    ]
    assert len(chosen) == len(set(chosen))
    for task in instance.tasks.values():
        assert task.instance is instance
        assert task.last_status != "STOPPED"


def addresses(world: World) -> None:
    """Every address of a subnet is free or some task's."""
    held = Counter(id(t.address) for t in world.cluster.tasks.values() if t.address is not None)
    for subnet in world.region.kit.surroundings.network.subnets.values():
        assert subnet.free is not None
        assert subnet.free == ADDRESSES - held[id(subnet)] >= 0
        assert not (subnet._waiting and subnet.free), "nobody waits while there is one"
    for task in world.cluster.tasks.values():
        if task.address is not None:
            assert task.address.spec.availability_zone == task.zone


def account(world: World) -> None:
    """Fargate's vCPUs are those of its tasks, and not more than the quota, on demand and on Spot apart."""
    registry, cluster = world.registry, world.cluster
    fargate = [t for t in cluster.tasks.values() if t.fargate and t.last_status not in ("DEPROVISIONING", "STOPPED")]
    for option in ("on_demand", "spot"):
        own = [t for t in fargate if registry.fargate.option(t.capacity_provider) == option]
        units = sum(t.revision.definition.cpu_units for t in own)
        assert registry.fargate._units[option] == units
        assert registry.fargate._tasks[option] == len(own)
        limit = world.region.kit.quotas[f"fargate_{option}_vcpu"]
        assert limit is None or units <= limit * 1024
    assert cluster.fargate_cpu_units == sum(t.revision.definition.cpu_units for t in fargate)
    spread: Counter[tuple[str, str, str]] = Counter()
    for task in cluster.tasks.values():
        if task.fargate and task.reserved and task.alive and task.zone is not None:
            spread[task.group, task.capacity_provider or task.launch_type, task.zone] += 1
    for (group, option), zones in cluster.zone_counts.items():
        for zone, number in zones.items():
            assert number == spread[group, option, zone]


# services


def books(service: ServiceRun, at_once: bool) -> None:
    """What a service counts is what its tasks are."""
    tasks = list(service.tasks.values())
    assert service.running == sum(t.last_status == "RUNNING" for t in tasks)
    standing: dict[TaskRun, str] = {}
    assert [d.status for d in service.deployments] == ["PRIMARY"] + ["ACTIVE"] * (len(service.deployments) - 1)
    for deployment in service.deployments:
        values = list(deployment.standing.values())
        assert deployment.counts == {name: values.count(name) for name in deployment.counts}
        own = [t for t in tasks if t.deployment_id == deployment.deployment_id]
        assert all(t in own for t in deployment.standing)
        assert deployment.stopping == len(own) - len(values)
        assert deployment.unnoticed >= 0
        assert deployment.wanted >= 0
        standing |= deployment.standing
    for task in tasks:
        unheard = at_once or (task.instance is not None and task.instance.reconnected is not None)
        assert (task in standing) == task.alive or (unheard and not task.alive), "who is wanted stands somewhere"
        assert task.healthy == (standing.get(task) == "healthy") or unheard
        if task in standing:
            assert (standing[task] == "pending") == (task.last_status in ("PROVISIONING", "PENDING", "ACTIVATING"))
        assert service.deployment_of(task) is not None
    if service.actions.steady and not at_once:
        assert_steady(service)


def assert_steady(service: ServiceRun) -> None:
    """A steady service has as many tasks as are desired, all of them healthy and none stopping."""
    assert len(service.tasks) == service.desired
    assert service.healthy == service.desired
    assert service.primary.rollout_state == "COMPLETED"
    assert service.primary.counts["healthy"] == service.desired


def deployments(service: ServiceRun) -> None:
    """Every deployment has one end, and only the newest has none yet."""
    rollouts = service.rollouts
    for entry in rollouts.all:
        statuses = [status for _, status in entry.changes]
        for before, after in pairwise(statuses):
            assert after in NEXT_OF_DEPLOYMENT[before], statuses
        assert entry.status == statuses[-1]
        assert entry.over == (entry.status in ENDS)
        assert [at for at, _ in entry.changes] == sorted(at for at, _ in entry.changes)
    assert all(entry.over for entry in rollouts.all[:-1])
    assert rollouts.of(service.primary) is rollouts.current
    assert rollouts.current.over == (service.primary.rollout_state != "IN_PROGRESS")
    newest = service.primary
    for deployment in service.deployments:
        assert (deployment.completed_at is None) == (deployment.rollout_state == "IN_PROGRESS")
        if deployment is not newest and deployment.watch is not None and rollouts_alarms(service) is not None:
            assert deployment.watch._changed not in rollouts_alarms(service)


def rollouts_alarms(service: ServiceRun) -> Any:
    """Who hears of changes of alarms, as the newest deployment's watch knows it."""
    watch = service.primary.watch
    return None if watch is None or watch._source is None else watch._source.on_change


def targets(service: ServiceRun, at_once: bool) -> None:
    """Who is registered with a target group is a task that runs or is on its way out."""
    for task in service.tasks.values():
        for group, target in task.targets:
            assert target.task is task
            assert (target.state == "unused") == (task.task_id not in group.targets)
            if task.alive:
                assert target.state in ("initial", "healthy", "unhealthy")
    for group in service._groups_so_far:
        for target in group.targets.values():
            assert target.task.last_status in ("RUNNING", "DEACTIVATING", "STOPPING")
            assert any(t is target for _, t in target.task.targets)


# what the verbs say


def answers(world: World, at_once: bool) -> None:
    """Counts that the describing verbs give agree with the tasks that they list."""
    ecs, cluster = world.region.ecs, world.cluster
    arns = ecs.list_tasks()["taskArns"] + ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    answer = ecs.describe_tasks(tasks=arns)
    assert not answer["failures"]
    tasks = answer["tasks"]
    assert len({t["taskArn"] for t in tasks}) == len(tasks)
    status = Counter(t["lastStatus"] for t in tasks)
    [shown] = ecs.describe_clusters(clusters=[CLUSTER])["clusters"]
    assert shown["runningTasksCount"] == status["RUNNING"]
    assert shown["pendingTasksCount"] == status["PROVISIONING"] + status["PENDING"] + status["ACTIVATING"]
    assert shown["activeServicesCount"] == len(world.services())
    assert {name: n for name, n in cluster.counts.items() if name != "STOPPED" and n} == {
        name: n for name, n in status.items() if name != "STOPPED"
    }
    for task in tasks:
        if task["lastStatus"] == "STOPPED":
            assert task["desiredStatus"] == "STOPPED"
            assert task["stopCode"]
            assert task["stoppedReason"]
            assert all(c["lastStatus"] == "STOPPED" for c in task["containers"])
        if task["lastStatus"] == "RUNNING":
            assert "startedAt" in task
    for service in ecs.describe_services(services=list(cluster.services))["services"]:
        own = [t for t in tasks if t["group"] == f"service:{service['serviceName']}"]
        assert service["runningCount"] == sum(t["lastStatus"] == "RUNNING" for t in own)
        pending = ("PROVISIONING", "PENDING", "ACTIVATING")
        wanted = sum(t["lastStatus"] in pending and t["desiredStatus"] == "RUNNING" for t in own)
        # one whose agent is cut off has not heard yet that it is to stop
        most = sum(t["lastStatus"] in pending for t in own)
        assert at_once or wanted <= service["pendingCount"] <= most
        assert sum(d["runningCount"] for d in service["deployments"]) <= service["runningCount"]
        assert sum(d["pendingCount"] for d in service["deployments"]) == service["pendingCount"]
    names = ecs.list_container_instances()["containerInstanceArns"]
    assert len(names) == shown["registeredContainerInstancesCount"]
    for instance in ecs.describe_container_instances(containerInstances=names)["containerInstances"]:
        here = [t for t in tasks if t.get("containerInstanceArn") == instance["containerInstanceArn"]]
        assert instance["runningTasksCount"] == sum(t["lastStatus"] == "RUNNING" for t in here)


# requests


def requests(world: World) -> None:
    """Every request that has arrived has ended one way or is in flight, and the parts of a split make up the whole."""
    now = world.now_us
    for name in NAMES:
        arrived = 0
        for kind in ("ip", "instance"):
            for colour in ("blue", "green"):
                group = world.registry.target_group(f"{name}-{kind}-{colour}")
                if group.bridge is None:
                    continue
                group.bridge.advance(now)
                counters = group.bridge.plane.counters()
                assert counters.arrived == sum(getattr(counters, outcome) for outcome in OUTCOMES)
                assert min(getattr(counters, outcome) for outcome in OUTCOMES) >= 0
                arrived += counters.arrived
        before = sum(bisect_left(instants, now) for instants in world.arrivals[name])
        after = sum(bisect_right(instants, now) for instants in world.arrivals[name])
        assert before <= arrived <= after


def rested(world: World) -> None:
    """Nothing is left of anything: after the last service has gone."""
    cluster = world.cluster
    assert not cluster.tasks
    assert not cluster.waiting
    for instance in cluster.instances_by_row.values():
        assert not instance.tasks
        assert instance.host_cpu_units == instance.cpu_units
    assert world.registry.fargate.vcpu_in_use == 0
    for name in NAMES:
        for kind in ("ip", "instance"):
            for colour in ("blue", "green"):
                group = world.registry.target_group(f"{name}-{kind}-{colour}")
                assert not group.targets
                if group.bridge is not None:
                    assert group.bridge.plane.counters().in_flight == 0
    assert world.now_us > US_PER_S
