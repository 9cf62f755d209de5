"""Target groups: registered targets, their health, and the requests that reach them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from fargsim.kernel import UNLIMITED, Plane
from fargsim.model.balancing import TargetGroup
from fargsim.model.behaviour import RequestBehaviour
from fargsim.model.target_control import max_concurrency
from fargsim.policy.health import Health
from fargsim.policy.routing import Minimum, routed
from fargsim.sim.answer_codes import AnswerCodes, Codes
from fargsim.sim.host_sharing import task_cores
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.load_balancer import LoadBalancerRun as LoadBalancerRun
from fargsim.sim.target import Target as Target
from fargsim.sim.target import error_rate
from fargsim.sim.target_health import Contact, HealthWatch, always, checks_of, outage_of
from fargsim.sim.target_weights import AutomaticWeights, SlowStart
from fargsim.sim.traffic import Bridge, UserLoop

if TYPE_CHECKING:
    from fargsim.sim.listeners import ListenerRule
    from fargsim.sim.state import TaskRun


class TargetGroupRun:
    """A target group: its targets, and the plane of requests behind the listener rules that forward to it.

    A new target is `initial` until its first passed check. Where too few targets are healthy the balancer fails open to all that are
    registered: one that does not listen answers 502, one behind a closed security group 504 when the balancer gives up connecting.

    Source: Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html,
    edit-target-group-attributes.html, load-balancer-troubleshooting.html.
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
        self.on_health: Callable[[TaskRun], None] = _tell_service
        self.contact: Callable[[TaskRun, TargetGroupRun], Contact] = always
        self._kit = kit
        self._record_every = 0
        self._closed_zones: frozenset[int] = frozenset()
        self._slow_start: SlowStart | None = None
        self.automatic: AutomaticWeights | None = None
        self._codes = AnswerCodes(kit, spec.name)
        self.configure(spec)

    def configure(self, spec: TargetGroup) -> None:
        """Take the attributes of a target group from now on."""
        kit, before, self.spec = self._kit, self.spec, spec
        self._routing_minimum = Minimum(*spec.minimum_healthy("unhealthy_state_routing"))
        self._dns_minimum = Minimum(*spec.minimum_healthy("dns_failover"))
        ramp = self._slow_start
        if ramp is None or before.slow_start_s != spec.slow_start_s:
            if ramp is not None:
                ramp.end_all()
            self._slow_start = SlowStart(kit, spec.slow_start_s * US_PER_S, self.weigh) if spec.slow_start_s else None
        if self.automatic is None or before.algorithm != spec.algorithm:
            often = spec.algorithm == "weighted_random"
            self.automatic = None if spec.network else AutomaticWeights(kit, self, spec.anomaly_mitigation, often)
        else:
            self.automatic.set_mitigation(spec.anomaly_mitigation)
        self._route()

    @property
    def healthy(self) -> int:
        """Number of healthy targets."""
        return sum(1 for t in self.targets.values() if t.state == "healthy")

    @property
    def unhealthy(self) -> int:
        """Number of unhealthy targets; draining ones are not counted."""
        return sum(1 for t in self.targets.values() if t.state == "unhealthy")

    @property
    def registered(self) -> int:
        """Number of registered targets; draining ones are not."""
        return sum(1 for t in self.targets.values() if t.state != "draining")

    def codes(self) -> Codes:
        """Return how many good answers so far, up to where the plane stands, were no 2xx."""
        if self.bridge is None:
            return Codes()
        plane, live = self.bridge.plane, [t for t in self.targets.values() if t.slot is not None]
        live = [t for t in live if self._codes.needed(t.task.revision)]
        return self._codes.so_far((t.task.revision, plane.slot(t.slot or 0).served) for t in live)

    @property
    def can_fail(self) -> bool:
        """Whether requests to a target may end in a 5xx of the target, or not reach it."""
        return any(t.mode != "serve" or error_rate(t.task) > 0 for t in self.targets.values() if t.state != "draining")

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones by which requests enter."""
        return self.balancer.zones if self.balancer is not None else self._kit.zones

    @property
    def cross_zone(self) -> bool:
        """Whether requests cross zones."""
        return self.spec.crosses_zones(None if self.balancer is None else self.balancer.spec)

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
        kit, spec = self._kit, self.spec
        idle_us = US_PER_S * (60 if self.balancer is None else self.balancer.spec.idle_timeout_s)
        # a Network Load Balancer picks a target by a hash of the flow: a number of its own for every request, evenly
        routing = "weighted_random" if spec.network else spec.algorithm
        if spec.target_control_port is not None:
            routing = "when_ready"
        plane = Plane(
            routing,
            idle_timeout_us=kit.us("nlb_idle_timeout_s") if spec.network else idle_us,
            client_timeout_us=(None if self.balancer is None else self.balancer.spec.client_timeout) or 0,
            cancel_on_timeout=request.cancel_on_timeout,
            first_requests_us=None if users is None else users.first_requests_us,
            connect_timeout_us=kit.us("alb_connect_timeout_s"),
            cross_zone=self.cross_zone,
            record_every=record_every,
        )
        plane.advance(kit.now)
        entered = None if self.cross_zone else tuple(range(len(self.zones)))
        self.bridge = Bridge(
            plane, request, users, draws=routing == "weighted_random", zones=entered, together=kit.sharing.advance
        )
        for target in self.targets.values():
            if target.state != "unused":
                self._open(target)
        self._route()

    def register(self, task: TaskRun, ready_at: int) -> Target:
        """Register a task; its health follows by itself. One that was there before the run began is healthy already."""
        kit, zones = self._kit, self.zones
        target = Target(task, None, ready_at, self.contact(task, self))
        target.zone = zones.index(task.zone) if task.zone in zones else None
        target.listening = target.answering = ready_at <= kit.now
        outage = outage_of(kit, task, ready_at)
        # these come before the checks of their instant
        self._plan_answers(target, ready_at, outage)
        self.targets[task.task_id] = target
        if self.bridge is not None:
            self._open(target)
        target.joined = task.settled
        if task.settled:
            target.state = "healthy"
        else:
            kit.at(kit.now + kit.us("reg_delay_s"), lambda: self._join(target))
        if target.zone is not None and not (task.settled and target.passing and outage is None):
            self._watch(target, kit.us("reg_delay_s"))
        if task.settled:
            self._route()
        return target

    def _join(self, target: Target) -> None:
        target.joined = True
        self._route()

    def _plan_answers(self, target: Target, ready_at: int, outage: tuple[int, int | None] | None) -> None:
        """Let the application answer when it is up, and not during its outage; what is planned is dropped when it is restarted."""
        kit, task, life = self._kit, target.task, target.life

        def turn(at_us: int, answering: bool, listening: bool | None = None) -> None:
            def act() -> None:
                if target.life == life:
                    self.set_answering(target, answering, listening=listening)

            kit.at(at_us, act)

        if not target.answering:
            turn(ready_at, True)
        if outage is not None:
            refused = (
                task.revision.behaviour.health is not None and task.revision.behaviour.health.requests == "refused"
            )
            turn(outage[0], False, not refused)
            if outage[1] is not None:
                turn(outage[1], True)

    def restarted(self, target: Target, ready_at: int | None) -> None:
        """Take note that the container behind a target has ended (None) and is restarted in place, or from when on its new run answers.

        What it held is cut off; until it answers again nothing listens.
        """
        if target.state == "unused":
            return
        target.life += 1
        if ready_at is not None:
            self._plan_answers(target, ready_at, target.task.outage)
            return
        self.set_answering(target, False)
        if self.bridge is not None and target.slot is not None:
            self._reset(target)

    def _reset(self, target: Target) -> None:
        """Cut off what a target holds; unless it drains it goes on empty."""
        self._close(target)
        if target.task.service is not None:
            target.task.service.meter.restarted(target.task)
        if target.state != "draining":
            target.routed = False
            self._open(target)
            self._route()
        else:
            target.slot = None

    def _watch(self, target: Target, delay_us: int = 0) -> None:
        """Check a target from now on, the first time after a delay and a share of the interval."""
        kit, checks = self._kit, checks_of(self._kit, self.spec)
        phase = float(kit.streams[f"health check/{self.spec.name}"].random())
        state: Literal["initial", "healthy"] = "healthy" if target.state == "healthy" else "initial"
        first = kit.now + delay_us + round(phase * checks.interval_us)
        health = Health(state, first, target.passing, hangs=target.contact.hangs)
        target.watch = HealthWatch(kit, checks, health, lambda state: self._become(target, state))

    def set_answering(self, target: Target, answering: bool, *, listening: bool | None = None) -> None:
        """Let a target's application pass health checks from now on, or no longer.

        Parameters
        ----------
        listening
            Whether it accepts connections; None: as it answers. Requests to one that does not end in 502.
        """
        if target.state == "unused":
            return
        before = target.mode
        target.answering, target.listening = answering, answering if listening is None else listening
        self._turned(target, before)

    def meet(self, target: Target, contact: Contact) -> None:
        """Let the balancer meet something else at a target from now on."""
        before = target.mode
        target.contact = contact
        if target.state != "unused":
            self._turned(target, before)

    def close_zones(self, zones: frozenset[int]) -> None:
        """Let requests enter by none of these zones: the balancer's nodes there are out."""
        if zones != self._closed_zones:
            self._closed_zones = zones
            self._route()

    def _turned(self, target: Target, before: str) -> None:
        """Take note that a target answers otherwise than before, or is met otherwise."""
        if target.watch is None and target.zone is not None and not target.passing:
            self._watch(target)
        elif target.watch is not None:
            target.watch.turn(target.passing, hangs=target.contact.hangs)
        if target.mode != before and self.bridge is not None and target.slot is not None:
            self.bridge.advance(self._kit.now)
            self.bridge.plane.set_mode(self._kit.now, target.slot, target.mode)
            self._may_fail(target)

    def deregister(self, target: Target, then: Callable[[], None]) -> None:
        """Let a target drain for the whole deregistration delay, then call `then`.

        ECS waits until the target is `unused`, and the balancer shows `draining` until the delay has passed even when no request is
        left: Amazon ECS Developer Guide, load-balancer-connection-draining.html.
        """
        self._leave(target, "draining")
        self._route()

        def unused() -> None:
            self.drop(target)
            then()

        self._kit.at(self._kit.now + self.spec.deregistration_delay_s * US_PER_S, unused)

    def stop_routing(self, target: Target) -> None:
        """Send a target no more requests; what it holds goes on."""
        if target.state != "unused":
            self._leave(target, "draining")
            self._route()

    def drop(self, target: Target) -> None:
        """Take a target out at once: what it holds is cut off."""
        if target.state == "unused":
            return
        self._leave(target, "unused")
        self.targets.pop(target.task.task_id, None)
        if self.bridge is not None and target.slot is not None:
            self._close(target)
        self._route()

    def _close(self, target: Target) -> None:
        """Close a target's slot and book what it has done."""
        assert self.bridge is not None
        assert target.slot is not None
        self.bridge.advance(self._kit.now)
        plane = self.bridge.plane
        plane.close_slot(self._kit.now, target.slot)
        use = plane.slot(target.slot)
        self._codes.close(target.task.revision, use.served)
        target.task.requests_served += use.served
        target.task.busy_core_us += use.busy_core_us
        if target.task.service is not None:
            target.task.service.meter.dropped(target.task, use)

    def _leave(self, target: Target, state: Literal["draining", "unused"]) -> None:
        target.state = state
        if self._slow_start is not None:
            self._slow_start.end(target)
        if self.automatic is not None:
            self.automatic.forget(target)

    def settle(self, target: Target) -> None:
        """Book what a target that is still alive has done, at the end of the run."""
        if self.bridge is not None and target.slot is not None:
            use = self.bridge.plane.slot(target.slot)
            target.task.requests_served += use.served
            target.task.busy_core_us += use.busy_core_us

    def weigh(self, target: Target, weight: float) -> None:
        """Give a target a weight among the others: 1 is the whole share."""
        if self.bridge is not None and target.slot is not None and target.state != "unused":
            self.bridge.advance(self._kit.now)
            self.bridge.plane.set_weight(self._kit.now, target.slot, weight)

    def _open(self, target: Target) -> None:
        assert self.bridge is not None
        task = target.task
        request = task.revision.behaviour.request
        profile = self.bridge.profile(request, self._kit.now)
        self.bridge.advance(self._kit.now)
        target.slot = self.bridge.plane.open_slot(
            self._kit.now,
            cores=task_cores(task),
            speed=task.revision.behaviour.speed,
            workers=UNLIMITED if request is None or request.workers is None else request.workers,
            queue_limit=UNLIMITED if request is None else request.queue,
            routable=False,
            profile=profile,
            zone=target.zone or 0,
            mode=target.mode,
            max_concurrency=UNLIMITED
            if self.spec.target_control_port is None
            else max_concurrency(task.revision.definition),
        )
        self._kit.sharing.seat_slot(task, self.bridge, target.slot)
        self._may_fail(target)
        if self._record_every:
            self.tasks_by_slot[target.slot] = task.task_id

    def _may_fail(self, target: Target) -> None:
        if self.automatic is not None and (target.mode != "serve" or error_rate(target.task) > 0):
            self.automatic.wake()

    def _become(self, target: Target, state: Literal["healthy", "unhealthy"]) -> None:
        if target.state in ("draining", "unused"):
            return
        target.state = state
        if state == "unhealthy" and self.spec.network:
            target.draining_until_us = self._kit.now + self.spec.unhealthy_draining_s * US_PER_S
            if self.spec.terminates_unhealthy and self.bridge is not None and target.slot is not None:
                self._reset(target)
        if self._slow_start is not None:
            if state == "unhealthy":
                self._slow_start.end(target)
            elif any(
                other.state == "healthy" and other is not target and other not in self._slow_start
                for other in self.targets.values()
            ):
                self._slow_start.begin(target)
        self._route()
        self.on_health(target.task)

    def _route(self) -> None:
        """Send requests where health, zones and failing open let them go."""
        if self.bridge is None:
            return
        now = self._kit.now
        targets = [t for t in self.targets.values() if t.state not in ("draining", "unused")]
        here = [t for t in targets if t.joined and t.zone is not None]
        decided = routed(
            [(t.zone or 0, None if t.state == "initial" else t.state == "healthy") for t in here],
            len(self.zones),
            cross_zone=self.cross_zone,
            routing=self._routing_minimum,
            dns=self._dns_minimum,
        )
        open_to = {id(t) for t, wanted in zip(here, decided.targets, strict=True) if wanted}
        entered = tuple(zone for zone in decided.zones if zone not in self._closed_zones) or decided.zones
        if self.bridge.zones is not None and self.bridge.zones != entered:
            self.bridge.hold(now)
            self.bridge.zones = entered
        for target in self.targets.values():
            wanted = id(target) in open_to
            if wanted != target.routed and target.slot is not None:
                self.bridge.advance(now)
                self.bridge.plane.set_routable(now, target.slot, wanted)
                target.routed = wanted


def _tell_service(task: TaskRun) -> None:
    if task.service is not None:
        task.service.target_health_changed(task)
