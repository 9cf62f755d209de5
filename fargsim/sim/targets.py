"""Target groups: registered targets, their health, and the requests that reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fargsim.kernel import UNLIMITED, Plane
from fargsim.model.balancing import LoadBalancer, TargetGroup
from fargsim.model.behaviour import RequestBehaviour
from fargsim.policy.health import boot_transitions
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.traffic import Bridge, UserLoop

if TYPE_CHECKING:
    from fargsim.sim.listeners import ListenerRule
    from fargsim.sim.state import TaskRun

TargetState = Literal["initial", "healthy", "unhealthy", "draining", "unused"]


@dataclass(slots=True, eq=False)
class Target:
    """A task registered with a target group."""

    task: TaskRun
    slot: int | None
    ready_at: int
    """Instant from which the application answers."""
    state: TargetState = "initial"
    routed: bool = False


class LoadBalancerRun:
    """A load balancer."""

    def __init__(self, kit: Kit, spec: LoadBalancer) -> None:
        self.spec = spec
        self.created_at = kit.now
        self.arn = kit.arn(
            "loadbalancer/app", f"{spec.name}/{kit.identifier('load balancer', 16)}", "elasticloadbalancing"
        )


class TargetGroupRun:
    """A target group: its targets, and the plane of requests behind its listener.

    Health follows Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html: a new target is
    `initial` until its first passed check; when no target is healthy the balancer fails open to the unhealthy ones. A target that
    does not answer yet is not routed to even then (it would answer 502; the simulator counts those requests as 503).
    """

    def __init__(self, kit: Kit, spec: TargetGroup, balancer: LoadBalancerRun | None = None) -> None:
        self.spec = spec
        self.balancer = balancer
        self.arn = kit.arn("targetgroup", f"{spec.name}/{kit.identifier('target group', 16)}", "elasticloadbalancing")
        self.targets: dict[str, Target] = {}
        self.bridge: Bridge | None = None
        self.rules: list[ListenerRule] = []
        """The listener rules that forward to it, whatever their weight."""
        self.tasks_by_slot: dict[int, str] = {}
        self.on_health: Callable[[TaskRun], None] = lambda task: None
        self._kit = kit
        self._record_every = 0

    @property
    def healthy(self) -> int:
        """Number of healthy targets."""
        return sum(1 for t in self.targets.values() if t.state == "healthy")

    def connect(self, request: RequestBehaviour, record_every: int, users: UserLoop | None) -> None:
        """Put a plane behind the listener rules that reach the group.

        Parameters
        ----------
        request
            What a request costs on a target that does not say otherwise.
        record_every
            Keep every n-th request; 0: none.
        users
            The closed loop that reaches it, alone.
        """
        self._record_every = record_every
        idle_s = self.balancer.spec.idle_timeout_s if self.balancer else 60
        plane = Plane(
            self.spec.algorithm,
            idle_timeout_us=idle_s * US_PER_S,
            cancel_on_timeout=request.cancel_on_timeout,
            first_requests_us=None if users is None else users.first_requests_us,
            record_every=record_every,
        )
        plane.advance(self._kit.now)
        self.bridge = Bridge(plane, request, users)
        for target in self.targets.values():
            if target.state != "unused":
                self._open(target)
        self._route()

    def register(self, task: TaskRun, ready_at: int) -> Target:
        """Register a task; its health follows by itself. One that was there before the run began is healthy already."""
        kit, spec = self._kit, self.spec
        target = Target(task, None, ready_at)
        self.targets[task.task_id] = target
        if self.bridge is not None:
            self._open(target)
        if task.settled:
            target.state = "healthy"
            self._route()
            return target
        interval = spec.health_check_interval_seconds * US_PER_S
        phase = float(kit.streams[f"health check/{spec.name}"].random())
        first = kit.now + kit.us("reg_delay_s") + round(phase * interval)
        for transition in boot_transitions(
            first,
            interval,
            ready_at,
            healthy_threshold=spec.healthy_threshold_count,
            unhealthy_threshold=spec.unhealthy_threshold_count,
        ):
            state = transition.state
            kit.at(transition.at_us, lambda state=state: self._become(target, state))  # type: ignore[misc]
        if ready_at > kit.now:
            kit.at(ready_at, self._route)  # from now on it answers, should the balancer fail open
        return target

    def deregister(self, target: Target, then: Callable[[], None]) -> None:
        """Let a target drain for the whole deregistration delay, then call `then`.

        ECS waits until the target is `unused`, and the balancer shows `draining` until the delay has passed even when no request is
        left: Amazon ECS Developer Guide, load-balancer-connection-draining.html.
        """
        target.state = "draining"
        self._route()

        def unused() -> None:
            self.drop(target)
            then()

        self._kit.at(self._kit.now + self.spec.deregistration_delay_s * US_PER_S, unused)

    def stop_routing(self, target: Target) -> None:
        """Send a target no more requests; what it holds goes on."""
        if target.state != "unused":
            target.state = "draining"
            self._route()

    def drop(self, target: Target) -> None:
        """Take a target out at once: what it holds is cut off."""
        if target.state == "unused":
            return
        target.state = "unused"
        self.targets.pop(target.task.task_id, None)
        if self.bridge is not None and target.slot is not None:
            self.bridge.advance(self._kit.now)
            plane = self.bridge.plane
            plane.close_slot(self._kit.now, target.slot)
            use = plane.slot(target.slot)
            target.task.requests_served += use.served
            target.task.busy_core_us += use.busy_core_us
            if target.task.service is not None:
                target.task.service.meter.dropped(target.task, use)
        self._route()

    def settle(self, target: Target) -> None:
        """Book what a target that is still alive has done, at the end of the run."""
        if self.bridge is not None and target.slot is not None:
            use = self.bridge.plane.slot(target.slot)
            target.task.requests_served += use.served
            target.task.busy_core_us += use.busy_core_us

    def _open(self, target: Target) -> None:
        assert self.bridge is not None
        task = target.task
        request = task.revision.behaviour.request
        self.bridge.advance(self._kit.now)
        target.slot = self.bridge.plane.open_slot(
            self._kit.now,
            cores=task_cores(task),
            speed=task.revision.behaviour.speed,
            workers=UNLIMITED if request is None or request.workers is None else request.workers,
            queue_limit=UNLIMITED if request is None else request.queue,
            routable=False,
        )
        if self._record_every:
            self.tasks_by_slot[target.slot] = task.task_id

    def _become(self, target: Target, state: TargetState) -> None:
        if target.state in ("draining", "unused"):
            return
        target.state = state
        self._route()
        self.on_health(target.task)

    def _route(self) -> None:
        """Send requests to the healthy targets, or to the unhealthy ones when there is no other."""
        if self.bridge is None:
            return
        now = self._kit.now
        open_to = {id(t) for t in self.targets.values() if t.state == "healthy"}
        if not open_to:
            open_to = {id(t) for t in self.targets.values() if t.state == "unhealthy" and t.ready_at <= now}
        for target in self.targets.values():
            wanted = id(target) in open_to
            if wanted != target.routed and target.slot is not None:
                self.bridge.advance(now)
                self.bridge.plane.set_routable(now, target.slot, wanted)
                target.routed = wanted


def task_cores(task: TaskRun) -> float:
    """Return how many cores a task may use at most.

    A Fargate task and an EC2 task with task-level cpu have that and no more. An EC2 task without it may burst into the idle capacity
    of its instance; that sharing is not modelled yet, so it gets the cpu its containers reserve, or one core where they reserve none.
    """
    units = task.revision.definition.cpu_units
    return units / 1024 if units else 1.0
