"""Faults on exact regions: zones that go dark or are impaired, tasks that hang, instances that are lost, platform revisions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sim_helpers import SUBNETS, behind, exact_region, fleet, messages, network, register, seconds, target_group

from fargsim import Region
from fargsim.model.scenario import Record
from fargsim.model.timeline import Fault
from fargsim.sim.errors import AwsError
from fargsim.sim.faults import break_something

A, B, C = SUBNETS.values()


def happen(region: Region, **fault: Any) -> None:
    break_something(region, Fault.model_validate(fault))


def web(region: Region, desired: int, settled: bool = True, **more: Any) -> Any:
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network(),
            **more,
        }
    )
    service = region.registry.service("default", "web")
    if settled:
        service.settle()
    return service


def on_ec2(region: Region, desired: int, **more: Any) -> Any:
    return web(region, desired, **{"launchType": "EC2", "networkConfiguration": None, **more})


def where(service: Any) -> dict[str, int]:
    return dict(Counter(t.zone for t in service.tasks.values() if t.last_status == "RUNNING"))


def ends(region: Region) -> list[tuple[float | None, str, str]]:
    """Stopping, stop code and reason of the tasks that have stopped, in that order."""
    rows = region.kit.recorder.tasks.frame()
    found = rows[rows.stopped_at.notna()]
    return sorted((seconds(r.stopped_at), r.stop_code, r.stopped_reason) for r in found.itertuples())


def events(region: Region, name: str) -> list[float | None]:
    frame = region.kit.recorder.events.frame()
    return [seconds(row.at) for row in frame.itertuples() if row.event_name == name]


def answers(region: Region, since: float = 0) -> dict[str, int]:
    """Requests by how they ended, of those that arrived from an instant on."""
    frame = region.finish().requests.frame()
    frame = frame[(frame.arrived_at - region.registry.start).dt.total_seconds() >= since]
    return dict(Counter(frame.outcome.tolist()))


# --- a zone goes dark


def test_a_dark_zone_on_fargate_by_hand() -> None:
    """Six tasks, two in each zone. At 100 s b goes dark for 600 s; at 160 s ECS gives the two tasks up; it acts 5 s later.

    The new ones go to a and c, where they run 15 s after their start. At 700 s b is back; the service is out of balance (3, 0, 3) and has
    been steady since its new tasks became healthy at 220 s: its rebalancing had failed at 280 s and begins anew 60 s after 700 s.
    """
    region = exact_region()
    register(region)
    service = web(region, 6)
    region.run(until="100 s")
    happen(region, az_outage={"zone": B, "for": "600 s"})
    region.run(until="159 s")
    assert where(service) == {A: 2, B: 2, C: 2}, "ECS does not know yet"
    region.run(until="230 s")
    assert where(service) == {A: 3, C: 3}
    assert ends(region) == [(160, "TerminationNotice", f"Task stopped: availability zone {B} is unavailable")] * 2
    born = sorted(t.created_at for t in service.tasks.values())[-2:]
    assert born == [165_000_000, 165_000_000]
    region.run(until="30 min")
    assert where(service) == {A: 2, B: 2, C: 2}
    assert events(region, "AZ_OUTAGE_STARTED") == [100]
    assert events(region, "AZ_OUTAGE_ENDED") == [700]
    assert events(region, "SERVICE_REBALANCING_STARTED") == [280, 760]
    assert events(region, "SERVICE_REBALANCING_STOPPED") == [280]
    assert [text for _, text in messages(region) if text.startswith("is unable")] == [
        f"is unable to place a task in {B}."
    ]


def test_what_users_see_until_the_balancer_and_ecs_have_found_out() -> None:
    """Three tasks, one in each zone, checks every 10 s (time-out 2 s, two failures). At 60 s b goes dark.

    The checks of its target hang from then on: it is unhealthy at the end of the second one, at most 22 s later. Until then every third
    request gets no connection and 504 after 10 s; nobody else's fails.
    """
    region = exact_region(record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 ms"}})
    target_group(region, interval=10)
    web(region, 3, loadBalancers=behind())
    region.run(until="10 s")
    region.send_traffic("web", {"constant": "30 /s"}, until="5 min")
    region.run(until="60 s")
    happen(region, az_outage={"zone": B, "for": "10 min"})
    region.run(until="6 min")
    frame = region.finish().requests.frame()
    at = (frame.arrived_at - region.registry.start).dt.total_seconds()
    failed = frame[frame.outcome != "served"]
    assert set(failed.outcome) == {"timeout_504"}
    assert len(failed) > 60
    assert at[failed.index].min() > 59.9
    assert at[failed.index].max() < 60 + 22.5
    blind = frame[(at > 60) & (at < 70)]
    assert (blind.outcome == "timeout_504").mean() == pytest.approx(1 / 3, abs=0.02)
    assert region.registry.service("default", "web").running == 3


def test_a_dark_zone_on_ec2_the_group_replaces_its_instances_elsewhere_and_rebalances_when_the_zone_is_back() -> None:
    region = exact_region()
    register(region, cpu=512, memory=512, fargate=False)
    fleet(region, 3)
    service = on_ec2(region, 6)
    group = region.registry.group("asg")
    region.run(until="100 s")
    happen(region, az_outage={"zone": A, "for": "15 min"})
    region.run(until="275 s")
    assert where(service) == {A: 2, B: 2, C: 2}, "the agent is away: nothing is known"
    region.run(until="14 min")
    assert Counter(i.zone for i in group.in_service) in (Counter({B: 2, C: 1}), Counter({B: 1, C: 2}))
    assert sum(where(service).values()) == 6
    assert A not in where(service)
    assert ends(region)[0][0] == 280
    region.run(until="60 min")
    assert Counter(i.zone for i in group.in_service) == {A: 1, B: 1, C: 1}
    assert where(service) == {A: 2, B: 2, C: 2}


def test_behind_a_balancer_tasks_on_dark_instances_are_replaced_before_the_instances_are() -> None:
    region = exact_region()
    register(region, cpu=256, memory=256, fargate=False)
    fleet(region, 3)
    target_group(region, interval=5, kind="instance")
    service = on_ec2(region, 3, loadBalancers=behind())
    region.run(until="100 s")
    happen(region, az_outage={"zone": A, "for": "15 min"})
    region.run(until="170 s")
    alive = Counter(t.zone for t in service.tasks.values() if t.alive)
    assert alive == {B: 2, C: 1} or alive == {B: 1, C: 2}
    assert [t.last_status for t in service.tasks.values() if not t.alive] == ["RUNNING"], (
        "as the cut-off agent last said"
    )


def test_tasks_on_their_way_in_a_dark_zone_are_lost() -> None:
    region = exact_region()
    register(region)
    service = web(region, 3, settled=False)
    region.run(until="10 s")
    happen(region, az_outage={"zone": C, "for": "10 min"})
    region.run(until="60 s")
    assert where(service).get(C) is None
    assert sum(where(service).values()) == 3
    assert len(ends(region)) == 1


def test_without_cross_zone_no_request_enters_by_a_dark_zone() -> None:
    region = exact_region(record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 ms"}})
    region.elbv2.create_target_group(
        Name="tg",
        TargetType="ip",
        HealthCheckIntervalSeconds=30,
        Attributes=[{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}],
    )
    region.elbv2.create_load_balancer(
        Name="lb",
        Listeners=[{"Protocol": "HTTP", "Port": 80, "DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}],
    )
    web(region, 3, loadBalancers=behind())
    region.run(until="10 s")
    region.send_traffic("web", {"constant": "30 /s"}, until="3 min")
    region.run(until="60 s")
    happen(region, az_outage={"zone": B, "for": "10 min"})
    region.run(until="4 min")
    assert set(answers(region, since=60.2)) == {"served"}


def test_an_outage_that_falls_into_another_lasts_as_long_as_the_longer_one() -> None:
    region = exact_region()
    register(region)
    happen(region, az_outage={"zone": A, "for": "10 min"})
    region.run(until="1 min")
    happen(region, az_outage={"zone": A, "for": "1 min"})
    region.run(until="5 min")
    service = web(region, 3, settled=False)
    region.run(until="9 min")
    assert A not in where(service)
    assert events(region, "AZ_OUTAGE_ENDED") == []
    region.run(until="11 min")
    assert events(region, "AZ_OUTAGE_ENDED") == [600]


# --- a zone is impaired


def test_an_impaired_zone_loses_a_share_of_its_targets_and_gets_them_back() -> None:
    """Without replacement (a long grace period) the tasks stay; when the zone is as before their targets pass their checks again."""
    region = exact_region()
    register(region)
    target_group(region, interval=5)
    service = web(region, 60, loadBalancers=behind(), healthCheckGracePeriodSeconds=100_000)
    group = region.registry.target_groups["tg"]
    region.run(until="60 s")
    happen(region, az_impairment={"zone": A, "share": 0.5, "for": "5 min"})
    region.run(until="120 s")
    sick = [t for t in group.targets.values() if t.state == "unhealthy"]
    assert {t.task.zone for t in sick} == {A}
    assert 4 <= len(sick) <= 16, "half of twenty, each by lot"
    assert service.running == 60
    region.run(until="7 min")
    assert {t.state for t in group.targets.values()} == {"healthy"}


def test_a_service_replaces_what_cannot_be_reached_in_other_zones() -> None:
    region = exact_region()
    register(region)
    target_group(region, interval=5)
    service = web(region, 6, loadBalancers=behind())
    region.run(until="60 s")
    happen(region, az_impairment={"zone": A, "for": "30 min"})
    region.run(until="5 min")
    assert where(service) == {B: 3, C: 3}
    assert sum("is unhealthy in (target-group" in text for _, text in messages(region)) == 2
    region.run(until="45 min")
    assert where(service) == {A: 2, B: 2, C: 2}


# --- tasks and instances


def test_a_task_that_hangs_is_found_out_and_replaced() -> None:
    region = exact_region()
    register(region)
    target_group(region, interval=5)
    service = web(region, 2, loadBalancers=behind())
    region.run(until="60 s")
    [first, _] = sorted(service.tasks.values(), key=lambda t: t.number)
    happen(region, task_hang={"service": "web"})
    region.run(until="5 min")
    assert not first.alive
    assert service.running == 2
    assert any("Request timed out" in text for _, text in messages(region))


def test_a_task_that_hangs_for_a_while_comes_back() -> None:
    region = exact_region()
    register(region)
    target_group(region, interval=5)
    service = web(region, 2, loadBalancers=behind(), healthCheckGracePeriodSeconds=100_000)
    region.run(until="60 s")
    group = region.registry.target_groups["tg"]
    happen(region, task_hang={"service": "web", "for": "60 s"})
    region.run(until="100 s")
    assert sorted(t.state for t in group.targets.values()) == ["healthy", "unhealthy"]
    region.run(until="5 min")
    assert {t.state for t in group.targets.values()} == {"healthy"}
    assert service.running == 2


def test_a_container_health_check_finds_a_hanging_task() -> None:
    """Interval 10 s, time-out 2 s, two retries: UNHEALTHY 22 s after the application hangs at 100 s."""
    region = exact_region()
    check = {"healthCheck": {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 2}}
    register(region, container=check)
    service = web(region, 1, settled=False)
    region.run(until="100 s")
    [task] = service.tasks.values()
    assert task.health_status == "HEALTHY"
    happen(region, task_hang={"service": "web"})
    region.run(until="121 s")
    assert task.health_status == "HEALTHY"
    region.run(until="123 s")
    assert task.health_status == "UNHEALTHY"
    region.run(until="5 min")
    assert not task.alive


def test_instances_are_lost_by_zone_by_group_and_by_name() -> None:
    region = exact_region()
    fleet(region, 6)
    group = region.registry.group("asg")
    by_zone = {z: [i for i in group.in_service if i.zone == z] for z in (A, B, C)}
    happen(region, instance_loss={"zone": B, "count": 2})
    assert all(i.terminated_at == 0 for i in by_zone[B])
    happen(region, instance_loss={"instance_id": by_zone[C][1].instance_id})
    assert [i.terminated_at for i in by_zone[C]] == [None, 0]
    happen(region, instance_loss={"auto_scaling_group": "asg", "zone": C})
    assert by_zone[C][0].terminated_at == 0
    happen(region, instance_loss={"auto_scaling_group": "asg"})
    assert [i.terminated_at for i in by_zone[A]] == [0, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance_loss": {}},
        {"instance_loss": {"instance_id": "i-1", "zone": A}},
        {"az_outage": {"zone": A}},
        {"az_outage": {"zone": A, "for": "0 s"}},
        {"az_impairment": {"zone": A, "for": "1 min", "share": 0}},
        {"az_impairment": {"zone": A, "for": "1 min", "share": 1.5}},
        {"task_hang": {"service": "web", "count": 0}},
        {"az_outage": {"zone": A, "for": "1 min"}, "task_hang": {"service": "web"}},
    ],
)
def test_faults_that_say_nothing_sound(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Fault.model_validate(wrong)


# --- retirement


def test_retired_service_tasks_are_replaced_first_and_standalone_ones_stopped_by_hand() -> None:
    """A platform revision at 100 s, a wait of one hour: at 3,700 s two new tasks start (RUNNING at 3,715 s, healthy at 3,755 s), then the
    old ones get SIGTERM. The standalone task gets its own at 3,700 s, and nobody replaces it. What started after 100 s stays."""
    region = exact_region()
    register(region)
    service = web(region, 2)
    alone = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    region.run(until="100 s")
    happen(region, fargate_platform_revision={"wait": "1 h"})
    later = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    region.run(until="3699 s")
    assert len(ends(region)) == 0
    region.run(until="2 h")
    rows = region.kit.recorder.tasks.frame()
    stopped = rows[rows.stopped_at.notna()]
    maintenance = "ECS is performing maintenance on the underlying infrastructure hosting the task"
    assert set(stopped.stopped_reason) == {maintenance}
    begun = sorted((seconds(r.stopping_at), r.stop_code) for r in stopped.itertuples())
    assert begun == [
        (3700, "TerminationNotice"),
        (3755, "ServiceSchedulerInitiated"),
        (3755, "ServiceSchedulerInitiated"),
    ]
    assert service.running == 2
    assert sorted(t.created_at for t in service.tasks.values()) == [3_700_000_000, 3_700_000_000]
    with pytest.raises(AwsError, match="0, 7 or 14"):
        region.ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="3")
    [old, new] = (answer["tasks"][0]["taskArn"].rsplit("/", 1)[-1] for answer in (alone, later))
    assert old not in region.registry.cluster("default").tasks
    assert region.registry.cluster("default").tasks[new].last_status == "RUNNING"
    assert events(region, "AWS_ECS_TASK_PATCHING_RETIREMENT") == [100, 100]


@pytest.mark.parametrize(("low", "high", "least"), [(100, 200, 2), (100, 150, 2), (50, 100, 1), (100, 100, 1)], ids=str)
def test_retirement_keeps_the_bounds_unless_they_let_nothing_go(low: int, high: int, least: int) -> None:
    region = exact_region()
    register(region)
    service = web(region, 2, deploymentConfiguration={"minimumHealthyPercent": low, "maximumPercent": high})
    region.run(until="100 s")
    happen(region, fargate_platform_revision={"wait": "1 min"})
    running = []
    for second in range(100, 600):
        region.run(until=f"{second} s")
        running.append(sum(task.alive and task.last_status == "RUNNING" for task in service.tasks.values()))
    assert min(running) == least
    assert running[-1] == 2
    assert min(task.created_at for task in service.tasks.values()) >= 160_000_000


@pytest.mark.parametrize(("assumed", "retired_after_days"), [({}, 7), ({"fargate_task_retirement_wait_days": 0}, 0)])
def test_revisions_come_by_themselves_every_so_often(assumed: dict[str, Any], retired_after_days: int) -> None:
    region = exact_region(assumptions={"retirement_interval_days": 20, **assumed})
    register(region)
    service = web(region, 1)
    day = 86_400 * 1_000_000
    region.run(until=(20 + retired_after_days) * day - 1)
    assert [t.created_at for t in service.tasks.values()] == [0]
    region.run(until=(20 + retired_after_days) * day + 600_000_000)
    assert [t.created_at for t in service.tasks.values()] == [(20 + retired_after_days) * day]


def test_the_account_setting_says_how_long_fargate_waits() -> None:
    region = exact_region()
    register(region)
    web(region, 1)
    answer = region.ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="14")
    assert answer["setting"]["value"] == "14"
    region.run(until="1 s")
    happen(region, fargate_platform_revision={})
    day = 86_400
    region.run(until=f"{14 * day} s")
    assert ends(region) == []
    region.run(until=f"{14 * day + 300} s")
    assert len(ends(region)) == 1
