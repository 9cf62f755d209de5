"""How a shaken region ends: faults over, capacity given, time passed; every service has what it wants, or an event says why not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import machine_laws
from machine_watch import CODES, Watch
from machine_world import CLUSTER, FAMILIES, FLEETS, NAMES, SOUND, TRAFFIC_ENDS_S, S, World

from fargsim.sim.service_scheduler import ServiceRun

EXPLAINED = (
    "unable to place",
    "unable to consistently start",
    "unable to stop or start",
    "is unhealthy",
    "deployment failed",
    "unable to scale in",
    "unable to reach steady state",
    "capacity limit",
)
"""What an event says where a service cannot have what it wants."""
NO_PLACE = ("unable to place", "No Container Instances were found")
QUIET_S = 3600
WANTED = 2


def finish(world: World, watch: Watch) -> None:
    """Bring a region to its end and check everything on the way."""
    faults_end(world, watch)
    for service in world.services():
        explained(world, service)
    all_is_well(world, watch)
    everything_goes(world, watch)
    machine_laws.rested(world)
    tables(world)


def pass_time(world: World, watch: Watch, for_s: int) -> None:
    """Let time pass, looking on."""
    end = world.now_us + for_s * S
    while world.now_us < end:
        world.region.run(until=min(end, world.now_us + 211 * S))
        watch.containers()
        machine_laws.check(world)


def faults_end(world: World, watch: Watch) -> None:
    """Faults are over, what drained is active again, standalone tasks go, groups are as large as they may be; nothing else is touched."""
    pass_time(world, watch, max(0, world.faults_end_us - world.now_us) // S + 1)
    for arn in world.region.ecs.list_container_instances(status="DRAINING")["containerInstanceArns"]:
        world.ecs("update_container_instances_state", containerInstances=[arn], status="ACTIVE")
    for task in list(world.cluster.tasks.values()):
        if task.service is None:
            while task.alive and world.ecs("stop_task", task=task.task_id) is None:
                pass_time(world, watch, 1)
    for name, (_, _, most) in FLEETS.items():
        world.attempt("autoscaling", "set_desired_capacity", AutoScalingGroupName=name, DesiredCapacity=most)
    pass_time(world, watch, QUIET_S)


def explained(world: World, service: ServiceRun) -> None:
    """A service is steady, or there is a reason that can be seen."""
    if service.actions.steady:
        machine_laws.assert_steady(service)
        return
    said = [message for _, message in service.events.newest()]
    kinds = {world.kinds[d.revision.definition.family, d.revision.number] for d in service.deployments}
    if not kinds <= set(SOUND):
        return  # a revision that does not stay up: what becomes of it is the laws of deployments
    reasons = {
        "failed": any(d.rollout_state == "FAILED" for d in service.deployments),
        "event": any(part in message for part in EXPLAINED for message in said),
        "protected": len(service.protection) > 0,
        "waits for instances": any(t.task_id in world.cluster.waiting for t in service.tasks.values()),
        "scaled": any(t.host_drains for t in service.tasks.values()) or _scales(world, service),
    }
    counts = [(d.rollout_state, d.wanted, dict(d.counts)) for d in service.deployments]
    assert any(reasons.values()), (service.name, service.desired, counts, kinds, said[:3])


def _scales(world: World, service: ServiceRun) -> bool:
    """Whether something goes on changing the desired count."""
    return (CLUSTER, service.name) in world.region.application_autoscaling._targets


def all_is_well(world: World, watch: Watch) -> None:
    """Whatever could be in the way is taken away, and every service is given a sound revision: it arrives."""
    room = "application_autoscaling"
    for name in NAMES:
        world.attempt(room, "deregister_scalable_target", ResourceId=f"service/{CLUSTER}/{name}")
    world.attempt("cloudwatch", "delete_alarms", AlarmNames=["high"])
    pass_time(world, watch, 20)  # the rates of the API have their tokens back
    for family in FAMILIES:
        while not world.register(family, "good"):
            pass_time(world, watch, 1)
    for service in world.services():
        world.ecs("update_task_protection", service=service.name, count=50, protectionEnabled=False)
        family = service.revision.definition.family
        daemon = service.spec.scheduling_strategy == "DAEMON"
        strategy = service.spec.deployment_configuration.strategy
        # what an update leaves out stays
        configuration: dict[str, Any] = {
            "minimumHealthyPercent": 50,
            "maximumPercent": 100 if daemon else 200,
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "alarms": {"alarmNames": [], "enable": False, "rollback": False},
            "bakeTimeInMinutes": 0,
            "lifecycleHooks": [],
        }
        if strategy != "ROLLING":
            configuration |= {"strategy": strategy, "bakeTimeInMinutes": 1}
        else:
            configuration["earlySuccessCriteria"] = {"enable": False}
        for key in ("linear", "canary"):
            if strategy == key.upper():
                configuration[f"{key}Configuration"] = {}
        shifts = strategy != "ROLLING"
        change: dict[str, Any] = {"taskDefinition": family, "deploymentConfiguration": configuration}
        if shifts:
            # a rollback may have brought back the load balancers of before, which knew of no second target group
            change["loadBalancers"] = world.balanced(service.name, family, shifts=True)
        if service.spec.placement_constraints:
            change["placementConstraints"] = []
        if not daemon:
            change["desiredCount"] = WANTED
        assert world.ecs("update_service", service=service.name, **change) is not None, world.refusal
    pass_time(world, watch, 2 * QUIET_S)
    left = world.services()
    for _ in range(20):
        # Spot goes on being reclaimed: each has its moment
        for service in [s for s in left if s.actions.steady]:
            arrived(world, service)
            left.remove(service)
        if not left:
            return
        pass_time(world, watch, 61)
    for service in left:
        arrived(world, service)


def arrived(world: World, service: ServiceRun) -> None:
    """A service has what it wants, unless all instances that could take its tasks are full."""
    newest = len(world.registry.revisions[service.revision.definition.family])
    if not service.actions.steady and not any(t.fargate for t in service.tasks.values()):
        said = [message for _, message in service.events.newest()[:20]]
        assert any(part in message for part in NO_PLACE for message in said) or service.pending, said[:5]
        return
    assert service.actions.steady, (service.name, service.events.newest()[:6])
    assert [t.revision.number for t in service.tasks.values()] == [newest] * service.desired
    assert [d.rollout_state for d in service.deployments] == ["COMPLETED"]
    assert service.rollouts.current.status == "SUCCESSFUL"


def everything_goes(world: World, watch: Watch) -> None:
    """Services are deleted and traffic ends: what was there goes."""
    for service in world.services():
        assert world.ecs("delete_service", service=service.name, force=True) is not None
    pass_time(world, watch, 600)
    pass_time(world, watch, max(0, TRAFFIC_ENDS_S + 120 - world.now_us // S))


def tables(world: World) -> None:
    """What is written down says the same."""
    arrived_at_all = sum(len(instants) for name in NAMES for instants in world.arrivals[name])
    found = world.region.finish().tables()
    tasks, states = found["tasks"], found["task_states"]
    assert tasks.task_id.is_unique
    assert set(tasks.task_id) == set(states.task_id)
    assert (tasks.last_status == "STOPPED").all()
    assert tasks.stop_code.isin(CODES).all()
    assert (tasks.stopped_reason.str.len() > 0).all()
    instants = [
        "created_at",
        "connectivity_at",
        "pull_started_at",
        "pull_stopped_at",
        "started_at",
        "stopping_at",
        "execution_stopped_at",
        "stopped_at",
    ]
    for row in tasks[instants].itertuples(index=False):
        known = [at for at in row if at == at and at is not None]
        assert all(before <= after for before, after in pairwise(known)), row
    ran = set(states[states.last_status == "RUNNING"].task_id)
    assert set(tasks[tasks.started_at.notna()].task_id) == ran
    deployments = found["deployments"]
    assert deployments.deployment_id.is_unique
    assert deployments.rollback_of.dropna().isin(deployments.deployment_id).all()
    assert not deployments[deployments.status == "INACTIVE"].rollout_state.isna().any()
    counted(world, found, arrived_at_all)
    containers(found)


def counted(world: World, found: dict[str, Any], arrived_at_all: int) -> None:
    """Requests of the tables add up to those of the planes."""
    groups = [g for g in world.registry.target_groups.values() if g.bridge is not None]
    counters = [g.bridge.plane.counters() for g in groups if g.bridge is not None]
    assert sum(c.arrived for c in counters) == arrived_at_all
    served = sum(c.served for c in counters)
    tasks, services = found["tasks"], found["services"]
    assert tasks.requests_served.sum() == served
    assert services.requests_served.sum() == served
    assert services.requests_arrived.sum() <= arrived_at_all, "a group without any service belongs to no row"
    assert found["latencies"].requests.sum() == served
    columns = ["served", "failed", "refused_503", "no_target_503", "cut_502", "timeout_504", "client_closed_460"]
    for _, rows in services.groupby("service"):
        for column in columns:
            assert (rows[f"requests_{column}"] >= 0).all()


def containers(found: dict[str, Any]) -> None:
    """Runs of a container follow one another."""
    for _, rows in found["containers"].groupby(["task_id", "container"], sort=False):
        assert rows.run.tolist() == list(range(len(rows)))
        begun = rows[rows.started_at.notna()]
        assert (begun.started_at <= begun.exited_at).all()
        assert (begun.started_at.iloc[1:].to_numpy() >= begun.exited_at.iloc[:-1].to_numpy()).all()
