"""Auto Scaling groups and the life of their instances.

Source: Amazon EC2 Auto Scaling User Guide, auto-scaling-benefits.html (zone balance), ec2-auto-scaling-termination-policies.html (default
policy); Amazon ECS Developer Guide, container-instance-draining.html, managed-instance-draining.html.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.catalog.instances import awsvpc_task_limit, instance_type, registered_memory_mib
from fargsim.model.capacity import AutoScalingGroup, LaunchTemplateData
from fargsim.policy.capabilities import registered
from fargsim.policy.scaling_group import GroupInstance, launch_zone, terminations
from fargsim.policy.views import HostPort
from fargsim.sim.host_ports import DynamicPorts
from fargsim.sim.images import ImageCache, cleanup_of
from fargsim.sim.kit import Kit
from fargsim.sim.records import record_instance
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.streams import lognormal_us
from fargsim.sim.task_life import stop_task

if TYPE_CHECKING:
    from fargsim.sim.container_limits import MemoryGroup
    from fargsim.sim.state import ClusterRun, ProviderRun

Process = Generator[simpy.Event, Any, None]

GROUP_ATTRIBUTE = "fargsim.auto-scaling-group"
"""Attribute of an instance that names its group, so that a capacity provider's tasks find its own instances."""


class InstanceRun:
    """One EC2 instance and its container agent.

    Two ledgers: the fleet's columns are what the scheduler may still give away, freed when a task is told to stop; `host_cpu_units` and
    `host_memory_mib` are what is really free, given back when it has stopped.
    """

    def __init__(self, kit: Kit, group: AutoScalingGroupRun, zone: str) -> None:
        template = group.template
        facts = instance_type(template.instance_type)
        agent = group.spec.agent
        factor = kit.parameters.number("registered_memory_factor")
        self.instance_id = f"i-{kit.identifier('instance', 17)}"
        self.number = kit.counter.next("instance order")
        self.group = group
        self.cluster = group.cluster
        self.instance_type = template.instance_type
        self.architecture = facts.architecture
        self.zone = zone
        self.market = "spot" if template.instance_market_options else "on-demand"
        self.cpu_units = facts.vcpu * 1024
        self.memory_mib = registered_memory_mib(template.instance_type, agent.ecs_reserved_memory_mib, factor)
        self.task_enis = awsvpc_task_limit(template.instance_type, trunking=group.spec.awsvpc_trunking)
        self.gpus = self.host_gpus = facts.gpus
        self.public_ip = group.spec.public_ip
        mappings = template.block_device_mappings
        self.root_volume_gib = (
            mappings[0].ebs.volume_size if mappings else int(kit.parameters.number("root_volume_gib"))
        )
        self.pull_behaviour = agent.ecs_image_pull_behavior
        self.stop_timeout_s = agent.ecs_container_stop_timeout_s
        self.launched_at = kit.now
        self.there_before = False
        self.running_at: int | None = None
        self.registered_at: int | None = None
        self.draining_at: int | None = None
        self.terminated_at: int | None = None
        self.status = "REGISTERING"
        self.status_reason: str | None = None
        self.row: int | None = None
        self.tasks: dict[str, TaskRun] = {}
        self.images = ImageCache(kit.now, cleanup_of(kit, agent))
        self.host_cpu_units = self.cpu_units
        self.host_memory_mib = self.memory_mib
        self.memory_group: MemoryGroup | None = None
        """What the containers on it hold together, once one is there whose memory may pass a limit."""
        self.host_ports: set[HostPort] = set()
        """Fixed ports that tasks on the host really hold."""
        self.dynamic_ports = DynamicPorts()
        self.reconnected: simpy.Event | None = None
        """While its agent is cut off: happens when it is back."""
        self._freed: simpy.Event | None = None

    @property
    def busy(self) -> bool:
        """Whether it holds a task that is not of a daemon service: one with nothing else counts as empty."""
        return any(not task.daemon for task in self.tasks.values())

    def host_admits(self, task: TaskRun) -> bool:
        """Whether the agent has the resources of a task really free."""
        definition = task.revision.definition
        room = definition.cpu_units <= self.host_cpu_units and definition.memory_mib <= self.host_memory_mib
        needs = task.revision.needs
        return room and needs.gpus <= self.host_gpus and self.host_ports.isdisjoint(needs.host_ports)

    def host_take(self, task: TaskRun) -> None:
        """Reserve a task's resources on the host."""
        definition = task.revision.definition
        self.host_cpu_units -= definition.cpu_units
        self.host_memory_mib -= definition.memory_mib
        self.host_gpus -= task.revision.needs.gpus
        self.host_ports.update(task.revision.needs.host_ports)
        task.on_host = True
        if self.memory_group is not None:
            self.memory_group.review()

    def host_free(self, task: TaskRun) -> None:
        """Give back what a stopped task held on the host, and let the agent start what waits."""
        if task.on_host:
            definition = task.revision.definition
            self.host_cpu_units += definition.cpu_units
            self.host_memory_mib += definition.memory_mib
            self.host_gpus += task.revision.needs.gpus
            self.host_ports.difference_update(task.revision.needs.host_ports)
            task.on_host = False
            if self.memory_group is not None:
                self.memory_group.review()
        freed, self._freed = self._freed, None
        if freed is not None:
            freed.succeed()

    def memory_left_bytes(self) -> float:
        """Return what the containers of its memory group share: its memory less what the other tasks reserve."""
        others = sum(t.revision.definition.memory_mib for t in self.tasks.values() if t.on_host and t.machine is None)
        return float((self.memory_mib - others) * 2**20)

    def when_freed(self, env: simpy.Environment) -> simpy.Event:
        """Return the event of the next task that gives its resources back."""
        if self._freed is None:
            self._freed = env.event()
        return self._freed


