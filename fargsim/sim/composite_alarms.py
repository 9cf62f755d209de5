"""Composite alarms of CloudWatch: their state follows those of other alarms, at the same instant.

Source: Amazon CloudWatch API Reference, API_PutCompositeAlarm.html. They tell whoever watches them, deployments for example; their actions
notify people, which is not simulated, and cannot scale anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fargsim.model.alarms import CompositeAlarm
from fargsim.policy.alarm_rule import RuleError, parse_rule
from fargsim.policy.alarms import AlarmState
from fargsim.sim.alarm_run import Stateful
from fargsim.sim.errors import ValidationError
from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.sim.cloudwatch import CloudWatch


class CompositeRun(Stateful):
    """A composite alarm."""

    def __init__(self, cloudwatch: CloudWatch, kit: Kit, spec: CompositeAlarm) -> None:
        super().__init__(cloudwatch, kit, spec.alarm_name, actions_enabled=spec.actions_enabled)
        self.spec = spec
        try:
            self.rule = parse_rule(spec.alarm_rule)
        except RuleError as fault:
            raise ValidationError(f"AlarmRule: {fault}") from None
        self.resource, self.label = ",".join(self.rule.names), "AlarmRule"

    def follow(self, states: Mapping[str, AlarmState], reason: str) -> None:
        """Take the state that the rule says, and tell whoever watches if it is another one."""
        if self.become(self.rule.state(states), reason):
            self.tell()


class CompositeAlarms:
    """Keeps the composite alarms among all alarms up to date.

    Parameters
    ----------
    alarms
        All alarms by name.
    """

    def __init__(self, cloudwatch: CloudWatch, kit: Kit, alarms: dict[str, Stateful]) -> None:
        self._cloudwatch, self._kit, self._alarms = cloudwatch, kit, alarms
        cloudwatch.on_change.append(self._changed)

    def put(self, spec: CompositeAlarm) -> None:
        """Create or update a composite alarm; it takes the state that its rule says at once.

        An updated one keeps its state until then, so that nothing changes where the new rule says the same: Amazon CloudWatch API
        Reference, API_PutCompositeAlarm.html.
        """
        alarm = CompositeRun(self._cloudwatch, self._kit, spec)
        unknown = [name for name in alarm.rule.names if name not in self._alarms and name != alarm.name]
        if unknown:
            known = ", ".join(self._alarms) or "none"
            raise ValidationError(f"AlarmRule: there is no alarm '{unknown[0]}'. Alarms: {known}.")
        if alarm.name in self._reached(alarm.rule.names):
            raise ValidationError(f"AlarmRule: {alarm.name} would depend on itself")
        old = self._alarms.get(alarm.name)
        if old is not None and not isinstance(old, CompositeRun):
            raise ValidationError(f"AlarmName: '{alarm.name}' is a metric alarm")
        if old is not None:
            alarm.take_over(old)
        self._alarms[alarm.name] = alarm
        alarm.follow(self._states(), f"the alarm was {'created' if old is None else 'updated'}")

    def _reached(self, names: tuple[str, ...]) -> set[str]:
        """Return the alarms that some depend on, they themselves included."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                alarm = self._alarms.get(name)
                waiting += alarm.rule.names if isinstance(alarm, CompositeRun) else ()
        return found

    def dependent(self, name: str) -> list[str]:
        """Return the composite alarms that look at an alarm."""
        return [a.name for a in self._alarms.values() if isinstance(a, CompositeRun) and name in a.rule.names]

    def _states(self) -> dict[str, AlarmState]:
        return {name: alarm.state for name, alarm in self._alarms.items()}

    def _changed(self, name: str, before: AlarmState, after: AlarmState) -> None:
        self.follow(name, f"{name} transitioned to {after}")

    def follow(self, name: str, reason: str) -> None:
        """Let those that look at an alarm take their states anew."""
        for dependent in self.dependent(name):
            alarm = self._alarms[dependent]
            assert isinstance(alarm, CompositeRun)
            alarm.follow(self._states(), reason)
