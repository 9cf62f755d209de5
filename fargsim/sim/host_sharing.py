"""Container instances whose tasks share the cores by their CPU units: the bridge to the hosts of the data plane.

A Linux container's `cpu` is its share of the instance's processor time against its neighbours, not a limit; what nobody uses floats to
those who want it. A task with task-level `cpu` is capped there, a Windows container at its own `cpu`. So as soon as a task without such a
cap works on an instance, all that work there share it: slots of requests exactly, event by event; workers of queues and followers of
traces as members from outside. Instances with nothing but capped tasks share nothing: what they reserve is theirs.

Sources: Amazon ECS API Reference, API_ContainerDefinition.html (cpu), API_TaskDefinition.html (cpu).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fargsim.kernel import DemandsNeeded, Hosts

if TYPE_CHECKING:
    from fargsim.kernel.pull import PullQueue
    from fargsim.sim.instances import InstanceRun
    from fargsim.sim.kit import Kit
    from fargsim.sim.state import TaskRun
    from fargsim.sim.traffic import Bridge


WINDOWS_LEAST_CORES = 0.01
"""What a Windows container without `cpu` may use: Amazon ECS API Reference, API_ContainerDefinition.html."""


def is_capped(task: TaskRun) -> bool:
    """Whether a task has a part of the cores and no more: on Fargate, with task-level cpu, or on Windows."""
    definition = task.revision.definition
    return task.instance is None or definition.cpu is not None or definition.operating_system_family != "LINUX"


def shares_of(kit: Kit, task: TaskRun) -> float:
    """Return a task's share against its neighbours: its own CPU units, or those of all its containers, which its serving one is given."""
    definition = task.revision.definition
    if definition.cpu is not None:
        return float(definition.cpu)
    least = kit.parameters.number("container_least_cpu_shares")
    return sum(max(least, float(c.cpu)) for c in definition.container_definitions)


def most_cores(task: TaskRun) -> float:
    """Return how many cores a task can have at most on an instance that is shared."""
    assert task.instance is not None
    if is_capped(task):
        # Windows takes a container without `cpu` for one with a hundredth of a CPU
        return max(WINDOWS_LEAST_CORES, task.revision.definition.cpu_units / 1024)
    return task.instance.cpu_units / 1024


def task_cores(task: TaskRun) -> float:
    """Return how many cores a task may use at most.

    A Fargate task and an EC2 task with task-level cpu have that and no more. An EC2 task without it may burst into the idle capacity
    of its instance, which it shares with its neighbours. An instance whose CPU credits run low gives each capped task the same part of
    its own.
    """
    if task.instance is None:
        return task.revision.definition.cpu_units / 1024
    return most_cores(task) * (task.instance.cpu_factor if is_capped(task) else 1.0)


def left_by_idle(kit: Kit, instance: InstanceRun, cores: float) -> float:
    """Return what is left of an instance's cores after what tasks use while nothing is in them."""
    idle = sum(t.revision.behaviour.idle_cpu for t in instance.tasks.values() if t.last_status == "RUNNING")
    return max(cores - idle, kit.parameters.number("shared_cores_left_by_idle_cpu") * cores)


class SharedQueue(Protocol):
    """A queue some of whose workers sit on shared instances."""

    pull: PullQueue

    def feed(self, until_us: int) -> None:
        """Send it what arrives before an instant."""


class Seat:
    """Somebody who works outside of the planes, on a shared instance."""

    def __init__(self, sharing: HostSharing, hosts: Hosts, member: int) -> None:
        self._sharing, self._hosts, self._member = sharing, hosts, member

    def want(self, cores: float, at_us: float | None = None) -> None:
        """Tell how many cores could be kept busy from an instant on; None: from now on."""
        if at_us is None:
            at_us = self._sharing.advance_now()
        self._hosts.set_demand(max(at_us, self._hosts.now_us), self._member, cores)

    def used_core_us(self) -> float:
        """Return the core-time used so far."""
        return self._hosts.used_core_us(self._sharing.advance_now(), self._member)

    def leave(self) -> None:
        """Give the seat up."""
        self._hosts.dismiss(self._sharing.advance_now(), self._member)
        self._sharing.forget(self._member)


