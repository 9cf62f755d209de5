"""Hand-computed rolling updates, compared whole, and the rule of 40 seconds."""

from __future__ import annotations

import pytest
from sim_helpers import EXACT, behind, exact_region, fleet, messages, network, register, seconds, statuses, target_group


def service(region, desired=4, low=None, high=None, **more):
    configuration = {"minimumHealthyPercent": low, "maximumPercent": high}
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        deploymentConfiguration={k: v for k, v in configuration.items() if v is not None},
        **more,
    )


def born(at):
    """A task launched at an instant: interface 4 s, pull from 10 s, RUNNING at 15 s."""
    return [(at, "PROVISIONING"), (at + 4, "PENDING"), (at + 10, "ACTIVATING"), (at + 15, "RUNNING")]


def gone(at):
    """A task without balancer stopped at an instant."""
    return [(at, "STOPPING"), (at + 1, "DEPROVISIONING"), (at + 8, "STOPPED")]


def test_four_tasks_at_100_and_200_percent():
    region = exact_region()
    register(region)
    service(region)
    region.run(until="200 s")
    assert messages(region) == [
        (5, "has started 4 tasks"),
        (
            60,
            f"(deployment {region.ecs.describe_services(services=['web'])['services'][0]['deployments'][0]['id']}) "
            "deployment completed.",
        ),
        (60, "has reached a steady state."),
    ]
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="400 s")
    # 5 s of reaction; four new ones first (8 allowed); 15 s to RUNNING and 40 s until they count; then the old ones go
    assert statuses(region) == [[*born(5), *gone(260)]] * 4 + [born(205)] * 4
    deployments = region.finish().deployments.frame().sort_values("created_at")
    assert [seconds(t) for t in deployments.created_at] == [0, 200]
    assert [seconds(t) for t in deployments.completed_at] == [60, 268]  # no old task is left at 268 s
    assert deployments.status.tolist() == ["INACTIVE", "PRIMARY"]
    assert deployments.rollout_state.tolist() == ["COMPLETED", "COMPLETED"]
    assert [t for t, text in messages(region) if text == "has reached a steady state."] == [60, 268]


def test_four_tasks_at_50_and_100_percent():
    region = exact_region()
    register(region)
    service(region, low=50, high=100)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="500 s")
    # two stop first; their places are free when they are STOPPED at 213 s; two new ones are RUNNING at 228 and count at
    # 268 s; then the other two
    assert statuses(region) == [
        [*born(5), *gone(268)],
        [*born(5), *gone(268)],
        [*born(5), *gone(205)],
        [*born(5), *gone(205)],
        born(213),
        born(213),
        born(276),
        born(276),
    ]
    [done] = [t for t, text in messages(region) if "deployment completed" in text and t > 100]
    assert done == 276 + 15 + 40


def test_stopping_tasks_that_do_not_count_give_their_places_at_once():
    region = exact_region(assumptions={"count_stopping_in_max": False})
    register(region)
    service(region, low=50, high=100)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="500 s")
    firsts = [life[0][0] for life in statuses(region)]
    assert firsts[:4] == [5] * 4
    assert len(firsts) == 8
    assert firsts[4:6] == [206, 206]  # the tick after the one that stopped two


def test_the_bounds_hold_at_every_instant_behind_a_balancer():
    """Healthy tasks never fall below 75 %, all tasks never rise above 125 %, and draining ones count."""
    region = exact_region()
    register(region)
    target_group(region, delay=20)
    service(region, desired=8, low=75, high=125, loadBalancers=behind())
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    run = region.registry.service("default", "web")
    for at in range(201, 900):
        region.run(until=f"{at} s")
        assert run.healthy >= 6
        assert len(run.tasks) <= 10
    assert [d.rollout_state for d in run.deployments] == ["COMPLETED"]
    assert {t.revision.number for t in run.tasks.values()} == {2}


@pytest.mark.parametrize("wait", [40, 7])
def test_old_tasks_stop_no_earlier_than_the_wait_after_the_new_ones_run(wait):
    region = exact_region(assumptions={"no_health_check_wait_s": wait})
    register(region)
    service(region)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="400 s")
    tasks = region.finish().tasks.frame()
    new_running = tasks[tasks.revision == 2].started_at.max()
    assert (tasks[tasks.revision == 1].stopping_at.min() - new_running).total_seconds() == wait


def test_a_container_health_check_replaces_the_wait():
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 3}
    register(region, container={"healthCheck": check}, behaviour={"boot": "12 s"})
    service(region, desired=1)
    region.run(until="200 s")
    # RUNNING at 20; checks at 30 (fails: the application is up at 32) and 40 (passes)
    tasks = region.finish().tasks.frame()
    assert [seconds(t) for t in tasks.healthy_at] == [40]
    assert tasks.health_status.tolist() == ["HEALTHY"]


