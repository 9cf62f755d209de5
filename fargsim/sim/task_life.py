"""The life of one task, from PROVISIONING to STOPPED, as one readable process.

Source of the states and of what is done in each: Amazon ECS Developer Guide, task-lifecycle-explanation.html; timestamps: Amazon ECS API
Reference, API_Task.html. Latencies of Fargate are a model fitted to published measurements; every figure is a catalogue parameter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.behaviour import ContainerBehaviour
from fargsim.model.quantity import US_PER_S
from fargsim.model.taskdef import ContainerDefinition
from fargsim.policy.health import boot_transitions
from fargsim.sim.kit import Kit
from fargsim.sim.places import free_place, release_reservation
from fargsim.sim.records import record_state, record_task
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.streams import lognormal_us

Process = Generator[simpy.Event, Any, None]


def live(kit: Kit, task: TaskRun) -> Process:
    """Live a task's life."""
    try:
        if task.placed is not None:
            yield task.placed
        if task.settled:
            settle(kit, task)
        else:
            yield from provision(kit, task)
            yield from wait_for_host(kit, task)
            yield from activate(kit, task)
        yield from run(kit, task)
    except simpy.Interrupt:
        # the reason is in task.stop_wanted; what follows depends on how far the task has come
        pass
    yield from wind_down(kit, task)


def enter(kit: Kit, task: TaskRun, status: str) -> None:
    """Change the last status."""
    counts = task.cluster.counts
    counts[task.last_status] -= 1
    counts[status] += 1
    task.last_status = status
    record_state(kit, task)
    if task.service is not None:
        task.service.task_moved(task)


def provision(kit: Kit, task: TaskRun) -> Process:
    """Create and attach the network interface (and on Fargate find a micro-VM)."""
    if task.fargate:
        whole = lognormal_us(
            kit.streams[f"provision/{task.revision.definition.family}"],
            kit.parameters.number("provision_median_s"),
            kit.parameters.number("provision_p95_s"),
        )
        whole = round(whole * kit.parameters.number("fargate_latency_scale"))
        attach = round(whole * kit.parameters.number("provision_eni_share"))
        yield kit.env.timeout(attach)
        task.connectivity_at = kit.now
        enter(kit, task, "PENDING")
        yield kit.env.timeout(whole - attach)
        return
    if task.revision.definition.effective_network_mode == "awsvpc":
        yield kit.env.timeout(kit.us("ec2_eni_attach_s"))
        task.connectivity_at = kit.now
    enter(kit, task, "PENDING")


def settle(kit: Kit, task: TaskRun) -> None:
    """Bring a task that was there before the run began to RUNNING at once."""
    task.connectivity_at = task.pull_started_at = task.pull_stopped_at = kit.now
    if task.instance is not None:
        task.instance.host_take(task)
        task.instance.cached_images.add(task.revision.name)
    for status in ("PENDING", "ACTIVATING"):
        enter(kit, task, status)


def wait_for_host(kit: Kit, task: TaskRun) -> Process:
    """Let the agent queue the task until the tasks that are still stopping have really freed its resources.

    Source: the control plane frees the resources of a stopping task at once, the agent only when it has stopped
    (github.com/aws/amazon-ecs-agent, agent/engine/host_resource_manager.go).
    """
    if task.instance is None:
        return
    while not task.instance.host_admits(task):
        yield task.instance.when_freed(kit.env)
    task.instance.host_take(task)


def activate(kit: Kit, task: TaskRun) -> Process:
    """Pull the images and start the containers."""
    enter(kit, task, "ACTIVATING")
    task.pull_started_at = kit.now
    pull = pull_us(kit, task)
    if pull:
        yield kit.env.timeout(pull)
    task.pull_stopped_at = kit.now
    if task.instance is not None:
        task.instance.cached_images.add(task.revision.name)
    family = task.revision.definition.family
    prefix = "" if task.fargate else "ec2_"
    low, high = kit.parameters.number(f"{prefix}start_min_s"), kit.parameters.number(f"{prefix}start_max_s")
    start = round(kit.streams[f"start/{family}"].uniform(low, high) * US_PER_S)
    if task.fargate:
        start = round(start * kit.parameters.number("fargate_latency_scale"))
    yield kit.env.timeout(start)


