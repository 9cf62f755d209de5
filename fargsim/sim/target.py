"""A target: a task registered with a target group, and what a balancer meets there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fargsim.sim.target_health import Contact, HealthWatch

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun

TargetState = Literal["initial", "healthy", "unhealthy", "draining", "unused"]


@dataclass(slots=True, eq=False)
class Target:
    """A task registered with a target group."""

    task: TaskRun
    slot: int | None
    ready_at: int
    """Instant from which the application answers."""
    contact: Contact = field(default_factory=Contact)
    zone: int | None = 0
    """Which of the balancer's zones it is in; None: in none, so that it is not in use."""
    state: TargetState = "initial"
    joined: bool = False
    """Whether the balancer has registered it: no request reaches it before."""
    routed: bool = False
    listening: bool = True
    """Whether the application accepts connections."""
    answering: bool = True
    """Whether it passes checks."""
    watch: HealthWatch | None = None
    draining_until_us: int = 0
    """Until when it is shown as ``unhealthy.draining``."""
    life: int = 0
    """How often its container has been restarted in place."""

    @property
    def passing(self) -> bool:
        """Whether health checks pass."""
        contact = self.contact
        return contact.reachable and contact.listens and contact.passes and self.answering

    @property
    def mode(self) -> str:
        """What becomes of a request that is sent to it: ``serve``, ``refuse``, ``garble`` or ``blackhole``."""
        if not self.contact.reachable:
            return "blackhole"
        if not (self.contact.listens and self.listening):
            return "refuse"
        return "serve" if self.contact.understands else "garble"


def error_rate(task: TaskRun) -> float:
    """Return the share of the requests that a task's application answers with 5xx."""
    request = task.revision.behaviour.request
    return 0.0 if request is None else request.error_rate
