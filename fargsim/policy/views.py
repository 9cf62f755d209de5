"""What a placement decision may see: a fleet of container instances as columns, and a task group's tasks on it.

A view is a set of references to columns that their owner keeps up to date one change at a time; taking a view costs nothing and
nothing is rebuilt for a placement. Row numbers are the order in which the instances registered, so the lowest row is the oldest
instance and "ties by registration order" means the lowest row.

Source: Amazon ECS API Reference, API_ContainerInstance.html; Amazon ECS Developer Guide, task-placement-constraints.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fargsim.policy.index import IndexSlot

DERIVED_MAX = 256
ZONE = "ecs.availability-zone"
"""The attribute that holds an instance's Availability Zone."""
GROUP_ATTRIBUTE = "fargsim.auto-scaling-group"
"""Attribute of an instance that names its group, so that a capacity provider's tasks find its own instances."""

Mask = NDArray[np.bool_]

HostPort = tuple[int, str]
"""A port of the host and its protocol, ``tcp`` or ``udp``."""


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """One attribute of every instance.

    Parameters
    ----------
    codes
        Shape (instances,): the index of the instance's value in `values`, -1 where the instance has no such attribute.
    values
        The values in use, in the order in which they first came up. It may grow; a code never changes its meaning.
    """

    codes: NDArray[np.int32]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class FleetView:
    """The container instances of a cluster; all columns have shape (instances,).

    Parameters
    ----------
    schedulable
        Whether the instance is ``ACTIVE`` and its agent connected.
    active, agent_connected
        The two parts of `schedulable`, for explanations and for the query language.
    free_cpu_units, free_memory_mib, free_enis, free_gpus
        What the scheduler may still give away: registered minus the needs of every task whose desired status is RUNNING.
    reserved_ports
        Host ports reserved, those of the agent included; a port that Docker chose itself is none of them.
    running_tasks
        Number of tasks with desired status RUNNING, as ``runningTasksCount``.
    attributes
        By name; holds `ZONE` for every instance.
    host_ports
        By port and protocol: whether it is taken on the instance. A port nobody uses has no column.
    groups
        By task group: number of the group's tasks on the instance, for ``task:group``.
    instance_ids, agent_versions
        EC2 instance ids and agent versions.
    registered_at_us
        Instant of registration, microseconds since 1970-01-01T00:00:00Z.
    derived
        Store for columns that follow from what changes rarely (attributes, ids, versions). Its owner empties it whenever one of these
        changes; a decision does not depend on what is in it.
    journal
        Rows that were touched, in order; a new list where the old one is no longer continued. None where nobody keeps one.
    indexes
        Store for `fargsim.policy.index`; a decision does not depend on what is in it either.
    """

    schedulable: NDArray[np.bool_]
    active: NDArray[np.bool_]
    agent_connected: NDArray[np.bool_]
    free_cpu_units: NDArray[np.int64]
    free_memory_mib: NDArray[np.int64]
    free_enis: NDArray[np.int64]
    free_gpus: NDArray[np.int64]
    running_tasks: NDArray[np.int64]
    reserved_ports: NDArray[np.int64]
    attributes: Mapping[str, AttributeColumn]
    host_ports: Mapping[HostPort, NDArray[np.bool_]]
    groups: Mapping[str, NDArray[np.int64]]
    instance_ids: Sequence[str]
    agent_versions: Sequence[str]
    registered_at_us: NDArray[np.int64]
    derived: dict[object, Mask] = field(default_factory=dict)
    journal: list[int] | None = None
    indexes: dict[object, IndexSlot] = field(default_factory=dict)

    def keep(self, key: object, mask: Mask) -> Mask:
        """Keep a derived column, read-only, and return it; the store stays small."""
        if len(self.derived) >= DERIVED_MAX:
            self.derived.clear()
        mask.flags.writeable = False
        self.derived[key] = mask
        return mask

    @property
    def size(self) -> int:
        """Number of instances, those that left included."""
        return len(self.schedulable)

    @property
    def zone(self) -> NDArray[np.int32]:
        """Zone codes, shape (instances,); of a fleet in which no instance has registered yet there are none."""
        column = self.attributes.get(ZONE)
        return np.full(self.size, -1, dtype=np.int32) if column is None else column.codes


@dataclass(frozen=True, slots=True)
class GroupView:
    """Where the tasks of one task group are; a service is the group ``service:NAME``.

    Parameters
    ----------
    tasks
        Shape (instances,): tasks of the group with desired status RUNNING on each instance. A task that shuts down is not counted,
        so an instance may briefly hold two tasks of a ``distinctInstance`` group.
    by_value
        By attribute name: number of the group's tasks per value code, where its owner keeps it; otherwise it is summed up from `tasks`.

    Notes
    -----
    Source: Amazon ECS Developer Guide, task-placement-constraints.html (desired status), task-groups.html.
    """

    tasks: NDArray[np.int64]
    by_value: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def per_value(self, name: str, column: AttributeColumn) -> NDArray[np.int64]:
        """Return the number of the group's tasks per value of an attribute, shape (values,)."""
        kept = self.by_value.get(name)
        if kept is not None:
            return kept
        has = column.codes >= 0
        sums = np.bincount(column.codes[has], weights=self.tasks[has], minlength=len(column.values))
        return sums.astype(np.int64)
