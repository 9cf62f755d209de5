"""Scheduled tasks: EventBridge Scheduler calls RunTask at the times of a schedule.

Source: Amazon EventBridge Scheduler User Guide, schedule-types.html (a rate starts at once, precision of 60 seconds, clocks that change),
managing-schedule-retry-policy (185 retries within 24 hours); Amazon ECS Developer Guide, tasks-scheduled-eventbridge-scheduler.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from fargsim.model.schedule import Schedule
from fargsim.model.traffic import Jobs
from fargsim.sim.errors import AwsError, ClientException, ThrottlingException
from fargsim.sim.kit import US_PER_S

if TYPE_CHECKING:
    from fargsim.sim.region import Region

RETRIES_MAX = 185
RETRY_AGE_US = 86_400 * US_PER_S
RETRY_FIRST_US = 1 * US_PER_S
RETRY_LONGEST_US = 300 * US_PER_S
STARTED_BY_MAX = 36
"""Characters of `startedBy` as tasks of real schedules show it: the name is cut."""


class ScheduledTasks:
    """One schedule whose target is RunTask.

    A call that is refused is made again with growing pauses; tasks that find no place are not: the call itself succeeded.
    """

    def __init__(self, region: Region, start: datetime, jobs: Jobs) -> None:
        assert jobs.schedule is not None
        schedule = Schedule.parse(jobs.schedule, jobs.time_zone or "UTC")
        self._region = region
        self._kit = region.kit
        self._start = start
        self._name = jobs.name
        started_by = jobs.run_task.started_by or f"chronos-schedule/{jobs.name}"[:STARTED_BY_MAX]
        given = jobs.run_task.model_dump(mode="python", by_alias=True, exclude_unset=True)
        self._arguments: dict[str, Any] = {**given, "startedBy": started_by}
        at_once = [start] if schedule.every is not None else []
        self._instants: Iterator[datetime] = chain(at_once, schedule.after(start))
        self._arm()

    def _arm(self) -> None:
        """Wait for the next time of the schedule; the target is called within the precision after it."""
        instant = next(self._instants, None)
        if instant is None:
            return
        due = round((instant - self._start) / timedelta(microseconds=1))
        within = self._kit.us("eventbridge_precision_s")
        late = int(float(self._kit.streams[f"schedule/{self._name}"].random()) * within) if within else 0
        self._kit.at(due, self._arm_next)
        self._kit.at(due + late, lambda: self._call(due + late, 0, RETRY_FIRST_US))

    def _arm_next(self) -> None:
        self._arm()

    def _call(self, first: int, retries: int, wait_us: int) -> None:
        kit = self._kit
        try:
            answer = self._region.ecs.run_task(**self._arguments)
        except (ThrottlingException, ClientException) as error:
            if retries < RETRIES_MAX and kit.now + wait_us <= first + RETRY_AGE_US:
                longer = min(RETRY_LONGEST_US, 2 * wait_us)
                kit.at(kit.now + wait_us, lambda: self._call(first, retries + 1, longer))
            else:
                self._tell(error)
            return
        except AwsError as error:
            self._tell(error)
            return
        reasons = sorted({str(failure["reason"]) for failure in answer["failures"]})
        if reasons:
            self._say(f"{len(answer['failures'])} tasks found no place: {', '.join(reasons)}")

    def _tell(self, error: AwsError) -> None:
        self._say(f"{error.code}: {error}")

    def _say(self, text: str) -> None:
        cluster = str(self._arguments.get("cluster", "default"))
        self._kit.event(cluster, None, f"schedule {self._name}: ecs.run_task: {text}", "API_ERROR", "ERROR")
