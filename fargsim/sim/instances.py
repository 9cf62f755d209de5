"""Container instances: an EC2 instance, its agent, and what is free on it.

Source: Amazon ECS Developer Guide, ecs-agent-config.html, container-instance-eni.html, memory-management.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from fargsim.catalog.instances import awsvpc_task_limit, instance_type, registered_memory_mib
from fargsim.model.capacity import GP3_IOPS, GP3_MIB_S
from fargsim.policy.capabilities import registered
from fargsim.policy.mixed_instances import Market
from fargsim.policy.views import GROUP_ATTRIBUTE, HostPort
from fargsim.sim.cpu_credits import credits_of
from fargsim.sim.host_ports import DynamicPorts
from fargsim.sim.images import ImageCache, cleanup_of
from fargsim.sim.kit import Kit
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import stop_task

if TYPE_CHECKING:
    from fargsim.sim.container_limits import MemoryGroup
    from fargsim.sim.groups import AutoScalingGroupRun


class InstanceRun:
    """One EC2 instance and its container agent.

    Two ledgers: the fleet's columns are what the scheduler may still give away, freed when a task is told to stop; `host_cpu_units` and
    `host_memory_mib` are what is really free, given back when it has stopped.
    """

    def __init__(
        self,
        kit: Kit,
        group: AutoScalingGroupRun,
        zone: str,
        type_name: str | None = None,
        market: Market | None = None,
    ) -> None:
        template = group.template
        type_name = type_name or template.instance_type
        facts = instance_type(type_name)
        agent = group.spec.agent
        factor = kit.parameters.number("registered_memory_factor")
        self.instance_id = f"i-{kit.identifier('instance', 17)}"
        self.number = kit.counter.next("instance order")
        self.group = group
        self.cluster = group.cluster
        self.instance_type = type_name
        self.architecture = facts.architecture
        self.zone = zone
        self.market: Market = market or ("spot" if template.instance_market_options else "on-demand")
        self.template_version = group.template_version
        self.cpu_units = facts.vcpu * 1024
        self.memory_mib = registered_memory_mib(type_name, agent.ecs_reserved_memory_mib, factor)
        self.task_enis = awsvpc_task_limit(type_name, trunking=group.spec.awsvpc_trunking)
        trunk = group.spec.awsvpc_trunking and facts.trunk_task_limit is not None
        self.trunk_id = f"eni-{kit.identifier('trunk', 17)}" if trunk else ""
        self.gpus = self.host_gpus = facts.gpus
        self.public_ip = group.spec.public_ip
        self.operating_system_family = group.spec.operating_system_family
        volumes = [mapping.ebs for mapping in template.block_device_mappings]
        self.root_volume_gib = volumes[0].volume_size if volumes else int(kit.parameters.number("root_volume_gib"))
        self.more_volumes_gib = sum(v.volume_size for v in volumes[1:])
        self.volume_iops_above = sum((v.iops or GP3_IOPS) - GP3_IOPS for v in volumes)
        self.volume_mib_s_above = sum((v.throughput or GP3_MIB_S) - GP3_MIB_S for v in volumes)
        self.pull_behaviour = agent.ecs_image_pull_behavior
        self.stop_timeout_s = agent.ecs_container_stop_timeout_s
        self.pull_timeout_s = agent.ecs_image_pull_timeout_s or kit.parameters.number("image_pull_timeout_s")
        self.pull_inactivity_timeout_s = agent.ecs_image_pull_inactivity_timeout_s or kit.parameters.number(
            "image_pull_inactivity_timeout_s"
        )
        self.launched_at = kit.now
        self.there_before = False
        self.lifecycle_state = "Pending"
        """As DescribeAutoScalingGroups shows it."""
        self.running_at: int | None = None
        self.in_service_at: int | None = None
        """When it went into service: running, and past the hooks of its launch."""
        self.stopped_at: int | None = None
        self.restarted_at: int | None = None
        """When it was stopped in a warm pool, and when it was running again."""
        self.interrupted_at: int | None = None
        """When EC2 gave notice that it takes this Spot instance back."""
        self.replaced = False
        """Whether an instance that is to take its place has been launched already."""
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
        self.queue: dict[str, TaskRun] = {}
        """Tasks that wait for resources of the host, in order of arrival."""
        self._freed: simpy.Event | None = None
        self.cpu_factor = 1.0
        """The share of its vCPUs that its CPU credits allow."""
        specification = template.credit_specification
        self.credits = credits_of(kit, self, facts, None if specification is None else specification.cpu_credits)

    def gone(self) -> bool:
        """Whether it has been terminated."""
        return self.terminated_at is not None

    @property
    def busy(self) -> bool:
        """Whether it holds a task that is not of a daemon service: one with nothing else counts as empty."""
        return any(not task.daemon for task in self.tasks.values())

    def host_admits(self, task: TaskRun) -> bool:
        """Whether the agent has the resources of a task really free."""
        needs = task.revision.needs
        room = needs.cpu_units <= self.host_cpu_units and needs.memory_mib <= self.host_memory_mib
        return room and needs.gpus <= self.host_gpus and self.host_ports.isdisjoint(needs.host_ports)

    def host_take(self, task: TaskRun) -> None:
        """Reserve a task's resources on the host."""
        needs = task.revision.needs
        self.host_cpu_units -= needs.cpu_units
        self.host_memory_mib -= needs.memory_mib
        self.host_gpus -= needs.gpus
        self.host_ports.update(needs.host_ports)
        task.on_host = True
        if self.memory_group is not None:
            self.memory_group.review()

    def host_free(self, task: TaskRun) -> None:
        """Give back what a stopped task held on the host, and let the agent start what waits."""
        if task.on_host:
            needs = task.revision.needs
            self.host_cpu_units += needs.cpu_units
            self.host_memory_mib += needs.memory_mib
            self.host_gpus += needs.gpus
            self.host_ports.difference_update(needs.host_ports)
            task.on_host = False
            if self.memory_group is not None:
                self.memory_group.review()
        self.look_at_queue()

    def first_in_queue(self, task: TaskRun) -> bool:
        """Whether a task is the next one that the agent starts."""
        return next(iter(self.queue.values())) is task

    def look_at_queue(self) -> None:
        """Let the agent look again at the tasks that wait: a place has become free, or the first of them has gone."""
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


