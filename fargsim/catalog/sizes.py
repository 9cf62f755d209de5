"""Task sizes of AWS Fargate, ephemeral storage, and the sizing of EKS pods.

Sources: Amazon ECS Developer Guide, task-cpu-memory-error.html and fargate-tasks-services.html; Amazon ECS API
Reference, API_RegisterTaskDefinition.html and API_EphemeralStorage.html; https://aws.amazon.com/fargate/pricing/ (32
vCPU row); Amazon EKS User Guide, fargate-pod-configuration.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from fargsim.catalog.store import AS_OF, CatalogError, table

EPHEMERAL_STORAGE_DEFAULT_GIB = 20
EPHEMERAL_STORAGE_MIN_GIB = 21
EPHEMERAL_STORAGE_MAX_GIB = 200
EKS_OVERHEAD_MIB = 256
_EKS_LARGEST_CPU_UNITS = 16384


@dataclass(frozen=True, slots=True, order=True)
class FargateSize:
    """One legal pair of task CPU and task memory on Fargate.

    Parameters
    ----------
    cpu_units
        CPU units, 1024 to the vCPU.
    memory_mib
        Memory in MiB.
    windows
        Whether Windows tasks may have this size.
    min_platform_version
        Oldest Linux platform version that offers it.
    since
        ISO date from which the size exists (or the oldest text that lists it).
    """

    cpu_units: int
    memory_mib: int
    windows: bool
    min_platform_version: str
    since: str

    @property
    def vcpu(self) -> float:
        """The CPU in vCPU."""
        return self.cpu_units / 1024

    @property
    def memory_gib(self) -> float:
        """The memory in GiB, which is the "GB" of the price page."""
        return self.memory_mib / 1024


@cache
def _all_sizes() -> tuple[FargateSize, ...]:
    return tuple(
        FargateSize(
            int(r["cpu_units"]), int(r["memory_mib"]), r["windows"] == "true", r["min_platform_version"], r["since"]
        )
        for r in table("fargate_sizes")
    )


@cache
def fargate_sizes(*, windows: bool = False, on: str = AS_OF) -> tuple[FargateSize, ...]:
    """Return the legal sizes, smallest first.

    Parameters
    ----------
    windows
        Only the sizes a Windows task may have (1, 2 and 4 vCPU).
    on
        ISO date: sizes that came later are left out. 8 and 16 vCPU came on 2022-09-16, 32 vCPU was listed by
        2026-10-09.

    >>> len(fargate_sizes()), len(fargate_sizes(windows=True)), len(fargate_sizes(on="2025-01-01"))
    (77, 43, 74)
    """
    return tuple(s for s in _all_sizes() if s.since <= on and (s.windows or not windows))


@cache
def _memory_by_cpu(windows: bool, on: str) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for size in fargate_sizes(windows=windows, on=on):
        found.setdefault(size.cpu_units, []).append(size.memory_mib)
    return {cpu: tuple(memory) for cpu, memory in found.items()}


def fargate_size_fault(
    cpu_units: int | None, memory_mib: int | None, *, windows: bool = False, on: str = AS_OF
) -> str | None:
    """Say what is wrong with a task size on Fargate, naming the legal values; None when nothing is.

    Parameters
    ----------
    cpu_units, memory_mib
        Task-level cpu (CPU units) and memory (MiB). Fargate needs both.

    >>> fargate_size_fault(256, 512) is None
    True
    >>> print(fargate_size_fault(256, 4096))
    256 CPU units (0.25 vCPU) on Fargate go with memory of 512, 1024 or 2048 MiB, not 4096
    >>> print(fargate_size_fault(300, 512))
    Fargate has no task size with 300 CPU units: legal are 256, 512, 1024, 2048, 4096, 8192, 16384 and 32768
    """
    kind = "Windows tasks on Fargate" if windows else "Fargate"
    if cpu_units is None or memory_mib is None:
        lacking = " and ".join(n for n, v in (("cpu", cpu_units), ("memory", memory_mib)) if v is None)
        return f"Fargate needs cpu and memory at task level: {lacking} is missing"
    legal = _memory_by_cpu(windows, on)
    if cpu_units not in legal:
        verb = "have" if windows else "has"
        return f"{kind} {verb} no task size with {cpu_units} CPU units: legal are {_listed(legal)}"
    if memory_mib not in legal[cpu_units]:
        memory = _memory_text(legal[cpu_units])
        return (
            f"{cpu_units} CPU units ({cpu_units / 1024:g} vCPU) on Fargate go with memory of {memory}, not {memory_mib}"
        )
    return None


def require_fargate_size(
    cpu_units: int | None, memory_mib: int | None, *, windows: bool = False, on: str = AS_OF
) -> FargateSize:
    """Return the legal size of that CPU and memory.

    Raises
    ------
    CatalogError
        When there is none; the message names the legal values.
    """
    fault = fargate_size_fault(cpu_units, memory_mib, windows=windows, on=on)
    if fault is not None:
        raise CatalogError(fault)
    return next(
        s for s in fargate_sizes(windows=windows, on=on) if (s.cpu_units, s.memory_mib) == (cpu_units, memory_mib)
    )


def _listed(values: Iterable[int], last: str = "and") -> str:
    words = [str(v) for v in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _memory_text(values: Sequence[int]) -> str:
    if len(values) <= 4:
        return f"{_listed(values, 'or')} MiB"
    return f"{values[0]} to {values[-1]} MiB in steps of {values[1] - values[0]}"


def ephemeral_storage_fault(requested_gib: int | None, *, windows: bool = False) -> str | None:
    """Say what is wrong with ``ephemeralStorage.sizeInGiB`` on Fargate; None when nothing is.

    >>> print(ephemeral_storage_fault(201))
    ephemeralStorage.sizeInGiB must be 21 to 200 GiB (20 GiB come with every task when it is left out), not 201
    """
    if requested_gib is None:
        return None
    if windows:
        return "Windows tasks on Fargate have 20 GiB of ephemeral storage: leave ephemeralStorage out"
    if EPHEMERAL_STORAGE_MIN_GIB <= requested_gib <= EPHEMERAL_STORAGE_MAX_GIB:
        return None
    return (
        f"ephemeralStorage.sizeInGiB must be {EPHEMERAL_STORAGE_MIN_GIB} to {EPHEMERAL_STORAGE_MAX_GIB} GiB "
        f"({EPHEMERAL_STORAGE_DEFAULT_GIB} GiB come with every task when it is left out), not {requested_gib}"
    )


def ephemeral_storage_gib(requested_gib: int | None = None, *, windows: bool = False) -> int:
    """Return the ephemeral storage of a Fargate task in GiB.

    Raises
    ------
    CatalogError
        When the request is outside 21 to 200 GiB.

    >>> ephemeral_storage_gib(), ephemeral_storage_gib(200)
    (20, 200)
    """
    fault = ephemeral_storage_fault(requested_gib, windows=windows)
    if fault is not None:
        raise CatalogError(fault)
    return EPHEMERAL_STORAGE_DEFAULT_GIB if requested_gib is None else requested_gib


@dataclass(frozen=True, slots=True)
class PodRequest:
    """Resource requests of one container of a pod: vCPU, and memory in MiB; zero where it requests nothing."""

    vcpu: float = 0.0
    memory_mib: float = 0.0


def eks_pod_size(containers: Sequence[PodRequest], init_containers: Sequence[PodRequest] = ()) -> FargateSize:
    """Return the Fargate size that an EKS pod is given and billed by.

    Per resource the larger of the biggest init container and the sum of the long-running containers, plus 256 MiB
    for the Kubernetes components, rounded up to the next legal pair (up to 16 vCPU); a pod without any request gets
    the smallest.

    Raises
    ------
    CatalogError
        When the pod is larger than every size.

    Source: Amazon EKS User Guide, fargate-pod-configuration.html (December 2024 text), whose example is the first
    below.

    >>> size = eks_pod_size([PodRequest(1, 8192)]); (size.vcpu, size.memory_gib)
    (2.0, 9.0)
    >>> size = eks_pod_size([PodRequest()]); (size.vcpu, size.memory_gib)
    (0.25, 0.5)
    """
    legal = [s for s in fargate_sizes() if s.cpu_units <= _EKS_LARGEST_CPU_UNITS]
    everyone = [*containers, *init_containers]
    if any(c.vcpu < 0 or c.memory_mib < 0 for c in everyone):
        raise CatalogError("a container cannot request a negative amount")
    if not any(c.vcpu or c.memory_mib for c in everyone):
        return legal[0]
    cpu = max(sum(c.vcpu for c in containers), max((c.vcpu for c in init_containers), default=0.0))
    memory = max(sum(c.memory_mib for c in containers), max((c.memory_mib for c in init_containers), default=0.0))
    memory += EKS_OVERHEAD_MIB
    for size in legal:
        # the requests come as decimal vCPU, so 0.1 + 0.15 must still fit 0.25
        if size.vcpu >= cpu - 1e-9 and size.memory_mib >= memory - 1e-6:
            return size
    largest = legal[-1]
    raise CatalogError(
        f"a pod of {cpu:g} vCPU and {memory:g} MiB (256 MiB of them for Kubernetes) fits no Fargate size: "
        f"the largest is {largest.vcpu:g} vCPU and {largest.memory_mib} MiB"
    )
