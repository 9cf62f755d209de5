"""One container of a task: what it is, how far it has come, how its present run goes."""

from __future__ import annotations

from dataclasses import dataclass

from fargsim.model.behaviour import ContainerBehaviour
from fargsim.model.service import CreateService
from fargsim.model.taskdef import ContainerDefinition
from fargsim.policy.containers import Health, Phase, Seen, Trouble
from fargsim.sim.kit import Kit
from fargsim.sim.state import Revision, TaskRun

HOUR_US = 3_600_000_000
NOTHING = ContainerBehaviour()


@dataclass(slots=True, eq=False)
class ContainerRun:
    """A container; when it is restarted in place it stays the same container with another run.

    Parameters
    ----------
    definition, does
        What it is and how it behaves.
    """

    definition: ContainerDefinition
    does: ContainerBehaviour
    phase: Phase = "waiting"
    epoch: int = 0
    """Raised when its phase changes, so that what was planned for the phase before is dropped."""
    run: int = -1
    """Number of its present run, from 0; -1 before the first."""
    started_at: int | None = None
    ready_at: int | None = None
    exited_at: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    """Why it ended or did not start, in ECS's words; nothing where it ended by itself."""
    last_words: str | None = None
    """What the application said when it ended, as its log shows."""
    health: Health = "UNKNOWN"
    trouble: Trouble | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def seen(self) -> Seen:
        """What others see that wait for it."""
        return Seen(self.phase, self.exit_code, self.health, self.run >= 0)

    @property
    def alive(self) -> bool:
        """Whether its process exists."""
        return self.phase in ("running", "stopping")

    @property
    def last_status(self) -> str:
        """``PENDING``, ``RUNNING`` or ``STOPPED``, as DescribeTasks says."""
        if self.alive:
            return "RUNNING"
        return "STOPPED" if self.phase == "stopped" else "PENDING"

    def memory_bytes(self, now_us: int) -> float:
        """Return what it holds besides its requests."""
        if not self.alive or self.started_at is None:
            return 0.0
        return self.does.memory + self.does.memory_leak_per_hour * ((now_us - self.started_at) / HOUR_US)


def serving_name(task: TaskRun) -> str:
    """Return the container that serves requests: the one a load balancer of the service names, otherwise the first essential one."""
    containers = task.revision.definition.container_definitions
    if isinstance(task.spec, CreateService):
        for balancer in task.spec.load_balancers:
            if any(c.name == balancer.container_name for c in containers):
                return balancer.container_name
    return next(c.name for c in containers if c.essential)


def container_behaviour(task: TaskRun, container: ContainerDefinition) -> ContainerBehaviour | None:
    """Return how a container behaves: its own entry; for the one that serves what that leaves out is the task's."""
    behaviour = task.revision.behaviour
    own = behaviour.containers.get(container.name)
    serves = container.name == serving_name(task)
    if not serves or own is None:
        return behaviour if serves else own
    said = own.model_fields_set
    fields = ContainerBehaviour.model_fields
    return ContainerBehaviour.model_construct(**{f: getattr(own if f in said else behaviour, f) for f in fields})


def needs_machine(revision: Revision) -> bool:
    """Whether the containers of a revision's tasks need a life each, instead of the task's alone."""
    if revision.has_machine is None:
        revision.has_machine = _needs_machine(revision)
    return revision.has_machine


def _needs_machine(revision: Revision) -> bool:
    definition, does = revision.definition, revision.behaviour
    if len(definition.container_definitions) > 1 or does.containers:
        return True
    [container] = definition.container_definitions
    policy, health = container.restart_policy, does.health
    if policy is not None and policy.enabled:
        return True
    if does.memory_leak_per_hour or does.disk_writes_per_hour or (does.request and does.request.disk_writes):
        return True
    if does.boot_exit_code is not None or does.stop_exit_code:
        return True
    if health is not None and container.health_check is not None:
        return True
    limit = container.memory or definition.memory
    return bool(does.memory) and (limit is None or does.memory > limit * 2**20)


def trouble_of(kit: Kit, run: ContainerRun, stream: str) -> Trouble | None:
    """Return when a container that has just started does not pass its health checks; drawn.

    Parameters
    ----------
    stream
        What its streams are called: the family, and the container's name unless it is the one that serves.
    """
    health = run.does.health
    assert run.ready_at is not None
    if health is None:
        return None
    begins = run.ready_at + kit.streams.duration_us(f"fails/{stream}", health.fails_after)
    if health.recovers_after is None:
        return Trouble(begins, None, health.hangs)
    return Trouble(begins, begins + kit.streams.duration_us(f"recovers/{stream}", health.recovers_after), health.hangs)
