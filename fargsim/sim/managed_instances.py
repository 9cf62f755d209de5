"""A capacity provider of ECS Managed Instances: ECS launches, packs, empties, renews and terminates the instances itself.

Source: Amazon ECS Developer Guide, ManagedInstances.html, managed-instance-auto-scaling.html,
managed-instances-infrastructure-optimization.html, managed-instances-patching.html (instances drain from day 14 on and are gone by day 21).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fargsim.catalog.instances import awsvpc_task_limit, instance_types, registered_memory_mib
from fargsim.catalog.offers import meets, offer_fault, requirement_faults
from fargsim.catalog.prices import ec2_regions
from fargsim.model.base import Issue
from fargsim.model.capacity import (
    AutoScalingGroup,
    BlockDeviceMapping,
    CapacityProvider,
    Ebs,
    InstanceMarketOptions,
    LaunchTemplateData,
)
from fargsim.model.group_options import LaunchTemplateSpecification
from fargsim.model.managed_instances import ManagedInstancesProvider
from fargsim.model.quantity import US_PER_S
from fargsim.policy.managed_instances import (
    SPREAD,
    May,
    Offer,
    Room,
    choose_type,
    fill,
    next_batch,
    room_of,
    underutilised,
)
from fargsim.policy.managed_scaling import InstanceShape
from fargsim.policy.mixed_instances import Market
from fargsim.policy.views import HostPort
from fargsim.sim.ec2_capacity import Ec2Capacity
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.instances import InstanceRun
from fargsim.sim.kit import Kit
from fargsim.sim.managed_eligible import Eligible, Places, asks
from fargsim.sim.mixed_instances import pool_of
from fargsim.sim.registry import Registry
from fargsim.sim.state import ProviderRun

if TYPE_CHECKING:
    from fargsim.sim.state import ClusterRun, TaskRun

DAY_US = 86_400 * US_PER_S
NO_LIMIT = 1_000_000


class ManagedInstances(AutoScalingGroupRun):
    """The instances of one provider; a group without sizes, which waiting tasks make grow and idle instances shrink."""

    def __init__(
        self,
        kit: Kit,
        name: str,
        settings: ManagedInstancesProvider,
        cluster: ClusterRun,
        zones: tuple[str, ...],
        capacity: Ec2Capacity,
    ) -> None:
        wanted = settings.instance_launch_template
        self._settings = settings
        self._provider_name = name
        self._market: Market = "spot" if wanted.capacity_option_type == "SPOT" else "on-demand"
        self._offers = self._find_offers(kit, settings, self._market)
        for issue in requirement_faults(wanted.instance_requirements, kit.region):
            where = Issue(("instanceRequirements", *issue.path), "").dotted()
            raise InvalidParameterException(f"{where}: {issue.message}.")
        volume = BlockDeviceMapping(ebs=Ebs(volume_size=wanted.storage_configuration.storage_size_gi_b))
        template = LaunchTemplateData(
            instance_type=self._offers[0].name,
            block_device_mappings=(volume,),
            instance_market_options=InstanceMarketOptions(market_type="spot") if self._market == "spot" else None,
            security_group_ids=wanted.network_configuration.security_groups,
        )
        spec = AutoScalingGroup(
            auto_scaling_group_name=f"managed-instances-{name}",
            min_size=0,
            max_size=NO_LIMIT,
            desired_capacity=0,
            launch_template=LaunchTemplateSpecification(launch_template_name=name),
            vpc_zone_identifier=",".join(wanted.network_configuration.subnets),
            cluster=cluster.name,
        )
        super().__init__(kit, spec, template, cluster, zones, capacity)
        self._armed = False
        self._quiet_from = 0
        self._eligible = Eligible(kit, self, self._offers)
        cluster.on_capacity.append(self._changed)

    @staticmethod
    def _find_offers(kit: Kit, settings: ManagedInstancesProvider, market: Market) -> list[Offer]:
        requirements = settings.instance_launch_template.instance_requirements
        factor = kit.parameters.number("registered_memory_factor")
        known = kit.region in ec2_regions()
        return [
            Offer(
                name,
                facts.architecture,
                InstanceShape(
                    facts.vcpu * 1024, registered_memory_mib(name, 0, factor), awsvpc_task_limit(name), facts.gpus
                ),
                pool_of(name, 0, market, kit.region).price_usd if known else float(facts.vcpu),
            )
            for name, facts in instance_types().items()
            if meets(facts, requirements) and offer_fault(name, kit.region) is None
        ]

    @property
    def asg_name(self) -> str | None:
        """Name of the Auto Scaling group: there is none."""
        return None

    @property
    def types(self) -> tuple[str, ...]:
        """The instance types it may launch."""
        return tuple(o.name for o in self._offers)

    @property
    def managed_draining(self) -> bool:
        """Whether ECS drains its instances before they are terminated: always."""
        return True

    def drain_deadline_us(self) -> int:
        """Return how long an instance may drain: from day 14 to day 21."""
        number = self._kit.parameters.number
        return round((number("mi_last_day") - number("mi_drain_day")) * DAY_US)

    def protected(self, instance: InstanceRun) -> bool:
        """Whether an instance is protected from scale-in; nobody scales these in but ECS."""
        return False

    def _rebalance(self) -> None:
        """Leave the zones as they are: tasks are spread when instances are chosen."""

    # growing

    def reconcile(self) -> None:
        """Look for tasks that wait: an instance was lost, or capacity is back."""
        self.wanted()

    def wanted(self) -> None:
        """Provide for the tasks that wait, shortly: those that come together are provided for together."""
        if not self._armed:
            self._armed = True
            self._kit.at(self._kit.now + self._kit.us("mi_launch_delay_s"), self._provide)

    def _waiting(self) -> list[TaskRun]:
        return [t for t in self.cluster.waiting.values() if t.capacity_provider == self._provider_name]

    def _provide(self) -> None:
        """Launch what the waiting tasks need beyond the instances that are on their way."""
        self._armed = False
        for architecture in ("x86_64", "arm64"):
            tasks = [
                t
                for t in self._waiting()
                if (t.revision.definition.cpu_architecture == "ARM64") == (architecture == "arm64")
            ]
            booting = [i for i in self._serving.values() if i.registered_at is None and i.architecture == architecture]
            may = self._may(tasks, booting)
            over = fill([room_of(self._shape(i)) for i in booting], [asks(t) for t in tasks], may)
            self._launch_for([tasks[n] for n in over], architecture)

    def _may(self, tasks: Sequence[TaskRun], instances: Sequence[InstanceRun]) -> May:
        """Return whether a task may go to an instance, both by index, by its constraints."""
        places = [(i.instance_type, i.zone) for i in instances]
        return lambda task, instance: places[instance] in self._eligible.of(tasks[task])

    def _shape(self, instance: InstanceRun) -> InstanceShape:
        return InstanceShape(instance.cpu_units, instance.memory_mib, instance.task_enis, instance.gpus)

    def _launch_for(self, tasks: list[TaskRun], architecture: str) -> None:
        while tasks:
            first = self._eligible.of(tasks[0])
            zones = self._zones_for(first)
            zone = min(zones, key=lambda z: (self._zone_counts[z], self.zones.index(z)), default=None)
            if zone is None:
                # no type that it may run on can be had anywhere now, nor can those of its like have one
                tasks = [t for t in tasks if self._eligible.of(t) is not first]
                continue
            there = sum(1 for z in zones if self._zone_counts[z])
            batch = tasks[: next_batch(len(tasks), len(zones), there)]
            offers = [
                o
                for o in self._offers
                if o.architecture == architecture
                and (o.name, zone) in first
                and self.capacity.open(self._market, o.name, zone)
            ]
            found = choose_type(offers, [asks(t) for t in batch], self._on_offer(batch, offers, zone))
            if found is None:
                tasks = tasks[1:]  # nothing holds it: it stays PROVISIONING
                continue
            offer, held = found
            instance = InstanceRun(self._kit, self, zone, offer.name, self._market)
            self._join(instance)
            self._kit.env.process(self._boot(instance))
            served = {batch[n].task_id for n in held}
            tasks = [t for t in tasks if t.task_id not in served]

    def _on_offer(self, tasks: Sequence[TaskRun], offers: Sequence[Offer], zone: str) -> May:
        return lambda task, offer: (offers[offer].name, zone) in self._eligible.of(tasks[task])

    def _zones_for(self, places: Places) -> list[str]:
        return [
            z
            for z in self.zones
            if any((o.name, z) in places and self.capacity.open(self._market, o.name, z) for o in self._offers)
        ]

    def _enter_service(self, instance: InstanceRun) -> None:
        super()._enter_service(instance)
        drain_at = instance.launched_at + round(self._kit.parameters.number("mi_drain_day") * DAY_US)
        self._kit.at(drain_at, lambda: self.replace(instance, "maximum lifetime"))

    # shrinking

    @property
    def _scale_in_after_us(self) -> int | None:
        stated = self._settings.infrastructure_optimization.scale_in_after
        if stated == -1:
            return None
        return self._kit.us("mi_scale_in_after_s") if stated is None else stated * US_PER_S

    def _changed(self) -> None:
        """Look once nothing has changed for a while: the timer begins anew with every task that stops and instance that comes."""
        if self._waiting():
            self.wanted()
        after = self._scale_in_after_us
        if after is None or not self._serving:
            return
        now = self._kit.now
        pending = self._quiet_from > now
        self._quiet_from = now + after
        if not pending:
            self._kit.at(self._quiet_from, self._optimise)

    def _optimise(self) -> None:
        now = self._kit.now
        if now < self._quiet_from:
            self._kit.at(self._quiet_from, self._optimise)
            return
        there = [i for i in self._serving.values() if i.registered_at is not None and i.status == "ACTIVE"]
        started = [t.started_at or now for i in there for t in i.tasks.values()]
        after = self._scale_in_after_us or 0
        if started and max(started) + after > now:  # a task has come to run meanwhile
            self._quiet_from = max(started) + after
            self._kit.at(self._quiet_from, self._optimise)
            return
        for instance in there:
            if not instance.busy:
                instance.status_reason = "idle"
                self.take_away(instance)
        self._consolidate([i for i in there if i.busy])

    def _consolidate(self, there: list[InstanceRun]) -> None:
        """Drain an instance whose tasks fit beside those of the others; zones come before packing."""
        if self._market == "spot" or len(there) <= (min(SPREAD, len(self.zones)) if len(self.zones) > 1 else 1):
            return
        view = self.cluster.fleet.view()
        rooms, tasks = [], []
        for instance in there:
            row = instance.row
            assert row is not None
            rooms.append(
                Room(
                    int(view.free_cpu_units[row]),
                    int(view.free_memory_mib[row]),
                    int(view.free_enis[row]),
                    int(view.free_gpus[row]),
                    frozenset(self.cluster.fleet.ports_of(row)) | _groups_alone(instance),
                )
            )
            tasks.append(_movable(instance))
        places = [(i.instance_type, i.zone) for i in there]
        chosen = underutilised(
            [[asks(t) for t in mine] for mine in tasks],
            rooms,
            lambda n, task, other: places[other] in self._eligible.of(tasks[n][task]),
        )
        if chosen is not None:
            there[chosen].status_reason = "underutilised"
            self.take_away(there[chosen])


def _movable(instance: InstanceRun) -> list[TaskRun]:
    """Return the tasks of an instance; none where a standalone task keeps it as it is."""
    tasks = [t for t in instance.tasks.values() if not t.daemon]
    return [] if any(t.service is None for t in tasks) else tasks


def _groups_alone(instance: InstanceRun) -> frozenset[HostPort]:
    """Return what tasks on an instance take of it that want instances of their own."""
    return frozenset(
        p for t in instance.tasks.values() for p in asks(t).host_ports if p not in t.revision.needs.host_ports
    )


def managed_provider(registry: Registry, spec: CapacityProvider, settings: ManagedInstancesProvider) -> ProviderRun:
    """Create a provider of Managed Instances in its cluster.

    Raises
    ------
    InvalidParameterException
        Where no instance type of the region meets the requirements, or a subnet does not exist.
    """
    assert spec.cluster is not None
    cluster = registry.cluster(spec.cluster)
    template = settings.instance_launch_template
    zones = []
    for subnet in template.network_configuration.subnets:
        if subnet not in registry.subnets:
            raise InvalidParameterException(f"The subnet ID '{subnet}' does not exist.")
        zones.append(registry.subnets[subnet])
    group = ManagedInstances(registry.kit, spec.name, settings, cluster, tuple(dict.fromkeys(zones)), registry.ec2)
    registry.groups[group.name] = group
    provider = ProviderRun(spec, group, on_wait=group.wanted)
    group.provider = provider
    return provider