class HostSharing:
    """The shared instances of a region, and the planes and queues that go together because of them.

    A region without any pays for a look at an empty table.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._hosts: Hosts | None = None
        self._machines: dict[str, int] = {}
        """The host of each shared instance."""
        self._bridges: list[Bridge] = []
        self._queues: list[SharedQueue] = []
        self._watchers: dict[int, Callable[[float, float], None]] = {}

    # who shares

    def machine(self, task: TaskRun) -> int | None:
        """Return the host that a task works on, if its instance is shared or is to be from now on."""
        instance = task.instance
        if instance is None:
            return None
        found = self._machines.get(instance.instance_id)
        return self._share(instance, task) if found is None and not is_capped(task) else found

    def seat_slot(self, task: TaskRun, bridge: Bridge, slot: int) -> None:
        """Let the slot of a task's requests share its instance, if that is shared."""
        machine = self.machine(task)
        if machine is None:
            return
        assert self._hosts is not None
        now = self._join(bridge)
        self._hosts.seat(now, bridge.plane, slot, machine, weight=shares_of(self._kit, task), most=most_cores(task))

    def seat(self, task: TaskRun, on_grant: Callable[[float, float], None] | None = None) -> Seat | None:
        """Let a task that works outside of the planes share its instance, if that is shared.

        Parameters
        ----------
        on_grant
            Told how many cores it has been given, and since when, whenever they change.
        """
        machine = self.machine(task)
        if machine is None:
            return None
        assert self._hosts is not None
        most = most_cores(task)
        member = self._hosts.invite(
            self.advance_now(), machine, weight=shares_of(self._kit, task), most=most, watch=on_grant is not None
        )
        if on_grant is not None:
            self._watchers[member] = on_grant
        return Seat(self, self._hosts, member)

    def add_queue(self, queue: SharedQueue) -> None:
        """Let a queue go together with the planes, since a worker of it sits on a shared instance."""
        if queue not in self._queues:
            self._queues.append(queue)

    def forget(self, member: int) -> None:
        """Tell a member nothing more."""
        self._watchers.pop(member, None)

    def _share(self, instance: InstanceRun, newcomer: TaskRun) -> int:
        if self._hosts is None:
            self._hosts = Hosts()
            self._hosts.on_grant = lambda member, cores, at_us: self._watchers[member](cores, at_us)
            self._hosts.advance(self._kit.now)
        now = self.advance_now()
        machine = self._machines[instance.instance_id] = self._hosts.open_host(now, self._cores(instance))
        before = [task for task in instance.tasks.values() if task is not newcomer]
        for task in before:
            for group, target in task.targets:
                if group.bridge is not None and target.slot is not None and task.task_id in group.targets:
                    self.seat_slot(task, group.bridge, target.slot)
            self._kit.work.seat(task)
        return machine

    def _join(self, bridge: Bridge) -> int:
        """Let a target group's plane go together with the others; return now."""
        assert self._hosts is not None
        bridge.advance(self._kit.now)
        now = self.advance_now()
        if bridge not in self._bridges:
            self._hosts.join(bridge.plane)
            self._bridges.append(bridge)
        return now

    # cores

    def _cores(self, instance: InstanceRun) -> float:
        """What there is to share: the cores that credits allow, less what tasks use while nothing is in them."""
        cores = instance.cpu_units / 1024
        if instance.cpu_factor < 1.0:
            return cores * instance.cpu_factor
        return left_by_idle(self._kit, instance, cores)

    def review(self, instance: InstanceRun | None) -> bool:
        """Work out anew what there is to share; return whether the instance is shared at all."""
        if instance is None or instance.instance_id not in self._machines:
            return False
        assert self._hosts is not None
        self._hosts.set_cores(self.advance_now(), self._machines[instance.instance_id], self._cores(instance))
        return True

    def in_use(self, instance: InstanceRun) -> tuple[float, float, float] | None:
        """Return the cores of a shared instance: busy, wanted and shared ones, now; None of one that is not shared."""
        if instance.instance_id not in self._machines:
            return None
        assert self._hosts is not None
        self.advance_now()
        return (*self._hosts.in_use(self._machines[instance.instance_id]), self._cores(instance))

    # time

    def advance_now(self) -> int:
        """Bring everything that goes together to now, and return it."""
        self.advance(self._kit.now)
        return self._kit.now

    def advance(self, until_us: int) -> None:
        """Bring everything that goes together to an instant of the control plane."""
        hosts = self._hosts
        if hosts is None:
            return
        while hosts.now_us < until_us:
            for bridge in self._bridges:
                bridge.dismiss_users()
            upto = min((until_us, *(bridge.offer(until_us) for bridge in self._bridges)))
            try:
                self._go(hosts, upto)
            except DemandsNeeded as needed:
                next(b for b in self._bridges if b.plane is needed.plane).bring_demands(needed.count)
        for bridge in self._bridges:
            bridge.dismiss_users()

    def _go(self, hosts: Hosts, upto_us: int) -> None:
        """Go on, planes and queues step by step."""
        for queue in self._queues:
            queue.feed(upto_us)
        while True:
            nexts = [queue.pull.next_before(upto_us) for queue in self._queues]
            at_us = min(nexts, default=math.inf)
            if not hosts.run_to(min(at_us, float(upto_us))):
                continue  # somebody has been given other cores on the way, so that another queue may be the first now
            if at_us > upto_us:
                break
            self._queues[nexts.index(at_us)].pull.do_next()
        hosts.advance(upto_us)
        for queue in self._queues:
            queue.pull.advance(upto_us)
