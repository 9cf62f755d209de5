"""What containers run out of: memory, the ephemeral storage of a Fargate task, and the time to stop. Computed instants, no polling.

Memory is a tree of control groups as on a Linux host: a container with a hard limit, a task with a size, an instance. Whoever makes a
group pass its limit gets somebody killed: the member that holds most. `memoryReservation` limits nobody; it lets a container burst.

Sources: Amazon ECS API Reference, API_ContainerDefinition.html (memory, memoryReservation, stopTimeout); Amazon ECS Developer Guide,
fargate-task-storage.html. Nobody says whom the kernel kills or how an application dies of a full disk: both are models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fargsim.catalog.platforms import LATEST, LINUX
from fargsim.catalog.sizes import EPHEMERAL_STORAGE_DEFAULT_GIB
from fargsim.model.taskdef import ContainerDefinition
from fargsim.policy.containers import crossing_us, usable_storage_bytes
from fargsim.sim.container_run import HOUR_US, ContainerRun
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.state import TaskRun

BYTES_PER_MIB = 2**20
KILLED = "OutOfMemoryError: Container killed due to memory usage"
DISK_FULL = "no space left on device"
STORAGE_1_3_GIB = 10
"""Layer storage of platform version 1.3.0."""
STOP_LIMIT_S = 30
"""Between SIGTERM and SIGKILL on Fargate, where a container does not say; on an instance its agent's setting counts."""

End = Callable[[], None]


class MemoryGroup:
    """Containers that share a limit on their memory.

    Parameters
    ----------
    limit_bytes
        The limit at an instant.
    """

    def __init__(self, kit: Kit, limit_bytes: Callable[[], float]) -> None:
        self._kit = kit
        self._limit = limit_bytes
        self._members: dict[ContainerRun, End] = {}
        self._plan = 0

    def join(self, run: ContainerRun, kill: End) -> None:
        """Take a container in that has just started; `kill` ends it."""
        self._members[run] = kill
        self.review()

    def leave(self, run: ContainerRun) -> None:
        """Let a container go that has ended."""
        if self._members.pop(run, None) is not None:
            self.review()

    def over(self, requests_bytes: float = 0.0) -> bool:
        """Whether the limit is passed, with what requests hold at this instant."""
        now = self._kit.now
        return sum(run.memory_bytes(now) for run in self._members) + requests_bytes > self._limit()

    def review(self) -> None:
        """Compute when the limit is passed, from what everybody holds now and takes each hour."""
        self._plan += 1
        if not self._members:
            return
        now, plan = self._kit.now, self._plan
        held = sum(run.memory_bytes(now) for run in self._members)
        leaks = sum(run.does.memory_leak_per_hour for run in self._members)
        after = crossing_us(held, leaks, self._limit())
        if after is not None:
            self._kit.at(now + after, lambda: self._pass(plan))

    def _pass(self, plan: int) -> None:
        if plan == self._plan:
            self.kill_one()

    def kill_one(self) -> None:
        """Kill the member that holds most; of equal ones the one that joined last."""
        now = self._kit.now
        victim = max(reversed(list(self._members)), key=lambda run: run.memory_bytes(now))
        self._members[victim]()


class TaskMemory:
    """The memory of a task's containers: the groups each of them counts in, and what they hold over time.

    Parameters
    ----------
    runs, serving
        The task's containers by name, and the one that serves its requests.
    """

    def __init__(self, kit: Kit, task: TaskRun, runs: dict[str, ContainerRun], serving: ContainerRun) -> None:
        self._kit = kit
        self._runs = runs
        self.held_before_running = 0.0
        """What the containers held before the task was RUNNING, in byte-microseconds."""
        self._held = 0.0
        self._at = kit.now
        request = task.revision.behaviour.request
        whole: list[MemoryGroup] = []
        if task.revision.definition.memory is not None:
            size = task.revision.definition.memory * BYTES_PER_MIB
            whole.append(MemoryGroup(kit, lambda: size))
        if task.instance is not None:
            if task.instance.memory_group is None:
                task.instance.memory_group = MemoryGroup(kit, task.instance.memory_left_bytes)
            whole.append(task.instance.memory_group)
        self._groups: dict[str, tuple[MemoryGroup, ...]] = {}
        for name, run in runs.items():
            own, does = run.definition.memory, run.does
            if not (does.memory or does.memory_leak_per_hour or (run is serving and request and request.memory)):
                self._groups[name] = ()
            elif own is None:
                self._groups[name] = tuple(whole)
            else:
                self._groups[name] = (MemoryGroup(kit, lambda limit=own * BYTES_PER_MIB: limit), *whole)  # type: ignore[misc]

    def join(self, run: ContainerRun, kill: End) -> None:
        """Take a container in that has just started."""
        for group in self._groups[run.name]:
            group.join(run, kill)

    def leave(self, run: ContainerRun) -> None:
        """Let a container go that has ended."""
        for group in self._groups[run.name]:
            group.leave(run)

    def over(self, run: ContainerRun, requests_bytes: float) -> bool:
        """Whether what a container's requests hold at this instant passes one of its limits."""
        return any(group.over(requests_bytes) for group in self._groups[run.name])

    def settle(self) -> None:
        """Advance the integral of what is held besides requests to this instant; before every start and end."""
        now = self._kit.now
        middle = (self._at + now) // 2  # growth is linear, so the middle is the mean
        self._held += sum(run.memory_bytes(middle) for run in self._runs.values()) * (now - self._at)
        self._at = now

    def byte_us(self) -> float:
        """Return the integral of what is held besides requests so far, in byte-microseconds."""
        self.settle()
        return self._held


