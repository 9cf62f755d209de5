"""A predictive policy while it runs: keeps the load by hours, forecasts it, and scales ahead of each hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fargsim.model.scaling import ScalingPolicy
from fargsim.policy.predictive_scaling import LEAST_HISTORY_H, REFRESH_H, Floor, capacity_for, floor_for, forecast
from fargsim.policy.target_tracking import Limits
from fargsim.sim.alarm_run import MetricKey
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.scaling_policies import policy_arn, request_count_key, target_group_of
from fargsim.sim.service_datapoints import running_key, service_key

if TYPE_CHECKING:
    from fargsim.sim.alarm_run import AlarmRun
    from fargsim.sim.service_scheduler import ServiceRun

HOUR_US = 3600 * US_PER_S


class PredictiveRun:
    """One predictive policy.

    Hours are those of UTC. The load of an hour is its mean: tasks in percent (utilisation times running tasks), or requests a minute.
    """

    alarms: tuple[AlarmRun, ...] = ()

    def __init__(
        self,
        kit: Kit,
        cloudwatch: CloudWatch,
        spec: ScalingPolicy,
        service: ServiceRun,
        start: datetime,
        ahead: Callable[[PredictiveRun], None],
    ) -> None:
        predictive = spec.predictive_scaling_policy_configuration
        assert predictive is not None
        self.spec, self.predictive = spec, predictive
        self.arn = policy_arn(kit, f"service/{service.cluster.name}/{service.name}", spec.policy_name)
        self.history: dict[int, float] = {}
        self.plan: dict[int, float] = {}
        self.planned_at: int | None = None
        self._kit, self._cloudwatch, self._service = kit, cloudwatch, service
        self._start = start
        self._ahead = ahead
        self._removed = False
        self._offset_us = round(start.timestamp() * US_PER_S)
        [metric] = predictive.metric_specifications
        self._target = metric.target_value
        self._kind = metric.pair.predefined_metric_type
        self._group = target_group_of(service, metric.pair.resource_label) if self._kind == "ALBRequestCount" else None
        for key in self._keys():
            cloudwatch.watch(key, 2 * HOUR_US)
        self._buffer_us = predictive.scheduling_buffer_time * US_PER_S
        self._begin_us = kit.now
        self._collect_next()
        if predictive.mode == "ForecastAndScale":
            self._scale_next()

    def _keys(self) -> tuple[MetricKey, ...]:
        if self._group is not None:
            return (request_count_key(self._service, self._group),)
        name = "CPUUtilization" if "CPU" in self._kind else "MemoryUtilization"
        return service_key(self._service, name), running_key(self._service)

    @property
    def label(self) -> str:
        """The metric's name in the tables."""
        return self._kind

    @property
    def target(self) -> float:
        """The value to keep."""
        return self._target

    def _hour(self, at_us: int) -> int:
        """Return the hour of UTC, counted from 1970, that an instant of the run lies in."""
        return (self._offset_us + at_us) // HOUR_US

    def _begins(self, hour: int) -> int:
        return hour * HOUR_US - self._offset_us

    def _collect_next(self) -> None:
        kit = self._kit
        lag = max(self._cloudwatch.lag_us(key[0], HOUR_US) for key in self._keys())
        hour = self._hour(max(0, kit.now - lag))
        kit.at(self._begins(hour + 1) + lag, lambda: self._collect(hour))

    def _collect(self, hour: int) -> None:
        """Keep the load of an hour that is over, and forecast anew every six hours."""
        if self._removed:
            return
        if self._begins(hour) >= self._begin_us:  # an hour that was not seen whole says nothing
            self.history[hour] = self._load(self._begins(hour + 1))
        now = self._hour(self._kit.now)
        if len(self.history) >= LEAST_HISTORY_H and (self.planned_at is None or now - self.planned_at >= REFRESH_H):
            self.plan, self.planned_at = forecast(self.history, now), now
        self._collect_next()

    def _load(self, until_us: int) -> float:
        points = [self._cloudwatch.windows(key, until_us, HOUR_US, 1)[0] for key in self._keys()]
        if self._group is not None:
            [requests] = points
            return 0.0 if requests is None else requests.statistic("Sum") / 60
        used, running = points
        if used is None or running is None:
            return 0.0
        return used.statistic("Average") * running.statistic("Average")

    def _scale_next(self) -> None:
        kit = self._kit
        hour = self._hour(kit.now + self._buffer_us) + 1
        kit.at(self._begins(hour) - self._buffer_us, self._scale)

    def _scale(self) -> None:
        if self._removed:
            return
        self._ahead(self)
        self._scale_next()

    def needed(self, at_us: int) -> int | None:
        """Return the tasks that the forecast asks for at an instant, the buffer before an hour included; None without a forecast."""
        hours = {self._hour(at_us), self._hour(at_us + self._buffer_us)}
        loads = [self.plan[h] for h in hours if h in self.plan]
        return max(capacity_for(load, self._target) for load in loads) if loads else None

    def floor(self, limits: Limits, at_us: int) -> Floor | None:
        """Return what the policy asks for at an instant; None where it only forecasts or has no forecast yet."""
        needed = self.needed(at_us) if self.predictive.mode == "ForecastAndScale" else None
        return None if needed is None else floor_for(self.predictive, limits, needed)

    def describe(self) -> dict[str, Any]:
        """Return the forecast as GetPredictiveScalingForecast does."""
        hours = sorted(self.plan)
        times = [self._start + timedelta(microseconds=self._begins(h)) for h in hours]
        loads = [self.plan[h] for h in hours]
        metric = self.predictive.metric_specifications[0].model_dump(by_alias=True, exclude_none=True)
        planned = (
            None if self.planned_at is None else self._start + timedelta(microseconds=self._begins(self.planned_at))
        )
        return {
            "LoadForecast": [{"Timestamps": times, "Values": loads, "MetricSpecification": metric}],
            "CapacityForecast": {"Timestamps": times, "Values": [capacity_for(x, self._target) for x in loads]},
            "UpdateTime": planned,
        }

    def remove(self) -> None:
        """Stop forecasting."""
        self._removed = True
