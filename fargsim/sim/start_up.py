"""From PROVISIONING to the start of the containers: network interface, host, image pull.

Latencies of Fargate are a model fitted to published measurements; every figure is a catalogue parameter.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun
from fargsim.sim.streams import lognormal_us
from fargsim.sim.task_state import enter

Process = Generator[simpy.Event, Any, None]


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
