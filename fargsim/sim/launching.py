"""Launching tasks: gates, capacity providers, zones and instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.service import CreateService, RunTask
from fargsim.policy.capacity_provider import next_provider, provider_to_shrink
from fargsim.policy.needs import needs_of
from fargsim.policy.placement import NoPlacement, Place, PlacementPlan, compile_placement, place, service_event
from fargsim.policy.victims import ServiceTasksView, fargate_fullest_zone, fargate_zone, victims
from fargsim.sim.errors import ClientException, ThrottlingException
from fargsim.sim.groups import GROUP_ATTRIBUTE
from fargsim.sim.places import reserve
from fargsim.sim.records import record_state
from fargsim.sim.registry import FARGATE_PROVIDERS, Registry
from fargsim.sim.state import ClusterRun, ProviderRun, Revision, Stop, TaskRun
from fargsim.sim.task_life import live, stop_task

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun

VCPU_LIMIT = (
    "was unable to place a task. Reason: You've reached the limit on the number of vCPUs you can run concurrently."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that was not started.

    Parameters
    ----------
    reason
        AWS's failure reason, such as ``RESOURCE:MEMORY``.
    event
        What the service event says; empty where nothing is said (a rate limit that passes by itself).
    """

    reason: str
    event: str = ""
    event_name: str = "SERVICE_TASK_PLACEMENT_FAILURE"
    detail: str = ""
    arn: str = ""


