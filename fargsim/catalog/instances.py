"""EC2 instance types, and what each registers with an ECS cluster.

Sources: EC2 DescribeInstanceTypes; Amazon ECS Developer Guide, container-instance-eni.html (task limits),
memory-management.html and service_utilization.html (registered memory); github.com/aws/amazon-ecs-agent,
ecs-agent/api/ecs/client/ecs_client.go (registered CPU); EC2 User Guide, burstable-credits-baseline-concepts.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fargsim.catalog.parameters import parameters
from fargsim.catalog.store import CatalogError, table, unknown

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CpuCredits:
    """CPU credits of a burstable instance; one credit is one vCPU at 100 % for one minute.

    Parameters
    ----------
    credits_per_hour
        Earned per hour by the whole instance.
    max_credits
        Most it can hold: 24 hours of earning.
    baseline_percent_per_vcpu
        Share of one vCPU that can be used for ever without spending.
    """

    credits_per_hour: float
    max_credits: float
    baseline_percent_per_vcpu: float


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One EC2 instance type.

    Parameters
    ----------
    name
        For instance ``m5.large``.
    vcpu
        Default number of vCPUs.
    memory_mib
        Memory of the instance in MiB; an ECS agent registers less, see :func:`registered_memory_mib`.
    architecture
        ``x86_64`` or ``arm64``, as the attribute ``ecs.cpu-architecture`` spells it.
    gpus, neuron_devices
        Accelerators.
    network_gbps_baseline, network_gbps_burst
        Sustained and peak bandwidth in Gbit/s over all network cards.
    max_enis, ipv4_per_eni
        Network interfaces, the primary one included, and addresses on each.
    trunk_task_limit
        Tasks in ``awsvpc`` mode with the account setting ``awsvpcTrunking``; None when trunking is not supported.
    trunk_basis
        ``table`` (the guide's table), ``derived`` (branch interfaces + max_enis - 2) or ``unsupported``.
    bare_metal
        Whether it is a metal size.
    credits
        CPU credits of t3, t3a and t4g; None elsewhere.
    """

    name: str
    vcpu: int
    memory_mib: int
    architecture: str
    gpus: int
    neuron_devices: int
    network_gbps_baseline: float
    network_gbps_burst: float
    max_enis: int
    ipv4_per_eni: int
    trunk_task_limit: int | None
    trunk_basis: str
    bare_metal: bool
    credits: CpuCredits | None

    @property
    def family(self) -> str:
        """What stands before the dot, for instance ``m5``."""
        return self.name.partition(".")[0]

    @property
    def size(self) -> str:
        """What stands behind the dot, for instance ``large``."""
        return self.name.partition(".")[2]

    @property
    def burstable(self) -> bool:
        """Whether it runs on CPU credits."""
        return self.credits is not None


@cache
def _credits() -> Mapping[str, CpuCredits]:
    return {
        r["size"]: CpuCredits(
            float(r["credits_per_hour"]), float(r["max_credits"]), float(r["baseline_percent_per_vcpu"])
        )
        for r in table("cpu_credits")
    }


@cache
def instance_types() -> Mapping[str, InstanceType]:
    """Return every instance type by name, in the order of the data file.

    >>> len(instance_types())
    493
    """
    found = {}
    for r in table("instance_types"):
        name = r["instance_type"]
        family, _, size = name.partition(".")
        found[name] = InstanceType(
            name=name,
            vcpu=int(r["vcpu"]),
            memory_mib=int(r["memory_mib"]),
            architecture=r["architecture"],
            gpus=int(r["gpus"]),
            neuron_devices=int(r["neuron_devices"]),
            network_gbps_baseline=float(r["network_gbps_baseline"]),
            network_gbps_burst=float(r["network_gbps_burst"]),
            max_enis=int(r["max_enis"]),
            ipv4_per_eni=int(r["ipv4_per_eni"]),
            trunk_task_limit=int(r["trunk_task_limit"]) if r["trunk_task_limit"] else None,
            trunk_basis=r["trunk_basis"],
            bare_metal=r["bare_metal"] == "true",
            credits=_credits()[size] if family in ("t3", "t3a", "t4g") else None,
        )
    return MappingProxyType(found)


