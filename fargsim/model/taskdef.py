"""Task definitions: the request shape of RegisterTaskDefinition.

Every key of the API is accepted, so that a file that works with the AWS CLI works here; the parts that do not change what is
simulated are kept as plain JSON. Rules that need facts (which sizes Fargate has) are in ``fargsim.catalog``.

Source: Amazon ECS API Reference, API_RegisterTaskDefinition.html, API_ContainerDefinition.html, API_HealthCheck.html,
API_ContainerDependency.html, API_ContainerRestartPolicy.html.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from fargsim.model.base import EcsShape, Issue, Json, raise_faults

NetworkMode = Literal["bridge", "host", "awsvpc", "none"]

TOLERANT: dict[str, bool] = {"tolerant": True}
"""Context of a validation after which the caller asks for :meth:`TaskDefinition.faults` itself, together with others."""

_CPU_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*vcpus?\s*", re.IGNORECASE)
_MEMORY_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*gb\s*", re.IGNORECASE)


def _cpu_units(value: Any) -> Any:
    """Turn ``"1 vCPU"`` into 1024 units, as registration does."""
    if isinstance(value, str):
        found = _CPU_TEXT.fullmatch(value)
        if found:
            return round(float(found.group(1)) * 1024)
        if not value.strip().isdigit():
            raise ValueError(f"'{value}' is not an amount of CPU: write CPU units like '256' or '.25 vCPU'")
        return int(value)
    return value


def _memory_mib(value: Any) -> Any:
    """Turn ``"2GB"`` into 2048 MiB, as registration does."""
    if isinstance(value, str):
        found = _MEMORY_TEXT.fullmatch(value)
        if found:
            return round(float(found.group(1)) * 1024)
        if not value.strip().isdigit():
            raise ValueError(f"'{value}' is not an amount of memory: write MiB like '512' or '2 GB'")
        return int(value)
    return value


class PortMapping(EcsShape):
    """A port of a container, and the host's port it is published on."""

    container_port: int | None = Field(default=None, ge=0, le=65535)
    host_port: int | None = Field(default=None, ge=0, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: Literal["http", "http2", "grpc"] | None = None
    container_port_range: str | None = None


class HealthCheck(EcsShape):
    """A container health check. Defaults: 30 s, 5 s, 3 retries, no start period."""

    command: tuple[str, ...] = Field(min_length=1)
    interval: int = Field(default=30, ge=5, le=300)
    timeout: int = Field(default=5, ge=2, le=60)
    retries: int = Field(default=3, ge=1, le=10)
    start_period: int = Field(default=0, ge=0, le=300)


class ContainerDependency(EcsShape):
    """What another container of the task must have reached before this one starts."""

    container_name: str
    condition: Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]


class RestartPolicy(EcsShape):
    """Whether a container is restarted in place."""

    enabled: bool
    ignored_exit_codes: tuple[int, ...] = Field(default=(), max_length=50)
    restart_attempt_period: int = Field(default=300, ge=60, le=1800)


class Secret(EcsShape):
    """A secret or parameter that a container is given as an environment variable, or a log driver as an option."""

    name: str
    value_from: str = Field(min_length=1)


class LogConfiguration(EcsShape):
    """Where a container's output goes.

    Source: Amazon ECS API Reference, API_LogConfiguration.html.
    """

    log_driver: Literal["json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens"]
    options: dict[str, str] = Field(default_factory=dict)
    secret_options: tuple[Secret, ...] = ()


class RepositoryCredentials(EcsShape):
    """The secret with the account of a private registry."""

    credentials_parameter: str


class Resource(EcsShape):
    """A GPU or an inference accelerator that a container needs."""

    value: str
    type: Literal["GPU", "InferenceAccelerator", "NeuronDevice"]