def requests_pass_limit(task: TaskRun, in_task: int) -> bool:
    """Whether a task of one plain container is killed because of the memory that its requests hold."""
    behaviour, definition = task.revision.behaviour, task.revision.definition
    if behaviour.request is None or not behaviour.request.memory:
        return False
    limit_mib = definition.container_definitions[0].memory or definition.memory
    if limit_mib is None:
        assert task.instance is not None
        limit_mib = task.instance.memory_mib
    return behaviour.memory + in_task * behaviour.request.memory > limit_mib * BYTES_PER_MIB


def stop_limit_us(task: TaskRun, container: ContainerDefinition) -> int:
    """Return how long after SIGTERM a container is killed: its own limit, else that of the agent or of Fargate."""
    limit_s = container.stop_timeout
    if limit_s is None:
        limit_s = STOP_LIMIT_S if task.instance is None else task.instance.stop_timeout_s
    return limit_s * US_PER_S


class TaskDisk:
    """The ephemeral storage of a Fargate task: what its images leave of it, and what its containers write.

    Parameters
    ----------
    usable_bytes
        The task's storage less its images.
    """

    def __init__(self, kit: Kit, usable_bytes: float) -> None:
        self._kit = kit
        self._usable = usable_bytes
        self._writers: dict[ContainerRun, End] = {}
        self._written = 0.0
        self._by_requests = 0.0
        self._at = kit.now
        self._plan = 0

    def join(self, run: ContainerRun, fail: End) -> None:
        """Take a container in that has just started; `fail` ends it."""
        self._advance()
        self._writers[run] = fail
        self.review()

    def leave(self, run: ContainerRun) -> None:
        """Let a container go that has ended; what it has written stays."""
        self._advance()
        if self._writers.pop(run, None) is not None:
            self.review()

    def requests_wrote(self, total_bytes: float) -> bool:
        """Take what the requests have written so far; return whether the disk is full."""
        self._advance()
        if total_bytes != self._by_requests:
            self._by_requests = total_bytes
            self.review()
        return self._written + self._by_requests > self._usable

    def _rate(self) -> float:
        return float(sum(run.does.disk_writes_per_hour for run in self._writers))

    def _advance(self) -> None:
        self._written += self._rate() * ((self._kit.now - self._at) / HOUR_US)
        self._at = self._kit.now

    def review(self) -> None:
        """Compute when the disk is full."""
        self._plan += 1
        plan, rate = self._plan, self._rate()
        after = crossing_us(self._written + self._by_requests, rate, self._usable)
        if after is not None and self._writers:
            self._kit.at(self._kit.now + after, lambda: self._full(plan))

    def _full(self, plan: int) -> None:
        if plan == self._plan:
            self._advance()
            writer = max(self._writers, key=lambda run: run.does.disk_writes_per_hour)
            self._writers[writer]()


def platform_of(task: TaskRun) -> str | None:
    """Return the platform version of a Fargate task; None on an instance and for Windows."""
    if not task.fargate or task.revision.definition.operating_system_family != "LINUX":
        return None
    asked = task.spec.platform_version
    return LINUX[0] if asked is None or asked == LATEST else asked


def storage_gib(task: TaskRun) -> int:
    """Return the ephemeral storage of a Fargate task: as asked for, or what its platform version gives; 0 on an instance.

    Source: Amazon ECS Developer Guide, fargate-task-storage.html. Platform versions before 1.4.0 have 10 GB for images and what containers
    write, and 4 GB for volumes, which are not told apart here.
    """
    if not task.fargate:
        return 0
    if platform_of(task) == "1.3.0":
        return STORAGE_1_3_GIB
    storage = task.revision.definition.ephemeral_storage
    return storage.size_in_gi_b if storage else EPHEMERAL_STORAGE_DEFAULT_GIB


def storage_left_bytes(kit: Kit, task: TaskRun) -> float:
    """Return what a Fargate task may write; negative when its images do not fit, so that the pull fails.

    Source: Amazon ECS Developer Guide, fargate-task-storage.html: images count compressed and unpacked.
    """
    ratio = kit.parameters.number("image_unpacked_ratio")
    return usable_storage_bytes(storage_gib(task), task.revision.image_mib * BYTES_PER_MIB, ratio)


@dataclass(frozen=True, slots=True)
class PullFault:
    """A pull that fills the disk: its ``stoppedReason``, and the share of the pull that fits."""

    reason: str
    share: float


def pull_storage_fault(kit: Kit, task: TaskRun) -> PullFault | None:
    """Return what becomes of the pull of a Fargate task whose images do not fit its ephemeral storage; None when they do.

    Source of the text: Amazon ECS Developer Guide, task_cannot_pull_image.html.
    """
    left = storage_left_bytes(kit, task)
    if left >= 0:
        return None
    allocated = storage_gib(task) * 2.0**30
    reason = f"CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob111111111: {DISK_FULL}"
    return PullFault(reason, allocated / (allocated - left))
