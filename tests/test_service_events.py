"""The catalogue of service events: every message and event name that something in the simulator causes is caused here.

Source: Amazon ECS Developer Guide, service-event-messages-list.html, ecs_service_events.html, ecs_service_deployment_events.html.
What is in the catalogue and cannot happen stands in `CANNOT`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from deployment_helpers import BREAKER, MISSING, service, updated
from sim_helpers import EXACT, SUBNETS, behind, exact_region, fleet, network, register, target_group

from fargsim import Region

CANNOT = {
    "limit on the number of tasks you can run concurrently": "the account's limit of concurrent tasks has become one of vCPUs",
    "CPU or MEMORY configuration above the limit": "a size that Fargate does not have is refused when it is registered",
    "Internal error": "the service has no faults of its own",
    "operations are being throttled (ECS_OPERATION_THROTTLED)": "calls of the scheduler to other services have no rate limit here",
    "Timed out waiting for Amazon ECS Agent to start": "an agent that never starts is no fault that a scenario can ask for",
    "TARGET GROUP IS NOT FOUND, TARGET IS NOT FOUND": "no verb deletes a target group or a target under a service",
    "IAM policy or trust misconfigured for the service": "the rights of the service-linked role are not a scenario's",
    "could not launch N tasks for deployment D": "a launch that fails says why, with the message of its cause",
    "TASKSET_STEADY_STATE": "a task set belongs to the CODE_DEPLOY and EXTERNAL controllers; a rolling service has none",
    "SERVICE_DESIRED_COUNT_UPDATED": "a rolling service's count is set by users and by Application Auto Scaling, which is a user to ECS",
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


def no_vcpu() -> Region:
    region = Region("us-east-1", subnets=SUBNETS, assumptions=EXACT)  # the quotas of a new account
    register(region)
    service(region, 7)
    region.run(until="5 min")
    return region


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
        no_vcpu,
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        r"was unable to place a task\. Reason: You've reached the limit on the number of vCPUs you can run concurrently\.",
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
        if re.fullmatch(r"\(service web\) " + message, row.message) and (row.event_type, row.event_name) == (kind, name)
    ]
    assert found, rows.message.tolist()


def test_no_event_is_said_that_the_catalogue_does_not_have() -> None:
    """The other way round: whatever these services say is in the catalogue, with its name."""
    known = [(kind, name, re.compile(r"\(service web\) " + message)) for _, kind, name, message in CAN]
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
