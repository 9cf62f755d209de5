"""Regions whose every duration is a known constant, and what their tables say of each task.

With these assumptions the life of a task can be added up on paper:

* Fargate, 1 vCPU, an image of 120 MiB: interface 4 s, pull starts at 10 s, pulled at 13 s (40 MiB/s), RUNNING at 15 s;
* EC2: image pulled in 2.4 s (50 MiB/s) or cached, RUNNING 2 s later; an interface takes 5 s;
* a service acts 5 s after a user's change and 5 s after it has lost a task;
* all tasks of a deployment start at once (by default the first one begins its pull before the others start);
* stopping takes 1 s where the containers say nothing else, detaching the interface 7 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fargsim import Region
from fargsim.sim.groups import InstanceRun

START = datetime(2026, 1, 5, tzinfo=UTC)
SUBNETS = {"subnet-a": "us-east-1a", "subnet-b": "us-east-1b", "subnet-c": "us-east-1c"}

EXACT: dict[str, Any] = {
    "provision_median_s": 10,
    "provision_p95_s": 10,
    "provision_eni_share": 0.4,
    "start_min_s": 2,
    "start_max_s": 2,
    "ec2_start_min_s": 2,
    "ec2_start_max_s": 2,
    "ec2_eni_attach_s": 5,
    "scheduler_delay_min_s": 5,
    "scheduler_delay_max_s": 5,
    "service_reaction_s": 5,
    "deprovision_s": 7,
    "stopping_overhead_s": 1,
    "running_to_registered_s": 60,
    "running_to_registered_p95_factor": 1,
    "spot_interruptions_per_task_hour": 0,
    "digest_first_task": False,
}
IMAGE = {"size": "120 MiB"}
PLENTY = {"fargate_on_demand_vcpu": 10_000, "fargate_spot_vcpu": 10_000}


def exact_region(
    *, seed: int = 1, assumptions: Mapping[str, Any] = {}, quotas: Mapping[str, float] = {}, **more: Any
) -> Region:
    """A region in which every duration is a constant."""
    return Region(
        "us-east-1",
        seed=seed,
        start=START,
        subnets=SUBNETS,
        quotas={**PLENTY, **quotas},
        assumptions={**EXACT, **assumptions},
        **more,
    )


def network(*subnets: str) -> dict[str, Any]:
    """The network configuration of tasks in some subnets; by default all three."""
    return {"awsvpcConfiguration": {"subnets": list(subnets or SUBNETS)}}


def register(
    region: Region,
    family: str = "web",
    *,
    cpu: int = 1024,
    memory: int = 2048,
    fargate: bool = True,
    mode: str | None = None,
    behaviour: Mapping[str, Any] = {},
    container: Mapping[str, Any] = {},
    others: Iterable[Mapping[str, Any]] = (),
) -> str:
    """Register a task definition of one container, or of one and `others`, and return ``family:revision``."""
    region.behave(family, {"image": IMAGE, **behaviour})
    answer = region.ecs.register_task_definition(
        family=family,
        cpu=str(cpu),
        memory=str(memory),
        networkMode=mode or ("awsvpc" if fargate else "bridge"),
        requiresCompatibilities=["FARGATE"] if fargate else ["EC2"],
        containerDefinitions=[
            {"name": "app", "image": "app:1", "portMappings": [{"containerPort": 80}], **container},
            *others,
        ],
    )["taskDefinition"]
    return f"{family}:{answer['revision']}"


def target_group(region: Region, name: str = "tg", *, interval: int = 5, delay: int = 30, kind: str = "ip") -> None:
    """A target group behind a balancer, with quick health checks."""
    region.elbv2.create_target_group(
        Name=name,
        TargetType=kind,
        HealthCheckIntervalSeconds=interval,
        HealthCheckTimeoutSeconds=2,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
    )
    region.elbv2.create_load_balancer(
        Name=f"lb-{name}",
        Listeners=[{"Protocol": "HTTP", "Port": 80, "DefaultActions": [{"Type": "forward", "TargetGroupArn": name}]}],
    )


def behind(name: str = "tg") -> list[dict[str, Any]]:
    """`loadBalancers` of a service behind a target group."""
    return [{"targetGroupArn": name, "containerName": "app", "containerPort": 80}]


def fleet(
    region: Region, size: int = 1, kind: str = "c5.large", *, name: str = "asg", zones: int = 3, **more: Any
) -> None:
    """An Auto Scaling group whose instances are registered when the run begins."""
    region.autoscaling.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"InstanceType": kind})
    region.autoscaling.create_auto_scaling_group(
        **{
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 100,
            "DesiredCapacity": size,
            "LaunchTemplate": {"LaunchTemplateName": name},
            "AvailabilityZones": list(SUBNETS.values())[:zones],
            "registered_at_start": True,
            **more,
        }
    )


def associate(region: Region, *providers: str, cluster: str = "default") -> None:
    """Let strategies in a cluster name these capacity providers beside those of Fargate."""
    region.ecs.put_cluster_capacity_providers(
        cluster=cluster,
        capacityProviders=["FARGATE", "FARGATE_SPOT", *providers],
        defaultCapacityProviderStrategy=[],
    )


def lose_oldest_instance(region: Region, name: str = "asg") -> InstanceRun:
    """The fault `instance_loss` of a timeline."""
    group = region.registry.group(name)
    instance = min(group.in_service, key=lambda i: i.number)
    group.lose(instance, "fault: instance_loss")
    return instance


def seconds(at: Any) -> float | None:
    """Seconds from the start of the run to an instant; None for none."""
    return None if at is None or at != at else round((at - START) / timedelta(seconds=1), 6)


def lives(region: Region) -> list[list[tuple[float, str, str]]]:
    """Every row of `task_states`, by task in the order of creation: seconds, last status, desired status."""
    found: dict[str, list[tuple[float, str, str]]] = {}
    for row in region.kit.recorder.task_states.frame().itertuples():
        found.setdefault(row.task_id, []).append((seconds(row.at), row.last_status, row.desired_status))
    return list(found.values())


def statuses(region: Region) -> list[list[tuple[float, str]]]:
    """The same without the desired status."""
    return [[(at, status) for at, status, _ in life] for life in lives(region)]


STAMPS = (
    "createdAt",
    "connectivityAt",
    "pullStartedAt",
    "pullStoppedAt",
    "startedAt",
    "stoppingAt",
    "executionStoppedAt",
    "stoppedAt",
)


def stamps(region: Region, arn: str, cluster: str = "default") -> dict[str, float]:
    """Every timestamp that DescribeTasks returns for a task, in seconds."""
    [task] = region.ecs.describe_tasks(tasks=[arn], cluster=cluster)["tasks"]
    return {name: seconds(task[name]) for name in STAMPS if name in task}


EVENTBRIDGE_ONLY = ["SERVICE_DEPLOYMENT_IN_PROGRESS", "CAPACITY_PROVIDER_STEADY_STATE", "SERVICE_DESIRED_COUNT_UPDATED"]


def messages(region: Region, service: str = "web") -> list[tuple[float, str]]:
    """Service events as DescribeServices shows them, oldest first, without the names of tasks."""
    events = region.kit.recorder.events.frame()
    events = events[~events.event_name.isin(EVENTBRIDGE_ONLY)]
    found = []
    for row in events[events.service == service].itertuples():
        text = row.message.split(": (task ")[0].removeprefix(f"(service {service}) ")
        found.append((seconds(row.at), text))
    return found