def pull_us(kit: Kit, task: TaskRun) -> int:
    """Return how long the image pull takes.

    Fargate pulls the whole image for every task, at a rate that grows with the task's vCPUs; an instance keeps the images it has pulled.
    """
    revision = task.revision
    parameters = kit.parameters
    if task.instance is not None:
        behaviour = task.instance.pull_behaviour
        task.image_cached = behaviour != "always" and revision.name in task.instance.cached_images
        if task.image_cached:
            return 0
        rate = parameters.number("ec2_pull_rate_mib_per_s")
        scale = 1.0
    else:
        vcpu = revision.definition.cpu_units / 1024
        rate = min(
            parameters.number("fargate_pull_cap_mib_per_s"),
            parameters.number("fargate_pull_base_mib_per_s")
            + parameters.number("fargate_pull_per_vcpu_mib_per_s") * vcpu,
        )
        scale = parameters.number("fargate_latency_scale")
    if revision.zstd:
        scale *= parameters.number("zstd_pull_factor")
    if revision.soci and task.fargate and revision.image_mib > parameters.number("soci_threshold_mib"):
        scale *= parameters.number("soci_pull_factor")
    return round(revision.image_mib / rate * scale * US_PER_S)


def run(kit: Kit, task: TaskRun) -> Process:
    """Run the containers until an essential one ends or somebody stops the task."""
    task.started_at = kit.now
    behaviour = task.revision.behaviour
    boot = 0 if task.settled else kit.streams.duration_us(f"boot/{task.revision.definition.family}", behaviour.boot)
    task.boot_done_at = kit.now + boot
    if task.service is not None:
        task.targets = [(g, g.register(task, task.boot_done_at)) for g in task.service.target_groups(task)]
    enter(kit, task, "RUNNING")
    watch_health(kit, task)
    ends = essential_exit(kit, task)
    reclaimed = spot_interruption(kit, task)
    if reclaimed is not None and (ends is None or reclaimed < ends[0]):
        yield kit.env.timeout(reclaimed)
        task.desired_status = "STOPPED"
        task.stop_wanted = Stop("SpotInterruption", "Your Spot Task was interrupted.", drain=False)
        return
    if ends is None:
        yield kit.env.event()  # until somebody interrupts
        return
    after, exit_code = ends
    yield kit.env.timeout(after)
    task.exit_code = exit_code
    task.desired_status = "STOPPED"
    task.stop_wanted = Stop("EssentialContainerExited", "Essential container in task exited", exit_code)


def essential_exit(kit: Kit, task: TaskRun) -> tuple[int, int] | None:
    """Return after how long the first essential container exits by itself, and its exit code; ``None`` if none does.

    A container that is not essential may exit without effect on the task: Amazon ECS API Reference, API_ContainerDefinition.html.
    """
    family = task.revision.definition.family
    exits: list[tuple[int, int]] = []
    for container in task.revision.definition.container_definitions:
        does = container_behaviour(task, container)
        if container.essential and does is not None and does.run is not None:
            exits.append((kit.streams.duration_us(f"run/{family}/{container.name}", does.run), does.exit_code))
    crash = task.revision.behaviour.crash
    if crash is not None:
        exits.append((kit.streams.duration_us(f"crash/{family}", crash), 1))
    return min(exits) if exits else None


def spot_interruption(kit: Kit, task: TaskRun) -> int | None:
    """Return after how long Fargate reclaims a Spot task; AWS publishes no rate, so it is a parameter."""
    per_hour = kit.parameters.number("spot_interruptions_per_task_hour")
    if task.capacity_provider != "FARGATE_SPOT" or not per_hour:
        return None
    hours = float(kit.streams[f"spot/{task.group}"].standard_exponential()) / per_hour
    return round(hours * 3600 * US_PER_S)


def container_behaviour(task: TaskRun, container: ContainerDefinition) -> ContainerBehaviour | None:
    """Return how a container behaves: its own entry, or the task's for the first essential container."""
    behaviour = task.revision.behaviour
    own = behaviour.containers.get(container.name)
    if own is not None:
        return own
    first = next(c for c in task.revision.definition.container_definitions if c.essential)
    return behaviour if container.name == first.name else None


