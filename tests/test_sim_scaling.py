"""Target tracking and managed scaling through the simulation: alarm instants and counts added up by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sim_helpers import (
    SUBNETS,
    associate,
    behind,
    exact_region,
    fleet,
    network,
    register,
    seconds,
    statuses,
    target_group,
)

from fargsim import Region


def tracked(
    policy: dict[str, Any], *, load: dict[int, float], low: int = 2, assumptions: Mapping[str, Any] | None = None
) -> Region:
    """A service of two 1-vCPU tasks whose requests take 100 ms of CPU each, evenly spaced; `load`: requests a second from a minute on."""
    region = exact_region(assumptions=assumptions or {})
    register(region, behaviour={"request": {"cpu": "100 ms", "workers": 1, "queue": 4}, "memory": "200 MiB"})
    target_group(region, interval=5, delay=30)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    region.application_autoscaling.register_scalable_target(
        ResourceId="service/default/web", MinCapacity=low, MaxCapacity=20, policies=[policy]
    )
    steps = [{"at": f"{minute} min", "rate": f"{per_s} /s"} for minute, per_s in load.items()]
    region.send_traffic("web", {"steps": steps, "process": "regular"}, until="3 h")
    return region


def policy(metric: str, target: float, **more: Any) -> dict[str, Any]:
    return {
        "PolicyName": "p",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            **more,
        },
    }


CPU = policy("ECSServiceAverageCPUUtilization", 50)


def decisions(region: Region) -> list[tuple[float, int, int]]:
    table = region.kit.recorder.scaling.frame()
    return [(seconds(r.at), r.desired_before, r.desired_after) for r in table.itertuples()]


def alarms(region: Region, after: float = 0) -> list[tuple[float, str, str]]:
    table = region.kit.recorder.alarms.frame()
    rows = [(seconds(r.at), "high" if "AlarmHigh" in r.alarm else "low", r.state_after) for r in table.itertuples()]
    return [row for row in rows if row[0] >= after]


def test_a_step_of_load_up_and_down():
    region = tracked(
        CPU,
        load={1: 9.6, 20: 19.2, 60: 9.6},
    )
    region.run(until="100 min")
    # 48 % until 20 min; then 96 %: the minutes that end at 21, 22 and 23 breach, the third is published 150 s later,
    # at 25.5 min = 1530 s. ceil(2 x 96 / 50) = 4 tasks, again at 48 %.
    # from 60 min on 24 %: the 15th minute below 45 % ends at 75 min, published at 77.5 min = 4650 s: ceil(4 x 24 / 50) = 2
    assert decisions(region) == [(1530, 2, 4), (4650, 4, 2)]
    assert [a for a in alarms(region, 1200) if a[2] == "ALARM"] == [(1530, "high", "ALARM"), (4650, "low", "ALARM")]
    table = region.finish().services.frame()
    minute = {round(seconds(r.period_start_at) / 60): r for r in table.itertuples()}
    for at, percent in ((10, 48), (22, 96), (40, 48), (65, 24), (90, 48)):
        assert minute[at].cpu_utilization == pytest.approx(percent, abs=0.2)
    # 5 s of reaction, 15 s to RUNNING; scale-in: 5 s, 30 s of draining, 8 s
    third, fourth = statuses(region)[2:4]
    assert (third[0], third[3]) == ((1535, "PROVISIONING"), (1550, "RUNNING"))
    gone = [life for life in statuses(region) if life[-1][1] == "STOPPED"]
    assert [life[-4:] for life in gone] == [
        [(4655, "DEACTIVATING"), (4685, "STOPPING"), (4686, "DEPROVISIONING"), (4693, "STOPPED")]
    ] * 2
    assert fourth[0] == (1535, "PROVISIONING")


def test_two_breaching_minutes_are_not_enough():
    region = tracked(
        CPU,
        load={1: 9.6, 20: 19, 22: 9.6},
    )
    region.run(until="35 min")
    assert decisions(region) == []


def test_fourteen_low_minutes_are_not_enough():
    region = tracked(
        CPU,
        low=1,
        load={1: 9.6, 20: 2, 34: 9.6},
    )
    region.run(until="50 min")
    assert decisions(region) == []


def test_the_publish_lag_is_part_of_the_delay():
    region = tracked(
        CPU,
        assumptions={"metric_publish_lag_s": 15},
        load={1: 9.6, 20: 19.2},
    )
    region.run(until="40 min")
    assert decisions(region) == [(23 * 60 + 15, 2, 4)]


def test_a_constant_load_never_drives_the_count_beyond_what_it_needs():
    """Load for 15.36 tasks at target, from one minute to the next: no runaway while the new tasks boot, and no swing.

    What two tasks cannot take is refused after a queue of four, so that no backlog adds to the load.
    """
    region = tracked(CPU, load={1: 9.6, 20: 76.8})
    region.run(until="60 min")
    counts = [after for _, _, after in decisions(region)]
    assert counts == sorted(counts)
    # two tasks cannot show more than 100 % each: ceil(2 x 100 / 50) = 4 at first, then as far as saturation shows
    assert counts[0] == 4
    assert counts[-1] <= 16 + 1
    assert max(counts) == counts[-1]


def test_requests_per_target():
    region = tracked(
        policy("ALBRequestCountPerTarget", 300),
        load={1: 9.6, 20: 19.2},
    )
    region.run(until="40 min")
    # 288 a minute and target, then 576: ceil(2 x 576 / 300) = ceil(3.84) = 4
    assert decisions(region) == [(1530, 2, 4)]


def test_memory():
    region = tracked(policy("ECSServiceAverageMemoryUtilization", 8), load={1: 1})
    region.run(until="20 min")
    # 200 of 2,048 MiB = 9.77 % from the minute in which the tasks reach RUNNING (20 s); its datapoint counts as the first:
    # the third ends at 180 s and is published at 330 s: ceil(2 x 9.765625 / 8) = 3
    assert decisions(region)[0] == (330, 2, 3)


def test_scale_in_waits_for_its_cooldown():
    quick = policy("ECSServiceAverageCPUUtilization", 50, ScaleInCooldown=600)
    region = tracked(
        quick,
        low=1,
        load={1: 19.2, 40: 12, 56: 4},
    )
    region.run(until="110 min")
    out, first, second = decisions(region)
    assert out[1:] == (2, 4)
    # 12 /s on 4 tasks: 30 %. The 15th low minute ends at 55 min, published at 57.5: ceil(4 x 30 / 50) = 3
    assert first == (3450, 4, 3)
    # from 56 min on 4 /s: 13.3 % on 3 tasks: ceil(3 x 13.3 / 50) = 1, as soon as 600 s have passed since
    assert second == (4050, 3, 1)


def managed(region: Region, size: int = 0, **scaling: Any) -> None:
    fleet(region, size, NewInstancesProtectedFromScaleIn=True)
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "asg",
            "managedScaling": {"status": "ENABLED", **scaling},
            "managedTerminationProtection": "ENABLED",
        },
    )
    associate(region, "cp")


ON_PROVIDER = {"capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}]}


def reservations(region: Region) -> dict[float, float]:
    """CapacityProviderReservation by the end of its minute."""
    table = region.kit.recorder.clusters.frame()
    return {seconds(r.period_start_at) + r.period_s: r.capacity_provider_reservation for r in table.itertuples()}


def test_from_zero_a_waiting_task_gets_two_instances():
    region = exact_region()
    managed(region)
    register(region, fargate=False, memory=1024)
    region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)
    region.run(until="1100 s")
    assert statuses(region) == [
        [
            (0, "PROVISIONING"),
            # the minute's metric asks for capacity at 60 s; running 23 s later, registered after 60 s more
            (143, "PENDING"),
            (143, "ACTIVATING"),
            (147.4, "RUNNING"),
        ]
    ]
    told = reservations(region)
    # M > 0, N = 0: 200; both boot: 100; both there, one empty: 50
    assert [told[60.0], told[120.0], told[180.0], told[960.0]] == [200, 100, 50, 50]
    # fifteen low minutes, 180 to 1020 s, and 900 s since the scale-out: one instance goes, the empty one
    assert decisions(region) == [(60, 0, 2), (1020, 2, 1)]
    assert told[1080.0] == 100
    instances = region.finish().instances.frame()
    busy = region.kit.recorder.tasks.frame().instance_id[0]
    assert set(instances[instances.terminated_at.isna()].instance_id) == {busy}


def test_waiting_tasks_are_counted_in_instances():
    region = exact_region()
    managed(region, 1)
    register(region, fargate=False, memory=1024)
    region.ecs.run_task(taskDefinition="web", count=10, **ON_PROVIDER)
    region.run(until="400 s")
    # two fit the instance that is there, eight wait: four more instances
    assert reservations(region)[60.0] == 500
    assert decisions(region)[0] == (60, 1, 5)
    lives = statuses(region)
    assert sum(life[-1] == (4.4, "RUNNING") for life in lives) == 2
    assert sum(life[1] == (143, "PENDING") for life in lives) == 8
    assert all(life[-1][1] == "RUNNING" for life in lives)


def test_a_waiting_task_that_is_stopped_asks_for_nothing():
    region = exact_region()
    managed(region)
    register(region, fargate=False, memory=1024)
    [task] = region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)["tasks"]
    region.run(until="30 s")
    region.ecs.stop_task(task=task["taskArn"])
    region.run(until="300 s")
    assert statuses(region) == [[(0, "PROVISIONING"), (30, "STOPPED")]]
    assert set(reservations(region).values()) == {100}
    assert decisions(region) == []


def test_a_waiting_task_gives_up():
    region = exact_region()
    fleet(region, 0)
    region.registry.ec2.withdraw(SUBNETS.values(), 7_200_000_000)
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}},
    )
    associate(region, "cp")
    register(region, fargate=False, memory=1024)
    region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)
    region.run(until="1 h")
    assert statuses(region) == [[(0, "PROVISIONING"), (1800, "STOPPED")]]
    assert region.finish().tasks.frame().stop_code.tolist() == ["TaskFailedToStart"]


def test_without_managed_scaling_a_task_without_a_place_fails():
    region = exact_region()
    fleet(region, 0)
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    associate(region, "cp")
    register(region, fargate=False, memory=1024)
    answer = region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)
    assert answer["tasks"] == []
    assert len(answer["failures"]) == 1


def test_a_task_too_large_for_the_instance_type_moves_nothing():
    region = exact_region()
    managed(region, 1)
    register(region, fargate=False, memory=8192)
    region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)
    region.run(until="600 s")
    assert set(reservations(region).values()) == {100}
    assert decisions(region) == []
    assert statuses(region) == [[(0, "PROVISIONING")]]


def test_a_providers_tasks_run_on_its_own_instances():
    region = exact_region()
    managed(region)
    fleet(region, 2, name="other")
    register(region, fargate=False, memory=1024)
    region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)
    [plain] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="300 s")
    tasks = region.finish().tasks.frame().set_index("capacity_provider")
    instances = region.kit.recorder.instances.frame().set_index("instance_id")
    assert instances.auto_scaling_group[tasks.instance_id["cp"]] == "asg"
    assert statuses(region)[0][1] == (143, "PENDING")  # though there was room on the other group's instances
    assert instances.auto_scaling_group[tasks[tasks.task_arn == plain["taskArn"]].instance_id.iloc[0]] == "other"
    assert (instances.auto_scaling_group == "asg").sum() == 2


def test_a_provider_with_a_group_made_later_keeps_its_tasks_apart():
    region = exact_region()
    fleet(region, 1, kind="c5.large")
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    associate(region, "cp")
    register(region, fargate=False, memory=1024)
    assert len(region.ecs.run_task(taskDefinition="web", count=2, **ON_PROVIDER)["tasks"]) == 2
    fleet(region, 1, name="other")
    assert region.ecs.run_task(taskDefinition="web", **ON_PROVIDER)["tasks"] == []
    assert len(region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]) == 1