class ContainerDefinition(EcsShape):
    """One container of a task."""

    name: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")
    image: str = Field(min_length=1)
    cpu: int = Field(default=0, ge=0)
    memory: int | None = Field(default=None, ge=6)
    memory_reservation: int | None = Field(default=None, ge=6)
    port_mappings: tuple[PortMapping, ...] = ()
    essential: bool = True
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = Field(default=None, ge=1)
    stop_timeout: int | None = Field(default=None, ge=1)
    health_check: HealthCheck | None = None
    restart_policy: RestartPolicy | None = None
    resource_requirements: tuple[Resource, ...] = ()
    version_consistency: Literal["enabled", "disabled"] = "enabled"
    secrets: tuple[Secret, ...] = ()
    repository_credentials: RepositoryCredentials | None = None
    log_configuration: LogConfiguration | None = None
    # not read by the simulation
    command: tuple[str, ...] = ()
    entry_point: tuple[str, ...] = ()
    environment: tuple[Json, ...] = ()
    environment_files: tuple[Json, ...] = ()
    links: tuple[str, ...] = ()
    mount_points: tuple[Json, ...] = ()
    volumes_from: tuple[Json, ...] = ()
    linux_parameters: Json = None
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    disable_networking: bool | None = None
    privileged: bool | None = None
    readonly_root_filesystem: bool | None = None
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    extra_hosts: tuple[Json, ...] = ()
    docker_security_options: tuple[str, ...] = ()
    interactive: bool | None = None
    pseudo_terminal: bool | None = None
    docker_labels: dict[str, str] = Field(default_factory=dict)
    ulimits: tuple[Json, ...] = ()
    system_controls: tuple[Json, ...] = ()
    firelens_configuration: Json = None
    credential_specs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _memory_order(self) -> Self:
        if self.memory is not None and self.memory_reservation is not None and self.memory < self.memory_reservation:
            # the guide says greater; the API says, and takes, what is equal
            raise ValueError(
                f"Invalid setting for container '{self.name}'. 'memory' must be greater than or equal to 'memoryReservation': "
                f"{self.memory} MiB is less than {self.memory_reservation} MiB"
            )
        return self

    @property
    def placement_memory_mib(self) -> int:
        """What placement subtracts for this container: the reservation where there is one, otherwise the hard limit."""
        return self.memory_reservation if self.memory_reservation is not None else self.memory or 0


class EphemeralStorage(EcsShape):
    """The size of a Fargate task's disk."""

    size_in_gi_b: Annotated[int, Field(alias="sizeInGiB", ge=21, le=200)]


OperatingSystemFamily = Literal[
    "LINUX",
    "WINDOWS_SERVER_2019_FULL",
    "WINDOWS_SERVER_2019_CORE",
    "WINDOWS_SERVER_2016_FULL",
    "WINDOWS_SERVER_2004_CORE",
    "WINDOWS_SERVER_2022_CORE",
    "WINDOWS_SERVER_2022_FULL",
    "WINDOWS_SERVER_2025_CORE",
    "WINDOWS_SERVER_2025_FULL",
    "WINDOWS_SERVER_20H2_CORE",
]


class RuntimePlatform(EcsShape):
    """Operating system and processor architecture."""

    cpu_architecture: Literal["X86_64", "ARM64"] = "X86_64"
    operating_system_family: OperatingSystemFamily = "LINUX"


class MemberOf(EcsShape):
    """A placement constraint of a task definition: only ``memberOf`` is legal there."""

    type: Literal["memberOf"]
    expression: str = Field(max_length=2000)


