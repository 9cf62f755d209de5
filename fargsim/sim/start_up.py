"""From PROVISIONING to the start of the containers: network interface, host, roles, secrets, log streams, image pull.

Latencies of Fargate are a model fitted to published measurements; every figure is a catalogue parameter. What fails, and with which words,
is `fargsim.policy.start_up`; a scenario that says nothing about its surroundings has nothing that could fail.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.policy.start_up import (
    Failure,
    ImageView,
    PullBehaviour,
    PullRate,
    address_failure,
    agent_duration,
    image_failure,
    log_failure,
    plan_pull,
    pull_s,
    registry_auth_failure,
    secret_failure,
)
from fargsim.sim.container_limits import pull_storage_fault
from fargsim.sim.kit import Kit
from fargsim.sim.state import ImageFacts, Stop, TaskRun
from fargsim.sim.streams import lognormal_us
from fargsim.sim.surroundings import SurroundingsRun
from fargsim.sim.task_state import enter

Process = Generator[simpy.Event, Any, None]


class StartFailed(Exception):
    """A task that will not start; the reason is in its `stop_wanted`."""


def provision(kit: Kit, task: TaskRun) -> Process:
    """Create and attach the network interface (and on Fargate find a micro-VM)."""
    if task.fargate:
        median, p95 = (kit.parameters.number(f"provision_{name}_s") for name in ("median", "p95"))
        spread = kit.parameters.number("fargate_latency_spread")
        if spread != 1:
            p95 = median * (p95 / median) ** spread
        whole = lognormal_us(kit.streams[f"provision/{task.revision.definition.family}"], median, p95)
        whole = round(whole * kit.parameters.number("fargate_latency_scale"))
        attach = round(whole * kit.parameters.number("provision_eni_share"))
        yield from interface(kit, task)
        yield kit.env.timeout(attach)
        task.connectivity_at = kit.now
        enter(kit, task, "PENDING")
        yield kit.env.timeout(whole - attach)
        return
    if task.revision.definition.effective_network_mode == "awsvpc":
        yield from interface(kit, task)
        yield kit.env.timeout(kit.us("ec2_eni_attach_s"))
        task.connectivity_at = kit.now
    enter(kit, task, "PENDING")


def interface(kit: Kit, task: TaskRun) -> Process:
    """Get an address in a subnet of the task's zone, or give up after a while.

    That the request is tried until it times out is an assumption: AWS says only that such a task fails to start.
    """
    network = kit.surroundings.network
    if network.take_address(task):
        return
    got = yield from network.wait_for_address(task, kit.us("eni_timeout_s"))
    if not got:
        assert task.subnet is not None
        task.without_interface = True
        fail(task, address_failure(task.subnet, task.public_ip).reason)


def settle(kit: Kit, task: TaskRun) -> None:
    """Bring a task that was there before the run began to RUNNING at once."""
    if task.fargate or task.revision.definition.effective_network_mode == "awsvpc":
        kit.surroundings.network.take_address(task)
    task.connectivity_at = task.pull_started_at = task.pull_stopped_at = kit.now
    if task.instance is not None:
        task.instance.host_take(task)
        hold_images(kit, task)
    for status in ("PENDING", "ACTIVATING"):
        enter(kit, task, status)


def wait_for_host(kit: Kit, task: TaskRun) -> Process:
    """Let the agent queue the task until the tasks that are still stopping have really freed its resources.

    The queue is first come, first served: a task that would fit does not pass one in front of it that does not.

    Source: the control plane frees the resources of a stopping task at once, the agent only when it has stopped
    (github.com/aws/amazon-ecs-agent, agent/engine/host_resource_manager.go, docker_task_engine.go: ``monitorQueuedTasks``).
    """
    instance = task.instance
    if instance is None:
        return
    if instance.reconnected is not None or instance.queue or not instance.host_admits(task):
        instance.queue[task.task_id] = task
        try:
            while instance.reconnected is not None or not (
                instance.first_in_queue(task) and instance.host_admits(task)
            ):
                yield instance.reconnected or instance.when_freed(kit.env)
        finally:
            del instance.queue[task.task_id]
            instance.look_at_queue()
    instance.host_take(task)


def activate(kit: Kit, task: TaskRun) -> Process:
    """Fetch secrets, open log streams, pull the images and start the containers."""
    enter(kit, task, "ACTIVATING")
    around = kit.surroundings
    if not around.plain:
        yield from refuse(kit, task, _resources(around, task))
    task.pull_started_at = kit.now
    yield from pull(kit, task)
    task.pull_stopped_at = kit.now
    if not around.plain and task.instance is not None:
        yield from refuse(kit, task, _log_streams(around, task))
    family = task.revision.definition.family
    prefix = "" if task.fargate else "ec2_"
    low, high = kit.parameters.number(f"{prefix}start_min_s"), kit.parameters.number(f"{prefix}start_max_s")
    start = round(kit.streams[f"start/{family}"].uniform(low, high) * US_PER_S)
    if task.fargate:
        start = round(start * kit.parameters.number("fargate_latency_scale"))
    yield kit.env.timeout(start)


# what fails


def fail(task: TaskRun, reason: str) -> None:
    """Let a task fail to start; raises StartFailed."""
    task.desired_status = "STOPPED"
    task.start_failure = reason
    if reason.startswith("Cannot") and len(task.revision.definition.container_definitions) == 1:
        task.container_reason = reason  # an error of a container, not of the task's resources
    task.stop_wanted = Stop("TaskFailedToStart", reason, drain=False)
    raise StartFailed(reason)


def failure_us(kit: Kit, task: TaskRun, failure: Failure) -> int:
    """Return after how long from now a failure shows.

    What is refused shows soon. A connection that never comes about takes the three minutes that Fargate gives a task from PENDING to
    RUNNING (re:Post Knowledge Center, ecs-fargate-docker-timeout-error), on EC2 the agent's time-out for a pull that does not move.
    """
    if not failure.waits:
        return kit.us("mistake_fast_failure_s")
    if task.instance is not None:
        return round(task.instance.pull_inactivity_timeout_s * US_PER_S)
    assert task.connectivity_at is not None
    return max(0, task.connectivity_at + kit.us("start_watchdog_s") - kit.now)


def refuse(kit: Kit, task: TaskRun, failure: Failure | None) -> Process:
    """Let a failure, if there is one, take its time and end the task."""
    if failure is not None:
        yield kit.env.timeout(failure_us(kit, task, failure))
        fail(task, failure.reason)


def _resources(around: SurroundingsRun, task: TaskRun) -> Failure | None:
    """What the agent finds before it pulls: registry, secrets, and on Fargate the log streams."""
    definition = task.revision.definition
    caller = around.caller(task, around.agent_role(task))
    if task.fargate and any(image.view.name.ecr for image in task.revision.images):
        failure = registry_auth_failure(around.registry_auth(task), caller)
        if failure is not None:
            return failure
    for secret in around.secrets(task):
        failure = secret_failure(secret, around.caller(task, definition.execution_role_arn))
        if failure is not None:
            return failure
    return _log_streams(around, task) if task.fargate else None


def _log_streams(around: SurroundingsRun, task: TaskRun) -> Failure | None:
    caller = around.caller(task, around.agent_role(task))
    return next(filter(None, (log_failure(log, caller, task.fargate) for log in around.logs(task))), None)


# images


def pull(kit: Kit, task: TaskRun) -> Process:
    """Pull the images that the host does not have; one that cannot be pulled ends the task unless the copy on the disk will do.

    Fargate pulls every image for every task; an instance keeps what it has pulled.
    """
    revision = task.revision
    instance = task.instance
    behaviour: PullBehaviour = "always" if instance is None else instance.pull_behaviour
    wanted: list[ImageView] = []
    lost_us = 0
    plain = kit.surroundings.plain
    for facts in revision.images:
        cached = instance is not None and instance.images.has(facts.ref, kit.now)
        if plain or (cached and behaviour in ("once", "prefer-cached")):
            if not cached or behaviour == "always":
                wanted.append(facts.view)
            continue
        view, failure = _ask(kit, task, facts, cached, behaviour)
        plan = plan_pull(view, behaviour, failure)
        if plan.failure is not None:
            after = failure_us(kit, task, plan.failure)
            if not plan.falls_back:
                yield kit.env.timeout(after)
                task.pull_stopped_at = kit.now
                fail(task, plan.failure.reason)
            lost_us = max(lost_us, after)
        if plan.download:
            wanted.append(view)
    if task.service is not None:
        task.service.digests_known(task)
    task.image_cached = instance is not None and not wanted
    spent = lost_us
    if wanted:
        spent += round(pull_s(wanted, pull_rate(kit, task)) * US_PER_S)
    if instance is not None:
        yield from time_out(kit, task, wanted, instance.pull_timeout_s)
    full = pull_storage_fault(kit, task) if instance is None else None
    if full is not None:
        # it goes on until the disk is full
        yield kit.env.timeout(round(spent * full.share))
        task.pull_stopped_at = kit.now
        fail(task, full.reason)
    if spent:
        yield kit.env.timeout(spent)
    if instance is not None:
        hold_images(kit, task)
        for view in wanted:
            instance.images.pulled(str(view.name), kit.now)


def time_out(kit: Kit, task: TaskRun, wanted: Sequence[ImageView], limit_s: float) -> Process:
    """Let a task fail when one of its images takes longer than the agent allows.

    Source: github.com/aws/amazon-ecs-agent, README.md (``ECS_IMAGE_PULL_TIMEOUT``), agent/engine/errors.go (the words).
    """
    rate = pull_rate(kit, task)
    if any(pull_s([view], rate) > limit_s for view in wanted):
        yield kit.env.timeout(round(limit_s * US_PER_S))
        task.pull_stopped_at = kit.now
        after = agent_duration(limit_s)
        fail(task, f"DockerTimeoutError: Could not transition to pulled; timed out after waiting {after}")


def _ask(
    kit: Kit, task: TaskRun, facts: ImageFacts, cached: bool, behaviour: PullBehaviour
) -> tuple[ImageView, Failure | None]:
    """Ask the registry for an image: return what is met, and what is wrong with pulling it."""
    around = kit.surroundings
    view = around.image(task, facts, cached)
    # what is on the disk already is only compared with the registry, which does not count as a pull there
    counts = not cached or behaviour == "always"
    if counts and not view.registry and not around.takes_a_pull(task, facts):
        view = replace(view, limited=True)
    caller = around.caller(task, around.agent_role(task))
    return view, image_failure(view, caller, around.architecture(task), task.fargate)


def pull_rate(kit: Kit, task: TaskRun) -> PullRate:
    """Return how fast a task's images come; on Fargate the rate grows with the task's vCPUs."""
    parameters = kit.parameters
    zstd = parameters.number("zstd_pull_factor")
    if task.instance is not None:
        return PullRate(parameters.number("ec2_pull_rate_mib_per_s"), zstd=zstd)
    vcpu = task.revision.definition.cpu_units / 1024
    base, per_vcpu = (
        parameters.number("fargate_pull_base_mib_per_s"),
        parameters.number("fargate_pull_per_vcpu_mib_per_s"),
    )
    return PullRate(
        min(parameters.number("fargate_pull_cap_mib_per_s"), base + per_vcpu * vcpu),
        parameters.number("fargate_latency_scale"),
        zstd,
        parameters.number("soci_pull_factor"),
        parameters.number("soci_threshold_mib"),
    )


def hold_images(kit: Kit, task: TaskRun) -> None:
    """Keep a task's images on its instance's disk for its containers."""
    assert task.instance is not None
    task.holds_images = True
    for facts in task.revision.images:
        task.instance.images.hold(facts.ref, kit.now)


def leave(kit: Kit, task: TaskRun) -> None:
    """Let go of what a stopped task held: its images on the instance's disk, its address in the subnet."""
    if task.holds_images and task.instance is not None:
        task.holds_images = False
        for facts in task.revision.images:
            task.instance.images.release(facts.ref, kit.now)
    address, task.address = task.address, None
    if address is not None:
        address.give_back()
