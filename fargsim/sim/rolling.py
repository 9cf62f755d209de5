"""Rolling deployments: the controller that `CreateService` gives a replica service unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.policy.deployment import ServiceView, Step, bounds, rolling_step
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun


class RollingController:
    """Moves a service toward its desired count and its newest revision: `fargsim.policy.deployment.rolling_step`."""

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        self._kit = kit
        self._service = service

    def step(self) -> None:
        """Look once: observe, decide, act."""
        service, actions = self._service, self._service.actions
        now = self._kit.now
        configuration = service.spec.deployment_configuration
        low = configuration.minimum_healthy_percent
        high = configuration.maximum_percent
        throttled = actions.throttle.holds(now)
        view = ServiceView(
            service.desired,
            bounds(service.desired, 100 if low is None else low, 200 if high is None else high),
            tuple(d.view() for d in service.deployments),
            stopping=max(0, len(service.tasks) - sum(len(d.standing) + d.unnoticed for d in service.deployments)),
            count_stopping=self._kit.parameters.flag("count_stopping_in_max"),
            launches=0 if throttled else actions.launches(),
        )
        step = rolling_step(view)
        for deployment in service.deployments:
            deployment.wanted = step.wanted[deployment.deployment_id]
        self._act(step)
        if throttled:
            service.attend(actions.throttle.not_before)
        elif view.launches == 0 or (step.stops and not view.count_stopping):
            # the minute of launches moves on, or what is stopping has made room already
            service.attend(now + self._kit.us("scheduler_tick_s"))
        if step.stalled:
            service.events.once(
                "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
                "Update the minimumHealthyPercent or maximumPercent value and try again.",
                "",
                "WARN",
            )
        if step.complete:
            actions.complete()

    def _act(self, step: Step) -> None:
        actions = self._service.actions
        by_id = {d.deployment_id: d for d in self._service.deployments}
        stopped: list[TaskRun] = []
        for order in step.stops:
            deployment = by_id[order.deployment]
            # tasks that were lost unnoticed count as pending, and of what is surplus those go first: nobody stops in their place
            number = order.number if order.unhealthy else max(0, order.number - deployment.unnoticed)
            for task in actions.choose(deployment, number, order.unhealthy):
                actions.stop(task, actions.reason_to_stop(task, order.unhealthy), "ServiceSchedulerInitiated")
                stopped.append(task)
        actions.tell_stopped(stopped)
        for begin in step.starts:
            actions.start(by_id[begin.deployment], begin.number)
