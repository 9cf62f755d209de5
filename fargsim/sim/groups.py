"""Auto Scaling groups and the life of their instances.

Source: Amazon EC2 Auto Scaling User Guide, auto-scaling-benefits.html (zone balance), ec2-auto-scaling-termination-policies.html,
lifecycle-hooks.html, ec2-auto-scaling-health-checks.html; Amazon ECS Developer Guide, container-instance-draining.html,
managed-instance-draining.html, managed-termination-protection.html.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.capacity import AutoScalingGroup, LaunchTemplateData
from fargsim.model.quantity import US_PER_S
from fargsim.policy.scaling_group import GroupInstance, most_at_once, rebalancing, terminations
from fargsim.sim.ec2_capacity import Ec2Capacity
from fargsim.sim.instances import InstanceRun as InstanceRun
from fargsim.sim.instances import kill_tasks, leave_cluster, register
from fargsim.sim.kit import Kit
from fargsim.sim.lifecycle_hooks_asg import Hooks
from fargsim.sim.mixed_instances import LaunchChoice
from fargsim.sim.records import record_instance
from fargsim.sim.spot import watch
from fargsim.sim.streams import lognormal_us
from fargsim.sim.warm_pool import WarmPool

if TYPE_CHECKING:
    from fargsim.sim.state import ClusterRun, ProviderRun

Process = Generator[simpy.Event, Any, None]


class AutoScalingGroupRun:
    """An Auto Scaling group: keeps as many instances as are desired, balanced over its zones.

    Attributes
    ----------
    desired, minimum, maximum
        Its sizes.
    instances
        Every instance that has not been terminated, those of the warm pool aside.
    on_change
        Called when an instance has gone into service or has been terminated.
    """

    def __init__(
        self,
        kit: Kit,
        spec: AutoScalingGroup,
        template: LaunchTemplateData,
        cluster: ClusterRun,
        zones: tuple[str, ...],
        capacity: Ec2Capacity | None = None,
    ) -> None:
        self.name = spec.auto_scaling_group_name
        self.spec = spec
        self.template = template
        self.template_version = 1
        self.cluster = cluster
        self.zones = zones
        self.arn = kit.arn("autoScalingGroup", self.name, "autoscaling")
        self.provider: ProviderRun | None = None
        self.minimum, self.maximum = spec.min_size, spec.max_size
        self.desired = spec.min_size if spec.desired_capacity is None else spec.desired_capacity
        self.instances: dict[str, InstanceRun] = {}
        self.on_change: list[Callable[[], None]] = []
        self.hooks = Hooks(kit, spec.lifecycle_hook_specification_list)
        self._serving: dict[str, InstanceRun] = {}
        self._zone_counts = dict.fromkeys(zones, 0)
        self._kit = kit
        self.capacity = capacity or Ec2Capacity(kit)
        self._choice = LaunchChoice(kit, spec, template, self.capacity)
        self.capacity.back.append(self._capacity_back)
        self._retrying = False
        self._rebalancing = False
        self._settling: dict[str, list[Callable[[], None]]] = {}
        self._activity_at = -(1 << 62)
        """When the last scaling activity ended."""
        self.warm_pool: WarmPool | None = None
        for _ in range(self.desired):
            self._launch(at_once=spec.registered)
        self.put_warm_pool()

    # what others ask

    @property
    def in_service(self) -> list[InstanceRun]:
        """Instances that are not being taken away, oldest first."""
        return list(self._serving.values())

    @property
    def asg_name(self) -> str | None:
        """Name of the Auto Scaling group."""
        return self.name

    @property
    def serving_ids(self) -> frozenset[str]:
        """Names of the instances that are not being taken away."""
        return frozenset(self._serving)

    @property
    def every_instance(self) -> list[InstanceRun]:
        """Every instance that has not been terminated, those of the warm pool last."""
        pool = {} if self.warm_pool is None else self.warm_pool.instances
        return [*self.instances.values(), *pool.values()]

    @property
    def types(self) -> tuple[str, ...]:
        """The instance types it may launch."""
        return self._choice.types

    @property
    def managed_draining(self) -> bool:
        """Whether ECS drains its instances before they are terminated."""
        return self.provider is not None and self.provider.spec.asg.managed_draining == "ENABLED"

    def drain_deadline_us(self) -> int:
        """Return how long an instance may drain."""
        return self._kit.us("drain_deadline_s")

    def warmup_us(self, stated_s: int | None, otherwise_s: int) -> int:
        """Return how long an instance warms up: what an action states, else the group's default, else what counts for such an action."""
        known = [s for s in (stated_s, self.spec.default_instance_warmup) if s is not None and s >= 0]
        return (known[0] if known else otherwise_s) * US_PER_S

    def cooldown_us(self) -> int:
        """Return how long the group's cooldown still lasts: at least all of it while an instance comes or goes."""
        whole = self.spec.default_cooldown * US_PER_S
        moving = any(i.in_service_at is None for i in self._serving.values()) or len(self.instances) > len(
            self._serving
        )
        return whole if moving else max(0, self._activity_at + whole - self._kit.now)

    # sizes

    def set_desired(self, desired: int) -> None:
        """Change the desired capacity, within the group's bounds, and bring the group to it."""
        self.desired = max(self.minimum, min(self.maximum, desired))
        self.reconcile()

    def resize(self, minimum: int | None, maximum: int | None, desired: int | None) -> None:
        """Change the bounds, and the desired capacity as far as they ask for it."""
        self.minimum = self.minimum if minimum is None else minimum
        self.maximum = self.maximum if maximum is None else maximum
        self.set_desired(self.desired if desired is None else desired)

    def put_warm_pool(self) -> None:
        """Prepare instances as the group's warm pool says."""
        spec = self.spec.warm_pool_configuration
        if spec is not None and self.warm_pool is None:
            self.warm_pool = WarmPool(self._kit, self, spec)
        if self.warm_pool is not None:
            self.warm_pool.fill()

    def use_template(self, template: LaunchTemplateData) -> None:
        """Launch by another version of the template from now on; what runs goes on."""
        self.template = template
        self.template_version += 1
        self._choice = LaunchChoice(self._kit, self.spec, template, self.capacity)

    def reconcile(self) -> None:
        """Launch or take away instances until the group has as many as are desired."""
        while len(self._serving) < self.desired:
            if self._launch() is None:
                self._retry()
                break
        while not self._rebalancing and len(self._serving) > self.desired:
            victim = self._victim()
            if victim is None:
                return
            self.take_away(victim)
        if self.warm_pool is not None:
            self.warm_pool.fill()

    def _retry(self) -> None:
        """Try again later: there is no capacity for what is to be launched next."""
        if not self._retrying:
            self._retrying = True
            self._kit.at(self._kit.now + self._kit.us("asg_launch_retry_s"), self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self.reconcile()

    def _capacity_back(self) -> None:
        self.reconcile()
        self._rebalance()

    # launching

    def launch_ahead(self, replaces: InstanceRun) -> InstanceRun | None:
        """Launch an instance beyond the desired capacity, to take the place of another that goes once it is in service."""
        if replaces.replaced or len(self._serving) >= most_at_once(self.maximum):
            return None
        replaces.replaced = True
        return self._launch()

    def launch_one(self, zone: str | None = None) -> InstanceRun | None:
        """Launch an instance beyond the desired capacity; None where there is no capacity for it."""
        return self._launch(zone=zone)

    def _launch(self, at_once: bool = False, zone: str | None = None) -> InstanceRun | None:
        counts = [self._zone_counts[z] for z in self.zones]
        if self.warm_pool is not None and zone is None:
            prepared = self.warm_pool.take(counts)
            if prepared is not None:
                self._join(prepared)
                self._kit.env.process(self._leave_pool(prepared))
                return prepared
        zones = self.zones if zone is None else (zone,)
        choice = self._choice.next(self.in_service, zones, counts if zone is None else [0])
        if choice is None:
            return None
        name, market, where = choice
        instance = InstanceRun(self._kit, self, where, name, market)
        self._join(instance)
        if at_once:
            instance.there_before = True
            instance.running_at = self._kit.now
            if instance.credits is not None:
                instance.credits.begin()
            self._enter_service(instance)
            register(self._kit, instance)
        else:
            self._kit.env.process(self._boot(instance))
        return instance

    def _join(self, instance: InstanceRun) -> None:
        self.instances[instance.instance_id] = instance
        self._serving[instance.instance_id] = instance
        self._zone_counts[instance.zone] += 1

    def _boot(self, instance: InstanceRun) -> Process:
        """Start an instance; its agent registers by itself, whatever the hooks of its launch still hold up."""
        kit = self._kit
        yield kit.env.timeout(kit.us("ec2_launch_to_running_s"))
        if instance.gone():
            return
        instance.running_at = kit.now
        if self.hooks.launching:
            kit.env.process(self._held(instance))
        else:
            self._enter_service(instance)
        yield kit.env.timeout(self.registration_us())
        self._register(instance)

    def _register(self, instance: InstanceRun) -> None:
        """Let an agent register; one whose instance is on its way out takes no tasks where ECS manages draining."""
        leaves = instance.instance_id not in self._serving and self.managed_draining
        if not instance.gone() and not leaves:
            register(self._kit, instance)

    def registration_us(self, parameter: str = "running_to_registered_s") -> int:
        """Draw how long an instance takes until its agent registers; a fixed time would keep step with the minutes of the metrics."""
        kit = self._kit
        median = kit.parameters.number(parameter)
        factor = kit.parameters.number("running_to_registered_p95_factor")
        name = "register" if parameter == "running_to_registered_s" else "register-warm"
        return lognormal_us(kit.streams[f"{name}/{self.name}"], median, median * factor)

    def _held(self, instance: InstanceRun) -> Process:
        """Hold an instance until its hooks let it go into service; one that is abandoned is terminated and replaced."""
        instance.lifecycle_state = "Pending"
        go_on = yield from self.hooks.launch(instance)
        if instance.gone() or instance.instance_id not in self._serving:
            return
        if go_on:
            self._enter_service(instance)
        else:
            instance.status_reason = "launch lifecycle action abandoned"
            self.lose_quietly(instance)
            self.reconcile()

    def _leave_pool(self, instance: InstanceRun) -> Process:
        """Bring an instance of the warm pool into service: started again where it was stopped, past the hooks, then registered."""
        assert self.warm_pool is not None
        kit = self._kit
        instance.lifecycle_state = "Pending"
        yield kit.env.timeout(self.warm_pool.start_us())
        if instance.gone():
            return
        instance.restarted_at = kit.now if instance.stopped_at is not None else None
        if self.hooks.launching:
            yield from self._held(instance)
            if instance.gone():
                return
        else:
            self._enter_service(instance)
        # ECS_WARM_POOLS_CHECK: the agent registers once the instance is in service
        yield kit.env.timeout(self.registration_us("warm_to_registered_s"))
        self._register(instance)

    def _enter_service(self, instance: InstanceRun) -> None:
        kit = self._kit
        instance.in_service_at = kit.now
        instance.lifecycle_state = "InService"
        if instance.market == "spot":
            watch(kit, instance)
        lifetime = self.spec.max_instance_lifetime
        if lifetime:
            kit.at(instance.launched_at + lifetime * US_PER_S, lambda: self.replace(instance, "maximum lifetime"))
        if not instance.there_before:
            self._activity_at = kit.now
        self._settled(instance)
        if not instance.there_before:
            self._rebalance()

    # zones

    def _rebalance(self) -> None:
        """Launch in the zone with too few instances, and terminate in the fullest once that one is in service."""
        if self._rebalancing or len(self._serving) != self.desired or len(self.zones) < 2:
            return
        able = [z for z in self.zones if any(self.capacity.open(m, t, z) for t in self.types for m in self._markets())]
        found = rebalancing([self._zone_counts[z] for z in able])
        if found is None or len(self._serving) >= most_at_once(self.maximum):
            return
        few, many = (able[n] for n in found)
        if not any(i.zone == many and not self.protected(i) for i in self._serving.values()):
            return
        added = self._launch(zone=few)
        if added is None:
            return
        self._rebalancing = True
        self.when_settled(added, self._balanced)

    def _balanced(self) -> None:
        self._rebalancing = False
        self.reconcile()
        self._rebalance()

    def _markets(self) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(i.market for i in self._serving.values())) or ("on-demand",)

    def when_settled(self, instance: InstanceRun, act: Callable[[], None]) -> None:
        """Act once, when an instance is in service or gone."""
        if instance.in_service_at is not None or instance.gone():
            act()
        else:
            self._settling.setdefault(instance.instance_id, []).append(act)

    def _settled(self, instance: InstanceRun) -> None:
        for act in self._settling.pop(instance.instance_id, ()):
            act()
        for look in list(self.on_change):
            look()

    # leaving

    def replace(self, instance: InstanceRun, reason: str) -> None:
        """Terminate an instance, drained where ECS manages that, and launch another; protection from scale-in does not matter here."""
        if instance.gone() or instance.instance_id not in self._serving:
            return
        instance.status_reason = reason
        self.take_away(instance)
        self.reconcile()

    def replace_ahead(self, instance: InstanceRun, reason: str) -> None:
        """Launch another instance first and terminate this one once that is in service."""
        added = None if instance.instance_id not in self._serving else self.launch_ahead(instance)
        if added is None:
            return

        def swap() -> None:
            if not added.gone() and instance.instance_id in self._serving:
                instance.status_reason = reason
                self.take_away(instance)

        self.when_settled(added, swap)

    def lose(self, instance: InstanceRun, reason: str) -> None:
        """Let an instance vanish with all its tasks; the group replaces it."""
        if instance.gone():
            return
        instance.status_reason = reason
        self.lose_quietly(instance)
        self._kit.at(self._kit.now + self._kit.us("asg_replace_lost_s"), self.reconcile)

    def take_away(self, instance: InstanceRun) -> None:
        """Terminate an instance: ECS drains it first where it manages draining, and the hooks of its termination hold it."""
        kit = self._kit
        self._out_of_service(instance)
        hold_us = self.hooks.termination_us()
        drains = self.managed_draining and instance.row is not None and bool(instance.tasks)
        if not drains and not hold_us:
            self.lose_quietly(instance)
            return
        instance.lifecycle_state = "Terminating:Wait"
        if drains:
            assert instance.row is not None
            instance.draining_at = kit.now
            instance.status = "DRAINING"
            self.cluster.fleet.set_active(instance.row, False)
            for task in list(instance.tasks.values()):
                if task.service is not None:
                    task.service.host_draining(task)
        deadline = kit.now + self.drain_deadline_us() if drains else kit.now
        kit.env.process(self._leave(instance, deadline, kit.now + hold_us))

    def _leave(self, instance: InstanceRun, deadline: int, held_until: int) -> Process:
        env = self._kit.env
        while instance.tasks and env.now < deadline:
            yield instance.when_freed(env) | env.timeout(deadline - int(env.now))
        if env.now < held_until:
            yield env.timeout(held_until - int(env.now))
        if not instance.gone():
            self.lose_quietly(instance)

    def lose_quietly(self, instance: InstanceRun) -> None:
        """Terminate an instance that is empty, or whose tasks nobody protects."""
        leave_cluster(instance)
        kill_tasks(self._kit, instance, "TerminationNotice" if instance.interrupted_at is None else "SpotInterruption")
        self._out_of_service(instance)
        instance.terminated_at = self._activity_at = self._kit.now
        instance.status = "INACTIVE"
        instance.lifecycle_state = "Terminated"
        self.instances.pop(instance.instance_id, None)
        record_instance(self._kit, instance)
        self._settled(instance)

    def _out_of_service(self, instance: InstanceRun) -> None:
        if self._serving.pop(instance.instance_id, None) is not None:
            self._zone_counts[instance.zone] -= 1

    def _victim(self) -> InstanceRun | None:
        """Choose whom to terminate by the group's termination policies; never a protected instance."""
        serving = self.in_service
        views = [
            GroupInstance(self.zones.index(i.zone), i.launched_at, i.template_version, self.protected(i), off_plan)
            for i, off_plan in zip(serving, self._choice.off_plan(serving), strict=True)
        ]
        draws = (float(self._kit.streams[f"terminate/{self.name}"].random()),)
        policies = self.spec.termination_policies or ("Default",)
        chosen = terminations(views, 1, self._kit.now, draws, policies)
        return serving[chosen[0]] if chosen else None

    def protected(self, instance: InstanceRun) -> bool:
        """Whether an instance is protected from scale-in: by ECS while it is busy, or for good by the group's own setting."""
        if self.provider is not None and self.provider.spec.asg.managed_termination_protection == "ENABLED":
            return instance.busy
        return self.spec.new_instances_protected_from_scale_in