def attributes_of(
    kit: Kit, group: AutoScalingGroupRun, type_name: str, architecture: str, zone: str, trunk_id: str = ""
) -> dict[str, str]:
    """Return the attributes that an instance of a group registers with, capabilities included."""
    subnets = kit.surroundings.network.subnets
    agent = group.spec.agent
    attributes = {
        "ecs.instance-type": type_name,
        "ecs.os-type": "linux" if group.spec.operating_system_family == "LINUX" else "windows",
        "ecs.os-family": group.spec.operating_system_family,
        "ecs.cpu-architecture": architecture,
        "ecs.subnet-id": next((s for s in group.spec.subnets if subnets[s].spec.availability_zone == zone), ""),
        "ecs.ami-id": group.template.image_id or "",
        "ecs.vpc-id": kit.surroundings.network.vpc_id,
        "ecs.awsvpc-trunk-id": trunk_id,
        GROUP_ATTRIBUTE: group.name,
    } | agent.ecs_instance_attributes
    capabilities = registered(
        agent.ecs_available_logging_drivers,
        task_eni=agent.ecs_enable_task_eni,
        task_role=agent.ecs_enable_task_iam_role,
    )
    return {k: v for k, v in attributes.items() if v} | dict.fromkeys(capabilities, "")


def register(kit: Kit, instance: InstanceRun) -> None:
    """Let an instance's agent register with its cluster: from now on it takes tasks."""
    group, cluster = instance.group, instance.cluster
    most = kit.quotas["instances_per_cluster"]
    full = most is not None and len(cluster.instances_by_row) >= most
    if full or cluster.deleted:
        why = f"the quota instances_per_cluster is {most:g}" if full else "the cluster has been deleted"
        text = f"container instance {instance.instance_id} cannot register: {why}."
        kit.event(cluster.name, None, text, "REGISTRATION_FAILED", "ERROR")
        return
    instance.registered_at = kit.now
    instance.status = "ACTIVE"
    instance.row = cluster.fleet.register(
        instance.instance_id,
        cpu_units=instance.cpu_units,
        memory_mib=instance.memory_mib,
        zone=instance.zone,
        enis=instance.task_enis,
        gpus=instance.gpus,
        attributes=attributes_of(
            kit, group, instance.instance_type, instance.architecture, instance.zone, instance.trunk_id
        ),
        registered_at_us=instance.registered_at,
        reserved_ports=group.spec.agent.reserved_ports,
    )
    cluster.instances_by_row[instance.row] = instance
    cluster.registered_cpu_units += instance.cpu_units
    cluster.registered_memory_mib += instance.memory_mib
    cluster.capacity_changed()


def leave_cluster(instance: InstanceRun) -> None:
    """Take an instance out of its cluster's fleet; the second call does nothing."""
    cluster = instance.cluster
    if instance.row is not None and instance.row in cluster.instances_by_row:
        cluster.fleet.set_active(instance.row, False)
        del cluster.instances_by_row[instance.row]
        cluster.registered_cpu_units -= instance.cpu_units
        cluster.registered_memory_mib -= instance.memory_mib


def kill_tasks(kit: Kit, instance: InstanceRun, code: str = "TerminationNotice") -> None:
    """Let the tasks of an instance end with it."""
    reason = f"Host EC2 (instance {instance.instance_id}) terminated."
    for task in list(instance.tasks.values()):
        stop_task(kit, task, Stop(code, reason, kill=True))
