"""What RunTask and StartTask put in the place of what the task definition says.

Source: Amazon ECS API Reference, API_TaskOverride.html, API_ContainerOverride.html.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fargsim.catalog.checks import task_definition_faults
from fargsim.model.task_verbs import TaskOverride
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.needs import needs_of
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.state import Revision

CONTAINER = ("cpu", "memory", "memory_reservation")
TASK = ("cpu", "memory", "ephemeral_storage", "task_role_arn", "execution_role_arn")


class Overrides:
    """Revisions as overrides change them; equal overrides share one."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], Revision] = {}

    def apply(self, revision: Revision, overrides: TaskOverride | None) -> Revision:
        """Return the revision with the overrides in force.

        Raises
        ------
        InvalidParameterException
            For a container that is not in the definition, and for sizes that do not fit.
        """
        if overrides is None:
            return revision
        key = (revision.name, overrides.model_dump_json(by_alias=True, exclude_unset=True))
        if key not in self._made:
            definition = _changed(revision.definition, overrides)
            faults = [*definition.faults(), *task_definition_faults(definition)]
            if faults:
                said = (f"{fault.dotted()}: {fault.message}" if fault.path else fault.message for fault in faults)
                raise InvalidParameterException("overrides: " + "; ".join(said))
            self._made[key] = replace(revision, definition=definition, needs=needs_of(definition))
        return self._made[key]


def _changed(definition: TaskDefinition, overrides: TaskOverride) -> TaskDefinition:
    containers = {c.name: c for c in definition.container_definitions}
    for change in overrides.container_overrides:
        if change.name not in containers:
            raise InvalidParameterException(
                f"Override for container named {change.name} is not a container in the TaskDefinition: "
                f"its containers are {', '.join(containers)}."
            )
        given = {name: getattr(change, name) for name in CONTAINER if getattr(change, name) is not None}
        changed = containers[change.name] = containers[change.name].model_copy(update=given)
        if changed.memory is not None and (changed.memory_reservation or 0) > changed.memory:
            raise InvalidParameterException(
                f"overrides: memoryReservation of container {change.name} ({changed.memory_reservation} MiB) is above its "
                f"memory ({changed.memory} MiB)"
            )
    update: dict[str, Any] = {name: getattr(overrides, name) for name in TASK if getattr(overrides, name) is not None}
    return definition.model_copy(update={**update, "container_definitions": tuple(containers.values())})
