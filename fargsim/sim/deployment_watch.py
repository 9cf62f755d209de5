"""What can make a deployment fail: the circuit breaker's count and CloudWatch alarms; and how long it bakes.

Source: Amazon ECS Developer Guide, deployment-circuit-breaker.html, deployment-alarm-failure.html,
deployment-failure-detection.html; Amazon ECS API Reference, API_Deployment.html (`failedTasks`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fargsim.model.deployment import DeploymentAlarms, DeploymentCircuitBreaker
from fargsim.policy.alarms import AlarmState
from fargsim.policy.breaker import BreakerMemory, TaskEvent, breaker_open, breaker_step
from fargsim.policy.deployment import breaker_threshold
from fargsim.sim.errors import ResourceNotFound
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun


class AlarmSource(Protocol):
    """Whoever knows the states of CloudWatch alarms.

    Attributes
    ----------
    on_change
        Called with the name, the former and the new state of every alarm that changes.
    """

    on_change: list[Callable[[str, AlarmState, AlarmState], None]]

    def state(self, name: str) -> str:
        """Return ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``; ResourceNotFound where there is no such alarm."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a deployment is given up.

    Parameters
    ----------
    event
        How the service event goes on after ``deployment failed:``.
    reason
        What `rolloutStateReason` says.
    rollback
        Whether the service goes back to its last completed deployment.
    """

    event: str
    reason: str
    rollback: bool


class DeploymentWatch:
    """Watches one deployment from its begin to its end."""

    def __init__(self, kit: Kit, service: ServiceRun, deployment: DeploymentRun, alarms: AlarmSource | None) -> None:
        self._kit = kit
        self._service = service
        self._deployment = deployment
        self.memory = BreakerMemory()
        """The circuit breaker's count."""
        self.failed_in_a_row = BreakerMemory()
        """What `failedTasks` shows: it counts whether or not there is a breaker, and only what failed in a row."""
        self.verdict: Verdict | None = None
        self.ignored_alarms: tuple[str, ...] = ()
        """Alarms that were in ALARM when the deployment began: they do not count."""
        self.triggered_alarm: str | None = None
        self.breaker_opened = False
        self.baking_since: int | None = None
        self._closed = False
        self._source = alarms
        self._given: DeploymentAlarms | None = None
        self._listen()

    def use_alarms(self, alarms: DeploymentAlarms) -> None:
        """Watch these alarms, which the specification of the service does not name."""
        self._given = alarms
        self._listen()

    def _listen(self) -> None:
        if self._source is not None and self.alarms is not None:
            self.ignored_alarms = tuple(n for n in self.alarms.alarm_names if self._in_alarm(n))
            self._source.on_change.append(self._changed)

    @property
    def breaker(self) -> DeploymentCircuitBreaker | None:
        """The circuit breaker in force, if it is enabled; of linear and canary deployments no page says that they have one."""
        configuration = self._service.spec.deployment_configuration
        breaker = configuration.deployment_circuit_breaker
        if configuration.strategy in ("LINEAR", "CANARY") and not self._kit.parameters.flag(
            "breaker_of_linear_and_canary"
        ):
            return None
        return breaker if breaker is not None and breaker.enable else None

    @property
    def alarms(self) -> DeploymentAlarms | None:
        """The alarms in force, if they are enabled."""
        alarms = self._given or self._service.spec.deployment_configuration.alarms
        return alarms if alarms is not None and alarms.enable else None

    @property
    def threshold(self) -> int | None:
        """After how many failed tasks the breaker opens, with the desired count of now; None without a breaker."""
        breaker = self.breaker
        if breaker is None:
            return None
        rule = breaker.threshold_configuration
        parameters = self._kit.parameters
        return breaker_threshold(
            self._service.desired,
            kind=rule.type,
            value=rule.value,
            minimum=int(parameters.number("breaker_threshold_min")),
            maximum=int(parameters.number("breaker_threshold_max")),
        )

    def saw(self, event: TaskEvent) -> None:
        """Take note of what happened to a task of the deployment."""
        deployment = self._deployment
        if event in ("never_ran", "replaced_unhealthy"):
            deployment.failed_tasks += 1
        self.failed_in_a_row = breaker_step(self.failed_in_a_row, event)
        breaker = self.breaker
        reset = True if breaker is None else breaker.reset_on_healthy_task
        self.memory = breaker_step(self.memory, event, reset_on_healthy_task=reset)
        self.recheck()

    def recheck(self) -> None:
        """Compare the count with the threshold, which follows the desired count."""
        threshold, breaker = self.threshold, self.breaker
        if threshold is None or breaker is None or not breaker_open(self.memory, threshold):
            return
        if self.memory.failures:
            text = "tasks failed to start"
            self.breaker_opened = self.breaker_opened or self.verdict is None
            self.fail(Verdict(text, f"ECS deployment circuit breaker: {text}.", breaker.rollback))

    def fail(self, verdict: Verdict) -> None:
        """Have the deployment given up at the scheduler's next look; the first verdict stands, and none comes once nobody watches."""
        if self.verdict is None and not self._closed and self._deployment.rollout_state == "IN_PROGRESS":
            self.verdict = verdict
            self._service.attend(self._kit.now)

    def _in_alarm(self, name: str) -> bool:
        """Whether an alarm is on; one that does not exist yet is not."""
        assert self._source is not None
        with contextlib.suppress(ResourceNotFound):
            return self._source.state(name) == "ALARM"
        return False

    def _changed(self, name: str, before: AlarmState, after: AlarmState) -> None:
        alarms = self.alarms
        if after != "ALARM" or alarms is None or name not in alarms.alarm_names or name in self.ignored_alarms:
            return
        if self.verdict is None:
            self.triggered_alarm = name
            text = "alarm detected"
            self.fail(Verdict(text, f"ECS deployment alarm: {name} is in ALARM.", alarms.rollback))

    def bake_us(self) -> int:
        """Return how long the deployment bakes once it has succeeded otherwise: with alarms, or where a bake time is given."""
        configuration = self._service.spec.deployment_configuration
        if configuration.bake_time_in_minutes is not None:
            return configuration.bake_time_in_minutes * 60 * US_PER_S
        return self._kit.us("rolling_bake_s") if self.alarms is not None else 0

    def baked(self) -> bool:
        """Begin the bake time if it has not begun yet, and say whether it is over."""
        now = self._kit.now
        if self.baking_since is None:
            self.baking_since = now
            if self.bake_us():
                self._kit.at(now + self.bake_us(), lambda: self._service.attend(self._kit.now))
        return now >= self.baking_since + self.bake_us()

    def skip_bake(self) -> None:
        """Let the bake time be over already, as that of a service which has run before the simulation begins."""
        self.baking_since = self._kit.now - self.bake_us()

    def close(self) -> None:
        """Watch no longer: the deployment is over, superseded, or past return."""
        self._closed = True
        if self._source is not None and self._changed in self._source.on_change:
            self._source.on_change.remove(self._changed)
