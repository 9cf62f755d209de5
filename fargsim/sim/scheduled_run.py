"""A scheduled action while it waits for its times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from fargsim.model.scaling import ScheduledAction
from fargsim.sim.kit import Kit


class ScheduledRun:
    """One scheduled action.

    With a `StartTime` it happens then and at every time of the schedule after it; none after its `EndTime`.
    Source: Application Auto Scaling User Guide, scheduled-scaling-using-cron-expressions.html.
    """

    def __init__(
        self, kit: Kit, spec: ScheduledAction, start: datetime, act: Callable[[ScheduledAction], None]
    ) -> None:
        self.spec = spec
        self._kit = kit
        self._start = start
        self._act = act
        self._removed = False
        self._instants = self._following()
        self._arm()

    def _following(self) -> Iterator[datetime]:
        now = self._start + timedelta(microseconds=self._kit.now)
        schedule, begin = self.spec.when(), self.spec.start_time
        if begin is None or schedule.at is not None:
            yield from schedule.after(now if begin is None else max(now, begin))
            return
        if begin >= now:
            yield begin
        yield from (t for t in schedule.after(max(now, begin), begin) if t > begin)

    def _arm(self) -> None:
        instant = next(self._instants, None)
        if instant is None or (self.spec.end_time is not None and instant > self.spec.end_time):
            return
        at_us = round((instant - self._start) / timedelta(microseconds=1))
        self._kit.at(at_us, self._happen)

    def _happen(self) -> None:
        if self._removed:
            return
        self._arm()
        self._act(self.spec)

    def remove(self) -> None:
        """Let it happen no more."""
        self._removed = True


def first_instant(spec: ScheduledAction, now: datetime) -> datetime | None:
    """Return when an action happens first, from an instant on; None if never."""
    begin = spec.start_time
    if begin is not None and begin >= now and spec.when().at is None:
        found: datetime | None = begin
    else:
        found = next(spec.when().after(max(now, begin or now), begin), None)
    return None if found is None or (spec.end_time is not None and found > spec.end_time) else found