def test_a_second_update_before_the_first_is_done_replaces_all():
    region = exact_region()
    register(region)
    service(region)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="230 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:3")
    region.run(until="800 s")
    run = region.registry.service("default", "web")
    assert {t.revision.number for t in run.tasks.values()} == {3}
    assert len(run.tasks) == 4
    deployments = region.finish().deployments.frame().sort_values("created_at")
    assert deployments.status.tolist() == ["INACTIVE", "INACTIVE", "PRIMARY"]
    assert deployments.rollout_state.tolist()[-1] == "COMPLETED"


def test_a_count_only_update_starts_no_deployment():
    region = exact_region()
    register(region)
    service(region, desired=2)
    region.run(until="100 s")
    region.ecs.update_service(service="web", desiredCount=3)
    region.run(until="200 s")
    assert len(region.finish().deployments.frame()) == 1
    assert [life[0][0] for life in statuses(region)] == [5, 5, 100 + EXACT["scheduler_delay_min_s"]]


def test_a_crashed_task_is_replaced_and_the_rest_left_alone():
    region = exact_region()
    register(region, behaviour={"crash": "100 s"})
    service(region, desired=1)
    region.run(until="180 s")
    # RUNNING at 20, crash at 120; noticed 5 s later; no drain, no interface left at 128
    assert statuses(region) == [[*born(5), *gone(120)], born(125)]
    assert region.finish().tasks.frame().stop_code.dropna().tolist() == ["EssentialContainerExited"]


def test_a_user_who_stops_a_service_task_gets_another_one():
    region = exact_region()
    register(region)
    service(region, desired=1)
    region.run(until="100 s")
    [arn] = region.ecs.list_tasks(serviceName="web")["taskArns"]
    region.ecs.stop_task(task=arn)
    region.run(until="150 s")
    assert statuses(region) == [[*born(5), *gone(100)], born(105)]


def test_a_task_lost_unnoticed_is_not_stopped_a_second_time():
    """One of two tasks crashes, and before the service notices, one is all that is wanted: the other one stays."""
    region = exact_region(assumptions={"scheduler_delay_min_s": 1, "scheduler_delay_max_s": 1})
    register(region)
    service(region, desired=2)
    region.run(until="100 s")
    first, _ = region.registry.service("default", "web").tasks.values()
    region.ecs.stop_task(task=first.task_id)
    region.run(until="102 s")
    region.ecs.update_service(service="web", desiredCount=1)
    region.run(until="200 s")
    assert statuses(region) == [[*born(1), *gone(100)], born(1)]


def test_a_count_that_grows_in_mid_deployment_grows_both_revisions():
    region = exact_region()
    register(region)
    service(region, low=50, high=100)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="230 s")
    region.ecs.update_service(service="web", desiredCount=8)
    region.run(until="240 s")
    # two of each at 230; of eight at least four must be healthy, and the two new ones do not count yet: two more of the old revision,
    # and the rest of the room is the new one's
    starts = [(life[0][0], number) for life, number in zip(statuses(region), numbers(region), strict=True)]
    assert starts[4:] == [(213, 2), (213, 2), (235, 1), (235, 1), (235, 2), (235, 2)]
    region.run(until="800 s")
    run = region.registry.service("default", "web")
    assert [t.revision.number for t in run.tasks.values()] == [2] * 8


def numbers(region):
    """Revisions of all tasks in the order of their start."""
    cluster = region.registry.clusters["default"]
    tasks = [*cluster.tasks.values(), *cluster.stopped.values()]
    return [t.revision.number for t in sorted(tasks, key=lambda t: t.number)]


def test_both_bounds_at_100_percent_keep_an_instance_from_draining() -> None:
    """V5 where it drains: no task may stop, none may start. With room above, the replacement comes first."""
    region = exact_region()
    register(region, fargate=False, cpu=256, memory=512)
    fleet(region, 3)
    bounds = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2", deploymentConfiguration=bounds
    )
    region.run(until="3 min")
    tasks = list(region.registry.service("default", "web").tasks.values())
    drained = tasks[0].instance
    assert drained is not None
    region.ecs.update_container_instances_state(containerInstances=[drained.instance_id], status="DRAINING")
    region.run(until="30 min")
    assert list(region.registry.service("default", "web").tasks.values()) == tasks
    assert all(task.last_status == "RUNNING" for task in tasks)
    region.ecs.update_service(service="web", deploymentConfiguration={**bounds, "maximumPercent": 150})
    region.run(until="32 min")
    assert not drained.tasks
    life = statuses(region)
    [started] = [at for at, status in life[2] if status == "RUNNING"]
    [stopped] = [at for at, status in life[0] if status == "STOPPING"]
    assert 40 <= stopped - started < 41, "at the first tick at which the replacement counts as healthy"
