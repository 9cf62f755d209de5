"""Published target Fargate 22: RunTask on Fargate is called 20 times a second, for up to 10 tasks each.

Source: Amazon ECS Developer Guide, throttling.html.
"""

from __future__ import annotations

import pytest
from sim_helpers import exact_region, network, register

from fargsim.sim.errors import ThrottlingException

RUN = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network()}


def test_fargate_22_ten_calls_of_ten_tasks_in_one_second_are_accepted():
    region = exact_region()
    register(region)
    started = 0
    for call in range(10):
        region.run(until=call * 100_000)
        answer = region.ecs.run_task(**RUN, count=10)
        assert answer["failures"] == []
        started += len(answer["tasks"])
    assert started == 100


def test_fargate_22_the_21st_call_at_one_instant_is_throttled():
    region = exact_region()
    register(region)
    for _ in range(20):
        assert len(region.ecs.run_task(**RUN)["tasks"]) == 1
    with pytest.raises(ThrottlingException, match="20 calls a second"):
        region.ecs.run_task(**RUN)
    region.run(until="50 ms")  # a twentieth of a second refills one
    assert len(region.ecs.run_task(**RUN)["tasks"]) == 1
    with pytest.raises(ThrottlingException):
        region.ecs.run_task(**RUN)
