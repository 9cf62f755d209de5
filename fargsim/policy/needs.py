"""What a task asks of the instance it is placed on."""

from __future__ import annotations

from dataclasses import dataclass

from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.capabilities import required
from fargsim.policy.views import HostPort


@dataclass(frozen=True, slots=True)
class TaskNeeds:
    """What placement subtracts from an instance, and what it must have.

    Parameters
    ----------
    cpu_units, memory_mib
        Task-level size, otherwise the sum over the containers (``memoryReservation`` before ``memory``).
    host_ports
        Fixed ports of the host; each can be used once per instance and protocol.
    enis
        Interfaces to attach: 1 in ``awsvpc`` mode, otherwise 0.
    gpus
        Number of GPUs.
    zones
        Zones of the subnets a task in ``awsvpc`` mode may use; None where any zone will do.
    attributes
        Names and values the instance must have; a value of None asks for the name only.
    dynamic_ports
        Container, port and protocol of every mapping for which Docker chooses the host's port; they rule no instance out.

    Notes
    -----
    Source: Amazon ECS Developer Guide, task-placement.html and api_failures_messages.html; Amazon ECS API Reference,
    API_ContainerDefinition.html.
    """

    cpu_units: int
    memory_mib: int
    host_ports: tuple[HostPort, ...] = ()
    enis: int = 0
    gpus: int = 0
    zones: tuple[str, ...] | None = None
    attributes: tuple[tuple[str, str | None], ...] = ()
    dynamic_ports: tuple[tuple[str, int, str], ...] = ()

    @property
    def resources(self) -> TaskNeeds:
        """What it asks for without where: tasks of different families may be equal in that."""
        return TaskNeeds(self.cpu_units, self.memory_mib, self.host_ports, self.enis, self.gpus)

    @property
    def architecture(self) -> str | None:
        """The processor it must have, None where its definition does not say."""
        return dict(self.attributes).get("ecs.cpu-architecture")


def needs_of(definition: TaskDefinition, zones: tuple[str, ...] | None = None) -> TaskNeeds:
    """Return what placement asks for a task of a definition.

    Parameters
    ----------
    zones
        Zones of the subnets of the network configuration; read in ``awsvpc`` mode only.

    Notes
    -----
    Of the attributes that registration derives from a definition, those of ``runtimePlatform`` are asked for
    (``ecs.cpu-architecture``, ``ecs.os-type``), and the capabilities that an agent may lack: see `fargsim.policy.capabilities`.
    """
    awsvpc = definition.effective_network_mode == "awsvpc"
    attributes: list[tuple[str, str | None]] = []
    platform = definition.runtime_platform
    if platform is not None:
        architecture = "arm64" if platform.cpu_architecture == "ARM64" else "x86_64"
        attributes.append(("ecs.cpu-architecture", architecture))
        attributes.append(("ecs.os-type", "linux" if platform.operating_system_family == "LINUX" else "windows"))
    attributes += [(name, None) for name in required(definition)]
    gpus = sum(
        int(r.value) for c in definition.container_definitions for r in c.resource_requirements if r.type == "GPU"
    )
    return TaskNeeds(
        cpu_units=definition.cpu_units,
        memory_mib=definition.memory_mib,
        host_ports=definition.host_ports,
        enis=1 if awsvpc else 0,
        gpus=gpus,
        zones=zones if awsvpc else None,
        attributes=tuple(attributes),
        dynamic_ports=_dynamic_ports(definition),
    )


def _dynamic_ports(definition: TaskDefinition) -> tuple[tuple[str, int, str], ...]:
    if definition.effective_network_mode != "bridge":
        return ()
    return tuple(
        (container.name, mapping.container_port, mapping.protocol)
        for container in definition.container_definitions
        for mapping in container.port_mappings
        if mapping.container_port is not None and not mapping.host_port
    )
