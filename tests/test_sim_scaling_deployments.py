"""Scaling beside deployments, and by metrics of 20 seconds, which a deployment brings."""

from __future__ import annotations

import pytest
from scaling_helpers import decisions, service, track
from sim_helpers import register

from fargsim import Region
from fargsim.sim.errors import ValidationException

FINE = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
HIGH_RESOLUTION = "ECSServiceAverageCPUUtilizationHighResolution"


def test_metrics_of_twenty_seconds() -> None:
    region = service({1: 9.6, 20: 19.2, 60: 9.6}, monitoring=FINE)
    track(region, HIGH_RESOLUTION)
    region.run(until="80 min")
    # three of 20 s end at 1260 s and are seen 15 s later; 45 of 20 s below 45 % from 3600 s on end at 4500 s
    assert decisions(region) == [(1275, "track", 2, 4), (4515, "track", 4, 2)]


def test_high_resolution_needs_a_service_that_sends_it() -> None:
    region = service({1: 1})
    with pytest.raises(ValidationException, match="needs CPUUtilization at resolutionSeconds 20 in the monitoring"):
        track(region, HIGH_RESOLUTION)
    region.ecs.update_service(service="web", monitoring=FINE)
    track(region, HIGH_RESOLUTION)
    memory = "ECSServiceAverageMemoryUtilizationHighResolution"
    with pytest.raises(ValidationException, match="needs MemoryUtilization at resolutionSeconds 20"):
        track(region, memory)


def test_metrics_of_twenty_seconds_go_on_while_a_revision_that_has_them_is_rolled_out() -> None:
    region = service({1: 7, 20: 19.2}, low=2, monitoring=FINE)
    track(region, HIGH_RESOLUTION, target=40)
    region.run(until="15 min")
    register_again(region, boot="60 min")
    region.ecs.update_service(service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200)
    region.run(until="30 min")
    assert len(region.registry.service("default", "web").deployments) == 2
    # scale-out goes on during a deployment, and so do the metrics that call for it: 1.92 cores on four running tasks, two of which boot,
    # are 48 %; ceil(4 x 48 / 40) = 5
    assert decisions(region) == [(1275, "track", 2, 5)]


def test_metrics_of_twenty_seconds_begin_when_the_revision_that_asks_for_them_is_everywhere() -> None:
    region = service({1: 9.6, 20: 19.2})
    region.run(until="10 min")
    register_again(region, boot="15 min")
    region.ecs.update_service(
        service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200, monitoring=FINE
    )
    track(region, HIGH_RESOLUTION)
    region.run(until="24 min")
    assert len(region.registry.service("default", "web").deployments) == 2
    assert decisions(region) == []
    assert {a["StateValue"] for a in region.cloudwatch.describe_alarms()["MetricAlarms"]} == {"INSUFFICIENT_DATA"}
    region.run(until="40 min")
    [(at, *_, after)] = decisions(region)
    assert at > 25 * 60 + 60
    assert after == 4


def test_no_scale_in_while_a_deployment_runs() -> None:
    region = service({1: 19.2, 20: 9.6}, tasks=4)
    track(region)
    region.run(until="36 min")
    # 24 % from 20 min on: the 15th low minute is seen at 2250 s. New tasks boot for an hour from 36 min on
    region.behave("web", {"boot": "60 min", "request": {"cpu": "100 ms", "workers": 1, "queue": 4}})
    register_again(region, boot="60 min")
    region.ecs.update_service(service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200)
    region.run(until="90 min")
    assert decisions(region) == []
    region.run(until="110 min")  # they have booted at about 97 min
    assert [(name, before, after) for _, name, before, after in decisions(region)] == [("track", 4, 2)]
    assert decisions(region)[0][0] > 97 * 60


def register_again(region: Region, boot: str) -> None:
    register(region, behaviour={"boot": boot, "request": {"cpu": "100 ms", "workers": 1, "queue": 4}})


def test_a_scale_out_goes_to_both_revisions() -> None:
    region = service({1: 19.2, 40: 38.4}, tasks=4)
    track(region)
    region.run(until="36 min")
    register_again(region, boot="60 min")
    region.ecs.update_service(
        service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200,
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 150},
    )  # fmt: skip
    region.run(until="55 min")
    [found] = decisions(region)
    assert found[1:] == ("track", 4, 8)
    deployments = region.registry.service("default", "web").deployments
    assert {d.revision.number: sum(d.counts.values()) for d in deployments} == {1: 8, 2: 4}
