"""The simulated region: what can be done to it is what AWS lets a user do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import simpy

from fargsim.catalog.parameters import parameters
from fargsim.catalog.quotas import quotas as account_quotas
from fargsim.catalog.regions import availability_zones
from fargsim.model.access import Surroundings
from fargsim.model.behaviour import Behaviour
from fargsim.model.lifecycle import HookAnswer
from fargsim.model.network import Subnet
from fargsim.model.quantity import parse_duration_us
from fargsim.model.scenario import Record
from fargsim.model.traffic import Rate
from fargsim.record.buffer import Recorder
from fargsim.sim.account import FargateAccount
from fargsim.sim.application_autoscaling import ApplicationAutoScaling
from fargsim.sim.autoscaling import AutoScaling
from fargsim.sim.balancer_metrics import BalancerMetrics
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.cluster_autoscaling import ClusterAutoScaling
from fargsim.sim.code_deploy import CodeDeploy
from fargsim.sim.collector import calm_collector
from fargsim.sim.contact import contact
from fargsim.sim.cpu_credits import CreditMeter
from fargsim.sim.ecs import Ecs
from fargsim.sim.elbv2 import ElbV2
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.fargate_spot import FargateSpot
from fargsim.sim.group_scaling import GroupScaling
from fargsim.sim.host_sharing import HostSharing
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.launching import Launcher
from fargsim.sim.metering import Metering
from fargsim.sim.queue_work import Queues
from fargsim.sim.records import record_instance, record_task
from fargsim.sim.registry import Registry
from fargsim.sim.retirement import Retirement
from fargsim.sim.sources import source
from fargsim.sim.sqs import Sqs
from fargsim.sim.streams import Streams
from fargsim.sim.surroundings import SurroundingsRun
from fargsim.sim.task_work import TaskWork
from fargsim.sim.traffic import UserLoop
from fargsim.sim.zone_states import ZoneStates

DAY_US = 86_400 * US_PER_S


class Region:
    """One account in one region, empty at first but for the cluster ``default``.

    Parameters
    ----------
    name
        Name of the region.
    seed
        Seed of every random number of the run.
    start
        The instant at which the run starts; in UTC.
    subnets
        Zones by subnet; by default ``subnet-a``, ``subnet-b`` and ``subnet-c`` in the first three zones.
    quotas
        Limits of the account by name; a new account may run 6 Fargate vCPUs.
    assumptions
        Catalogue parameters by name.
    replication
        Number of the replication: another one draws other numbers from the same seed.
    surroundings
        Network, roles, images, secrets and log groups as far as they are not simply sound; its subnets take the place of `subnets`.

    Examples
    --------
    >>> region = Region("us-east-1", seed=7)
    >>> _ = region.ecs.register_task_definition(
    ...     family="web", cpu="256", memory="512", networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
    ...     containerDefinitions=[{"name": "web", "image": "httpd:2.4"}],
    ... )
    >>> _ = region.ecs.create_service(
    ...     serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE",
    ...     networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}},
    ... )
    >>> region.run(until="3 min")
    >>> service = region.ecs.describe_services(services=["web"])["services"][0]
    >>> service["runningCount"], service["events"][0]["message"]
    (2, '(service web) has reached a steady state.')
    """

    def __init__(
        self,
        name: str = "us-east-1",
        *,
        seed: int = 1,
        start: datetime = datetime(2026, 1, 5, tzinfo=UTC),
        subnets: Mapping[str, str] | None = None,
        quotas: Mapping[str, float] | None = None,
        assumptions: Mapping[str, Any] | None = None,
        replication: int = 0,
        record: Record = Record(),  # noqa: B008 - frozen
        surroundings: Surroundings | Mapping[str, Any] = Surroundings(),  # noqa: B008 - frozen
    ) -> None:
        around = Surroundings.model_validate(surroundings)
        facts = around.network.subnets or tuple(
            Subnet(subnet_id=subnet, availability_zone=zone)
            for subnet, zone in (subnets or _default_subnets(name)).items()
        )
        start_us = round(start.timestamp() * US_PER_S)
        zones = tuple(dict.fromkeys(s.availability_zone for s in facts))
        self._start_us = start_us
        self.kit = Kit(
            env=simpy.Environment(),
            region=name,
            zones=zones,
            parameters=parameters(assumptions),
            quotas=account_quotas(name, overrides=quotas),
            streams=Streams(seed, replication),
            recorder=Recorder(start_us),
        )
        self.kit.surroundings = SurroundingsRun(self.kit, around, facts)
        self.kit.work = TaskWork(self.kit)
        self.kit.sharing = HostSharing(self.kit)
        self.registry = Registry(
            kit=self.kit,
            start=start,
            fargate=FargateAccount(self.kit),
            record=record,
            subnets={s.subnet_id: s.availability_zone for s in facts},
        )
        self.zone_states = ZoneStates(self.kit, lambda task, group: contact(self.kit.surroundings, task, group))
        self.registry.contact = self.zone_states.contact
        self.cloudwatch = CloudWatch(self.kit, start)
        self.registry.alarms = self.cloudwatch
        self.metering = Metering(self.registry, record.period, self.cloudwatch)
        launcher = Launcher(self.registry)
        self.ecs = Ecs(self.registry, launcher)
        self.elbv2 = ElbV2(self.registry)
        self.credits = CreditMeter(self.kit, self.metering, self.cloudwatch)
        self.queues = Queues(self.registry, self.metering, self.cloudwatch)
        self.sqs = Sqs(self.kit, self.queues, start_us)
        self.balancer_metrics = BalancerMetrics(self.registry, self.metering, self.cloudwatch)
        self.codedeploy = CodeDeploy(self.registry)
        self.autoscaling = AutoScaling(self.registry, GroupScaling(self.kit, self.cloudwatch))
        self.fargate_spot = FargateSpot(self.registry)
        self.application_autoscaling = ApplicationAutoScaling(self.registry, self.cloudwatch)
        self.cluster_autoscaling = ClusterAutoScaling(self.registry, self.metering, self.cloudwatch)
        self.retirement = Retirement(self.kit, self.registry)
        self.ecs.create_cluster(clusterName="default")
        self._closed = False

    @property
    def now_us(self) -> int:
        """Microseconds since the start of the run."""
        return self.kit.now

    def behave(self, task_definition: str, behaviour: Behaviour | Mapping[str, Any]) -> None:
        """Say how the containers of a family (``web``) or of one revision (``web:2``) behave, before it is registered."""
        value = behaviour if isinstance(behaviour, Behaviour) else Behaviour.model_validate(behaviour)
        self.registry.behaviours[task_definition] = value

    def answer_hook(self, function: str, answers: Sequence[HookAnswer | Mapping[str, Any]]) -> None:
        """Say what a Lambda function answers as a lifecycle hook, call by call of one deployment; the last answer stays."""
        self.registry.hooks[function] = tuple(
            a if isinstance(a, HookAnswer) else HookAnswer.model_validate(a) for a in answers
        )

    def send_traffic(
        self,
        service: str,
        rate: Rate | Mapping[str, Any],
        *,
        cluster: str = "default",
        name: str | None = None,
        until: str | int = "1 d",
        listener: str | None = None,
    ) -> None:
        """Send requests to a service from now on, until an instant of the run.

        They reach a listener rule: the one of that name (``BALANCER:PORT`` or ``BALANCER:PORT/PRIORITY``, or an ARN), by default the
        service's production listener rule or the first one that forwards to its target group.
        """
        value = rate if isinstance(rate, Rate) else Rate.model_validate(rate)
        found = self.registry.service(cluster, service)
        request = found.revision.behaviour.request
        if not found.groups:
            raise InvalidParameterException(f"service {service} has no load balancer: requests cannot reach it")
        if request is None:
            raise InvalidParameterException(f"the behaviour of {found.revision.name} does not say what a request costs")
        rule = self.elbv2.rule_of(found, listener)
        stream = self.kit.unique(name or service)
        end = parse_duration_us(until) if isinstance(until, str) else until
        every = self.registry.record_every
        if value.users is not None:
            rule.attach_users(UserLoop(value.users, self.kit.streams, stream, self.kit.now, end), request, every)
            return
        arrivals = source(value, self.kit.streams[f"arrivals/{stream}"], self._start_us % DAY_US, end, self.kit.now)
        rule.attach(arrivals, request, stream, every)

    def send_messages(
        self, queue: str, rate: Rate | Mapping[str, Any], *, name: str | None = None, until: str | int = "1 d"
    ) -> None:
        """Send messages to a queue from now on, until an instant of the run, in an open loop."""
        value = rate if isinstance(rate, Rate) else Rate.model_validate(rate)
        self.sqs.send(queue, value, name, parse_duration_us(until) if isinstance(until, str) else until)

    def run(self, until: str | int, progress: Callable[[int], None] | None = None) -> None:
        """Let time pass until an instant of the run (a duration since its start, or microseconds)."""
        end = parse_duration_us(until) if isinstance(until, str) else int(until)
        env = self.kit.env
        if end < self.kit.now:
            raise ValueError(f"the run is at {self.kit.now} us already")
        with calm_collector():
            while env.peek() <= end:
                before = env.now
                env.step()
                if progress is not None and env.now != before:
                    progress(self.kit.now)
            if self.kit.now < end:
                env.run(until=end)

    def finish(self) -> Recorder:
        """Close the last period, record what is still there and return the tables."""
        if self._closed:
            raise ValueError("the run is finished already")
        self._closed = True
        self.metering.close()
        kit = self.kit
        for group in self.registry.target_groups.values():
            for target in list(group.targets.values()):
                group.settle(target)
        for cluster in self.registry.clusters.values():
            for task in list(cluster.tasks.values()):
                kit.work.finish(task)
                record_task(kit, task)
            for service in cluster.services.values():
                service.finish()
        for asg in self.registry.groups.values():
            for instance in asg.every_instance:
                record_instance(kit, instance)
        self.metering.record_latencies()
        self.queues.finish()
        return kit.recorder


def _default_subnets(region: str) -> dict[str, str]:
    zones = availability_zones(region)[:3]
    return {f"subnet-{zone[-1]}": zone for zone in zones}