def instance_type(name: str) -> InstanceType:
    """Return one instance type.

    Raises
    ------
    CatalogError
        When the catalogue does not hold it; the message names close matches.

    >>> instance_type("t3.medium").credits.max_credits
    576.0
    """
    found = instance_types().get(name)
    if found is None:
        raise unknown("instance type", name, instance_types())
    return found


def registered_cpu_units(name: str) -> int:
    """Return the CPU units that the type registers with a cluster: 1024 to the vCPU.

    >>> registered_cpu_units("m5.large")
    2048
    """
    return instance_type(name).vcpu * 1024


def registered_memory_from_bytes(mem_total_bytes: int, reserved_mib: int = 0) -> int:
    """Return the MiB that an agent registers on a host whose kernel reports that much memory.

    Parameters
    ----------
    mem_total_bytes
        ``MemTotal`` of ``/proc/meminfo``, in bytes.
    reserved_mib
        ``ECS_RESERVED_MEMORY``.

    Raises
    ------
    CatalogError
        When nothing is left: the agent then fails to register.

    Source: Amazon ECS Developer Guide, memory-management.html.

    >>> registered_memory_from_bytes(8373026816), registered_memory_from_bytes(8373026816, 256)
    (7985, 7729)
    """
    return _less_reserved(mem_total_bytes // _MIB, reserved_mib)


def registered_memory_mib(name: str, reserved_mib: int = 0, factor: float | None = None) -> int:
    """Return the memory in MiB that an instance of the type registers with a cluster.

    Types whose registered memory AWS has published are taken from there (Linux); for all others it is the share
    ``factor`` of the type's memory, an assumption.

    Parameters
    ----------
    reserved_mib
        ``ECS_RESERVED_MEMORY`` of the agent.
    factor
        Share of the memory that is registered; None takes the parameter ``registered_memory_factor`` (0.975). A
        factor that is given is used for every type.

    >>> registered_memory_mib("m4.large"), registered_memory_mib("m5.large"), registered_memory_mib("m5.large", 256)
    (7985, 7987, 7731)
    """
    if factor is None:
        known = _registered().get(name)
        if known is not None:
            return _less_reserved(known, reserved_mib)
        factor = parameters().number("registered_memory_factor")
    if not 0 < factor <= 1:
        raise CatalogError(f"registered_memory_factor must be above 0 and at most 1, not {factor:g}")
    return _less_reserved(math.floor(instance_type(name).memory_mib * factor), reserved_mib)


@cache
def _registered() -> Mapping[str, int]:
    return {
        r["instance_type"]: int(r["mem_total_bytes"]) // _MIB if r["mem_total_bytes"] else int(r["registered_mib"])
        for r in table("registered_memory")
        if r["os"] == "linux"
    }


def _less_reserved(memory_mib: int, reserved_mib: int) -> int:
    if reserved_mib < 0:
        raise CatalogError(f"ECS_RESERVED_MEMORY must not be negative, not {reserved_mib}")
    if memory_mib - reserved_mib < 0:
        raise CatalogError(
            f"ECS_RESERVED_MEMORY of {reserved_mib} MiB is more than the instance has ({memory_mib} MiB): "
            "it cannot register"
        )
    return memory_mib - reserved_mib


def awsvpc_task_limit(name: str, *, trunking: bool = False) -> int:
    """Return how many ``awsvpc`` tasks an instance of the type can hold.

    Without trunking each task takes one network interface beside the primary one. A type that does not support
    trunking keeps that limit when the account setting is on.

    Source: Amazon ECS Developer Guide, container-instance-eni.html.

    >>> awsvpc_task_limit("c5.large"), awsvpc_task_limit("c5.large", trunking=True)
    (2, 10)
    """
    found = instance_type(name)
    if trunking and found.trunk_task_limit is not None:
        return found.trunk_task_limit
    return found.max_enis - 1
