"""Published target Fargate 37: a base of two on FARGATE and weights of one to three split six tasks in halves.

Source: Amazon ECS Developer Guide, fargate-capacity-providers.html; github.com/aws/agent-toolkit-for-aws, fargate-spot.md.
"""

from __future__ import annotations

from collections import Counter

from sim_helpers import exact_region, network, register

STRATEGY = [
    {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 3},
]


def test_fargate_37_a_base_of_two_and_one_to_three():
    region = exact_region()
    register(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=6,
        capacityProviderStrategy=STRATEGY,
        networkConfiguration=network(),
    )
    region.run(until="5 min")
    running = region.ecs.list_tasks(serviceName="web")["taskArns"]
    tasks = region.ecs.describe_tasks(tasks=running)["tasks"]
    assert Counter(task["capacityProviderName"] for task in tasks) == {"FARGATE": 3, "FARGATE_SPOT": 3}


def test_fargate_37_also_where_runtask_launches_them():
    region = exact_region()
    register(region)
    answer = region.ecs.run_task(
        taskDefinition="web", capacityProviderStrategy=STRATEGY, networkConfiguration=network(), count=6
    )
    assert Counter(task["capacityProviderName"] for task in answer["tasks"]) == {"FARGATE": 3, "FARGATE_SPOT": 3}
