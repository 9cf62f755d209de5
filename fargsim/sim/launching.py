"""Launching tasks: gates, capacity providers, zones and instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.service import CreateService, RunTask
from fargsim.policy.capacity_provider import next_provider
from fargsim.policy.placement import Place
from fargsim.sim.account import LIMITS
from fargsim.sim.api_rates import ApiRates
from fargsim.sim.choosing import Chooser, by_provider
from fargsim.sim.errors import ClientException, ThrottlingException
from fargsim.sim.fargate_capacity import UNAVAILABLE
from fargsim.sim.hopeless import Hopeless
from fargsim.sim.overrides import Overrides
from fargsim.sim.placement_records import PlacementRecords, counted
from fargsim.sim.placing import Placer
from fargsim.sim.records import record_state
from fargsim.sim.refusal import Refusal, RefusedShares
from fargsim.sim.registry import FARGATE_PROVIDERS, Registry
from fargsim.sim.state import ClusterRun, Revision, Stop, TaskRun
from fargsim.sim.task_life import live, stop_task
from fargsim.sim.where import ANYWHERE, Where

__all__ = ["Call", "Launcher", "Refusal"]

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun

Share = tuple[tuple[CapacityProviderStrategyItem, ...], list[int], int]
"""A strategy, the tasks of each of its providers, and which of them gets the next one."""

Call = tuple[RunTask, list[TaskRun | Refusal]]
"""A call of RunTask and what became of it."""

UNABLE = "was unable to place a task. Reason: "
INTERNAL = "Internal error."
"""What ECS says where no subnet lies in a zone that has Fargate at all: Amazon ECS Developer Guide, service-event-messages-list.html."""


class Launcher:
    """Starts tasks, and chooses which ones a service stops."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._records = PlacementRecords(registry.kit, registry.record.placements == "full")
        self.placer = Placer(registry, self._records)
        self._chooser = Chooser(registry.kit, self._records)
        self._hopeless = Hopeless(registry.kit)
        self.rates = ApiRates(registry.kit)
        self.overrides = Overrides()
        self.calls: dict[tuple[str, str], Call] = {}
        """RunTask calls under a client token, by cluster and token."""

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
        self,
        service: ServiceRun,
        deployment: DeploymentRun,
        settled: bool = False,
        where: Where = ANYWHERE,
        refused: RefusedShares | None = None,
    ) -> TaskRun | Refusal:
        """Start one task of a service's deployment, or say why not.

        Parameters
        ----------
        settled
            Let it be there already, whatever the launch rate.
        refused
            What has been refused in this look.
        """
        role = None if settled else self._kit.surroundings.role_fault(deployment.revision.definition)
        if role is not None:
            return Refusal(
                "ROLE",
                f"failed to launch a task with (error {role}).",
                "SERVICE_TASK_CONFIGURATION_FAILURE",
                detail=role,
            )
        items = self.strategy(service.cluster, deployment.spec)
        share = None
        if items:
            counts = by_provider(items, deployment.standing)
            named = [n for n, item in enumerate(items) if item.capacity_provider == where.provider]
            share = (items, counts, named[0]) if named else _next_share(items, counts, refused)
        known = _refused_before(share, refused)
        if known is not None:
            return known
        outcome = self._launch(
            service.cluster,
            deployment.spec,
            deployment.revision,
            service.group_name,
            share,
            service,
            deployment,
            settled,
            where,
        )
        return _noted(outcome, share, refused)

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
        refused = RefusedShares()
        for number in range(spec.count):
            share = _next_share(items, by_provider(items, started), refused) if items else None
            outcome = _noted(self._launch(cluster, spec, revision, group, share, None, None), share, refused)
            if isinstance(outcome, Refusal) and outcome.reason == "THROTTLED" and number == 0:
                raise ThrottlingException(
                    "Capacity is unavailable at this time: the rate of task launches is exceeded."
                )
            if isinstance(outcome, Refusal) and outcome.reason == "PROVISIONING" and number == 0:
                raise ClientException("The tasks provisioning capacity limit was exceeded.")
            if isinstance(outcome, TaskRun):
                started.append(outcome)
            yield outcome

    def check_roles(self, revision: Revision) -> None:
        """Raise ClientException where ECS cannot take on a role of a task."""
        role = self._kit.surroundings.role_fault(revision.definition)
        if role is not None:
            raise ClientException(role)

    def start_on(self, cluster: ClusterRun, spec: RunTask, revision: Revision, instance_id: str) -> TaskRun | Refusal:
        """Start one task on the instance that the caller has chosen, or say why it cannot."""
        group = spec.group or f"family:{revision.definition.family}"
        arn = self._kit.arn("container-instance", f"{cluster.name}/{instance_id}")
        instance = next((i for i in cluster.instances_by_row.values() if i.instance_id == instance_id), None)
        if instance is None:
            known = instance_id in cluster.fleet.view().instance_ids
            return Refusal("INACTIVE" if known else "MISSING", arn=arn)
        if instance.status != "ACTIVE":
            return Refusal("INACTIVE", detail=f"the container instance is {instance.status}", arn=arn)
        assert instance.row is not None
        task = self._new(cluster, spec, revision, group, "EC2", None, None, None)
        reason = self.placer.cannot(task, instance.row)
        if reason is not None:
            return Refusal(reason, arn=arn)
        self.placer.to_instance(task, Place(instance.row, 1))
        self._begin(task)
        return task

    def _launch(
        self,
        cluster: ClusterRun,
        spec: CreateService | RunTask,
        revision: Revision,
        group: str,
        share: Share | None,
        service: ServiceRun | None,
        deployment: DeploymentRun | None,
        settled: bool = False,
        where: Where = ANYWHERE,
    ) -> TaskRun | Refusal:
        provider = None if share is None else share[0][share[2]].capacity_provider
        full = self._records.full
        fargate = provider in FARGATE_PROVIDERS if provider is not None else spec.launch_type == "FARGATE"
        if fargate:
            account = self._registry.fargate
            option = account.option(provider)
            units = revision.definition.cpu_units
            refusal = None
            tokens = account.tokens(option, self._kit.now)
            memory_mib = revision.definition.memory_mib
            limit = account.limit(option, units, memory_mib)
            if not settled and tokens < 1:
                refusal = Refusal("THROTTLED", passes=True)
            elif limit:
                refusal = Refusal(limit, UNABLE + LIMITS[limit], detail=LIMITS[limit])
            elif not self.placer.fargate_zones(spec):
                refusal = Refusal("INTERNAL", UNABLE + INTERNAL, detail=INTERNAL)
            elif not self.placer.zones(spec, option, revision.definition.cpu_architecture, where.zone):
                refusal = Refusal(UNAVAILABLE, f"{UNABLE}{UNAVAILABLE}.", detail="RESOURCE:FARGATE")
            said = account.said(option, tokens, units, memory_mib, limit) if full else []
            if refusal is not None:
                if full:
                    self._records.account(None, group, cluster, said)
                return refusal
            task = self._new(cluster, spec, revision, group, "FARGATE", provider, service, deployment)
            task.settled = settled
            if full:
                self._records.account(task.task_id, group, cluster, said)
                self._record_share(task, share)
            account.launch(option, self._kit.now, units, token=not settled)
            self.placer.to_zone(task, where.zone)
            self._begin(task)
            return task
        managed = self._registry.providers[provider] if provider is not None else None
        task = self._new(cluster, spec, revision, group, "EC2", provider, service, deployment)
        if full:
            self._record_share(task, share)
        found = self.placer.find(task, managed, where=where)
        if isinstance(found, Place):
            task.settled = settled
            self.placer.to_instance(task, found)
            self._begin(task)
            return task
        if managed is not None and managed.managed and where.zone is None:
            return self._wait(task)
        return self.placer.refuse(task, found)

    def _record_share(self, task: TaskRun, share: Share | None) -> None:
        if share is not None and len(share[0]) > 1:
            self._records.provider(task, *share)

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
        assert task.capacity_provider is not None
        provider = self._registry.providers[task.capacity_provider]
        self._hopeless.look(task, provider)
        if provider.on_wait is not None:
            provider.on_wait()
        self._kit.at(self._kit.now + self._patience_us(task), lambda: self._give_up(task))
        return task

    def _patience_us(self, task: TaskRun) -> int:
        """Return how long a task waits for capacity: evenly between the shortest and the longest wait, where these differ."""
        shortest, longest = self._kit.us("provisioning_timeout_min_s"), self._kit.us("provisioning_timeout_s")
        if shortest >= longest:
            return longest
        return shortest + round(float(self._kit.streams[f"provisioning/{task.group}"].random()) * (longest - shortest))

    def _give_up(self, task: TaskRun) -> None:
        if task.cluster.waiting.pop(task.task_id, None) is None:
            return
        assert task.capacity_provider is not None
        why = self.placer.why_never(task, self._registry.providers[task.capacity_provider])
        stop_task(self._kit, task, Stop("TaskFailedToStart", f"TaskFailedToStart: {why}"))

    def retry_waiting(self, cluster: ClusterRun) -> None:
        """Place the waiting tasks that fit now, in order of arrival; equal tasks that did not fit are not tried again."""
        hopeless: dict[tuple[str, str, str], str] = {}
        for task in list(cluster.waiting.values()):
            assert task.capacity_provider is not None
            kind = (task.revision.name, task.group, task.capacity_provider)
            if kind in hopeless:
                if self._records.full:
                    self._records.same_as(task, hopeless[kind])
                continue
            assert task.placed is not None
            found = self.placer.find(task, self._registry.providers[task.capacity_provider], "wait")
            if isinstance(found, Place):
                del cluster.waiting[task.task_id]
                self.placer.to_instance(task, found)
                task.placed.succeed()
            else:
                hopeless[kind] = task.task_id

    # stopping

    def victims(self, service: ServiceRun, deployment: DeploymentRun, number: int, unhealthy: bool) -> list[TaskRun]:
        """Choose the tasks that a service stops: the unhealthy ones, or those not healthy yet and then by the scale-in rule."""
        items = self.strategy(service.cluster, service.spec)
        return self._chooser.victims(service, deployment, items, number, unhealthy)

    def told_moved(self, tasks: Sequence[TaskRun], pick: TaskRun, on_its_instance: Sequence[int]) -> None:
        """Keep which task of a zone with too many goes to balance the zones, where records are full."""
        if not self._records.full:
            return
        needed = "the newest" if pick.fargate else "on the instance with the most, the newest"
        self._records.stop(
            (
                task,
                "zone rebalancing",
                task is pick,
                needed,
                f"in {task.zone}"
                if task.fargate
                else f"one of {counted(number, 'task')} of the service on its instance in {task.zone}",
            )
            for task, number in zip(tasks, on_its_instance, strict=True)
        )


def _next_share(
    items: tuple[CapacityProviderStrategyItem, ...], counts: list[int], refused: RefusedShares | None
) -> Share:
    """Return which provider gets the next task, with what has been refused counted as if it were there."""
    number = {} if refused is None else refused.number
    there = [n + number.get(item.capacity_provider, 0) for n, item in zip(counts, items, strict=True)]
    return items, counts, next_provider(items, there)


def _refused_before(share: Share | None, refused: RefusedShares | None) -> Refusal | None:
    """Return what a provider has said already at this instant, so that it is not asked again."""
    if share is None or refused is None or len(share[0]) < 2:
        return None
    provider = share[0][share[2]].capacity_provider
    known = refused.why.get(provider)
    return None if known is None else refused.note(provider, known)


def _noted(outcome: TaskRun | Refusal, share: Share | None, refused: RefusedShares | None) -> TaskRun | Refusal:
    if isinstance(outcome, Refusal) and share is not None and refused is not None:
        return refused.note(share[0][share[2]].capacity_provider, outcome)
    return outcome
