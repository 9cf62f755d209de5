"""Checks that need facts: what AWS refuses although the shape is right."""

from __future__ import annotations

from fargsim.catalog.sizes import ephemeral_storage_fault, fargate_size_fault
from fargsim.model.access import ImageName
from fargsim.model.base import Issue
from fargsim.model.taskdef import TaskDefinition

TIMEOUT_MOST_S = 120
"""Longest ``startTimeout`` and ``stopTimeout`` on Fargate: Amazon ECS API Reference, API_ContainerDefinition.html."""


def task_definition_faults(definition: TaskDefinition) -> list[Issue]:
    """Return what RegisterTaskDefinition would refuse, with the legal values.

    Source: Amazon ECS API Reference, API_RegisterTaskDefinition.html; Amazon ECS Developer Guide, task-cpu-memory-error.html.

    Examples
    --------
    >>> from fargsim.model.taskdef import TaskDefinition
    >>> wrong = TaskDefinition.model_validate(
    ...     {
    ...         "family": "web",
    ...         "cpu": "256",
    ...         "memory": "4096",
    ...         "networkMode": "awsvpc",
    ...         "requiresCompatibilities": ["FARGATE"],
    ...         "containerDefinitions": [{"name": "web", "image": "httpd"}],
    ...     }
    ... )
    >>> [issue.dotted() for issue in task_definition_faults(wrong)]
    ['memory']
    """
    found = _execution_role_faults(definition)
    if "FARGATE" not in definition.requires_compatibilities:
        return found
    windows = definition.operating_system_family != "LINUX"
    if definition.effective_network_mode != "awsvpc":
        found.append(Issue(("networkMode",), "Fargate needs networkMode awsvpc"))
    if definition.cpu is None:
        found.append(Issue((), "Fargate needs cpu at the level of the task"))
    if definition.memory is None:
        found.append(Issue((), "Fargate needs memory at the level of the task"))
    if definition.cpu is not None and definition.memory is not None:
        fault = fargate_size_fault(definition.cpu, definition.memory, windows=windows)
        if fault is not None:
            found.append(Issue((fault_key(definition.cpu, windows),), fault))
    if windows and definition.cpu_architecture == "ARM64":
        found.append(Issue(("runtimePlatform", "cpuArchitecture"), "Windows on Fargate runs on X86_64 only"))
    storage = definition.ephemeral_storage
    if storage is not None:
        message = ephemeral_storage_fault(storage.size_in_gi_b, windows=windows)
        if message is not None:
            found.append(Issue(("ephemeralStorage", "sizeInGiB"), message))
    for at, container in enumerate(definition.container_definitions):
        for key, value in (("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)):
            if value is not None and value > TIMEOUT_MOST_S:
                message = f"{key} must be at most {TIMEOUT_MOST_S} s on Fargate, not {value}"
                found.append(Issue(("containerDefinitions", at, key), message))
    return found


def _execution_role_faults(definition: TaskDefinition) -> list[Issue]:
    """Return what only an execution role can do: Amazon ECS Developer Guide, task_execution_IAM_role.html."""
    if definition.execution_role_arn is not None:
        return []
    containers = definition.container_definitions
    path = ("executionRoleArn",)
    found = []
    logs = [c.log_configuration for c in containers if c.log_configuration is not None]
    if any(c.secrets for c in containers) or any(log.secret_options for log in logs):
        message = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        found.append(Issue(path, message))
    if "FARGATE" not in definition.requires_compatibilities:
        return found
    head = "Fargate requires task definition to have execution role ARN to support"
    if any(ImageName.of(c.image).ecr for c in containers):
        found.append(Issue(path, f"{head} ECR images."))
    if any(log.log_driver == "awslogs" for log in logs):
        found.append(Issue(path, f"{head} log driver awslogs."))
    return found


def fault_key(cpu_units: int, windows: bool) -> str:
    """Return which of the two figures of an illegal size is to blame: the cpu if no size has it, otherwise the memory."""
    from fargsim.catalog.sizes import fargate_sizes

    return "memory" if any(s.cpu_units == cpu_units for s in fargate_sizes(windows=windows)) else "cpu"
