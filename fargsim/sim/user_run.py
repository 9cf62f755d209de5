"""A scaling policy of the user's own while it runs: asked whenever a minute's metrics have been published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargsim.policy.user_policy import UserPolicy, UserView
from fargsim.sim.alarm_run import MetricKey, metric_key
from fargsim.sim.cloudwatch import MINUTE_US, CloudWatch
from fargsim.sim.kit import Kit
from fargsim.sim.scaling_policies import request_count_key
from fargsim.sim.service_datapoints import running_key, service_key

if TYPE_CHECKING:
    from fargsim.sim.scaling_target import TargetRun


class UserRun:
    """Asks a function once a minute and carries out what it says."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch, target: TargetRun, policy: UserPolicy) -> None:
        self._kit, self._cloudwatch, self._target, self._policy = kit, cloudwatch, target, policy
        self._memory: Any = None
        self._removed = False
        lag = cloudwatch.lag_us("AWS/ECS", MINUTE_US)
        self._arm((max(0, kit.now - lag) // MINUTE_US + 1) * MINUTE_US)

    def _arm(self, end_us: int) -> None:
        self._kit.at(end_us + self._cloudwatch.lag_us("AWS/ECS", MINUTE_US), lambda: self._ask(end_us))

    def remove(self) -> None:
        """Ask no more."""
        self._removed = True

    def _ask(self, end_us: int) -> None:
        if self._removed:
            return
        self._arm(end_us + MINUTE_US)
        target = self._target
        if target.service.deleted:
            return
        desired, self._memory, because = _answer(self._policy(self._view(end_us), self._memory))
        if desired is not None:
            target.set_by_user(desired, because)

    def _view(self, end_us: int) -> UserView:
        service, limits = self._target.service, self._target.limits
        group = service.group_with_requests()
        per_target = requests = None
        if group is not None:
            balanced = {"TargetGroup": group.spec.name}
            per_target = self._newest(metric_key("AWS/ApplicationELB", "RequestCountPerTarget", balanced), end_us)
            requests = self._newest(request_count_key(service, group.spec.name), end_us, "Sum")
        message = service.revision.behaviour.message
        waiting = None
        if message is not None:
            name = "ApproximateNumberOfMessagesVisible"
            waiting = self._newest(metric_key("AWS/SQS", name, {"QueueName": message.queue}), end_us)
        return UserView(
            at_us=self._kit.now,
            desired=service.desired,
            running=service.running,
            pending=service.pending,
            healthy=service.healthy,
            minimum=limits.minimum,
            maximum=limits.maximum,
            deploying=self._target.view().deploying,
            cpu_utilization=self._newest(service_key(service, "CPUUtilization"), end_us),
            memory_utilization=self._newest(service_key(service, "MemoryUtilization"), end_us),
            request_count_per_target=per_target,
            running_mean=self._newest(running_key(service), end_us) or 0.0,
            data_end_us=end_us,
            request_count=requests,
            messages_visible=waiting,
        )

    def _newest(self, key: MetricKey, end_us: int, statistic: str = "Average") -> float | None:
        [point] = self._cloudwatch.windows(key, end_us, MINUTE_US, 1)
        return None if point is None else point.statistic(statistic)


def _answer(told: Any) -> tuple[int | None, Any, str]:
    """Return what a function has decided; TypeError where it is not what the function was asked for."""
    if not isinstance(told, tuple) or len(told) != 3:
        raise TypeError(f"a scaling policy returns (desired count or None, what to remember, why), not {told!r}")
    desired, memory, because = told
    if desired is not None and (isinstance(desired, bool) or not isinstance(desired, int)):
        raise TypeError(f"a scaling policy returns a whole number of tasks or None, not {desired!r}")
    if not isinstance(because, str):
        raise TypeError(f"a scaling policy says why in words, not {because!r}")
    return desired, memory, because