class TaskDefinition(EcsShape):
    """What ``aws ecs register-task-definition --cli-input-json`` takes."""

    family: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")
    container_definitions: tuple[ContainerDefinition, ...] = Field(min_length=1, max_length=10)
    cpu: (
        Annotated[int, BeforeValidator(_cpu_units, json_schema_input_type=int | str), Field(ge=128, le=196608)] | None
    ) = None
    memory: Annotated[int, BeforeValidator(_memory_mib, json_schema_input_type=int | str), Field(ge=6)] | None = None
    network_mode: NetworkMode | None = None
    requires_compatibilities: tuple[Literal["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"], ...] = ()
    placement_constraints: tuple[MemberOf, ...] = Field(default=(), max_length=10)
    ephemeral_storage: EphemeralStorage | None = None
    runtime_platform: RuntimePlatform | None = None
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    # not read by the simulation
    volumes: tuple[Json, ...] = ()
    tags: tuple[Json, ...] = ()
    pid_mode: str | None = None
    ipc_mode: str | None = None
    proxy_configuration: Json = None
    inference_accelerators: tuple[Json, ...] = ()
    enable_fault_injection: bool | None = None

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if info.context is not TOLERANT:
            raise_faults(self.faults())
        return self

    def faults(self) -> list[Issue]:
        """Return what contradicts itself inside the definition, in AWS's terms, with paths inside the definition."""
        found = []
        names = [c.name for c in self.container_definitions]
        for at, name in enumerate(names):
            if name in names[:at]:
                path = ("containerDefinitions", at, "name")
                found.append(Issue(path, f"container names must be unique: {name} stands twice"))
        if not any(c.essential for c in self.container_definitions):
            found.append(Issue(("containerDefinitions",), "at least one container must be essential"))
        return found + self._size_faults() + self._port_faults() + self._dependency_faults()

    def _size_faults(self) -> list[Issue]:
        found = []
        if self.cpu is not None:
            cpu = sum(c.cpu for c in self.container_definitions)
            if cpu > self.cpu:
                message = f"the containers' cpu adds up to {cpu} units, more than the task's {self.cpu}"
                found.append(Issue(("cpu",), message))
        if self.memory is None:
            return found + [
                Issue(
                    ("containerDefinitions", at),
                    f"container {c.name} needs memory or memoryReservation, since the task has no memory",
                )
                for at, c in enumerate(self.container_definitions)
                if c.memory is None and c.memory_reservation is None
            ]
        for at, c in enumerate(self.container_definitions):
            for key, value in (("memory", c.memory), ("memoryReservation", c.memory_reservation)):
                if value is not None and value > self.memory:
                    message = f"container {c.name} has {value} MiB, more than the task's memory of {self.memory} MiB"
                    found.append(Issue(("containerDefinitions", at, key), message))
        total = sum(c.placement_memory_mib for c in self.container_definitions)
        if total > self.memory and not any(i.path[0] == "containerDefinitions" for i in found):
            message = f"the containers' memory adds up to {total} MiB, more than the task's {self.memory} MiB"
            found.append(Issue(("memory",), message))
        return found

    def _port_faults(self) -> list[Issue]:
        if self.effective_network_mode not in ("awsvpc", "host"):
            return []
        return [
            Issue(
                ("containerDefinitions", at, "portMappings", n, "hostPort"),
                f"container {c.name}: in {self.effective_network_mode} mode hostPort ({p.host_port}) must be "
                f"left out or equal containerPort ({p.container_port})",
            )
            for at, c in enumerate(self.container_definitions)
            for n, p in enumerate(c.port_mappings)
            if p.host_port not in (None, 0, p.container_port)
        ]

    def _dependency_faults(self) -> list[Issue]:
        by_name = {c.name: c for c in self.container_definitions}
        found = []
        for at, container in enumerate(self.container_definitions):
            for n, need in enumerate(container.depends_on):
                path = ("containerDefinitions", at, "dependsOn", n)
                other = by_name.get(need.container_name)
                if other is None:
                    message = (
                        f"Cannot depend on container '{need.container_name}' because it does not exist: container "
                        f"{container.name} may wait for one of {', '.join(by_name)}"
                    )
                    found.append(Issue((*path, "containerName"), message))
                elif need.condition in ("COMPLETE", "SUCCESS") and other.essential:
                    message = (
                        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container: container "
                        f"{container.name} waits for {need.condition} of {other.name}, whose exit would end the task "
                        "(legal for an essential one: START, HEALTHY)"
                    )
                    found.append(Issue((*path, "condition"), message))
                elif need.condition == "HEALTHY" and other.health_check is None:
                    message = f"container {container.name} waits for {other.name} to be HEALTHY: it has no health check"
                    found.append(Issue((*path, "condition"), message))
        return found + self._circles()

    def _circles(self) -> list[Issue]:
        """Return circles of dependencies, each at its first container, until none is left without what closes them."""
        at = {c.name: n for n, c in reversed(list(enumerate(self.container_definitions)))}
        waits = {c.name: dict.fromkeys(d.container_name for d in c.depends_on) for c in self.container_definitions}
        found: list[Issue] = []
        while True:
            try:
                TopologicalSorter(waits).prepare()
            except CycleError as fault:
                circle: list[str] = fault.args[1][:0:-1]  # there each is waited for by the next one
                first = circle.index(min(circle, key=at.__getitem__))
                turned = [*circle[first:], *circle[:first]]
                message = f"containers must not wait for each other in a circle: {' -> '.join([*turned, turned[0]])}"
                found.append(Issue(("containerDefinitions", at[turned[0]], "dependsOn"), message))
                del waits[turned[-1]][turned[0]]
            else:
                return found

    @property
    def effective_network_mode(self) -> NetworkMode:
        """The network mode, with Linux's default ``bridge``."""
        return self.network_mode or "bridge"

    @property
    def cpu_units(self) -> int:
        """What placement subtracts: the task's cpu, otherwise the sum over its containers."""
        return self.cpu if self.cpu is not None else sum(c.cpu for c in self.container_definitions)

    @property
    def memory_mib(self) -> int:
        """What placement subtracts: the task's memory, otherwise reservations or limits of its containers."""
        if self.memory is not None:
            return self.memory
        return sum(c.placement_memory_mib for c in self.container_definitions)

    @property
    def cpu_architecture(self) -> str:
        """``X86_64`` or ``ARM64``."""
        return self.runtime_platform.cpu_architecture if self.runtime_platform else "X86_64"

    @property
    def operating_system_family(self) -> str:
        """``LINUX`` or one of the Windows families."""
        return self.runtime_platform.operating_system_family if self.runtime_platform else "LINUX"

    @property
    def host_ports(self) -> tuple[tuple[int, str], ...]:
        """Fixed host ports and protocols that placement must find free (none in ``awsvpc``: each task has its own interface)."""
        if self.effective_network_mode not in ("bridge", "host"):
            return ()
        host = self.effective_network_mode == "host"
        return tuple(
            (port, p.protocol)
            for c in self.container_definitions
            for p in c.port_mappings
            if (port := (p.container_port if host else p.host_port) or 0)
        )