class Launcher:
    """Starts tasks, and chooses which ones a service stops."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._plans: dict[tuple[str, str, object], PlacementPlan] = {}

    # who launches on what

    def strategy(self, cluster: ClusterRun, spec: CreateService | RunTask) -> tuple[CapacityProviderStrategyItem, ...]:
        """Return the capacity provider strategy in force; empty for a launch type."""
        if spec.launch_type is not None:
            return ()
        return spec.capacity_provider_strategy or cluster.spec.default_capacity_provider_strategy

    def fargate(self, cluster: ClusterRun, spec: CreateService | RunTask) -> bool:
        """Whether the tasks run on Fargate."""
        if spec.launch_type is not None:
            return spec.launch_type == "FARGATE"
        items = self.strategy(cluster, spec)
        return bool(items) and items[0].capacity_provider in FARGATE_PROVIDERS

    # starting

    def launch_for_service(
        self, service: ServiceRun, deployment: DeploymentRun, settled: bool = False
    ) -> TaskRun | Refusal:
        """Start one task of a service's deployment, or say why not; `settled`: let it be there already, whatever the launch rate."""
        items = self.strategy(service.cluster, service.spec)
        provider = None
        if items:
            provider = items[next_provider(items, _by_provider(items, deployment.standing))].capacity_provider
        outcome = self._launch(
            service.cluster,
            service.spec,
            deployment.revision,
            service.group_name,
            provider,
            service,
            deployment,
            settled,
        )
        return outcome

    def run_task(self, cluster: ClusterRun, spec: RunTask, revision: Revision) -> Iterator[TaskRun | Refusal]:
        """Start the standalone tasks of one call.

        Raises
        ------
        ThrottlingException
            When the account's launch rate of Fargate is used up before the first task.
        ClientException
            When too many tasks of the cluster wait for instances already, before the first task.
        """
        group = spec.group or f"family:{revision.definition.family}"
        items = self.strategy(cluster, spec)
        started: list[TaskRun] = []
        for number in range(spec.count):
            provider = items[next_provider(items, _by_provider(items, started))].capacity_provider if items else None
            outcome = self._launch(cluster, spec, revision, group, provider, None, None)
            if isinstance(outcome, Refusal) and outcome.reason == "THROTTLED" and number == 0:
                raise ThrottlingException(
                    "Capacity is unavailable at this time: the rate of task launches is exceeded."
                )
            if isinstance(outcome, Refusal) and outcome.reason == "PROVISIONING" and number == 0:
                raise ClientException("The tasks provisioning capacity limit was exceeded.")
            if isinstance(outcome, TaskRun):
                started.append(outcome)
            yield outcome

    def _launch(
        self,
        cluster: ClusterRun,
        spec: CreateService | RunTask,
        revision: Revision,
        group: str,
        provider: str | None,
        service: ServiceRun | None,
        deployment: DeploymentRun | None,
        settled: bool = False,
    ) -> TaskRun | Refusal:
        fargate = provider in FARGATE_PROVIDERS if provider is not None else spec.launch_type == "FARGATE"
        if fargate:
            option = self._registry.fargate.option(provider)
            units = revision.definition.cpu_units
            if not settled and self._registry.fargate.tokens(option, self._kit.now) < 1:
                return Refusal("THROTTLED")
            if not self._registry.fargate.room(option, units):
                return Refusal("LIMIT:VCPU", VCPU_LIMIT, detail="vCPU limit reached")
            task = self._new(cluster, spec, revision, group, "FARGATE", provider, service, deployment)
            task.settled = settled
            self._registry.fargate.launch(option, self._kit.now, units, token=not settled)
            self._to_zone(task)
            self._begin(task)
            return task
        managed = self._registry.providers[provider] if provider is not None else None
        task = self._new(cluster, spec, revision, group, "EC2", provider, service, deployment)
        found = self._find(task, managed)
        if isinstance(found, Place):
            task.settled = settled
            self._to_instance(task, found)
            self._begin(task)
            return task
        if managed is not None and managed.managed:
            return self._wait(task)
        return self._refuse(task, found)

    def _new(
        self,
        cluster: ClusterRun,
        spec: CreateService | RunTask,
        revision: Revision,
        group: str,
        launch_type: str,
        provider: str | None,
        service: ServiceRun | None,
        deployment: DeploymentRun | None,
    ) -> TaskRun:
        number = self._kit.counter.next("task")
        network = spec.network_configuration
        public = network is not None and network.awsvpc_configuration.assign_public_ip == "ENABLED"
        return TaskRun(
            task_id=self._kit.streams.identifier("task", number, 32),
            number=number,
            cluster=cluster,
            group=group,
            revision=revision,
            launch_type=launch_type,
            spec=spec,
            created_at=self._kit.now,
            capacity_provider=provider,
            service=service,
            deployment_id=None if deployment is None else deployment.deployment_id,
            started_by=deployment.deployment_id if deployment is not None else getattr(spec, "started_by", None),
            public_ip=public,
        )

    def _begin(self, task: TaskRun) -> None:
        task.cluster.tasks[task.task_id] = task
        task.cluster.counts["PROVISIONING"] += 1
        record_state(self._kit, task)
        task.process = self._kit.env.process(live(self._kit, task))

    # Fargate

    def _to_zone(self, task: TaskRun) -> None:
        """Choose the zone with the fewest tasks of the group and provider; a standalone task takes any zone."""
        network = task.spec.network_configuration
        zones = self._registry.zones_of_subnets(network) or self._kit.zones
        if task.service is None:
            draw = float(self._kit.streams[f"zone/{task.group}"].random())
            task.zone = zones[min(int(draw * len(zones)), len(zones) - 1)]
        else:
            spread = task.cluster.zones_of(task)
            task.zone = zones[fargate_zone([spread.get(zone, 0) for zone in zones])]
        if network is not None:
            subnets = network.awsvpc_configuration.subnets
            task.subnet = next((s for s in subnets if self._registry.subnets[s] == task.zone), None)
        reserve(task)

    # EC2

    def _plan(self, task: TaskRun, provider: ProviderRun | None) -> PlacementPlan:
        spec = task.spec
        rules = (spec.placement_strategy, spec.placement_constraints, spec.network_configuration)
        # a provider's tasks run on its own group's instances; that is no question where the cluster has no other group
        elsewhere = provider is not None and any(
            g.cluster is task.cluster and g is not provider.group for g in self._registry.groups.values()
        )
        only = provider.group.name if provider is not None and elsewhere else None
        key = (task.revision.name, task.group, (rules, only))
        plan = self._plans.get(key)
        if plan is None:
            zones = self._registry.zones_of_subnets(task.spec.network_configuration) or None
            needs = needs_of(task.revision.definition, zones)
            if only is not None:
                needs = replace(needs, attributes=(*needs.attributes, (GROUP_ATTRIBUTE, only)))
            plan = compile_placement(
                needs,
                (*task.revision.definition.placement_constraints, *task.spec.placement_constraints),
                task.spec.placement_strategy,
                service=task.service is not None,
            )
            self._plans[key] = plan
        return plan

    def _find(self, task: TaskRun, provider: ProviderRun | None) -> Place | NoPlacement:
        fleet = task.cluster.fleet
        plan = self._plan(task, provider)
        draws = any(rule.random for rule in plan.rules)
        draw = float(self._kit.streams[f"placement/{task.group}"].random()) if draws else 0.0
        return place(plan, fleet.view(), fleet.group(task.group, plan.spread_over), draw)

    def _to_instance(self, task: TaskRun, found: Place) -> None:
        instance = task.cluster.instances_by_row[found.row]
        task.instance, task.zone = instance, instance.zone
        network = task.spec.network_configuration
        if network is not None:
            subnets = network.awsvpc_configuration.subnets
            task.subnet = next((s for s in subnets if self._registry.subnets[s] == task.zone), None)
        reserve(task)
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
                found.candidates,
                None,
            )
        )

    def _refuse(self, task: TaskRun, why: NoPlacement) -> Refusal:
        closest = None if why.closest is None else task.cluster.instances_by_row.get(why.closest)
        closest_id = None if closest is None else closest.instance_id
        text = "; ".join(f"{reason} on {number}" for reason, number in why.reasons) or "NO ACTIVE INSTANCES"
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
        reason = why.closest_reason or "NO ACTIVE INSTANCES"
        arn = "" if closest_id is None else self._kit.arn("container-instance", f"{task.cluster.name}/{closest_id}")
        return Refusal(reason, service_event(why, closest_id), detail=text, arn=arn)

    # waiting for instances of a provider with managed scaling

    def _wait(self, task: TaskRun) -> TaskRun | Refusal:
        cluster = task.cluster
        limit = self._kit.quotas["provisioning_tasks_per_cluster"]
        if limit is not None and len(cluster.waiting) >= limit:
            return Refusal(
                "PROVISIONING",
                "was unable to place tasks because the tasks provisioning capacity limit was exceeded.",
            )
        task.placed = self._kit.env.event()
        cluster.waiting[task.task_id] = task
        self._begin(task)
        self._kit.at(self._kit.now + self._kit.us("provisioning_timeout_s"), lambda: self._give_up(task))
        return task

    def _give_up(self, task: TaskRun) -> None:
        if task.cluster.waiting.pop(task.task_id, None) is None:
            return
        stop_task(self._kit, task, Stop("TaskFailedToStart", "TaskFailedToStart: EMPTY CAPACITY PROVIDER"))

    def retry_waiting(self, cluster: ClusterRun) -> None:
        """Place the waiting tasks that fit now, in order of arrival; equal tasks that did not fit are not tried again."""
        hopeless: set[tuple[str, str, str]] = set()
        for task in list(cluster.waiting.values()):
            assert task.capacity_provider is not None
            kind = (task.revision.name, task.group, task.capacity_provider)
            if kind in hopeless:
                continue
            assert task.placed is not None
            found = self._find(task, self._registry.providers[task.capacity_provider])
            if isinstance(found, Place):
                del cluster.waiting[task.task_id]
                self._to_instance(task, found)
                task.placed.succeed()
            else:
                hopeless.add(kind)

    # stopping

    def victims(self, service: ServiceRun, deployment: DeploymentRun, number: int, unhealthy: bool) -> list[TaskRun]:
        """Choose the tasks that a service stops: the unhealthy ones, or those not healthy yet and then by the scale-in rule."""
        draws = self._kit.streams[f"scale-in/{service.name}"]
        if unhealthy:
            candidates = deployment.of("unhealthy")
            order = draws.permutation(len(candidates)) if len(candidates) > number else range(len(candidates))
            return [candidates[i] for i in list(order)[:number]]
        chosen: list[TaskRun] = []
        for standing in ("pending", "undecided", "healthy"):
            missing = number - len(chosen)
            candidates = deployment.of(standing)
            if missing <= 0 or not candidates:
                continue
            if len(candidates) <= missing:
                chosen += candidates
            else:
                chosen += self._by_rule(service, candidates, missing)
        return chosen

    def _by_rule(self, service: ServiceRun, candidates: list[TaskRun], number: int) -> list[TaskRun]:
        """Choose by provider, then by zone on Fargate or by the placement rule on EC2; all living tasks count in the balance."""
        draws = self._kit.streams[f"scale-in/{service.name}"]
        items = self.strategy(service.cluster, service.spec)
        alive = [task for deployment in service.deployments for task in deployment.standing]
        alive.sort(key=lambda task: task.number)
        able = set(candidates)
        chosen: list[TaskRun] = []
        while len(chosen) < number and able:
            pool = alive
            if len(items) > 1:
                may = [sum(1 for t in able if t.capacity_provider == i.capacity_provider) > 0 for i in items]
                index = provider_to_shrink(items, _by_provider(items, alive), may)
                assert index is not None
                pool = [t for t in alive if t.capacity_provider == items[index].capacity_provider]
            if pool[0].fargate:
                pick = _on_fargate(pool, able, float(draws.random()))
            else:
                draw = (float(draws.random()),) if service.spec.placement_strategy else ()
                fleet = service.cluster.fleet.view()
                pick = pool[
                    victims(_tasks_view(pool, able, fleet.zone), 1, service.spec.placement_strategy, fleet, draw)[0]
                ]
            chosen.append(pick)
            able.discard(pick)
            alive.remove(pick)
        return chosen


