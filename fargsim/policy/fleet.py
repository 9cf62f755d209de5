"""The columns behind a `FleetView`, kept up to date one change at a time.

This is storage, not policy: it decides nothing. It stands here because it is the one thing that gives the views their meaning, and so
that tests, tools and the simulation all fill them in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fargsim.policy.index import IndexSlot
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.views import ZONE, AttributeColumn, FleetView, GroupView, HostPort

RESERVED_PORTS: tuple[HostPort, ...] = ((22, "tcp"), (2375, "tcp"), (2376, "tcp"), (51678, "tcp"), (51679, "tcp"))
"""Ports the agent reserves on Linux. Source: github.com/aws/amazon-ecs-agent, README.md, ``ECS_RESERVED_PORTS``."""

JOURNAL_MAX = 1 << 17
_NUMBERS = (
    "free_cpu_units",
    "free_memory_mib",
    "free_enis",
    "free_gpus",
    "running_tasks",
    "reserved_ports",
    "registered_at_us",
)
_FLAGS = ("schedulable", "active", "agent_connected")


class Fleet:
    """Container instances of one cluster as growing columns.

    A row belongs to one instance for ever and rows are given out in the order of registration. All methods cost the same whatever the
    size of the fleet, except `register`, which doubles the columns when they are full.

    Examples
    --------
    >>> fleet = Fleet()
    >>> row = fleet.register("i-1", cpu_units=2048, memory_mib=3768, zone="us-east-1a")
    >>> fleet.take(row, TaskNeeds(cpu_units=512, memory_mib=1024), group="service:web")
    >>> int(fleet.view().free_cpu_units[row]), int(fleet.group("service:web").tasks[row])
    (1536, 1)
    """

    def __init__(self) -> None:
        self._size = 0
        self._room = 16
        self._numbers = {name: np.zeros(self._room, dtype=np.int64) for name in _NUMBERS}
        self._flags = {name: np.zeros(self._room, dtype=np.bool_) for name in _FLAGS}
        self._codes: dict[str, NDArray[np.int32]] = {}
        self._values: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, int]] = {}
        self._ports: dict[HostPort, NDArray[np.bool_]] = {}
        self._groups: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, dict[str, NDArray[np.int64]]] = {}
        self._ids: list[str] = []
        self._versions: list[str] = []
        self._derived: dict[object, NDArray[np.bool_]] = {}
        self._journal: list[int] = []
        self._indexes: dict[object, IndexSlot] = {}
        self._view: FleetView | None = None
        self._group_views: dict[str, GroupView] = {}

    def __len__(self) -> int:
        return self._size

    def register(
        self,
        instance_id: str,
        *,
        cpu_units: int,
        memory_mib: int,
        zone: str,
        enis: int = 0,
        gpus: int = 0,
        attributes: Mapping[str, str] | None = None,
        agent_version: str = "1.105.1",
        registered_at_us: int = 0,
        reserved_ports: Iterable[HostPort] = RESERVED_PORTS,
    ) -> int:
        """Add an instance, ``ACTIVE`` and connected, and return its row.

        Parameters
        ----------
        enis
            Interfaces that tasks in ``awsvpc`` mode can attach (the primary one not counted).
        attributes
            Built-in and custom attributes; the zone is added by itself.
        """
        if self._size == self._room:
            self._grow()
        row = self._size
        self._size += 1
        for name, value in (
            ("free_cpu_units", cpu_units),
            ("free_memory_mib", memory_mib),
            ("free_enis", enis),
            ("free_gpus", gpus),
            ("registered_at_us", registered_at_us),
        ):
            self._numbers[name][row] = value
        for flag in _FLAGS:
            self._flags[flag][row] = True
        self._ids.append(instance_id)
        self._versions.append(agent_version)
        self.set_attributes(row, {**(attributes or {}), ZONE: zone})
        for port in reserved_ports:
            self._port(port)[row] = True
            self._numbers["reserved_ports"][row] += 1
        self._changed()
        return row

    def set_attributes(self, row: int, attributes: Mapping[str, str]) -> None:
        """Set attributes of an instance, as PutAttributes does."""
        for name, value in attributes.items():
            if name not in self._codes:
                self._codes[name] = np.full(self._room, -1, dtype=np.int32)
                self._values[name] = []
                self._known[name] = {}
            known = self._known[name]
            if value not in known:
                known[value] = len(known)
                self._values[name].append(value)
                for sums in self._sums.values():
                    if name in sums:
                        sums[name] = np.append(sums[name], 0)
            self._codes[name][row] = known[value]
        for group in self._sums:
            self._sums[group] = {n: s for n, s in self._sums[group].items() if n not in attributes or n == ZONE}
        self._changed()

    def remove_attributes(self, row: int, names: Iterable[str]) -> None:
        """Take attributes from an instance, as DeleteAttributes does; one it has not is passed over."""
        for name in names:
            if name in self._codes:
                self._codes[name][row] = -1
                for sums in self._sums.values():
                    sums.pop(name, None)
        self._changed()

    def attributes_of(self, row: int) -> dict[str, str]:
        """Return the attributes of an instance, by name."""
        return {n: self._values[n][code] for n in sorted(self._codes) if (code := int(self._codes[n][row])) >= 0}

    def ports_of(self, row: int) -> tuple[HostPort, ...]:
        """Return the host ports reserved on an instance, the agent's included, in order."""
        return tuple(sorted(port for port, taken in self._ports.items() if taken[row]))

    def set_active(self, row: int, active: bool) -> None:
        """Set whether the instance's status is ``ACTIVE``: false for ``DRAINING`` and for one that left."""
        self._flags["active"][row] = active
        self._flags["schedulable"][row] = active and bool(self._flags["agent_connected"][row])
        self._touch(row)

    def set_agent_connected(self, row: int, connected: bool) -> None:
        """Set whether the instance's agent is connected."""
        self._flags["agent_connected"][row] = connected
        self._flags["schedulable"][row] = connected and bool(self._flags["active"][row])
        self._derived.clear()  # a query may ask for agentConnected
        self._touch(row)

    def take(self, row: int, needs: TaskNeeds, group: str) -> None:
        """Reserve what a task needs, when it is placed, and count it in its group."""
        self._count(row, group, 1)
        self._move(row, needs, 1)

    def leave(self, row: int, group: str) -> None:
        """Count a task in its group no more, when its desired status becomes STOPPED; it keeps what it has."""
        self._count(row, group, -1)
        self._touch(row)

    def release(self, row: int, needs: TaskNeeds, group: str | None = None) -> None:
        """Give back what a task had, when it enters STOPPING; with `group` it leaves its group, too."""
        if group is not None:
            self._count(row, group, -1)
        self._move(row, needs, -1)

    def _move(self, row: int, needs: TaskNeeds, sign: int) -> None:
        numbers = self._numbers
        numbers["free_cpu_units"][row] -= sign * needs.cpu_units
        numbers["free_memory_mib"][row] -= sign * needs.memory_mib
        numbers["running_tasks"][row] += sign
        if needs.enis:
            numbers["free_enis"][row] -= sign * needs.enis
        if needs.gpus:
            numbers["free_gpus"][row] -= sign * needs.gpus
        if needs.host_ports:
            numbers["reserved_ports"][row] += sign * len(needs.host_ports)
            for port in needs.host_ports:
                self._port(port)[row] = sign > 0
        self._touch(row)

    def _count(self, row: int, group: str, sign: int) -> None:
        if group not in self._groups:
            self._groups[group] = np.zeros(self._room, dtype=np.int64)
            self._sums[group] = {}
            self._view = None
        self._groups[group][row] += sign
        for name, sums in self._sums[group].items():
            code = self._codes[name][row]
            if code >= 0:
                sums[code] += sign

    def view(self) -> FleetView:
        """Return the fleet as it is; the same object until an instance, an attribute, a group or a port is added."""
        if self._view is None:
            n = self._size
            columns: dict[str, Any] = {name: a[:n] for name, a in (self._numbers | self._flags).items()}
            self._view = FleetView(
                attributes={name: AttributeColumn(c[:n], self._values[name]) for name, c in self._codes.items()},
                host_ports={port: c[:n] for port, c in self._ports.items()},
                groups={name: c[:n] for name, c in self._groups.items()},
                instance_ids=self._ids,
                agent_versions=self._versions,
                derived=self._derived,
                journal=self._journal,
                indexes=self._indexes,
                **columns,
            )
        return self._view

    def group(self, name: str, spread_over: Iterable[str] = (ZONE,)) -> GroupView:
        """Return where a group's tasks are, with sums kept for the attributes in `spread_over` from now on."""
        if name not in self._groups:
            self._groups[name] = np.zeros(self._room, dtype=np.int64)
            self._sums[name] = {}
            self._view = None
        sums = self._sums[name]
        cached = self._group_views.get(name)
        if cached is not None and len(cached.tasks) == self._size and all(a in cached.by_value for a in spread_over):
            return cached
        tasks = self._groups[name][: self._size]
        for attribute in spread_over:
            codes = self._codes.get(attribute)
            if codes is not None and attribute not in sums:
                column = AttributeColumn(codes[: self._size], self._values[attribute])
                sums[attribute] = GroupView(tasks).per_value(attribute, column)
        view = GroupView(tasks, sums)
        self._group_views[name] = view
        return view

    def forget_group(self, name: str) -> None:
        """Drop the columns of a group that has no tasks left."""
        for store in (self._groups, self._sums, self._group_views):
            store.pop(name, None)
        self._view = None

    def _port(self, port: HostPort) -> NDArray[np.bool_]:
        if port not in self._ports:
            self._ports[port] = np.zeros(self._room, dtype=np.bool_)
            self._view = None
        return self._ports[port]

    def _touch(self, row: int) -> None:
        self._journal.append(row)
        if len(self._journal) > JOURNAL_MAX:
            self._journal = []
            self._view = None

    def _changed(self) -> None:
        self._view = None
        self._indexes.clear()
        self._derived.clear()
        self._group_views.clear()

    def _grow(self) -> None:
        extra = self._room
        self._room *= 2
        for name, flags in self._flags.items():
            self._flags[name] = np.append(flags, np.zeros(extra, dtype=np.bool_))
        for port, taken in self._ports.items():
            self._ports[port] = np.append(taken, np.zeros(extra, dtype=np.bool_))
        for numbers in (self._numbers, self._groups):
            for name, column in numbers.items():
                numbers[name] = np.append(column, np.zeros(extra, dtype=np.int64))
        for name in self._codes:
            self._codes[name] = np.append(self._codes[name], np.full(extra, -1, dtype=np.int32))
