"""Published target Fargate 25: a new account may run 6 vCPUs.

Source: AWS General Reference, ecs-service.html; Amazon ECS Developer Guide, service-event-messages-list.html.
"""

from __future__ import annotations

from sim_helpers import EXACT, SUBNETS, messages, network, register

from fargsim import Region


def test_fargate_25_ten_tasks_of_one_vcpu():
    region = Region("us-east-1", subnets=SUBNETS, assumptions=EXACT)  # the quotas of a new account
    register(region)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=10, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="5 min")
    service = region.ecs.describe_services(services=["web"])["services"][0]
    assert (service["runningCount"], service["pendingCount"], service["desiredCount"]) == (6, 0, 10)
    said = [text for _, text in messages(region)]
    limit = "You've reached the limit on the number of vCPUs you can run concurrently."
    assert [text for text in said if limit in text] == [f"was unable to place a task. Reason: {limit}"]
    assert len(region.finish().tasks.frame()) == 6


def test_fargate_25_a_freed_vcpu_is_used():
    region = Region("us-east-1", subnets=SUBNETS, assumptions=EXACT)
    register(region)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=10, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="2 min")
    refused = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    assert (refused["tasks"], len(refused["failures"])) == ([], 1)
    region.ecs.update_service(service="web", desiredCount=5)
    region.run(until="3 min")
    started = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network(), count=2)
    assert (len(started["tasks"]), len(started["failures"])) == (1, 1)