class AutoScalingGroupRun:
    """An Auto Scaling group: keeps as many instances as are desired, balanced over its zones."""

    def __init__(
        self,
        kit: Kit,
        spec: AutoScalingGroup,
        template: LaunchTemplateData,
        cluster: ClusterRun,
        zones: tuple[str, ...],
    ) -> None:
        self.name = spec.auto_scaling_group_name
        self.spec = spec
        self.template = template
        self.cluster = cluster
        self.zones = zones
        self.arn = kit.arn("autoScalingGroup", self.name, "autoscaling")
        self.provider: ProviderRun | None = None
        self.desired = spec.min_size if spec.desired_capacity is None else spec.desired_capacity
        self.instances: dict[str, InstanceRun] = {}
        self._serving: dict[str, InstanceRun] = {}
        self._zone_counts = dict.fromkeys(zones, 0)
        self._kit = kit
        for _ in range(self.desired):
            self._launch(at_once=spec.registered)

    @property
    def in_service(self) -> list[InstanceRun]:
        """Instances that are not being taken away, oldest first."""
        return list(self._serving.values())

    def set_desired(self, desired: int) -> None:
        """Change the desired capacity, within the group's bounds, and bring the group to it."""
        desired = max(self.spec.min_size, min(self.spec.max_size, desired))
        self.desired = desired
        self.reconcile()

    def reconcile(self) -> None:
        """Launch or take away instances until the group has as many as are desired."""
        while len(self._serving) < self.desired:
            self._launch()
        while len(self._serving) > self.desired:
            victim = self._victim()
            if victim is None:
                return
            self.take_away(victim)

    def lose(self, instance: InstanceRun, reason: str) -> None:
        """Let an instance vanish with all its tasks; the group replaces it."""
        if instance.terminated_at is not None:
            return
        instance.status_reason = reason
        self._leave_fleet(instance)
        for task in list(instance.tasks.values()):
            stop_task(
                self._kit,
                task,
                Stop("TerminationNotice", f"Host EC2 (instance {instance.instance_id}) terminated.", kill=True),
            )
        self._terminate(instance)
        self._kit.at(self._kit.now + self._kit.us("asg_replace_lost_s"), self.reconcile)

    def take_away(self, instance: InstanceRun) -> None:
        """Scale an instance in: drain it first where the capacity provider manages draining, then terminate it."""
        kit = self._kit
        instance.draining_at = kit.now
        self._out_of_service(instance)
        drained = self.provider is None or self.provider.spec.auto_scaling_group_provider.managed_draining == "ENABLED"
        if instance.row is not None and drained and instance.tasks:
            instance.status = "DRAINING"
            self.cluster.fleet.set_active(instance.row, False)
            for task in list(instance.tasks.values()):
                if task.service is not None:
                    task.service.host_draining(task)
            deadline = kit.now + kit.us("drain_deadline_s")
            kit.env.process(self._drain(instance, deadline))
            return
        self.lose_quietly(instance)

    def lose_quietly(self, instance: InstanceRun) -> None:
        """Terminate an instance that is empty, or whose tasks nobody protects."""
        self._leave_fleet(instance)
        for task in list(instance.tasks.values()):
            stop_task(
                self._kit,
                task,
                Stop("TerminationNotice", f"Host EC2 (instance {instance.instance_id}) terminated.", kill=True),
            )
        self._terminate(instance)

    def _drain(self, instance: InstanceRun, deadline: int) -> Process:
        env = self._kit.env
        while instance.tasks and env.now < deadline:
            yield instance.when_freed(env) | env.timeout(deadline - int(env.now))
        if instance.terminated_at is None:
            self.lose_quietly(instance)

    def _launch(self, at_once: bool = False) -> None:
        zone = self.zones[launch_zone([self._zone_counts[z] for z in self.zones])]
        instance = InstanceRun(self._kit, self, zone)
        self.instances[instance.instance_id] = instance
        self._serving[instance.instance_id] = instance
        self._zone_counts[zone] += 1
        if at_once:
            instance.there_before = True
            instance.running_at = self._kit.now
            self._register(instance)
        else:
            self._kit.env.process(self._boot(instance))

    def _boot(self, instance: InstanceRun) -> Process:
        kit = self._kit
        yield kit.env.timeout(kit.us("ec2_launch_to_running_s"))
        if instance.terminated_at is not None:
            return
        instance.running_at = kit.now
        median = kit.parameters.number("running_to_registered_s")
        factor = kit.parameters.number("running_to_registered_p95_factor")
        yield kit.env.timeout(lognormal_us(kit.streams[f"register/{self.name}"], median, median * factor))
        if instance.terminated_at is None:
            self._register(instance)

    def _register(self, instance: InstanceRun) -> None:
        instance.registered_at = self._kit.now
        instance.status = "ACTIVE"
        attributes = {
            "ecs.instance-type": instance.instance_type,
            "ecs.os-type": "linux",
            "ecs.os-family": "LINUX",
            "ecs.cpu-architecture": instance.architecture,
            "ecs.subnet-id": next((s for s in self.spec.subnets), ""),
            "ecs.ami-id": self.template.image_id or "",
            GROUP_ATTRIBUTE: self.name,
        } | self.spec.agent.ecs_instance_attributes
        agent = self.spec.agent
        capabilities = registered(
            agent.ecs_available_logging_drivers,
            task_eni=agent.ecs_enable_task_eni,
            task_role=agent.ecs_enable_task_iam_role,
        )
        instance.row = self.cluster.fleet.register(
            instance.instance_id,
            cpu_units=instance.cpu_units,
            memory_mib=instance.memory_mib,
            zone=instance.zone,
            enis=instance.task_enis,
            gpus=instance.gpus,
            attributes={k: v for k, v in attributes.items() if v} | dict.fromkeys(capabilities, ""),
            registered_at_us=instance.registered_at,
            reserved_ports=agent.reserved_ports,
        )
        self.cluster.instances_by_row[instance.row] = instance
        self.cluster.registered_cpu_units += instance.cpu_units
        self.cluster.registered_memory_mib += instance.memory_mib
        self.cluster.capacity_changed()

    def _leave_fleet(self, instance: InstanceRun) -> None:
        if instance.row is not None and instance.row in self.cluster.instances_by_row:
            self.cluster.fleet.set_active(instance.row, False)
            del self.cluster.instances_by_row[instance.row]
            self.cluster.registered_cpu_units -= instance.cpu_units
            self.cluster.registered_memory_mib -= instance.memory_mib

    def _out_of_service(self, instance: InstanceRun) -> None:
        if self._serving.pop(instance.instance_id, None) is not None:
            self._zone_counts[instance.zone] -= 1

    def _terminate(self, instance: InstanceRun) -> None:
        self._out_of_service(instance)
        instance.terminated_at = self._kit.now
        instance.status = "INACTIVE"
        self.instances.pop(instance.instance_id, None)
        record_instance(self._kit, instance)

    def _victim(self) -> InstanceRun | None:
        """Choose whom to terminate by the group's termination policies; never a protected instance."""
        serving = self.in_service
        views = [GroupInstance(self.zones.index(i.zone), i.launched_at, protected=self._protected(i)) for i in serving]
        draws = (float(self._kit.streams[f"terminate/{self.name}"].random()),)
        policies = self.spec.termination_policies or ("Default",)
        chosen = terminations(views, 1, self._kit.now, draws, policies)
        return serving[chosen[0]] if chosen else None

    def _protected(self, instance: InstanceRun) -> bool:
        """Whether managed termination protection keeps a busy instance."""
        if self.provider is None:
            return False
        provider = self.provider.spec.auto_scaling_group_provider
        return provider.managed_termination_protection == "ENABLED" and instance.busy
