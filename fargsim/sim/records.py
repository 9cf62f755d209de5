"""Rows for the tables: one function for each kind of thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.sim.container_limits import platform_of, storage_gib
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.groups import InstanceRun
    from fargsim.sim.service_scheduler import ServiceRun


def record_state(kit: Kit, task: TaskRun) -> None:
    """Keep a change of a task's status."""
    kit.recorder.task_states.append((task.task_id, kit.now, task.last_status, task.desired_status))


def record_killed(kit: Kit, task: TaskRun) -> None:
    """Keep the only container of a task that was killed, and why: the table `tasks` has its exit code alone."""
    name = task.revision.definition.container_definitions[0].name
    row = (
        name,
        0,
        True,
        "STOPPED",
        task.health_status,
        task.started_at,
        kit.now,
        task.exit_code,
        task.container_reason,
        None,
    )
    kit.recorder.containers.append((task.task_id, *row))


def record_task(kit: Kit, task: TaskRun) -> None:
    """Keep a task: at the end of its life, or at the end of the run."""
    if task.machine is not None:
        task.machine.finish()
    revision = task.revision
    definition = revision.definition
    stop = task.stop_wanted
    cpu_us = task.busy_core_us
    if task.started_at is not None:
        until = kit.now if task.execution_stopped_at is None else task.execution_stopped_at
        cpu_us += revision.behaviour.idle_cpu * (until - task.started_at)
    kit.recorder.tasks.append(
        (
            task.task_id,
            kit.arn("task", f"{task.cluster.name}/{task.task_id}"),
            task.cluster.name,
            task.group,
            None if task.service is None else task.service.name,
            definition.family,
            revision.number,
            task.launch_type,
            task.capacity_provider,
            platform_of(task),
            definition.operating_system_family,
            definition.cpu_architecture,
            definition.cpu_units,
            definition.memory_mib,
            storage_gib(task),
            task.zone,
            task.subnet,
            None if task.instance is None else task.instance.instance_id,
            task.public_ip,
            task.deployment_id,
            task.started_by,
            task.last_status,
            task.desired_status,
            task.health_status,
            None if stop is None else stop.code,
            None if stop is None else stop.reason,
            task.exit_code,
            float(revision.image_mib),
            task.image_cached,
            task.created_at,
            task.connectivity_at,
            task.pull_started_at,
            task.pull_stopped_at,
            task.started_at,
            task.healthy_at,
            task.stopping_at,
            task.execution_stopped_at,
            task.stopped_at,
            task.requests_served,
            cpu_us / 1e6,
        )
    )


def record_instance(kit: Kit, instance: InstanceRun) -> None:
    """Keep an instance: at its end, or at the end of the run."""
    if instance.credits is not None:
        instance.credits.end()
    kit.recorder.instances.append(
        (
            instance.instance_id,
            instance.cluster.name,
            instance.group.asg_name,
            instance.group.provider.spec.name if instance.group.provider else None,
            instance.instance_type,
            instance.zone,
            instance.market,
            instance.operating_system_family,
            instance.cpu_units,
            instance.memory_mib,
            instance.task_enis,
            instance.public_ip,
            instance.root_volume_gib,
            instance.more_volumes_gib,
            instance.volume_iops_above,
            instance.volume_mib_s_above,
            instance.launched_at,
            instance.running_at,
            instance.stopped_at,
            instance.restarted_at,
            instance.registered_at,
            instance.draining_at,
            instance.terminated_at,
            instance.status,
            instance.status_reason,
        )
    )


def record_deployment(kit: Kit, service: ServiceRun, deployment: DeploymentRun) -> None:
    """Keep a deployment: when another has replaced it, or at the end of the run."""
    entry = service.rollouts.of(deployment)
    kit.recorder.deployments.append(
        (
            deployment.deployment_id,
            service.cluster.name,
            service.name,
            deployment.revision.name,
            deployment.created_at,
            deployment.completed_at,
            deployment.status,
            deployment.rollout_state,
            deployment.rollout_reason,
            service.desired,
            deployment.failed_tasks,
            deployment.rollback_of,
            deployment.service_revision.arn,
            None if entry is None else entry.status,
        )
    )
