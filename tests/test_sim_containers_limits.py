"""What containers run out of, at instants computed by hand: memory by a leak or by requests, and ephemeral storage."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import behind, exact_region, fleet, network, register, seconds, stamps, target_group

TINY = {"image": {"size": "0 MiB"}}
KILLED = "OutOfMemoryError: Container killed due to memory usage"
FIRST = 15.0  # RUNNING, see sim_helpers
ON_EC2 = 4.4


def run_one(region: Any, *, until: str, fargate: bool = True, count: int = 1) -> list[str]:
    where = {"launchType": "FARGATE", "networkConfiguration": network()} if fargate else {"launchType": "EC2"}
    answer = region.ecs.run_task(taskDefinition="web", count=count, **where)
    region.run(until=until)
    return [task["taskArn"] for task in answer["tasks"]]


def told(region: Any, arn: str) -> dict[str, Any]:
    [task] = region.ecs.describe_tasks(tasks=[arn])["tasks"]
    return dict(task)


def ends(region: Any) -> list[tuple[str, float | None, int | None]]:
    """Container, exit and exit code of every run that has ended, in the order of their ends."""
    frame = region.finish().containers.frame()
    frame = frame[frame.exited_at.notna()].sort_values("exited_at", kind="stable")
    return [(row.container, seconds(row.exited_at), int(row.exit_code)) for row in frame.itertuples()]


def test_a_leak_passes_the_hard_limit_of_its_container():
    """512 MiB less 200 MiB at 312 MiB an hour: one hour after the start, to the microsecond."""
    region = exact_region()
    register(
        region,
        behaviour={"memory": "200 MiB", "memory_leak_per_hour": "312 MiB"},
        container={"memory": 512, "memoryReservation": 256},
    )
    [arn] = run_one(region, until="4000 s")
    task = told(region, arn)
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert (task["containers"][0]["exitCode"], task["containers"][0]["reason"]) == (137, KILLED)
    assert stamps(region, arn)["stoppingAt"] == FIRST + 3600.000001


def test_without_a_limit_of_its_own_a_container_has_the_task_and_the_largest_is_killed():
    """2 GiB between app (100 MiB + 900 MiB/h) and cache (1,048 MiB): full after one hour, when cache is the larger."""
    region = exact_region()
    register(
        region,
        behaviour={
            "memory": "100 MiB",
            "memory_leak_per_hour": "900 MiB",
            "containers": {"cache": {**TINY, "memory": "1048 MiB"}},
        },
        container={"memoryReservation": 64},
        others=[{"name": "cache", "image": "cache:1", "essential": False}],
    )
    [arn] = run_one(region, until="10000 s")
    task = told(region, arn)
    # with the cache gone, app has the 2 GiB for itself: 1,948 MiB at 900 MiB/h
    assert task["lastStatus"] == "STOPPED"
    assert ends(region) == [
        ("cache", FIRST + 3600.000001, 137),
        ("app", pytest.approx(FIRST + 1948 / 900 * 3600, abs=1e-5), 137),
    ]


def test_a_reservation_is_no_limit_on_an_instance_and_neighbours_share_what_is_left():
    """A c5.large registers 3,788 MiB or so; two tasks that reserve 256 MiB each take 1 GiB an hour each until it is full."""
    region = exact_region()
    fleet(region, 1)
    region.behave("web", {"image": {"size": "120 MiB"}, "memory": "100 MiB", "memory_leak_per_hour": "1024 MiB"})
    region.ecs.register_task_definition(
        family="web",
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        containerDefinitions=[{"name": "app", "image": "app:1", "memoryReservation": 256, "cpu": 256}],
    )
    arns = run_one(region, until="1 h", fargate=False, count=2)
    assert [told(region, arn)["lastStatus"] for arn in arns] == ["RUNNING", "RUNNING"]
    [instance] = region.registry.group("asg").in_service
    full_after = (instance.memory_mib - 2 * 100) / (2 * 1024) * 3600
    alone_after = (instance.memory_mib - 100) / 1024 * 3600
    region.run(until="5 h")
    tasks = region.finish().tasks.frame().set_index("task_arn")
    first, second = (tasks.loc[arn] for arn in arns)
    assert (first.exit_code, second.exit_code) == (137, 137)
    # full when both hold half of it; of equal ones the one that joined last is killed
    assert seconds(second.stopping_at) == pytest.approx(seconds(second.started_at) + full_after, abs=1e-3)
    assert seconds(first.stopping_at) == pytest.approx(seconds(first.started_at) + alone_after, abs=1e-3)


def test_a_neighbour_that_reserves_memory_leaves_less_for_those_without_a_limit():
    region = exact_region()
    fleet(region, 1)
    region.behave("web", {"image": {"size": "120 MiB"}, "memory_leak_per_hour": "1024 MiB"})
    region.ecs.register_task_definition(
        family="web",
        networkMode="bridge",
        containerDefinitions=[{"name": "app", "image": "app:1", "memoryReservation": 256, "cpu": 256}],
    )
    [arn] = run_one(region, until="1 h", fargate=False)
    register(region, "other", cpu=256, memory=2048, fargate=False)
    region.ecs.run_task(taskDefinition="other", launchType="EC2")
    [instance] = region.registry.group("asg").in_service
    region.run(until="4 h")
    # placed when 1,024 MiB are taken: what the other one reserves is no longer there
    assert stamps(region, arn)["stoppingAt"] == pytest.approx(
        ON_EC2 + (instance.memory_mib - 2048) / 1024 * 3600, abs=1e-5
    )


def test_a_leak_is_cut_short_by_a_restart_in_place():
    """Two hours to the limit, again and again: the task never stops, and its memory is a saw tooth."""
    region = exact_region()
    register(
        region,
        memory=2048,
        behaviour={"memory_leak_per_hour": "512 MiB"},
        container={"memory": 1024, "restartPolicy": {"enabled": True}},
    )
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="7 h")
    tables = region.finish()
    runs = tables.containers.frame()
    assert len(tables.tasks.frame()) == 1
    assert runs.exit_code.dropna().tolist() == [137, 137, 137]
    services = tables.services.frame()
    running = services[(services.running_mean == 1) & (services.period_start_at.diff().notna())]
    # from 0 to 1,024 of 2,048 MiB and back: a quarter on average over three whole teeth
    assert running.memory_utilization.iloc[:360].mean() == pytest.approx(25, rel=0.02)
    assert running.memory_utilization.max() < 50


def service_with_traffic(region: Any, behaviour: dict[str, Any], *, rate: str, **container: Any) -> None:
    register(region, behaviour=behaviour, container=container)
    target_group(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    region.send_traffic("web", {"constant": rate})


def test_requests_in_the_task_hold_memory_until_it_is_killed():
    """Each request stays 30 s and holds 16 MiB: of 10 a second, 2 GiB are full with 127 of them, well before a minute."""
    region = exact_region()
    behaviour = {"memory": "16 MiB", "request": {"cpu": "1 ms", "wait": "30 s", "memory": "16 MiB"}}
    service_with_traffic(region, behaviour, rate="10 /s")
    region.run(until="120 s")
    tables = region.finish()
    [first, *_] = tables.tasks.frame().sort_values("created_at").itertuples()
    # RUNNING at 20 s, healthy by 30 s; looked at where the meter samples, every 20 s: at 40 s it holds 150 requests at most, at 60 s 300
    assert seconds(first.stopping_at) in (40, 60)
    assert int(first.exit_code) == 137
    killed = tables.containers.frame().set_index("task_id").loc[first.task_id]
    assert (int(killed.exit_code), killed.reason, killed.exited_at) == (137, KILLED, first.stopping_at)


def test_fewer_requests_fit():
    region = exact_region()
    behaviour = {"memory": "16 MiB", "request": {"cpu": "1 ms", "wait": "5 s", "memory": "16 MiB"}}
    service_with_traffic(region, behaviour, rate="10 /s")
    region.run(until="300 s")
    tables = region.finish()
    assert tables.tasks.frame().exit_code.isna().all()
    assert tables.services.frame().memory_utilization.max() > 30


def test_storage_fills_up_by_the_hour():
    """20 GiB less an image of 1 GiB and its 2.5 GiB unpacked: 16.5 GiB at 16.5 GiB an hour."""
    region = exact_region()
    register(region, behaviour={"image": {"size": "1 GiB"}, "disk_writes_per_hour": "16.5 GiB"})
    [arn] = run_one(region, until="2 h")
    started = stamps(region, arn)["startedAt"]
    assert stamps(region, arn)["stoppingAt"] == pytest.approx(started + 3600, abs=1e-5)
    container = told(region, arn)["containers"][0]
    # the application says so itself; ECS only sees that it has exited
    assert (container["exitCode"], container.get("reason")) == (1, None)
    [row] = region.finish().containers.frame().itertuples()
    assert row.last_words == "no space left on device"


def test_more_storage_takes_longer_and_an_instance_has_no_such_limit():
    region = exact_region()
    region.behave("web", {"image": {"size": "0 MiB"}, "disk_writes_per_hour": "100 GiB"})
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        ephemeralStorage={"sizeInGiB": 200},
        containerDefinitions=[{"name": "app", "image": "app:1"}],
    )
    [arn] = run_one(region, until="3 h")
    assert stamps(region, arn)["stoppingAt"] == pytest.approx(12 + 7200, abs=1e-5)
    fleet(region)
    region.ecs.register_task_definition(
        family="web", containerDefinitions=[{"name": "app", "image": "app:1", "memory": 512, "cpu": 256}]
    )
    [arn] = run_one(region, until="24 h", fargate=False)
    assert told(region, arn)["lastStatus"] == "RUNNING"


def test_storage_fills_up_by_requests():
    region = exact_region()
    # 20 GiB less 420 MiB (120 compressed, 300 unpacked) are 20,060 MiB: full with the 2,007th request of 10 MiB
    behaviour = {"request": {"cpu": "1 ms", "disk_writes": "10 MiB"}}
    service_with_traffic(region, behaviour, rate="20 /s")
    region.run(until="200 s")
    tables = region.finish()
    first = tables.containers.frame().sort_values("started_at").iloc[0]
    served = tables.tasks.frame().sort_values("created_at").iloc[0].requests_served
    assert (int(first.exit_code), first.last_words) == (1, "no space left on device")
    assert seconds(first.exited_at) % 20 == 0
    assert 2007 <= served <= 2007 + 20 * 20 * 1.3


def test_images_that_do_not_fit_the_storage():
    """8 GiB and 20 GiB unpacked do not go into 20 GiB: the pull fails when 20 of 28 are written."""
    region = exact_region()
    register(region, behaviour={"image": {"size": "8 GiB"}})
    [arn] = run_one(region, until="1 h")
    whole = 8 * 1024 / 40  # 40 MiB/s with 1 vCPU
    told_stamps = stamps(region, arn)
    assert told_stamps["pullStoppedAt"] == pytest.approx(10 + whole * 20 / 28, abs=1e-5)
    assert "startedAt" not in told_stamps
    task = told(region, arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "TaskFailedToStart",
        "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob111111111: no space left on device",
    )
    register(region, "small", behaviour={"image": {"size": "5 GiB"}})  # 17.5 GiB in all
    region.ecs.run_task(taskDefinition="small", launchType="FARGATE", networkConfiguration=network())
    region.run(until="2 h")
    assert region.finish().tasks.frame().set_index("family").last_status.to_dict() == {
        "web": "STOPPED",
        "small": "RUNNING",
    }


@pytest.mark.parametrize(("version", "gib", "runs"), [(None, 20, True), ("1.4.0", 20, True), ("1.3.0", 10, False)])
def test_platform_version_1_3_has_ten_gib_for_images_and_what_is_written(version, gib, runs):
    """3 GiB and 7.5 GiB unpacked: 10.5 GiB."""
    region = exact_region()
    register(region, behaviour={"image": {"size": "3 GiB"}})
    more = {} if version is None else {"platformVersion": version}
    region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network(), **more)
    region.run(until="1 h")
    [task] = region.finish().tasks.frame().itertuples()
    assert (task.platform_version, task.ephemeral_storage_gib) == (version or "1.4.0", gib)
    assert (task.last_status == "RUNNING") is runs
    assert runs or task.stopped_reason.endswith("no space left on device")


def test_a_container_restarted_behind_a_balancer_cuts_off_its_requests_and_answers_again():
    """RUNNING at 20 s, dead at 120 s, started again at 120.5 s, up at 128.5 s: in between, connections are refused (502)."""
    region = exact_region()
    behaviour = {"boot": "8 s", "crash": "100 s", "request": {"cpu": "1 ms", "wait": "2 s"}}
    service_with_traffic(region, behaviour, rate="50 /s", restartPolicy={"enabled": True, "restartAttemptPeriod": 60})
    region.run(until="180 s")
    tables = region.finish()
    assert len(tables.tasks.frame()) == 1
    assert [seconds(at) for at in tables.containers.frame().sort_values("run").started_at] == [20, 120.5]
    services = tables.services.frame().sort_values("period_start_at")
    cut = services.requests_cut_502.tolist()
    # registered at 25 s, up at 28 s: until then nothing listens, and there is no other target
    assert services.requests_no_target_503.iloc[0] == pytest.approx(50 * 25, rel=0.15)
    assert cut[0] == pytest.approx(50 * 3, rel=0.3)
    # the rows of a minute: at 120 s what it held, then 50 a second for 8.5 s
    assert cut[1] == pytest.approx(50 * 2, rel=0.3)
    assert cut[2] == pytest.approx(50 * 8.5, rel=0.15)
    assert services.requests_no_target_503.iloc[2] == 0  # unhealthy by then, but the only one: the balancer fails open
    ended = [
        "requests_served",
        "requests_failed",
        "requests_refused_503",
        "requests_no_target_503",
        "requests_cut_502",
        "requests_timeout_504",
        "requests_client_closed_460",
    ]
    assert services.requests_arrived.sum() == services[ended].sum().sum() + services.requests_in_flight.iloc[-1]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"boot": "2 s", "boot_exit_code": 1}, "Essential container in task exited"),
        ({"memory_leak_per_hour": "240 GiB"}, "Essential container in task exited"),  # 2 GiB in 30 s
        ({"health": {"fails_after": "0 s"}}, "Task failed container health checks"),
    ],
)
def test_a_bad_revision_never_replaces_the_good_one(bad, says):
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 2}
    register(region, container={"healthCheck": check})
    region.behave("web:2", {"image": {"size": "120 MiB"}, **bad})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web:1", desiredCount=2, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="5 min")
    register(region, container={"healthCheck": {**check, "interval": 60 if "memory_leak_per_hour" in bad else 10}})
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="12 min")
    tasks = region.finish().tasks.frame()
    old, new = tasks[tasks.revision == 1], tasks[tasks.revision == 2]
    assert old.last_status.tolist() == ["RUNNING", "RUNNING"]
    assert len(new) > 2
    assert set(new.stopped_reason.dropna()) == {says}
