"""Reading the arguments of a verb into a model value, and writing answers in boto3's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from fargsim.model.base import Issue
from fargsim.model.fault_words import word
from fargsim.sim.errors import AwsError, InvalidParameterException
from fargsim.sim.host_ports import network_bindings
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun

Shape = TypeVar("Shape", bound=BaseModel)


def read(
    shape: type[Shape],
    arguments: Mapping[str, Any],
    error: type[AwsError] = InvalidParameterException,
    context: Mapping[str, Any] | None = None,
) -> Shape:
    """Validate a verb's arguments.

    Parameters
    ----------
    context
        What validators of the shape ask for.

    Raises
    ------
    AwsError
        Of the class `error`, naming every field at fault.
    """
    try:
        return shape.model_validate(dict(arguments), context=context)
    except ValidationError as fault:
        raise error(faults_of(fault, shape)) from None


def faults_of(fault: ValidationError, shape: type[BaseModel], *inside: str) -> str:
    """Say what is wrong, field by field; `inside`: the field of the request that the shape is the value of."""
    return "; ".join(_texts(fault, shape, inside))


def _texts(fault: ValidationError, shape: type[BaseModel], inside: tuple[str, ...]) -> list[str]:
    errors = fault.errors(include_url=False)
    places = [one["loc"] for one in errors]
    texts = []
    for one in errors:
        where = one["loc"]
        if one["type"] == "too_short" and any(len(p) > len(where) and p[: len(where)] == where for p in places):
            # an element that is at fault itself is not counted
            continue
        if one["type"] == "missing":
            text = "is required"
        elif one["type"] == "extra_forbidden":
            text = "is not a parameter of this call"
        else:
            text = word(dict(one), shape)
        at = Issue((*inside, *where), text).dotted()
        texts.append(f"{at}: {text}" if at else text)
    return texts


def instant(start: datetime, at_us: int | None) -> datetime | None:
    """Return an instant of the run as a date and time in UTC."""
    return None if at_us is None else (start + timedelta(microseconds=at_us)).astimezone(UTC)


def describe_task(kit: Kit, start: datetime, task: TaskRun) -> dict[str, Any]:
    """Return a task as DescribeTasks does; what is absent is left out."""
    answer: dict[str, Any] = {
        "taskArn": kit.arn("task", f"{task.cluster.name}/{task.task_id}"),
        "clusterArn": kit.arn("cluster", task.cluster.name),
        "taskDefinitionArn": task.revision.arn,
        "group": task.group,
        "launchType": task.launch_type,
        "capacityProviderName": task.capacity_provider,
        "availabilityZone": task.zone,
        "containerInstanceArn": None
        if task.instance is None
        else kit.arn("container-instance", f"{task.cluster.name}/{task.instance.instance_id}"),
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": task.health_status,
        "cpu": str(task.revision.definition.cpu_units),
        "memory": str(task.revision.definition.memory_mib),
        "startedBy": task.started_by,
        "stopCode": task.stop_wanted.code if task.stop_wanted else None,
        "stoppedReason": task.stop_wanted.reason if task.stop_wanted else None,
        **{name: instant(start, at) for name, at in _instants(task) if at is not None},
        "containers": [{**one, **network_bindings(task, one["name"])} for one in _containers(task)],
    }
    return {key: value for key, value in answer.items() if value is not None}


def _instants(task: TaskRun) -> tuple[tuple[str, int | None], ...]:
    """Return the instants of a task's life under the names that DescribeTasks gives them."""
    return (
        ("createdAt", task.created_at),
        ("connectivityAt", task.connectivity_at),
        ("pullStartedAt", task.pull_started_at),
        ("pullStoppedAt", task.pull_stopped_at),
        ("startedAt", task.started_at),
        ("stoppingAt", task.stopping_at),
        ("executionStoppedAt", task.execution_stopped_at),
        ("stoppedAt", task.stopped_at),
    )


def _containers(task: TaskRun) -> list[dict[str, Any]]:
    """Return the containers of a task as DescribeTasks does."""
    definitions = task.revision.definition.container_definitions
    if task.machine is not None:
        found = [
            {
                "name": run.name,
                "image": run.definition.image,
                "lastStatus": run.last_status,
                "healthStatus": run.health,
                "exitCode": run.exit_code,
                "reason": run.reason,
            }
            for run in task.machine.runs.values()
        ]
        return [{key: value for key, value in one.items() if value is not None} for one in found]
    answer = []
    for container in definitions:
        one: dict[str, Any] = {
            "name": container.name,
            "image": container.image,
            "lastStatus": task.last_status if task.last_status in ("RUNNING", "STOPPED") else "PENDING",
            "healthStatus": task.health_status,
        }
        if container.essential and task.exit_code is not None:
            one["exitCode"] = task.exit_code
        if container.essential and task.container_reason is not None:
            one["reason"] = task.container_reason
        answer.append(one)
    return answer


def describe_service(kit: Kit, start: datetime, service: ServiceRun) -> dict[str, Any]:
    """Return a service as DescribeServices does."""
    return {
        "serviceArn": kit.arn("service", f"{service.cluster.name}/{service.name}"),
        "serviceName": service.name,
        "clusterArn": kit.arn("cluster", service.cluster.name),
        "status": ("DRAINING" if service.tasks else "INACTIVE") if service.deleted else "ACTIVE",
        "desiredCount": service.desired,
        "runningCount": service.running,
        "pendingCount": service.pending,
        "taskDefinition": service.revision.arn,
        "schedulingStrategy": service.spec.scheduling_strategy,
        **service.spec.model_dump(
            mode="json",
            by_alias=True,
            exclude_none=True,
            exclude_defaults=True,
            include={"launch_type", "capacity_provider_strategy"},
        ),
        "availabilityZoneRebalancing": service.spec.availability_zone_rebalancing,
        "createdAt": instant(start, service.created_at),
        "deployments": [
            {
                "id": d.deployment_id,
                "status": d.status,
                "taskDefinition": d.revision.arn,
                "desiredCount": service.desired if d is service.primary else 0,
                "pendingCount": d.counts["pending"],
                "runningCount": d.counts["undecided"] + d.counts["healthy"] + d.counts["unhealthy"],
                "failedTasks": 0 if d.watch is None else d.watch.failed_in_a_row.failures,
                "rolloutState": d.rollout_state,
                "rolloutStateReason": d.rollout_reason,
                "createdAt": instant(start, d.created_at),
            }
            for d in service.deployments
        ],
        "currentServiceDeployment": service.rollouts.current.arn,
        "currentServiceRevisions": [
            {
                "arn": d.service_revision.arn,
                "requestedTaskCount": service.desired if d is service.primary else d.wanted,
                "runningTaskCount": d.counts["undecided"] + d.counts["healthy"] + d.counts["unhealthy"],
                "pendingTaskCount": d.counts["pending"],
            }
            for d in service.deployments
        ],
        "events": [{"createdAt": instant(start, at), "message": message} for at, message in service.events.newest()],
    }
