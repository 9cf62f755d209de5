"""ECS Managed Instances: which instances waiting tasks get, and which instance is not worth its price any more.

Source: Amazon ECS Developer Guide, ManagedInstances.html, managed-instance-auto-scaling.html (zones first: three instances in different
zones where possible; then as few and as cheap as will do) and managed-instances-infrastructure-optimization.html (idle instances go; tasks
of underutilised ones are moved; standalone tasks and Spot block that). AWS does not publish how the cheapest type is found; here it is
the one with the lowest price for each of the tasks it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fargsim.policy.managed_scaling import InstanceShape
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.views import HostPort

SPREAD = 3
"""Instances that are put into different zones first."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An instance type that may be launched: what it holds and what it costs an hour."""

    name: str
    architecture: str
    shape: InstanceShape
    price_usd: float


@dataclass(frozen=True, slots=True)
class Room:
    """What is still free on an instance."""

    cpu_units: int
    memory_mib: int
    enis: int = 0
    gpus: int = 0
    ports: frozenset[HostPort] = frozenset()
    """Host ports that are taken."""

    def less(self, needs: TaskNeeds) -> Room | None:
        """Return what is left beside a task; None where it does not fit."""
        # asked of every type for every waiting task, and mostly refused: a room is only made for one that fits
        if needs.cpu_units > self.cpu_units or needs.memory_mib > self.memory_mib or needs.gpus > self.gpus:
            return None
        if (needs.enis and needs.enis > self.enis) or not self.ports.isdisjoint(needs.host_ports):
            return None
        return Room(
            self.cpu_units - needs.cpu_units,
            self.memory_mib - needs.memory_mib,
            self.enis - needs.enis,
            self.gpus - needs.gpus,
            self.ports.union(needs.host_ports) if needs.host_ports else self.ports,
        )


def room_of(shape: InstanceShape) -> Room:
    """Return what an empty instance has free."""
    return Room(shape.cpu_units, shape.memory_mib, shape.enis, shape.gpus)


def alone(needs: TaskNeeds, group: str) -> TaskNeeds:
    """Return what a task asks for that shares an instance with no other of its group (``distinctInstance``).

    It is as if all of the group asked for one host port that is nobody else's.
    """
    return replace(needs, host_ports=(*needs.host_ports, (0, f"distinctInstance {group}")))


May = Callable[[int, int], bool]
"""Whether a task may go to an instance, both by index, whatever room there is."""


def fill(rooms: Sequence[Room], tasks: Sequence[TaskNeeds], may: May = lambda task, room: True) -> list[int]:
    """Put tasks on instances, each on the first it fits, and return which tasks are left over, by index.

    >>> fill([Room(2048, 4096, 3)], [TaskNeeds(1024, 1024, enis=1)] * 3)
    [2]
    >>> fill([Room(2048, 4096), Room(2048, 4096)], [alone(TaskNeeds(256, 512), "service:web")] * 3)
    [2]
    """
    free: list[Room] = list(rooms)
    over = []
    for index, needs in enumerate(tasks):
        for n, room in enumerate(free):
            left = room.less(needs) if may(index, n) else None
            if left is not None:
                free[n] = left
                break
        else:
            over.append(index)
    return over


def next_batch(waiting: int, zones: int, there: int) -> int:
    """Return for how many of the waiting tasks the next instance is chosen: all, or their share until three zones have one each.

    >>> next_batch(9, zones=3, there=0), next_batch(9, zones=1, there=0), next_batch(6, zones=3, there=3)
    (3, 9, 6)
    """
    missing = min(SPREAD, zones) - there
    return waiting if missing <= 1 else -(-waiting // missing)


def choose_type(
    offers: Sequence[Offer], tasks: Sequence[TaskNeeds], may: May = lambda task, offer: True
) -> tuple[Offer, tuple[int, ...]] | None:
    """Return the type with the lowest price for each task it holds, and the tasks it holds, by index; None where none fits the first.

    Parameters
    ----------
    may
        Whether a task may go to an instance of an offer, by index.

    Examples
    --------
    >>> small = Offer("s", "x86_64", InstanceShape(2048, 4096), 0.10)
    >>> large = Offer("l", "x86_64", InstanceShape(8192, 16384), 0.36)
    >>> choose_type([small, large], [TaskNeeds(1024, 1024)] * 2)[0].name
    's'
    >>> choose_type([small, large], [TaskNeeds(1024, 1024)] * 8)[0].name
    'l'
    """
    best: tuple[tuple[float, float, str], Offer, tuple[int, ...]] | None = None
    for number, offer in enumerate(offers):
        over = set(fill([room_of(offer.shape)], tasks, partial(_may_be_on, may, number)))
        held = tuple(n for n in range(len(tasks)) if n not in over)
        if not held or held[0] != 0:
            continue
        key = (offer.price_usd / len(held), offer.price_usd, offer.name)
        if best is None or key < best[0]:
            best = key, offer, held
    return None if best is None else (best[1], best[2])


def _may_be_on(may: May, offer: int, task: int, _: int) -> bool:
    return may(task, offer)


def _may_go_to(
    may: Callable[[int, int, int], bool] | None, instance: int, others: Sequence[int], task: int, at: int
) -> bool:
    return may is None or may(instance, task, others[at])


def underutilised(
    tasks: Sequence[Sequence[TaskNeeds]], rooms: Sequence[Room], may: Callable[[int, int, int], bool] | None = None
) -> int | None:
    """Return the instance whose tasks all fit beside those of the others: the one with the least on it; None where there is none.

    Parameters
    ----------
    tasks
        Needs of the tasks of each instance; empty of one that may not be emptied.
    rooms
        What is free on each.
    may
        Whether a task of an instance (both by index) may go to another instance; by default all may.

    Examples
    --------
    >>> a, b = Room(1024, 3000), Room(512, 3000)
    >>> underutilised([[TaskNeeds(512, 1000)], [TaskNeeds(1024, 1000), TaskNeeds(512, 1000)]], [b, a])
    0
    """
    order = sorted((n for n, mine in enumerate(tasks) if mine), key=lambda n: (sum(t.cpu_units for t in tasks[n]), n))
    for n in order:
        others = [m for m in range(len(rooms)) if m != n]
        left = fill([rooms[m] for m in others], tasks[n], partial(_may_go_to, may, n, others))
        if others and not left:
            return n
    return None
