"""The catalogue of service events: every message and event name that something in the simulator causes is caused here.

Source: Amazon ECS Developer Guide, service-event-messages-list.html, ecs_service_events.html, ecs_service_deployment_events.html.
What is in the catalogue and cannot happen stands in `CANNOT`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from deployment_helpers import BREAKER, MISSING, by_begin, service, updated
from shift_helpers import front
from sim_helpers import (
    EXACT,
    SUBNETS,
    associate,
    behind,
    exact_region,
    fleet,
    messages,
    network,
    register,
    target_group,
)

from fargsim import Region

WITHOUT_FARGATE = {
    "network": {
        "subnets": [{"SubnetId": name, "AvailabilityZone": zone} for name, zone in SUBNETS.items()],
        "zones_without_fargate": ["us-east-1a"],  # where the services of these tests have their subnet
    }
}

ABOUT = r"\(service web(?:, taskSet ecs-svc/\d+)?\) "
CODE_DEPLOY = {
    "deploymentGroupName": "web",
    "ecsServices": [{"serviceName": "web", "clusterName": "default"}],
    "loadBalancerInfo": {
        "targetGroupPairInfoList": [
            {
                "targetGroups": [{"name": "blue"}, {"name": "green"}],
                "prodTrafficRoute": {"listenerArns": ["lb:80"]},
            }
        ]
    },
    "blueGreenDeploymentConfiguration": {
        "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 1}
    },
}
CANNOT = {
    "Timed out waiting for Amazon ECS Agent to start": "an agent that never starts is no fault that a scenario can ask for",
    "TARGET GROUP IS NOT FOUND, TARGET IS NOT FOUND": "no verb deletes a target group or a target under a service",
    "IAM policy or trust misconfigured for the service": "the rights of the service-linked role are not a scenario's",
    "could not launch N tasks for deployment D": "a launch that fails says why, with the message of its cause",
    "SERVICE_DISCOVERY_INSTANCE_UNHEALTHY, SERVICE_DISCOVERY_OPERATION_THROTTLED": "Cloud Map is not simulated",
}


def steady() -> Region:
    region = exact_region()
    register(region)
    service(region, 1)
    region.run(until="5 min")
    return region


def steady_on_providers() -> Region:
    region = exact_region()
    register(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        networkConfiguration=network(),
    )
    region.run(until="5 min")
    return region


def no_place() -> Region:
    region = exact_region()
    register(region, fargate=False, cpu=2048, memory=1024)
    fleet(region, 1)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    region.run(until="5 min")
    return region


def no_instance() -> Region:
    region = exact_region()
    register(region, fargate=False, memory=1024)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.run(until="5 min")
    return region


def no_instance_of_the_provider() -> Region:
    region = exact_region()
    register(region, fargate=False, memory=1024)
    fleet(region, 0)
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    associate(region, "cp")
    strategy = [{"capacityProvider": "cp", "weight": 1}]
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, capacityProviderStrategy=strategy
    )
    region.run(until="5 min")
    return region


def no_vcpu() -> Region:
    region = Region("us-east-1", subnets=SUBNETS, assumptions=EXACT)  # the quotas of a new account
    register(region)
    service(region, 7)
    region.run(until="5 min")
    return region


def limited(**quotas: float) -> Region:
    region = exact_region(quotas=quotas)
    register(region)
    service(region, 3)
    region.run(until="5 min")
    return region


def no_more_tasks() -> Region:
    """An account as it was before September 2022, when tasks were counted and not their vCPUs."""
    return limited(fargate_on_demand_tasks=2)


def too_much_cpu() -> Region:
    return limited(fargate_task_vcpu=0.5)


def too_much_memory() -> Region:
    return limited(fargate_task_memory_gib=1)


def no_fargate_here() -> Region:
    region = exact_region(surroundings=WITHOUT_FARGATE)
    register(region)
    service(region, 1)
    region.run(until="5 min")
    return region


def throttled() -> Region:
    return limited(fargate_on_demand_launch_burst=1, fargate_on_demand_launches_per_s=0.1)


def too_many_wait() -> Region:
    region = exact_region(quotas={"provisioning_tasks_per_cluster": 2})
    register(region, fargate=False, memory=1024)
    fleet(region, 0)
    group = {"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}}
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider=group)
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["cp"], defaultCapacityProviderStrategy=[]
    )
    strategy = [{"capacityProvider": "cp", "weight": 1}]
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=3, capacityProviderStrategy=strategy
    )
    region.run(until="30 s")
    return region


def sick() -> Region:
    region = exact_region()
    register(region, behaviour={"boot": "10 min"})
    target_group(region)
    service(region, 1, loadBalancers=behind())
    region.run(until="5 min")
    return region


def stalled() -> Region:
    region = updated({"minimumHealthyPercent": 100, "maximumPercent": 100})
    region.run(until="5 min")
    return region


def protected() -> Region:
    region = steady()
    tasks = region.ecs.list_tasks(serviceName="web")["taskArns"]
    region.ecs.update_task_protection(tasks=tasks, protectionEnabled=True)
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="6 min")
    return region


def failed() -> Region:
    region = updated(BREAKER, **MISSING)
    region.run(until="5 min")
    return region


def impaired() -> Region:
    region = updated(**MISSING)
    region.run(until="10 min")
    return region


def code_deployed() -> Region:
    region = exact_region()
    register(region)
    front(region)
    service(region, 2, loadBalancers=behind("blue"), deploymentController={"type": "CODE_DEPLOY"})
    region.codedeploy.create_deployment_group(**CODE_DEPLOY)
    region.run(until="200 s")
    register(region)
    region.codedeploy.create_deployment(deploymentGroupName="web", taskDefinition="web:2")
    region.run(until="10 min")
    return region


def growing_daemon() -> Region:
    region = exact_region()
    register(region, fargate=False, memory=1024)
    fleet(region, 1)
    region.ecs.create_service(serviceName="web", taskDefinition="web", launchType="EC2", schedulingStrategy="DAEMON")
    region.run(until="1 min")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    region.run(until="5 min")
    return region


def replaced() -> Region:
    region = exact_region()
    register(region)
    target_group(region)
    service(region, 1, loadBalancers=behind())
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="10 min")
    return region


CAN: list[tuple[Callable[[], Region], str, str, str]] = [
    (steady, "INFO", "SERVICE_STEADY_STATE", r"has reached a steady state\."),
    (
        steady_on_providers,
        "INFO",
        "CAPACITY_PROVIDER_STEADY_STATE",
        r"\(capacity provider FARGATE_SPOT\) has reached a steady state\.",
    ),
    (
        no_place,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task because no container instance met all of its requirements\. "
        r"The closest matching container-instance \S+ has insufficient CPU units available\.",
    ),
    (
        no_instance,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task because no container instance met all of its requirements\. "
        r"Reason: No Container Instances were found in your cluster\.",
    ),
    (
        no_instance_of_the_provider,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to reach steady state\. Reason: No Container Instances were found in your capacity provider\.",
    ),
    (
        no_vcpu,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: You've reached the limit on the number of vCPUs you can run concurrently\.",
    ),
    (
        no_more_tasks,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: You've reached the limit on the number of tasks you can run concurrently\.",
    ),
    (
        too_much_cpu,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: The requested CPU configuration is above your limit\.",
    ),
    (
        too_much_memory,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: The requested MEMORY configuration is above your limit\.",
    ),
    (
        no_fargate_here,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: Internal error\.",
    ),
    (
        throttled,
        "ERROR",
        "ECS_OPERATION_THROTTLED",
        r"operations are being throttled\. Will try again later\.",
    ),
    (
        too_many_wait,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place tasks because the tasks provisioning capacity limit was exceeded\.",
    ),
    (
        impaired,
        "ERROR",
        "SERVICE_TASK_CONFIGURATION_FAILURE",
        r"was unable to place a task\. Reason: CannotPullContainerError: .+: not found\.",
    ),
    (sick, "WARN", "", r"\(task \S+\) is unhealthy in \(target-group \S+\) due to \(reason .+\)\."),
    (impaired, "WARN", "SERVICE_TASK_START_IMPAIRED", r"is unable to consistently start tasks successfully\."),
    (
        stalled,
        "WARN",
        "",
        r"was unable to stop or start tasks during a deployment because of the service deployment .+",
    ),
    (
        protected,
        "WARN",
        "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION",
        r"was unable to reach steady state because task set \(taskSet ecs-svc/\d+\) was unable to scale in\. "
        r"Reason: The number of protected tasks are more than the desired count of tasks\.",
    ),
    (code_deployed, "INFO", "TASKSET_STEADY_STATE", r"has reached a steady state\."),
    (
        code_deployed,
        "INFO",
        "SERVICE_DESIRED_COUNT_UPDATED",
        r"updated computedDesiredCount for taskSet ecs-svc/\d+ to [02]\.",
    ),
    (growing_daemon, "INFO", "SERVICE_DESIRED_COUNT_UPDATED", r"updated desiredCount from 1 to 2\."),
    (steady, "INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS", r"ECS deployment ecs-svc/\d+ in progress\."),
    (steady, "INFO", "SERVICE_DEPLOYMENT_COMPLETED", r"\(deployment ecs-svc/\d+\) deployment completed\."),
    (
        failed,
        "ERROR",
        "SERVICE_DEPLOYMENT_FAILED",
        r"\(deployment ecs-svc/\d+\) deployment failed: tasks failed to start\.",
    ),
    (failed, "INFO", "", r"rolling back to deployment ecs-svc/\d+\."),
    (replaced, "INFO", "", r"has started 1 tasks: \(task \S+\)\."),
    (replaced, "INFO", "", r"registered 1 targets in \(target-group \S+\)"),
    (replaced, "INFO", "", r"has begun draining connections on 1 tasks\."),
    (replaced, "INFO", "", r"deregistered 1 targets in \(target-group \S+\)"),
    (replaced, "INFO", "", r"has stopped 1 running tasks: \(task \S+\)\."),
]


@pytest.mark.parametrize(("cause", "kind", "name", "message"), CAN, ids=lambda value: getattr(value, "__name__", None))
def test_what_can_happen_is_said_in_these_words(
    cause: Callable[[], Region], kind: str, name: str, message: str
) -> None:
    rows = cause().kit.recorder.events.frame()
    found = [
        row
        for row in rows.itertuples()
        if re.fullmatch(ABOUT + message, row.message) and (row.event_type, row.event_name) == (kind, name)
    ]
    assert found, rows.message.tolist()


def test_throttling_is_said_once_in_six_hours_though_tasks_start_meanwhile() -> None:
    region = exact_region(
        quotas={"fargate_on_demand_launch_burst": 1, "fargate_on_demand_launches_per_s": 1 / 3600},
        assumptions={"api_throttling": False},
    )
    register(region)
    service(region, 20)
    region.run(until="13 h")
    said = [at for at, message in messages(region) if "being throttled" in message]
    assert [round(at / 3600, 2) for at in said] == [0.0, 6.0, 12.0]
    assert region.registry.service("default", "web").running > 2


def test_no_event_is_said_that_the_catalogue_does_not_have() -> None:
    """The other way round: whatever these services say is in the catalogue, with its name."""
    known = [(kind, name, re.compile(ABOUT + message)) for _, kind, name, message in CAN]
    more = re.compile(r"\(service web\) (has started|has stopped|registered|deregistered|has begun draining) .*")
    for cause in dict.fromkeys(cause for cause, *_ in CAN):
        for row in cause().kit.recorder.events.frame().itertuples():
            said = any(
                (row.event_type, row.event_name) == (kind, name) and text.fullmatch(row.message)
                for kind, name, text in known
            )
            assert said or more.fullmatch(row.message), row.message


def test_what_cannot_happen_is_not_said_to_happen() -> None:
    names = {name for _, _, name, _ in CAN}
    for entry in CANNOT:
        assert not names & set(re.findall(r"[A-Z]+_[A-Z_]+", entry))


def test_a_task_set_is_steady_by_itself_and_a_users_count_is_no_computed_one() -> None:
    region = code_deployed()
    region.ecs.update_service(service="web", desiredCount=3)
    region.run(until="15 min")
    rows = region.kit.recorder.events.frame()
    named = rows[rows.event_name.isin(["TASKSET_STEADY_STATE", "SERVICE_DESIRED_COUNT_UPDATED"])]
    blue, green = by_begin(region)
    assert named.message.tolist() == [
        f"(service web, taskSet {blue}) has reached a steady state.",
        f"(service web) updated computedDesiredCount for taskSet {green} to 2.",
        f"(service web, taskSet {green}) has reached a steady state.",
        f"(service web) updated computedDesiredCount for taskSet {blue} to 0.",
        f"(service web, taskSet {green}) has reached a steady state.",  # with the third task, which a user asked for
    ]
