"""Run-time state: what exists in the region at this instant. Plain slotted values; the processes change them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.behaviour import Behaviour
from fargsim.model.capacity import CapacityProvider, Cluster
from fargsim.model.service import CreateService, RunTask
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.containers import Trouble
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.start_up import ImageView

if TYPE_CHECKING:
    from fargsim.policy.fleet import Fleet
    from fargsim.sim.container_machine import ContainerMachine
    from fargsim.sim.groups import AutoScalingGroupRun, InstanceRun
    from fargsim.sim.network import SubnetRun
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun

SHOWN_STOPPED_US = 3_600_000_000
"""How long a stopped task is shown."""

LIFECYCLE = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image of a task.

    Parameters
    ----------
    ref
        Its whole name.
    view
        What is pulled, as a registry without trouble gives it.
    credentials
        Whether it is pulled with an account of the registry.
    """

    ref: str
    view: ImageView
    credentials: bool = False


@dataclass(slots=True)
class Revision:
    """One registered revision of a task definition, with how its containers behave."""

    number: int
    arn: str
    definition: TaskDefinition
    behaviour: Behaviour
    images: tuple[ImageFacts, ...]
    """Its images, each once however many containers share it."""
    needs: TaskNeeds
    """What placement subtracts; computed once."""
    has_machine: bool | None = None
    """Whether its tasks have a `ContainerMachine`; found out with the first."""

    @property
    def name(self) -> str:
        """``family:revision``."""
        return f"{self.definition.family}:{self.number}"

    @property
    def image_mib(self) -> float:
        """The compressed size of its images, in MiB."""
        return sum(image.view.mib for image in self.images)


@dataclass(slots=True)
class Stop:
    """Why a task is being stopped."""

    code: str
    reason: str
    exit_code: int | None = None
    drain: bool = True
    """Whether its target is deregistered before its containers are signalled."""
    kill: bool = False
    """Whether it vanishes with its host, without any signal."""


@dataclass(slots=True, eq=False)
class TaskRun:
    """One task."""

    task_id: str
    number: int
    cluster: ClusterRun
    group: str
    revision: Revision
    launch_type: str
    spec: CreateService | RunTask
    created_at: int
    capacity_provider: str | None = None
    service: ServiceRun | None = None
    deployment_id: str | None = None
    started_by: str | None = None
    zone: str | None = None
    subnet: str | None = None
    address: SubnetRun | None = None
    """The subnet in which it has an address."""
    without_interface: bool = False
    """Whether it never got a network interface, so that none is to be detached."""
    start_failure: str = ""
    """Why it could not start, where something around it was missing."""
    instance: InstanceRun | None = None
    public_ip: bool = False
    image_cached: bool = False
    holds_images: bool = False
    """Whether its containers keep their images on the disk of its instance."""
    reserved: bool = False
    """Whether it holds resources in the scheduler's ledger."""
    in_group: bool = False
    """Whether it counts as one of its task group on its instance."""
    on_host: bool = False
    """Whether it holds resources of its host."""
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    health_status: str = "UNKNOWN"
    healthy: bool = False
    health_checked: bool = False
    host_drains: bool = False
    serves: bool = False
    """On a draining instance: whether it would count as healthy elsewhere."""
    retires: str = ""
    """Why Fargate takes it out of service, once it does."""
    counted_running: bool = False
    settled: bool = False
    """Whether it was there before the run began."""
    stop_wanted: Stop | None = None
    process: simpy.Process | None = None
    placed: simpy.Event | None = None
    connectivity_at: int | None = None
    pull_started_at: int | None = None
    pull_stopped_at: int | None = None
    started_at: int | None = None
    boot_done_at: int | None = None
    healthy_at: int | None = None
    stopping_at: int | None = None
    execution_stopped_at: int | None = None
    stopped_at: int | None = None
    exit_code: int | None = None
    container_reason: str | None = None
    """Why its essential container ended, in ECS's words, where it ended by force."""
    machine: ContainerMachine | None = None
    """Its containers, where they need more than one life together."""
    trouble: Trouble | None = None
    """A span in which the container that serves requests does not pass health checks."""
    targets: list[tuple[TargetGroupRun, Any]] = field(default_factory=list)
    outage: tuple[int, int | None] | None = None
    """From when to when its application does not pass the checks of load balancers, as drawn at its first registration."""
    dynamic_ports: tuple[int | None, ...] = ()
    """The host's ports that Docker chose for it, in the order of `TaskNeeds.dynamic_ports`."""
    requests_served: int = 0
    busy_core_us: float = 0.0

    @property
    def fargate(self) -> bool:
        """Whether it runs on Fargate."""
        return self.launch_type == "FARGATE"

    @property
    def daemon(self) -> bool:
        """Whether it is of a daemon service."""
        return self.service is not None and self.service.spec.scheduling_strategy == "DAEMON"

    @property
    def distinct(self) -> bool:
        """Whether it shares an instance with no other of its group."""
        return any(c.type == "distinctInstance" for c in self.spec.placement_constraints)

    @property
    def alive(self) -> bool:
        """Whether it is wanted and not on its way out."""
        return self.desired_status == "RUNNING"


