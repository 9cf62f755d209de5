"""What the verbs refuse: AWS's name for the error, a message that says what is wrong, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sim_helpers import behind, exact_region, fleet, network, register, target_group

from fargsim import Region
from fargsim.sim.errors import AwsError


@pytest.fixture
def region() -> Region:
    region = exact_region()
    register(region)
    register(region, "ec2", fargate=False, memory=1024)
    fleet(region)
    target_group(region)
    target_group(region, "ports", kind="instance")
    region.elbv2.create_target_group(Name="free")
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    region.ecs.create_service(
        serviceName="there", taskDefinition="web", launchType="FARGATE", networkConfiguration=network(), desiredCount=1
    )
    region.run(until="60 s")
    return region


def fargate(**more: Any) -> dict[str, Any]:
    return {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network(), **more}


def create(**more: Any) -> Callable[[Region], Any]:
    return lambda r: r.ecs.create_service(**{"serviceName": "new", **fargate(), **more})


def task_definition(**more: Any) -> Callable[[Region], Any]:
    return lambda r: r.ecs.register_task_definition(
        **{
            "family": "new",
            "cpu": "256",
            "memory": "512",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "app", "image": "app:1"}],
            **more,
        }
    )


def tracking(metric: str) -> dict[str, Any]:
    return {
        "PolicyName": "p",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 50,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        },
    }


ON_EC2 = {"taskDefinition": "ec2", "launchType": "EC2", "networkConfiguration": None}
CASES: dict[str, tuple[Callable[[Region], Any], str, tuple[str, ...]]] = {
    "unknown cluster": (create(cluster="prod"), "ClusterNotFoundException", ("prod", "default")),
    "run_task: unknown cluster": (
        lambda r: r.ecs.run_task(**fargate(cluster="prod")),
        "ClusterNotFoundException",
        ("prod",),
    ),
    "unknown service": (
        lambda r: r.ecs.update_service(service="nope", desiredCount=1),
        "ServiceNotFoundException",
        ("nope", "there"),
    ),
    "delete: unknown service": (lambda r: r.ecs.delete_service(service="nope"), "ServiceNotFoundException", ("nope",)),
    "unknown family": (create(taskDefinition="nope"), "ClientException", ("nope", "web")),
    "unknown revision": (create(taskDefinition="web:9"), "ClientException", ("web:9", "web:1")),
    "update to an unknown revision": (
        lambda r: r.ecs.update_service(service="there", taskDefinition="web:9", desiredCount=7),
        "ClientException",
        ("web:9",),
    ),
    "service exists": (create(serviceName="there"), "InvalidParameterException", ("there",)),
    "illegal Fargate pair": (task_definition(memory="4096"), "ClientException", ("4096", "512, 1024 or 2048")),
    "illegal Fargate cpu": (task_definition(cpu="300"), "ClientException", ("300",)),
    "Fargate without awsvpc": (task_definition(networkMode="bridge"), "ClientException", ("awsvpc",)),
    "container above its task": (
        task_definition(containerDefinitions=[{"name": "app", "image": "a", "memory": 1024}]),
        "ClientException",
        ("1024", "512"),
    ),
    "no essential container": (
        task_definition(containerDefinitions=[{"name": "app", "image": "a", "essential": False}]),
        "ClientException",
        ("essential",),
    ),
    "unknown key": (task_definition(memroy="512"), "ClientException", ("memroy",)),
    "awsvpc without network": (
        create(networkConfiguration=None),
        "InvalidParameterException",
        ("Network Configuration must be provided", "awsvpc"),
    ),
    "network without awsvpc": (
        create(**{**ON_EC2, "networkConfiguration": network()}),
        "InvalidParameterException",
        ("Network Configuration is not valid",),
    ),
    "unknown subnet": (create(networkConfiguration=network("subnet-z")), "InvalidParameterException", ("subnet-z",)),
    "EC2 definition on Fargate": (
        create(taskDefinition="ec2"),
        "InvalidParameterException",
        ("requiresCompatibilities", "FARGATE"),
    ),
    "strategy on Fargate": (
        create(placementStrategy=[{"type": "spread", "field": "instanceId"}]),
        "InvalidParameterException",
        ("Placement strategies", "FARGATE", "(placementStrategy)"),
    ),
    "constraint on Fargate": (
        create(placementConstraints=[{"type": "distinctInstance"}]),
        "InvalidParameterException",
        ("constraints", "FARGATE", "(placementConstraints)"),
    ),
    "run_task: strategy on Fargate": (
        lambda r: r.ecs.run_task(**fargate(placementStrategy=[{"type": "random"}])),
        "InvalidParameterException",
        ("FARGATE",),
    ),
    "DAEMON on Fargate": (
        create(schedulingStrategy="DAEMON"),
        "InvalidParameterException",
        ("daemon", "FARGATE", "schedulingStrategy", "REPLICA"),
    ),
    "bad expression": (
        create(**ON_EC2, placementConstraints=[{"type": "memberOf", "expression": "attribute:x =="}]),
        "InvalidParameterException",
        ("placementConstraints[0].expression", "column 15", "a value was expected"),
    ),
    "a provider that is not associated with the cluster": (
        create(launchType=None, capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}]),
        "InvalidParameterException",
        ("not associated with the cluster", "cp", "FARGATE_SPOT"),
    ),
    "a default strategy of other providers": (
        lambda r: r.ecs.put_cluster_capacity_providers(
            cluster="default",
            capacityProviders=["FARGATE"],
            defaultCapacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
        ),
        "InvalidParameterException",
        ("not associated with the cluster", "cp"),
    ),
    "more than 10 constraints": (
        create(**ON_EC2, placementConstraints=[{"type": "distinctInstance"}] * 11),
        "InvalidParameterException",
        ("placementConstraints", "10"),
    ),
    "launch type and strategy": (
        create(capacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}]),
        "InvalidParameterException",
        ("launchType", "capacityProviderStrategy"),
    ),
    "mixed strategy": (
        create(
            launchType=None,
            capacityProviderStrategy=[
                {"capacityProvider": "FARGATE", "weight": 1},
                {"capacityProvider": "cp", "weight": 1},
            ],
        ),
        "InvalidParameterException",
        ("mix",),
    ),
    "unknown provider": (
        create(**{**ON_EC2, "launchType": None}, capacityProviderStrategy=[{"capacityProvider": "nope", "weight": 1}]),
        "InvalidParameterException",
        ("nope",),
    ),
    "target group without a load balancer": (
        create(loadBalancers=behind("free")),
        "InvalidParameterException",
        ("targetgroup/free/", "does not have an associated load balancer"),
    ),
    "missing target group": (
        create(loadBalancers=behind("nope")),
        "TargetGroupNotFoundException",
        ("nope",),
    ),
    "container that is not there": (
        create(loadBalancers=[{"targetGroupArn": "tg", "containerName": "other", "containerPort": 80}]),
        "InvalidParameterException",
        ("other", "web:1"),
    ),
    "port that is not there": (
        create(loadBalancers=[{"targetGroupArn": "tg", "containerName": "app", "containerPort": 81}]),
        "InvalidParameterException",
        ("81",),
    ),
    "addresses as targets with bridge": (
        create(**ON_EC2, loadBalancers=behind()),
        "InvalidParameterException",
        ("tg", "bridge", "instance"),
    ),
    "instance targets with awsvpc": (create(loadBalancers=behind("ports")), "InvalidParameterException", ("ip",)),
    "negative count": (create(desiredCount=-1), "InvalidParameterException", ("desiredCount",)),
    "eleven tasks": (lambda r: r.ecs.run_task(**fargate(count=11)), "InvalidParameterException", ("count", "10")),
    "unknown task": (lambda r: r.ecs.stop_task(task="nope"), "InvalidParameterException", ("nope",)),
    "delete above zero": (
        lambda r: r.ecs.delete_service(service="there"),
        "InvalidParameterException",
        ("desiredCount", "force"),
    ),
    "EXTERNAL instances": (create(launchType="EXTERNAL"), "ClientException", ("launchType", "EC2 or FARGATE")),
    "run_task: EXTERNAL instances": (
        lambda r: r.ecs.run_task(**{**ON_EC2, "launchType": "EXTERNAL"}),
        "ClientException",
        ("launchType", "EC2 or FARGATE"),
    ),
    "EXTERNAL": (create(deploymentController={"type": "EXTERNAL"}), "ClientException", ("EXTERNAL",)),
    "CODE_DEPLOY without a balancer": (
        create(deploymentController={"type": "CODE_DEPLOY"}),
        "InvalidParameterException",
        ("loadBalancers", "CODE_DEPLOY", "one"),
    ),
    "cluster with an unknown provider": (
        lambda r: r.ecs.create_cluster(clusterName="c", capacityProviders=["nope"]),
        "InvalidParameterException",
        ("nope",),
    ),
    "default strategy with an unknown provider": (
        lambda r: r.ecs.put_cluster_capacity_providers(
            cluster="default", capacityProviders=["nope"], defaultCapacityProviderStrategy=[]
        ),
        "InvalidParameterException",
        ("nope",),
    ),
    "provider of a missing group": (
        lambda r: r.ecs.create_capacity_provider(name="p", autoScalingGroupProvider={"autoScalingGroupArn": "nope"}),
        "ResourceNotFoundException",
        ("nope",),
    ),
    "second provider of a group": (
        lambda r: r.ecs.create_capacity_provider(name="p", autoScalingGroupProvider={"autoScalingGroupArn": "asg"}),
        "ClientException",
        ("asg",),
    ),
    "unknown instance type": (
        lambda r: r.autoscaling.create_launch_template(
            LaunchTemplateName="x", LaunchTemplateData={"InstanceType": "c5.enormous"}
        ),
        "ValidationError",
        ("c5.enormous",),
    ),
    "group without template": (
        lambda r: r.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName="x", MinSize=0, MaxSize=1, LaunchTemplate={"LaunchTemplateName": "nope"}
        ),
        "ValidationError",
        ("nope",),
    ),
    "capacity above the maximum": (
        lambda r: r.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=101),
        "ValidationError",
        ("101", "100"),
    ),
    "unknown scalable target": (
        lambda r: r.application_autoscaling.put_scaling_policy(
            ResourceId="service/default/there", **tracking("ECSServiceAverageCPUUtilization")
        ),
        "ObjectNotFoundException",
        ("service/default/there",),
    ),
    "scalable target of a missing service": (
        lambda r: r.application_autoscaling.register_scalable_target(
            ResourceId="service/default/nope", MinCapacity=1, MaxCapacity=2
        ),
        "ServiceNotFoundException",
        ("nope",),
    ),
    "requests per target without a target group": (
        lambda r: r.application_autoscaling.register_scalable_target(
            ResourceId="service/default/there",
            MinCapacity=3,
            MaxCapacity=4,
            policies=[tracking("ALBRequestCountPerTarget")],
        ),
        "ValidationException",
        ("ALBRequestCountPerTarget", "there"),
    ),
    "traffic to a service without a balancer": (
        lambda r: r.send_traffic("there", {"constant": "1 /s"}),
        "InvalidParameterException",
        ("there", "load balancer"),
    ),
}


def snapshot(region: Region) -> dict[str, Any]:
    """Everything a user can see of the region, and the numbers that name new things."""
    registry, ecs = region.registry, region.ecs
    return {
        "clusters": ecs.describe_clusters(clusters=list(registry.clusters)),
        "services": {
            c: ecs.describe_services(cluster=c, services=list(registry.clusters[c].services)) for c in registry.clusters
        },
        "tasks": {c: sorted(run.tasks) for c, run in registry.clusters.items()},
        "strategies": {
            c: (run.spec.capacity_providers, run.spec.default_capacity_provider_strategy)
            for c, run in registry.clusters.items()
        },
        "revisions": {family: len(known) for family, known in registry.revisions.items()},
        "groups": region.autoscaling.describe_auto_scaling_groups(),
        "providers": sorted(registry.providers),
        "templates": sorted(registry.launch_templates),
        "balancers": sorted(registry.balancers),
        "target groups": {
            n: (g.arn, g.balancer and g.balancer.arn, sorted(g.targets)) for n, g in registry.target_groups.items()
        },
        "scalable": sorted(region.application_autoscaling._targets),
        "rows": {
            name: len(region.kit.recorder[name])
            for name in ("tasks", "task_states", "instances", "events", "placements")
        },
    }


@pytest.mark.parametrize("case", CASES)
def test_a_refused_verb_says_why_and_changes_nothing(region, case):
    verb, code, words = CASES[case]
    before = snapshot(region)
    with pytest.raises(AwsError) as caught:
        verb(region)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)
    assert snapshot(region) == before
    region.run(until="300 s")
    after = snapshot(region)
    for part in ("services", "tasks", "groups", "target groups", "revisions"):
        assert after[part] == before[part]


def test_a_service_that_was_deleted_is_not_active():
    region = exact_region()
    register(region)
    region.ecs.create_service(serviceName="web", **fargate(desiredCount=1))
    region.run(until="60 s")
    answer = region.ecs.delete_service(service="web", force=True)
    assert answer["service"]["status"] == "DRAINING"
    with pytest.raises(AwsError) as caught:
        region.ecs.update_service(service="web", desiredCount=1)
    assert caught.value.code == "ServiceNotActiveException"
    with pytest.raises(AwsError) as caught:
        region.ecs.create_service(serviceName="web", **fargate(desiredCount=1))
    assert "Draining" in str(caught.value)
    region.run(until="120 s")
    assert region.ecs.describe_services(services=["web"])["services"][0]["status"] == "INACTIVE"
    region.ecs.create_service(serviceName="web", **fargate(desiredCount=1))  # its name is free again
    region.run(until="180 s")
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 1


def test_a_service_made_again_counts_each_request_once():
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "1 ms"}})
    target_group(region, delay=0)
    region.ecs.create_service(serviceName="web", **fargate(desiredCount=1, loadBalancers=behind()))
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="500 s")
    region.run(until="90 s")
    region.ecs.delete_service(service="web", force=True)
    region.run(until="200 s")
    region.ecs.create_service(serviceName="web", **fargate(desiredCount=1, loadBalancers=behind()))
    region.run(until="600 s")
    rows = region.finish().services.frame()
    assert rows.requests_arrived.tolist() == [59, 60, 60, 60, 60, 60, 60, 60, 20, 0]
    assert region.registry.service("default", "web").running == 1