def _by_provider(items: Sequence[CapacityProviderStrategyItem], tasks: Iterable[TaskRun]) -> list[int]:
    counts = {item.capacity_provider: 0 for item in items}
    for task in tasks:
        if task.capacity_provider in counts:
            counts[task.capacity_provider] += 1
    return list(counts.values())


def _on_fargate(pool: list[TaskRun], able: set[TaskRun], draw: float) -> TaskRun:
    """Return the newest task that may stop in the fullest zone."""
    zones = sorted({task.zone or "" for task in pool})
    counts = [sum(1 for t in pool if t.zone == zone) for zone in zones]
    may = [any(t.zone == zone and t in able for t in pool) for zone in zones]
    index = fargate_fullest_zone(counts, may, draw)
    assert index is not None
    return [t for t in pool if t.zone == zones[index] and t in able][-1]


def _tasks_view(pool: list[TaskRun], able: set[TaskRun], zone_codes: npt.NDArray[np.int32]) -> ServiceTasksView:
    rows = [-1 if t.instance is None or t.instance.row is None else t.instance.row for t in pool]
    return ServiceTasksView(
        zone=np.array([zone_codes[row] if row >= 0 else -1 for row in rows], dtype=np.int32),
        row=np.array(rows, dtype=np.int64),
        may_stop=np.array([t in able for t in pool], dtype=np.bool_),
        cpu_units=np.array([t.revision.definition.cpu_units for t in pool], dtype=np.int64),
        memory_mib=np.array([t.revision.definition.memory_mib for t in pool], dtype=np.int64),
    )
