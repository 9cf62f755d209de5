"""A service that is deleted and created again under the same name."""

from __future__ import annotations

from sim_helpers import exact_region, network, register

from fargsim import Region


def created(region: Region, desired: int) -> None:
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network(),
    )


def test_a_deleted_service_says_nothing_in_the_name_of_the_next_one():
    region = exact_region()
    register(region)
    created(region, 0)
    region.run(until="3 s")
    region.ecs.delete_service(service="web")
    region.run(until="4 s")
    created(region, 2)
    region.run(until="30 min")
    events = region.kit.recorder.events.frame()
    steady = events[events.event_name == "SERVICE_STEADY_STATE"]
    # the first one had not been looked at when it was deleted; the second one is steady once its tasks are healthy
    assert len(steady) == 1
    [service] = region.ecs.describe_services(services=["web"])["services"]
    assert service["runningCount"] == 2
    assert service["events"][0]["message"] == "(service web) has reached a steady state."
    assert len(region.registry.fargate.on_freed) == 1
