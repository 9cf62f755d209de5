"""Published target Fargate 17: one service starts 500 tasks a minute, 5,000 in nine to ten.

Source: AWS General Reference, ecs-service.html. The account's bucket binds in the first seconds of each window only.
"""

from __future__ import annotations

from sim_helpers import exact_region, network, register, seconds


def test_fargate_17_one_service_is_bound_by_its_own_rate():
    """0 to 5,000 tasks at 500 a minute: the last launch after nine to ten minutes; no minute sees more than 500."""
    region = exact_region(quotas={"fargate_on_demand_vcpu": 2_000})
    register(region, cpu=256, memory=512)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=5000,
        launchType="FARGATE",
        networkConfiguration=network(),
    )
    region.run(until="11 min")
    created = [seconds(t) for t in region.finish().tasks.frame().created_at.sort_values()]
    assert len(created) == 5000
    assert 9 * 60 <= created[-1] - created[0] <= 10 * 60
    assert all(created[i + 500] - created[i] >= 60 for i in range(4500))
