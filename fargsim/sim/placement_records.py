"""What is kept of placement decisions: a row for each attempt, and in full a row for each candidate and step.

Full records look at every candidate with the slow, telling twins of the policies; without them nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.policy.explain import Step, explain
from fargsim.policy.placement import Place, PlacementPlan
from fargsim.policy.victims import VictimStep
from fargsim.policy.views import GroupView
from fargsim.sim.kit import Kit
from fargsim.sim.state import ClusterRun, TaskRun

if TYPE_CHECKING:
    from fargsim.sim.groups import InstanceRun

Said = tuple[str, str, bool, str | None, str, str]
"""Of one candidate: its name, the step, whether it was let through, the failure reason, what was needed, what was found."""


class PlacementRecords:
    """Writes the tables `placements` and, where the scenario asks for it, `placement_steps`.

    Parameters
    ----------
    full
        Whether every step is kept.
    """

    def __init__(self, kit: Kit, full: bool) -> None:
        self.full = full
        self._kit = kit

    # one row an attempt

    def placed(self, task: TaskRun, instance: InstanceRun, candidates: int) -> None:
        """Keep that a task found its instance."""
        self._kit.recorder.placements.append(
            (
                self._kit.now,
                task.task_id,
                task.group,
                task.cluster.name,
                "EC2",
                "placed",
                instance.instance_id,
                instance.zone,
                "strategy",
                candidates,
                None,
            )
        )

    def failed(self, task: TaskRun, text: str) -> None:
        """Keep that no instance would do; the task is not created."""
        self._kit.recorder.placements.append(
            (
                self._kit.now,
                None,
                task.group,
                task.cluster.name,
                "EC2",
                "failed",
                None,
                None,
                "filter",
                0,
                text,
            )
        )

    # one row a candidate and step

    def instances(
        self, task: TaskRun, plan: PlacementPlan, group: GroupView, draw: float, kind: str, *, created: bool
    ) -> None:
        """Keep what every step said of every instance; called before the task takes its place.

        `created` says whether the task exists although no instance may do: it waits.
        """
        cluster = task.cluster
        fleet = cluster.fleet.view()
        found, steps = explain(plan, fleet, group, draw)
        task_id = task.task_id if created or isinstance(found, Place) else None
        here = cluster.instances_by_row
        said = [_said(fleet.instance_ids[s.row], s) for s in steps if s.row in here]
        if said:
            self._rows(kind, task_id, task.group, cluster, "instance", said)
        else:
            none: Said = (cluster.name, "status", False, "NO ACTIVE INSTANCES", "an instance", "none")
            self._rows(kind, task_id, task.group, cluster, "cluster", [none])

    def one_instance(self, task: TaskRun, steps: Sequence[Step], who: str) -> None:
        """Keep what the checks said of the one instance that a daemon service, or the caller of StartTask, wants a task on."""
        cluster = task.cluster
        name = cluster.fleet.view().instance_ids[steps[0].row]
        wanted = "an instance that has none" if who == "daemon" else "the instance that the caller names"
        task_id = None if steps[-1].reason is not None else task.task_id
        said = [(name, who, True, None, wanted, ""), *(_said(name, step) for step in steps)]
        self._rows("place", task_id, task.group, cluster, "instance", said)

    def same_as(self, task: TaskRun, other: str) -> None:
        """Keep that a waiting task was not tried because an equal one in front of it had found no place."""
        said: Said = (other, "waiting line", False, None, "", "an equal task in front of it found no place")
        self._rows("wait", task.task_id, task.group, task.cluster, "task", [said])

    def provider(
        self, task: TaskRun, items: Sequence[CapacityProviderStrategyItem], counts: Sequence[int], chosen: int
    ) -> None:
        """Keep which provider of a strategy took the task."""
        said: list[Said] = [
            (
                item.capacity_provider,
                "base and weight",
                at == chosen,
                None,
                "base first, then the largest lack",
                f"base {item.base}, weight {item.weight}, {counted(count, 'task')}",
            )
            for at, (item, count) in enumerate(zip(items, counts, strict=True))
        ]
        self._rows("place", task.task_id, task.group, task.cluster, "capacity provider", said)

    def account(self, task_id: str | None, group: str, cluster: ClusterRun, said: Sequence[Said]) -> None:
        """Keep what the account's limits said of a Fargate task."""
        self._rows("place", task_id, group, cluster, "account", said)

    def zones(self, task: TaskRun, zones: Sequence[str], counts: Sequence[int] | None, chosen: str) -> None:
        """Keep which zone a Fargate task went to; without counts it was a lot."""
        step, needed = (
            ("random", "a lot") if counts is None else ("spread over zones", "the fewest, the first of equals")
        )
        said: list[Said] = [
            (zone, step, zone == chosen, None, needed, "" if counts is None else f"{counts[at]} of the group in {zone}")
            for at, zone in enumerate(zones)
        ]
        self._rows("place", task.task_id, task.group, task.cluster, "zone", said)

    def stop(self, tasks: Iterable[tuple[TaskRun, str, bool, str, str]]) -> None:
        """Keep what one choice of whom to stop said of some tasks: task, step, let through, needed, found."""
        number = self._kit.counter.next("placement decision")
        for task, step, passed, needed, found in tasks:
            said: Said = (task.task_id, step, passed, None, needed, found)
            self._row(number, "stop", None, task.group, task.cluster, "task", said)

    def stop_by_rule(self, pool: Sequence[TaskRun], steps: Iterable[VictimStep]) -> None:
        """Keep how the scale-in rule chose among tasks on instances."""
        self.stop((pool[s.task], s.step, s.passed, "the most", s.found) for s in steps)

    def _rows(
        self, kind: str, task_id: str | None, group: str, cluster: ClusterRun, of: str, said: Iterable[Said]
    ) -> None:
        number = self._kit.counter.next("placement decision")
        for one in said:
            self._row(number, kind, task_id, group, cluster, of, one)

    def _row(
        self, number: int, kind: str, task_id: str | None, group: str, cluster: ClusterRun, of: str, said: Said
    ) -> None:
        candidate, step, passed, reason, needed, found = said
        self._kit.recorder.placement_steps.append(
            (
                number,
                self._kit.now,
                kind,
                task_id,
                group,
                cluster.name,
                of,
                candidate,
                step,
                passed,
                reason,
                needed or None,
                found or None,
            )
        )


def counted(number: int, thing: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "task"), counted(0, "task")
    ('1 task', '0 tasks')
    """
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _said(name: str, step: Step) -> Said:
    return (name, step.step, step.passed, step.reason, step.needed, step.found)
