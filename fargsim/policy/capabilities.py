"""What an instance must be able to do for a task, as attributes: what the task definition asks for, and what an agent registers.

Source: Amazon ECS API Reference, API_TaskDefinition.html (requiresAttributes); github.com/aws/amazon-ecs-agent, README.md and
agent/app/agent_capability.go; Amazon ECS Developer Guide, ecs-agent-config.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fargsim.model.taskdef import TaskDefinition

DRIVER = "com.amazonaws.ecs.capability.logging-driver."
TASK_ROLE = "com.amazonaws.ecs.capability.task-iam-role"
TASK_ROLE_ON_HOST = "com.amazonaws.ecs.capability.task-iam-role-network-host"
TASK_ENI = "ecs.capability.task-eni"
ALWAYS = (
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.task-cpu-mem-limit",
)
"""Registered by every current agent."""
BUILT_IN = ("ecs.", "com.amazonaws.ecs.", "fargsim.")
"""How the names of attributes begin that nobody sets by hand."""


def required(definition: TaskDefinition) -> tuple[str, ...]:
    """Return the capabilities a task definition asks for, each once, in a fixed order.

    Of the many that registration derives, those are asked for that an agent's settings can take away: log drivers, task interfaces and
    task roles. What every current agent has (health checks, container ordering, secrets) is not: it never rules an instance out.

    >>> required(TaskDefinition.model_validate({
    ...     "family": "web", "networkMode": "awsvpc", "memory": "512", "taskRoleArn": "web",
    ...     "containerDefinitions": [{"name": "app", "image": "a", "logConfiguration": {"logDriver": "awslogs"}}],
    ... }))
    ('com.amazonaws.ecs.capability.logging-driver.awslogs', 'com.amazonaws.ecs.capability.task-iam-role', 'ecs.capability.task-eni')
    """
    found = []
    for container in definition.container_definitions:
        log: Any = container.log_configuration
        driver = log.get("logDriver") if isinstance(log, dict) else getattr(log, "log_driver", None)
        if driver and driver != "awsfirelens":  # the router is a container of the task
            found.append(DRIVER + str(driver))
    if definition.task_role_arn:
        found.append(TASK_ROLE_ON_HOST if definition.effective_network_mode == "host" else TASK_ROLE)
    if definition.effective_network_mode == "awsvpc":
        found.append(TASK_ENI)
    return tuple(dict.fromkeys(found))


def registered(drivers: Iterable[str], *, task_eni: bool, task_role: bool) -> tuple[str, ...]:
    """Return the capabilities an agent registers with its settings.

    Parameters
    ----------
    drivers
        ``ECS_AVAILABLE_LOGGING_DRIVERS``.
    task_eni, task_role
        ``ECS_ENABLE_TASK_ENI`` and ``ECS_ENABLE_TASK_IAM_ROLE`` (with ``ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST``).
    """
    found = [*ALWAYS, *(DRIVER + driver for driver in drivers)]
    found += [TASK_ENI] if task_eni else []
    found += [TASK_ROLE, TASK_ROLE_ON_HOST] if task_role else []
    return tuple(found)
