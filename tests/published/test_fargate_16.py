"""Published target Fargate 16: the account's launch bucket of 100 and 20 a second.

Source: Amazon ECS Developer Guide, throttling.html. A full bucket grants 100 of 1,000 launches at once, the last one at 45 s.
"""

from __future__ import annotations

from sim_helpers import exact_region, network, register, seconds

from fargsim.sim.account import TokenBucket


def test_fargate_16_the_bucket():
    bucket = TokenBucket(burst=100, per_s=20)
    assert bucket.take(0, 1000) == 100
    left, at_us = 900, 0
    while left:
        at_us += 50_000
        left -= bucket.take(at_us, left)
    assert at_us == 45_000_000


def test_fargate_16_two_services_of_five_hundred_tasks():
    """The bucket is the account's: two services of 500, which their own 500 a minute do not bind, share it."""
    region = exact_region()
    register(region, cpu=256, memory=512)
    for name in ("one", "two"):
        region.ecs.create_service(
            serviceName=name,
            taskDefinition="web",
            desiredCount=500,
            launchType="FARGATE",
            networkConfiguration=network(),
        )
    region.run(until="90 s")
    created = [seconds(t) for t in region.finish().tasks.frame().created_at.sort_values()]
    assert len(created) == 1000
    assert created.count(5) == 100  # the services act 5 s after they were created
    assert all(created.count(5 + s) == 20 for s in range(1, 46))
    assert created[-1] - created[0] == 45
