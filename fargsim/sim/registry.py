"""Everything that exists in one region, by name, and how names and ARNs are resolved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from fargsim.model.behaviour import Behaviour
from fargsim.model.capacity import LaunchTemplateData
from fargsim.model.lifecycle import HookAnswer
from fargsim.model.placement import FARGATE_PROVIDERS as FARGATE_PROVIDERS
from fargsim.model.scenario import Record
from fargsim.model.service import NetworkConfiguration
from fargsim.sim.account import FargateAccount
from fargsim.sim.ec2_capacity import Ec2Capacity
from fargsim.sim.errors import (
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    ListenerNotFoundException,
    LoadBalancerNotFoundException,
    ResourceNotFoundException,
    RuleNotFoundException,
    ServiceNotFoundException,
    TargetGroupNotFoundException,
)
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.kit import Kit
from fargsim.sim.listeners import Listener, ListenerRule
from fargsim.sim.state import ClusterRun, ProviderRun, Revision, TaskRun
from fargsim.sim.target_health import Contact, always
from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun

if TYPE_CHECKING:
    from fargsim.sim.deployment_watch import AlarmSource
    from fargsim.sim.service_scheduler import ServiceRun


def tail(name_or_arn: str) -> str:
    """Return the name at the end of an ARN, or the name itself."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    resource = name_or_arn.split(":", 5)[-1]
    if resource.startswith("targetgroup/") or resource.startswith("loadbalancer/"):
        return resource.split("/")[-2]
    return resource.rsplit("/", 1)[-1]


@dataclass(slots=True)
class Registry:
    """The region's resources."""

    kit: Kit
    start: datetime
    fargate: FargateAccount
    record: Record
    subnets: dict[str, str]
    """Zones by subnet."""
    clusters: dict[str, ClusterRun] = field(default_factory=dict)
    revisions: dict[str, list[Revision]] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    launch_templates: dict[str, LaunchTemplateData] = field(default_factory=dict)
    groups: dict[str, AutoScalingGroupRun] = field(default_factory=dict)
    providers: dict[str, ProviderRun] = field(default_factory=dict)
    balancers: dict[str, LoadBalancerRun] = field(default_factory=dict)
    target_groups: dict[str, TargetGroupRun] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    """By name, ``BALANCER:PORT``."""
    ec2: Ec2Capacity = field(init=False)
    """Where EC2 has capacity."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the account that have been made."""
    contact: Callable[[TaskRun, TargetGroupRun], Contact] = always
    """What a balancer meets at a task, asked when it is registered with a target group."""
    alarms: AlarmSource | None = None
    """Whoever knows the states of CloudWatch alarms."""
    hooks: dict[str, tuple[HookAnswer, ...]] = field(default_factory=dict)
    """What Lambda functions answer as lifecycle hooks, by name."""

    def __post_init__(self) -> None:
        """Begin with EC2 capacity everywhere."""
        self.ec2 = Ec2Capacity(self.kit)

    @property
    def record_every(self) -> int:
        """Keep every n-th request in the table `requests`; 0: none."""
        return {"off": 0, "sampled": self.record.sample_every, "full": 1}[self.record.requests]

    def cluster(self, name: str) -> ClusterRun:
        """Return a cluster; ClusterNotFoundException if there is none."""
        found = self.clusters.get(tail(name))
        if found is None:
            raise ClusterNotFoundException(
                f"Cluster not found: '{name}'. Clusters: {', '.join(self.clusters) or 'none'}."
            )
        return found

    def service(self, cluster: str, name: str) -> ServiceRun:
        """Return a service; ServiceNotFoundException if there is none."""
        services = self.cluster(cluster).services
        found = services.get(tail(name))
        if found is None:
            raise ServiceNotFoundException(f"Service not found: '{name}'. Services: {', '.join(services) or 'none'}.")
        return found

    def revision(self, name: str) -> Revision:
        """Return a revision given as ``family``, ``family:revision`` or an ARN; the family alone is its newest."""
        family, _, number = tail(name).partition(":")
        known = self.revisions.get(family)
        if not known:
            raise ClientException(
                f"TaskDefinition not found: '{name}'. Families: {', '.join(self.revisions) or 'none'}."
            )
        if not number:
            return known[-1]
        if not number.isdigit() or not 1 <= int(number) <= len(known):
            raise ClientException(f"TaskDefinition not found: '{name}'. Newest revision: {known[-1].name}.")
        return known[int(number) - 1]

    def target_group(self, name: str) -> TargetGroupRun:
        """Return a target group."""
        found = self.target_groups.get(tail(name))
        if found is None:
            raise TargetGroupNotFoundException(f"Target group '{name}' not found.")
        return found

    def balancer(self, name: str) -> LoadBalancerRun:
        """Return a load balancer."""
        found = self.balancers.get(tail(name))
        if found is None:
            raise LoadBalancerNotFoundException(f"Load balancer '{name}' not found.")
        return found

    def listener(self, name: str) -> Listener:
        """Return a listener, by its ARN or ``BALANCER:PORT``."""
        found = next((x for x in self.listeners.values() if name in (x.name, x.arn)), None)
        if found is None:
            raise ListenerNotFoundException(
                f"Listener '{name}' not found. Listeners: {', '.join(self.listeners) or 'none'}."
            )
        return found

    def listener_rule(self, name: str) -> ListenerRule:
        """Return a rule, by its ARN or ``BALANCER:PORT/PRIORITY``; a listener's name or ARN is its default action."""
        rules = [rule for x in self.listeners.values() for rule in (x.default, *x.rules.values())]
        found = next((rule for rule in rules if name in (rule.name, rule.arn)), None)
        if found is None:
            raise RuleNotFoundException(
                f"Rule '{name}' not found. Rules: {', '.join(r.name for r in rules) or 'none'}."
            )
        return found

    def group(self, name: str) -> AutoScalingGroupRun:
        """Return an Auto Scaling group."""
        found = self.groups.get(tail(name))
        if found is None:
            raise ResourceNotFoundException(f"AutoScalingGroup '{name}' not found.")
        return found

    def behaviour(self, family: str, number: int) -> Behaviour:
        """Return how a revision behaves: its own entry, the family's, or one that does nothing but run."""
        return self.behaviours.get(f"{family}:{number}") or self.behaviours.get(family) or Behaviour()

    def zones_of_subnets(self, network: NetworkConfiguration | None) -> tuple[str, ...]:
        """Return the zones of a network configuration's subnets, in order, each once."""
        if network is None:
            return ()
        zones = []
        for subnet in network.awsvpc_configuration.subnets:
            if subnet not in self.subnets:
                raise InvalidParameterException(
                    f"The subnet ID '{subnet}' does not exist. Subnets: {', '.join(self.subnets)}."
                )
            zones.append(self.subnets[subnet])
        return tuple(dict.fromkeys(zones))

    def fargate_zones(self, network: NetworkConfiguration | None) -> tuple[str, ...]:
        """Return those of the zones of a network configuration's subnets that have Fargate.

        Source: Amazon ECS Developer Guide, AWS_Fargate-Regions.html (zones without Fargate), service-event-messages-list.html.
        """
        zones = self.zones_of_subnets(network) or self.kit.zones
        without = self.kit.surroundings.network.without_fargate
        return tuple(zone for zone in zones if zone not in without) if without else zones

    def find_task(self, cluster: ClusterRun, name: str) -> TaskRun | None:
        """Return a task by id or ARN, alive or stopped."""
        task_id = tail(name)
        return cluster.tasks.get(task_id) or cluster.stopped.get(task_id)
