"""Published targets V1 to V8, and Fargate 34 and 35 which say the same, as a service meets them: what is started and stopped, and when.

Sources: Amazon ECS Developer Guide, deployment-type-ecs.html (bounds), container-instance-draining.html (both at 100 percent),
deployment-circuit-breaker.html and its edition of April 2023 (thresholds).
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from deployment_helpers import breaker_opens, said, updated
from sim_helpers import statuses

from fargsim import Region


def turns(region: Region) -> list[tuple[float, int, int]]:
    """When tasks were started and stopped since the second revision at 200 s: instant, number started, number stopped."""
    starts = [life[0][0] for life in statuses(region)]
    stops = [at for life in statuses(region) for at, status in life if status == "STOPPING"]
    return [(at, starts.count(at), stops.count(at)) for at in sorted({*starts, *stops}) if at > 200]


def rolled(desired: int, **bounds: int) -> Region:
    region = updated(bounds, desired=desired)
    region.run(until="10 min")
    return region


def test_v1_two_of_four_may_stop_before_two_are_started() -> None:
    region = rolled(4, minimumHealthyPercent=50, maximumPercent=100)
    # the two places are free 8 s after the stop; the new tasks count 55 s after their start
    assert turns(region) == [(205, 0, 2), (213, 2, 0), (268, 0, 2), (276, 2, 0)]


def test_v2_none_of_two_may_stop_at_75_percent() -> None:
    region = rolled(2, minimumHealthyPercent=75, maximumPercent=200)
    assert turns(region) == [(205, 2, 0), (260, 0, 2)]
    stuck = rolled(2, minimumHealthyPercent=75, maximumPercent=100)
    assert turns(stuck) == []


def test_v3_four_may_be_started_beside_four() -> None:
    region = rolled(4, minimumHealthyPercent=100, maximumPercent=200)
    assert turns(region) == [(205, 4, 0), (260, 0, 4)]


def test_v4_none_may_be_started_beside_three_at_125_percent() -> None:
    assert turns(rolled(3, minimumHealthyPercent=100, maximumPercent=125)) == []
    # two of three must stay: one stops first
    assert turns(rolled(3, minimumHealthyPercent=50, maximumPercent=125))[:2] == [(205, 0, 1), (213, 1, 0)]


def test_v5_both_at_100_percent_stall_and_the_service_says_so() -> None:
    region = rolled(4, minimumHealthyPercent=100, maximumPercent=100)
    assert turns(region) == []
    [(at, text)] = said(region)
    assert (at, text.split(".")[0]) == (
        205,
        "was unable to stop or start tasks during a deployment because of the service deployment configuration",
    )


@pytest.mark.parametrize(
    ("desired", "low", "high", "first"),
    [(4, 50, 100, (205, 0, 2)), (2, 75, 100, None), (3, 100, 125, None)],
)
def test_fargate_34_the_first_turn(desired: int, low: int, high: int, first: tuple[float, int, int] | None) -> None:
    region = rolled(desired, minimumHealthyPercent=low, maximumPercent=high)
    assert next(iter(turns(region)), None) == first


@pytest.mark.parametrize(
    ("desired", "maximum", "threshold"), [(1, 200, 3), (4, 125, 3), (25, 104, 13), (400, 101, 200), (800, 101, 200)]
)
def test_v6_and_fargate_35_the_breaker_opens_at_its_threshold(desired: int, maximum: int, threshold: int) -> None:
    assert breaker_opens(desired, maximum) == (threshold, threshold)


@pytest.mark.parametrize(
    ("desired", "maximum", "threshold"), [(1, 200, 10), (25, 104, 13), (400, 101, 200), (800, 101, 200)]
)
def test_v7_and_fargate_35_the_breaker_of_2023_opens_at_its_threshold(
    desired: int, maximum: int, threshold: int
) -> None:
    assert breaker_opens(desired, maximum, breaker_threshold_min=10) == (threshold, threshold)


def test_v8_half_of_800_unbounded() -> None:
    assert breaker_opens(800, 101, {"type": "UNBOUNDED_PERCENT", "value": 50}) == (400, 400)


def test_a_count_is_the_threshold_itself() -> None:
    found: list[Any] = [breaker_opens(n, 101 if n > 99 else 200, {"type": "COUNT", "value": 4}) for n in (1, 400)]
    assert found == list(itertools.repeat((4, 4), 2))
