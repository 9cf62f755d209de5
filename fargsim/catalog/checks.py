"""Checks that need facts: what AWS refuses although the shape is right."""

from __future__ import annotations

from fargsim.catalog.sizes import ephemeral_storage_fault, fargate_size_fault
from fargsim.model.access import ImageName
from fargsim.model.base import Issue, Path
from fargsim.model.taskdef import ContainerDefinition, TaskDefinition

_NOT_ON_FARGATE = {
    "disable_networking": "disableNetworking",
    "dns_search_domains": "dnsSearchDomains",
    "dns_servers": "dnsServers",
    "docker_security_options": "dockerSecurityOptions",
    "extra_hosts": "extraHosts",
    "links": "links",
    "privileged": "privileged",
}
TIMEOUT_LEAST_S = 2
TIMEOUT_MOST_S = 120
"""Shortest and longest ``startTimeout`` and ``stopTimeout`` on Fargate: Amazon ECS API Reference, API_ContainerDefinition.html."""


def task_definition_faults(definition: TaskDefinition) -> list[Issue]:
    """Return what RegisterTaskDefinition would refuse, with the legal values.

    Source: Amazon ECS API Reference, API_RegisterTaskDefinition.html; Amazon ECS Developer Guide, task-cpu-memory-error.html,
    fargate-tasks-services.html (parameters that are not valid for Fargate).

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
            key = fault_key(definition.cpu, windows)
            words = (
                "Invalid 'cpu' setting for task" if key == "cpu" else "No Fargate configuration exists for given values"
            )
            found.append(Issue((key,), f"{words}: {fault}"))
    if windows and definition.cpu_architecture == "ARM64":
        found.append(Issue(("runtimePlatform", "cpuArchitecture"), "Windows on Fargate runs on X86_64 only"))
    storage = definition.ephemeral_storage
    if storage is not None:
        message = ephemeral_storage_fault(storage.size_in_gi_b, windows=windows)
        if message is not None:
            found.append(Issue(("ephemeralStorage", "sizeInGiB"), message))
    for at, container in enumerate(definition.container_definitions):
        for key, value in (("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)):
            if value is None or TIMEOUT_LEAST_S <= value <= TIMEOUT_MOST_S:
                continue
            bound = f"at least {TIMEOUT_LEAST_S}" if value < TIMEOUT_LEAST_S else f"at most {TIMEOUT_MOST_S}"
            message = f"{key} must be {bound} s on Fargate, not {value} (legal: {TIMEOUT_LEAST_S} to {TIMEOUT_MOST_S})"
            found.append(Issue(("containerDefinitions", at, key), message))
        found += _container_faults(container, ("containerDefinitions", at))
    if definition.placement_constraints:
        found.append(Issue(("placementConstraints",), "Fargate takes no placement constraints"))
    if definition.ipc_mode is not None:
        found.append(Issue(("ipcMode",), "ipcMode is not possible on Fargate"))
    if definition.inference_accelerators:
        found.append(Issue(("inferenceAccelerators",), "inference accelerators are not possible on Fargate"))
    return found


def _container_faults(container: ContainerDefinition, path: Path) -> list[Issue]:
    """Return what Fargate refuses of a container."""
    keys = [(*path, key) for name, key in _NOT_ON_FARGATE.items() if getattr(container, name)]
    found = [Issue(key, f"{key[-1]} is not possible on Fargate") for key in keys]
    for n, resource in enumerate(container.resource_requirements):
        found.append(Issue((*path, "resourceRequirements", n, "type"), f"{resource.type} is not possible on Fargate"))
    parameters = container.linux_parameters if isinstance(container.linux_parameters, dict) else {}
    for key in ("maxSwap", "swappiness"):
        if parameters.get(key) is not None:
            found.append(Issue((*path, "linuxParameters", key), f"{key} is not possible on Fargate"))
    return found


def _execution_role_faults(definition: TaskDefinition) -> list[Issue]:
    """Return what only an execution role can do.

    Sources: Amazon ECS Developer Guide, task_execution_IAM_role.html; the words are those of the API, as told in
    github.com/fabfuel/ecs-deploy/issues/87 (secrets), github.com/sil-org/ecs-deploy/issues/188 (private registries),
    github.com/jenkinsci/amazon-ecs-plugin/issues/95 (Fargate).
    """
    if definition.execution_role_arn is not None:
        return []
    containers = definition.container_definitions
    path = ("executionRoleArn",)
    found = []
    logs = [c.log_configuration for c in containers if c.log_configuration is not None]
    if any(c.secrets for c in containers) or any(log.secret_options for log in logs):
        message = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        found.append(Issue(path, message))
    if any(c.repository_credentials is not None for c in containers):
        message = (
            "Private repository authentication requires that the task definition specify a value for executionRoleArn."
        )
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
