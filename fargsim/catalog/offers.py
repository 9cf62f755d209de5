"""Which instance types a region offers, and which of them meet the requirements of Managed Instances.

Source: EC2 DescribeInstanceTypeOfferings, as far as the catalogue's prices follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from fargsim.catalog.instances import (
    InstanceType,
    awsvpc_task_limit,
    instance_type,
    instance_types,
    registered_memory_mib,
)
from fargsim.catalog.prices import ec2_on_demand_price, ec2_regions
from fargsim.catalog.store import CatalogError
from fargsim.model.base import Issue
from fargsim.model.managed_instances import InstanceRequirements


def windows_fault(name: str) -> str | None:
    """Say that an instance type runs no Windows: there is none for Graviton. None where it does, or is not known.

    >>> print(windows_fault("m7g.large"))
    Windows runs on x86_64 only, and m7g.large is arm64
    """
    facts = instance_types().get(name)
    if facts is None or facts.architecture == "x86_64":
        return None
    return f"Windows runs on x86_64 only, and {name} is {facts.architecture}"


def offer_fault(name: str, region: str) -> str | None:
    """Say that there is no such instance type, or that it is not offered in a region; None where it is.

    The catalogue has a price where EC2 offers a type, a few metal and inf2 sizes aside; a region without any EC2 prices refuses none.

    >>> offer_fault("m5.large", "us-east-1") is None, offer_fault("m5.lagre", "us-east-1")[:29]
    (True, "there is no instance type 'm5")
    """
    try:
        instance_type(name)
    except CatalogError as fault:
        return str(fault)
    if region not in ec2_regions():
        return None
    try:
        ec2_on_demand_price(name, region)
    except CatalogError as fault:
        return f"{name} is not offered in {region}: {fault}"
    return None


def memory_fault(name: str, reserved_mib: int, factor: float | None = None) -> str | None:
    """Say that the agents of a type keep more memory for the instance than it has, so that they cannot register; None where they can.

    Source: github.com/aws/amazon-ecs-agent, README.md (ECS_RESERVED_MEMORY).

    >>> memory_fault("c5.large", 9999)
    'ECS_RESERVED_MEMORY of 9999 MiB is more than a c5.large has (3993 MiB): its agent cannot register'
    """
    there = registered_memory_mib(name, 0, factor)
    if reserved_mib <= there:
        return None
    return (
        f"ECS_RESERVED_MEMORY of {reserved_mib} MiB is more than a {name} has ({there} MiB): its agent cannot register"
    )


def meets(facts: InstanceType, requirements: InstanceRequirements | None) -> bool:
    """Whether a type meets the requirements of a launch template; without any, neither burstable nor bare metal nor GPU types do."""
    if requirements is None:
        return not (facts.burstable or facts.bare_metal or facts.gpus or facts.neuron_devices)
    rules = ((requirements.burstable_performance, facts.burstable), (requirements.bare_metal, facts.bare_metal))
    named = bool(requirements.allowed_instance_types)
    if any(rule == "required" and not is_so for rule, is_so in rules):
        return False
    if not named and any(rule == "excluded" and is_so for rule, is_so in rules):
        return False
    accelerators = requirements.accelerator_count
    if accelerators is None:
        gpus_fit = named or not (facts.gpus or facts.neuron_devices)
    else:
        gpus_fit = accelerators.holds(facts.gpus + facts.neuron_devices)
    return (
        gpus_fit
        and requirements.v_cpu_count.holds(facts.vcpu)
        and requirements.memory_mi_b.holds(facts.memory_mib)
        and requirements.names(facts.name)
    )


def requirement_faults(requirements: InstanceRequirements | None, region: str) -> Iterator[Issue]:
    """Yield why no instance type of a region, or none of those that are named, meets the requirements of Managed Instances.

    >>> wanted = InstanceRequirements.model_validate({"vCpuCount": {}, "memoryMiB": {}, "allowedInstanceTypes": ["c5.*", "c9z.*"]})
    >>> [(issue.dotted(), issue.message) for issue in requirement_faults(wanted, "us-east-1")]
    [('allowedInstanceTypes[1]', 'no instance type of us-east-1 is called c9z.*')]
    """
    here = [facts for name, facts in instance_types().items() if offer_fault(name, region) is None]
    named = () if requirements is None else requirements.allowed_instance_types
    unknown = False
    for n, pattern in enumerate(named):
        message = None if "*" in pattern or "?" in pattern else offer_fault(pattern, region)
        if message is None and not any(fnmatchcase(facts.name, pattern) for facts in here):
            message = f"no instance type of {region} is called {pattern}"
        if message is not None:
            unknown = True
            yield Issue(("allowedInstanceTypes", n), message)
    if not unknown and not any(meets(facts, requirements) for facts in here):
        yield Issue((), f"no instance type of {region} meets them")


def offered(
    name: str, region: str, *, reserved_mib: int = 0, factor: float | None = None, trunking: bool = False
) -> tuple[str, tuple[int, int, int, int], float]:
    """Return what a type offers to tasks: its processor; CPU units, memory in MiB, interfaces and GPUs; its price per hour in USD.

    Nothing is left of a memory that is smaller than what the agent keeps for itself. Without a price in the region it counts as the
    dearest.

    >>> offered("c5.large", "us-east-1")
    ('x86_64', (2048, 3993, 2, 0), 0.085)
    """
    facts = instance_type(name)
    try:
        memory = registered_memory_mib(name, reserved_mib, factor)
    except CatalogError:
        memory = 0
    try:
        price = ec2_on_demand_price(name, region).value
    except CatalogError:
        price = float("inf")
    return (
        facts.architecture,
        (facts.vcpu * 1024, memory, awsvpc_task_limit(name, trunking=trunking), facts.gpus),
        price,
    )