def watch_health(kit: Kit, task: TaskRun) -> None:
    """Compute when the task's container health checks change and when it starts to count as healthy."""
    checked = [c for c in task.revision.definition.container_definitions if c.essential and c.health_check]
    assert task.started_at is not None
    assert task.boot_done_at is not None
    for container in checked:
        check = container.health_check
        assert check is not None
        # failures inside startPeriod do not count, so the first that counts is the first check after it
        interval = check.interval * US_PER_S
        skipped = max(0, -(-check.start_period // check.interval) - 1) if check.start_period else 0
        first = task.started_at + interval
        counted = first + skipped * interval
        if task.boot_done_at <= counted:
            counted = first
        for transition in boot_transitions(
            counted, interval, task.boot_done_at, healthy_threshold=1, unhealthy_threshold=check.retries
        ):
            status = transition.state.upper()
            kit.at(transition.at_us, lambda status=status: set_health(task, status))  # type: ignore[misc]
    if task.service is not None:
        task.service.task_started(task, bool(checked))


def set_health(task: TaskRun, status: str) -> None:
    """Set the task's health status and tell its service."""
    if task.last_status == "RUNNING" and task.health_status != status:
        task.health_status = status
        if task.service is not None:
            task.service.health_changed(task)


def stop_task(kit: Kit, task: TaskRun, stop: Stop) -> bool:
    """Set the desired status to STOPPED and let the task wind down; false when it already is on its way out."""
    if not task.alive and not (stop.kill and task.last_status != "STOPPED"):
        return False
    task.desired_status = "STOPPED"
    if task.stop_wanted is None or not stop.kill:
        task.stop_wanted = stop
    if stop.kill:
        task.stop_wanted.kill = True
    task.cluster.waiting.pop(task.task_id, None)  # nobody needs an instance for it any more
    process = task.process
    if process is not None and process.is_alive and process is not kit.env.active_process:
        process.interrupt(stop.code)
    return True


def wind_down(kit: Kit, task: TaskRun) -> Process:
    """Deregister, stop the containers, detach the interface."""
    stop = task.stop_wanted
    assert stop is not None
    task.desired_status = "STOPPED"
    task.healthy = False
    ran = task.started_at is not None
    try:
        if ran and not stop.kill:
            if task.exit_code is None and stop.drain:
                yield from drain(kit, task)
            for group, target in task.targets:
                if task.exit_code is None and stop.code == "SpotInterruption":
                    group.stop_routing(target)  # what it holds may still be answered until its containers have gone
                else:
                    group.drop(target)
            release_reservation(kit, task)
            task.stopping_at = kit.now
            enter(kit, task, "STOPPING")
            yield from stop_containers(kit, task)
        elif task.pull_started_at is not None and not stop.kill:
            task.execution_stopped_at = kit.now
    except simpy.Interrupt:
        pass  # its instance is gone: nothing is left to wait for
    for group, target in task.targets:
        group.drop(target)
    if ran and task.execution_stopped_at is None:
        task.execution_stopped_at = kit.now
    if stop.kill and task.stopping_at is None and ran:
        task.stopping_at = kit.now
    release_reservation(kit, task)
    free_place(kit, task)
    awsvpc = task.fargate or task.revision.definition.effective_network_mode == "awsvpc"
    if awsvpc and not stop.kill and task.zone is not None:
        enter(kit, task, "DEPROVISIONING")
        with contextlib.suppress(simpy.Interrupt):
            yield kit.env.timeout(kit.us("deprovision_s"))
    task.stopped_at = kit.now
    enter(kit, task, "STOPPED")
    record_task(kit, task)
    task.cluster.retire(task)
    if task.service is not None:
        task.service.task_stopped(task)


def drain(kit: Kit, task: TaskRun) -> Process:
    """Deregister from every target group and wait until each target is unused."""
    if not task.targets:
        return
    enter(kit, task, "DEACTIVATING")
    unused = kit.env.event()
    left = len(task.targets)

    def one() -> None:
        nonlocal left
        left -= 1
        if left == 0 and not unused.triggered:
            unused.succeed()

    for group, target in task.targets:
        group.deregister(target, one)
    yield unused


def stop_containers(kit: Kit, task: TaskRun) -> Process:
    """Send SIGTERM and, when the stop time-out passes first, SIGKILL."""
    if task.exit_code is not None:
        # an essential container ended by itself: the others are stopped, which takes the agent a moment
        yield kit.env.timeout(kit.us("stopping_overhead_s"))
        task.execution_stopped_at = kit.now
        return
    longest, code = 0, 0
    for container in task.revision.definition.container_definitions:
        does = container_behaviour(task, container)
        wish = None if does is None or does.stop is None else does.stop
        wanted = (
            kit.us("stopping_overhead_s")
            if wish is None
            else kit.streams.duration_us(f"stop/{task.revision.definition.family}/{container.name}", wish)
        )
        limit = container.stop_timeout
        if limit is None:
            limit = 30 if task.instance is None else task.instance.stop_timeout_s
        if wanted > limit * US_PER_S:
            wanted = limit * US_PER_S
            code = 137 if container.essential else code
        longest = max(longest, wanted)
    if longest:
        yield kit.env.timeout(longest)
    task.exit_code = code if code else 0
    task.execution_stopped_at = kit.now
