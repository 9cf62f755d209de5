"""Rules of deployments between the parts of a scenario: the alarms that they watch, the services that they are stopped for.

Source: Amazon ECS API Reference, API_DeploymentAlarms.html, API_StopServiceDeployment.html, API_UpdateTaskProtection.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.names import unknown
from fargsim.model.base import Issue, Path
from fargsim.model.deployment import DeploymentConfiguration
from fargsim.model.scenario import Scenario


def deployment_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield the alarms that deployments watch and that nobody makes."""
    made = [alarm.alarm_name for alarm in scenario.alarms]
    made += [alarm.alarm_name for alarm in scenario.composite_alarms]
    made += [e.put_metric_alarm.alarm_name for e in scenario.timeline if e.put_metric_alarm is not None]
    made += [e.put_composite_alarm.alarm_name for e in scenario.timeline if e.put_composite_alarm is not None]
    asked: list[tuple[Path, DeploymentConfiguration | None]] = [
        (("services", n), service.deployment_configuration) for n, service in enumerate(scenario.services)
    ]
    for n, entry in enumerate(scenario.timeline):
        if entry.create_service is not None:
            asked.append((("timeline", n, "ecs.create_service"), entry.create_service.deployment_configuration))
        if entry.update_service is not None:
            asked.append((("timeline", n, "ecs.update_service"), entry.update_service.deployment_configuration))
    for path, configuration in asked:
        alarms = None if configuration is None else configuration.alarms
        for m, name in enumerate(() if alarms is None else alarms.alarm_names):
            if name not in made:
                at = (*path, "deploymentConfiguration", "alarms", "alarmNames", m)
                yield Issue(at, unknown("alarm", name, made))