@dataclass(slots=True, eq=False)
class ProviderRun:
    """A capacity provider of an Auto Scaling group, or of Managed Instances."""

    spec: CapacityProvider
    group: AutoScalingGroupRun
    reservation: float | None = None
    on_wait: Callable[[], None] | None = None
    """Called when a task begins to wait for an instance, where somebody provides for it at once (Managed Instances)."""

    @property
    def managed_instances(self) -> bool:
        """Whether ECS picks its instances itself, for the tasks that wait (Managed Instances)."""
        return self.spec.managed_instances_provider is not None

    @property
    def managed(self) -> bool:
        """Whether ECS sees to its instances, so that tasks may wait for them."""
        return self.managed_instances or self.spec.asg.managed_scaling.status == "ENABLED"


@dataclass(slots=True, eq=False)
class ClusterRun:
    """A cluster."""

    name: str
    spec: Cluster
    fleet: Fleet
    deleted: bool = False
    tasks: dict[str, TaskRun] = field(default_factory=dict)
    services: dict[str, ServiceRun] = field(default_factory=dict)
    waiting: dict[str, TaskRun] = field(default_factory=dict)
    """Tasks in PROVISIONING that wait for instances of a provider with managed scaling, in order of arrival."""
    on_capacity: list[Callable[[], None]] = field(default_factory=list)
    """Called when an instance registers or a task frees its place."""
    daemons: list[Callable[[], None]] = field(default_factory=list)
    """The same for daemon services, whose tasks come first."""
    stopped: dict[str, TaskRun] = field(default_factory=dict)
    """Tasks that stopped within the last hour, as DescribeTasks still shows them."""
    stopped_in_order: deque[TaskRun] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIFECYCLE, 0))
    fargate_cpu_units: int = 0
    zone_counts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    instances_by_row: dict[int, InstanceRun] = field(default_factory=dict)
    registered_cpu_units: int = 0
    registered_memory_mib: int = 0
    reserved_cpu_units: int = 0
    reserved_memory_mib: int = 0
    fargate_freed: Callable[[TaskRun], None] = lambda task: None
    """Called when a Fargate task has given its vCPUs back."""

    def zones_of(self, task: TaskRun) -> dict[str, int]:
        """Return the tasks by zone of a Fargate task's group and provider: each provider is spread on its own."""
        return self.zone_counts.setdefault((task.group, task.capacity_provider or task.launch_type), {})

    def retire(self, task: TaskRun) -> None:
        """Move a stopped task to those that DescribeTasks shows for an hour, and forget those that stopped before.

        Source: Amazon ECS Developer Guide, stopped-task-errors.html.
        """
        assert task.stopped_at is not None
        self.tasks.pop(task.task_id, None)
        task.process = task.placed = None
        self.stopped[task.task_id] = task
        self.stopped_in_order.append(task)
        while (at := self.stopped_in_order[0].stopped_at) is not None and at < task.stopped_at - SHOWN_STOPPED_US:
            del self.stopped[self.stopped_in_order.popleft().task_id]

    def capacity_changed(self) -> None:
        """Tell everyone who waits for a place."""
        for act in self.daemons:
            act()
        for act in self.on_capacity:
            act()
