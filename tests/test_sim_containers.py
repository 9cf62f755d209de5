"""Hand-computed lives of the containers of one task: order of start and stop, time-outs, restarts, health."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, lose_oldest_instance, network, register, seconds, stamps, statuses

# RUNNING at 15 s where nobody waits for anybody (see sim_helpers): the containers that wait for nobody start then
FIRST = 15.0
NEXT = 0.5
"""container_start_s: from a dependency met to the start."""


TINY = {"image": {"size": "0 MiB"}}
"""An image that takes no time to pull, so that the first containers start at 15 s."""


def waits(*needs: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A container definition's `dependsOn`."""
    return {"dependsOn": [{"containerName": name, "condition": condition} for name, condition in needs], **more}


def side(name: str, *, essential: bool = False, **more: Any) -> dict[str, Any]:
    """Another container of the task."""
    return {"name": name, "image": f"{name}:1", "essential": essential, **more}


def start(region: Any, *, until: str = "600 s", fargate: bool = True) -> str:
    """Run one task for a while and return its ARN."""
    where = {"launchType": "FARGATE", "networkConfiguration": network()} if fargate else {"launchType": "EC2"}
    [task] = region.ecs.run_task(taskDefinition="web", **where)["tasks"]
    region.run(until=until)
    return str(task["taskArn"])


def told(region: Any, arn: str) -> dict[str, Any]:
    [task] = region.ecs.describe_tasks(tasks=[arn])["tasks"]
    return dict(task)


def rows(region: Any) -> dict[tuple[str, int], tuple[float | None, float | None, int | None]]:
    """The table `containers`: start, exit and exit code by container and run."""
    frame = region.finish().containers.frame()
    return {
        (row.container, row.run): (
            seconds(row.started_at),
            seconds(row.exited_at),
            None if row.exit_code != row.exit_code or row.exit_code is None else int(row.exit_code),
        )
        for row in frame.astype({"exit_code": object}).where(frame.notna(), None).itertuples()
    }


CHECK = {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 3}


@pytest.mark.parametrize(
    ("condition", "other", "behaviour", "app_starts"),
    [
        ("START", {}, {}, FIRST + NEXT),
        ("COMPLETE", {}, {"run": "20 s", "exit_code": 3}, FIRST + 20 + NEXT),
        ("SUCCESS", {}, {"run": "20 s"}, FIRST + 20 + NEXT),
        # up after 12 s: its first check at 25 s fails, the second at 35 s passes
        ("HEALTHY", {"healthCheck": CHECK}, {"boot": "12 s"}, FIRST + 20 + NEXT),
    ],
)
def test_each_condition_lets_the_container_start_in_its_time(condition, other, behaviour, app_starts):
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"db": {**TINY, **behaviour}}},
        container=waits(("db", condition)),
        others=[side("db", **other)],
    )
    start(region)
    # the task is RUNNING when the last of its containers has started
    assert statuses(region) == [[(0, "PROVISIONING"), (4, "PENDING"), (10, "ACTIVATING"), (app_starts, "RUNNING")]]
    exits = FIRST + 20 if condition in ("COMPLETE", "SUCCESS") else None
    code = {"COMPLETE": 3, "SUCCESS": 0}.get(condition)
    assert rows(region) == {("db", 0): (FIRST, exits, code), ("app", 0): (app_starts, None, None)}


def test_a_chain_of_three_starts_one_after_the_other_and_stops_in_reverse():
    """web waits for app, app for db: each is told to stop when the one that depends on it has stopped."""
    region = exact_region()
    register(
        region,
        behaviour={
            "stop": "4 s",
            "containers": {
                "db": {**TINY, "stop": "60 s"},
                "proxy": {**TINY, "stop": "3 s", "stop_exit_code": 143},
            },
        },
        container=waits(("db", "START")),
        others=[side("db", stopTimeout=10), side("proxy", **waits(("app", "START")))],
    )
    arn = start(region, until="100 s")
    region.ecs.stop_task(task=arn)
    region.run(until="200 s")
    # proxy 100 to 103 s, app to 107 s, db is killed after its 10 s
    assert statuses(region)[0][3:] == [(16, "RUNNING"), (100, "STOPPING"), (117, "DEPROVISIONING"), (124, "STOPPED")]
    assert [(c["name"], c["exitCode"]) for c in told(region, arn)["containers"]] == [
        ("app", 0),
        ("db", 137),
        ("proxy", 143),
    ]
    assert stamps(region, arn)["executionStoppedAt"] == 117
    assert rows(region) == {
        ("db", 0): (15, 117, 137),
        ("app", 0): (15.5, 107, 0),
        ("proxy", 0): (16, 103, 143),
    }


def test_containers_that_do_not_depend_on_each_other_stop_at_once():
    region = exact_region()
    register(region, behaviour={"stop": "4 s", "containers": {"log": {**TINY, "stop": "9 s"}}}, others=[side("log")])
    arn = start(region, until="100 s")
    region.ecs.stop_task(task=arn)
    region.run(until="200 s")
    assert stamps(region, arn)["executionStoppedAt"] == 109


def test_an_essential_container_that_ends_takes_the_others_with_it_each_with_its_own_stop():
    region = exact_region()
    register(
        region,
        behaviour={"run": "30 s", "exit_code": 139, "containers": {"log": {**TINY, "stop": "8 s"}}},
        others=[side("log")],
    )
    arn = start(region)
    task = told(region, arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert [(c["name"], c["exitCode"]) for c in task["containers"]] == [("app", 139), ("log", 0)]
    assert stamps(region, arn)["stoppingAt"] == 45
    assert stamps(region, arn)["executionStoppedAt"] == 53


def test_a_container_that_is_not_essential_ends_and_nothing_happens():
    region = exact_region()
    register(region, behaviour={"containers": {"log": {**TINY, "run": "30 s", "exit_code": 1}}}, others=[side("log")])
    arn = start(region)
    task = told(region, arn)
    assert task["lastStatus"] == "RUNNING"
    assert [(c["name"], c["lastStatus"], c.get("exitCode")) for c in task["containers"]] == [
        ("app", "RUNNING", None),
        ("log", "STOPPED", 1),
    ]


def test_a_migration_that_fails_stops_the_task_before_it_runs():
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"migrate": {**TINY, "run": "20 s", "exit_code": 1}}},
        container=waits(("migrate", "SUCCESS")),
        others=[side("migrate")],
    )
    arn = start(region)
    # ACTIVATING until the migration ends at 35 s; nothing is left to stop but the agent takes 1 s
    assert statuses(region)[0][2:] == [(10, "ACTIVATING"), (35, "STOPPING"), (36, "DEPROVISIONING"), (43, "STOPPED")]
    task = told(region, arn)
    why = (
        "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [migrate] for "
        "target [app] as dependency did not exit successfully."
    )
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", why)
    app, migrate = task["containers"]
    # the agent reports 143 for a container that it has not started
    assert (app["exitCode"], app["reason"]) == (143, why)
    assert migrate["exitCode"] == 1
    assert "startedAt" not in task


@pytest.mark.parametrize("condition", ["COMPLETE", "SUCCESS", "HEALTHY"])
def test_start_timeout_of_the_container_that_is_waited_for(condition):
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"db": {**TINY, "boot": "200 s", "run": "1 h", "stop": "2 s"}}},
        container=waits(("db", condition)),
        others=[side("db", startTimeout=60, healthCheck=CHECK)],
    )
    arn = start(region)
    # db started at 15 s, given up at 75 s, stopped by 77 s
    assert statuses(region)[0][2:] == [(10, "ACTIVATING"), (75, "STOPPING"), (77, "DEPROVISIONING"), (84, "STOPPED")]
    assert told(region, arn)["stoppedReason"] == (
        "CannotStartContainerError: dependency graph: container ordering dependency [db] for target [app] has timed out."
    )


def test_without_a_start_timeout_fargate_waits_three_minutes_and_ec2_for_ever():
    behaviour = {"containers": {"migrate": {**TINY, "run": "190 s", "stop": "2 s"}}}
    region = exact_region()
    register(region, behaviour=behaviour, container=waits(("migrate", "SUCCESS")), others=[side("migrate")])
    arn = start(region)
    assert stamps(region, arn)["stoppingAt"] == FIRST + 180
    assert told(region, arn)["stoppedReason"] == (
        "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
    )
    region = exact_region()
    fleet(region)
    register(
        region,
        cpu=512,
        memory=512,
        fargate=False,
        behaviour=behaviour,
        container=waits(("migrate", "SUCCESS")),
        others=[side("migrate")],
    )
    arn = start(region, fargate=False)
    # 120 MiB at 50 MiB/s and 2 s: the migration starts at 4.4 s
    assert stamps(region, arn)["startedAt"] == 4.4 + 190 + NEXT


def test_a_restart_in_place_keeps_the_task_running():
    """Restarted when it has run for the period; the second run is too short, so that the task stops."""
    region = exact_region()
    register(
        region,
        behaviour={"run": {"uniform": {"min": "60 s", "max": "60 s"}}, "exit_code": 1},
        container={"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}},
    )
    arn = start(region, until="400 s")
    assert told(region, arn)["lastStatus"] == "RUNNING"
    ends = [15 + 60.5 * n for n in range(7)]
    assert rows(region) == {
        **{("app", n): (at, at + 60, 1) for n, at in enumerate(ends[:6])},
        ("app", 6): (ends[6], None, None),
    }


@pytest.mark.parametrize(
    ("run", "code", "policy"),
    [
        ("59 s", 1, {"enabled": True, "restartAttemptPeriod": 60}),  # it ran for less than the period
        ("70 s", 7, {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [7]}),
        ("299 s", 1, {"enabled": True}),  # 300 s unless said otherwise
        ("400 s", 1, {"enabled": False}),
    ],
)
def test_no_restart_too_early_or_for_an_ignored_exit_code(run, code, policy):
    region = exact_region()
    register(region, behaviour={"run": run, "exit_code": code}, container={"restartPolicy": policy})
    arn = start(region, until="1000 s")
    task = told(region, arn)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", code)
    assert list(rows(region)) == ([("app", 0)] if policy["enabled"] else [])  # without a policy: a plain task


def test_restarts_in_place_grant_no_more_time_to_those_who_wait():
    """It exits with 1 at 85 s and starts again at 85.5 s; whoever waits for its success gives up 120 s after its first start."""
    region = exact_region()
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    register(
        region,
        behaviour={"containers": {"job": {**TINY, "run": "70 s", "exit_code": 1, "stop": "2 s"}}},
        container=waits(("job", "SUCCESS")),
        others=[side("job", startTimeout=120, restartPolicy=policy)],
    )
    arn = start(region)
    assert statuses(region)[0][2:] == [(10, "ACTIVATING"), (135, "STOPPING"), (137, "DEPROVISIONING"), (144, "STOPPED")]
    assert told(region, arn)["stoppedReason"].endswith("dependency [job] for target [app] has timed out.")
    assert rows(region) == {("job", 0): (15, 85, 1), ("job", 1): (85.5, 137, 0), ("app", 0): (None, None, 143)}


def test_who_has_what_it_waits_for_gives_up_for_nobody_else():
    """app waits for the end of job, which comes in time, and for db, which has no time-out of its own on an instance."""
    region = exact_region()
    fleet(region)
    register(
        region,
        cpu=512,
        memory=512,
        fargate=False,
        behaviour={"containers": {"job": {**TINY, "run": "20 s"}, "db": {**TINY, "boot": "100 s"}}},
        container=waits(("job", "COMPLETE"), ("db", "HEALTHY")),
        others=[side("job", startTimeout=30), side("db", healthCheck=CHECK)],
    )
    arn = start(region, fargate=False)
    # 120 MiB at 50 MiB/s and 2 s: 4.4 s; healthy at the check 100 s later
    assert stamps(region, arn)["startedAt"] == 4.4 + 100 + NEXT
    assert told(region, arn)["lastStatus"] == "RUNNING"


def test_a_container_that_waits_for_complete_does_not_start_while_the_other_is_restarted():
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"job": {**TINY, "run": "100 s"}}},
        container=waits(("job", "COMPLETE")),
        others=[side("job", startTimeout=120, restartPolicy={"enabled": True, "restartAttemptPeriod": 60})],
    )
    arn = start(region, until="119 s")
    assert [(c["name"], c["lastStatus"]) for c in told(region, arn)["containers"]] == [
        ("app", "PENDING"),
        ("job", "RUNNING"),
    ]


def test_health_inside_the_start_period_and_after():
    """Checks every 10 s; up after 65 s: those at 50 and 60 s count; up after 95 s: those at 50, 60 and 70 s do."""
    for boot, expected in (("65 s", [(70, "HEALTHY")]), ("95 s", [(70, "UNHEALTHY"), (100, "HEALTHY")])):
        region = exact_region()
        register(
            region,
            behaviour={"boot": boot, "stop_exit_code": 143},
            container={"healthCheck": {**CHECK, "startPeriod": 50}},
        )
        [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())[
            "tasks"
        ]
        seen, before = [], "UNKNOWN"
        for second in range(16, 130):
            region.run(until=f"{second} s")
            now = told(region, task["taskArn"])["healthStatus"]
            if now != before:
                seen.append((second - 15, now))
            before = now
        assert seen == expected


@pytest.mark.parametrize(("hangs", "detected"), [(True, 100 + 20 + 3 * 5 + 2 * 30), (False, 100 + 20 + 2 * 30)])
def test_a_container_that_breaks_in_the_middle_is_found_out_as_computed(hangs, detected):
    """Started at 15 s, checks at 45, 75, ...; it breaks at 115 s: the checks from 135 s on fail, three in a row."""
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}
    register(
        region,
        behaviour={"health": {"fails_after": "100 s", "hangs": hangs}},
        container={"healthCheck": check},
    )
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until=f"{15 + detected - 1} s")
    assert told(region, task["taskArn"])["healthStatus"] == "HEALTHY"
    region.run(until=f"{15 + detected} s")
    assert told(region, task["taskArn"])["healthStatus"] == "UNHEALTHY"
    # a task without a service is not replaced
    assert told(region, task["taskArn"])["lastStatus"] == "RUNNING"
    after = detected - 100
    assert (75 if hangs else 60) <= after <= (105 if hangs else 90)


def test_a_task_is_healthy_when_all_its_essential_containers_with_a_check_are():
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"db": {**TINY, "boot": "25 s"}, "log": {**TINY, "boot": "1 h"}, "plain": TINY}},
        container={"healthCheck": CHECK},
        others=[
            side("db", essential=True, healthCheck=CHECK),
            side("log", healthCheck=CHECK),
            side("plain", essential=True),
        ],
    )
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    seen = []
    for second in (26, 44, 45):
        region.run(until=f"{second} s")
        seen.append(told(region, task["taskArn"])["healthStatus"])
    assert seen == ["UNKNOWN", "UNKNOWN", "HEALTHY"]
    region.run(until="60 s")
    names = {c["name"]: c["healthStatus"] for c in told(region, task["taskArn"])["containers"]}
    assert names == {"app": "HEALTHY", "db": "HEALTHY", "log": "UNHEALTHY", "plain": "UNKNOWN"}


def test_a_revision_that_crashes_at_boot():
    region = exact_region()
    register(region, behaviour={"boot": "6 s", "boot_exit_code": 1})
    arn = start(region)
    assert statuses(region)[0][3:] == [(15, "RUNNING"), (21, "STOPPING"), (22, "DEPROVISIONING"), (29, "STOPPED")]
    assert told(region, arn)["containers"][0]["exitCode"] == 1


def test_an_instance_that_is_lost_takes_its_containers_without_an_exit_code():
    region = exact_region()
    fleet(region)
    register(region, cpu=512, memory=512, fargate=False, behaviour={"containers": {"log": TINY}}, others=[side("log")])
    arn = start(region, until="100 s", fargate=False)
    lose_oldest_instance(region)
    region.run(until="110 s")
    assert told(region, arn)["lastStatus"] == "STOPPED"
    assert {name: (ends, code) for (name, _), (_, ends, code) in rows(region).items()} == {
        "app": (100, None),
        "log": (100, None),
    }


def test_a_task_stopped_while_it_waits_for_a_migration():
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"migrate": {**TINY, "run": "100 s", "stop": "5 s"}}},
        container=waits(("migrate", "SUCCESS")),
        others=[side("migrate")],
    )
    arn = start(region, until="50 s")
    region.ecs.stop_task(task=arn)
    region.run(until="200 s")
    assert statuses(region)[0][2:] == [(10, "ACTIVATING"), (50, "STOPPING"), (55, "DEPROVISIONING"), (62, "STOPPED")]
    assert [(c["name"], c["lastStatus"], c.get("exitCode")) for c in told(region, arn)["containers"]] == [
        ("app", "STOPPED", None),
        ("migrate", "STOPPED", 0),
    ]


def test_a_service_counts_a_task_whose_container_ends_before_all_have_started_as_failed_to_start():
    """db crashes at boot while app waits for it to be healthy: the task never runs, so that the launch throttle sets in."""
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"db": {**TINY, "boot": "5 s", "boot_exit_code": 1}}},
        container=waits(("db", "HEALTHY")),
        others=[side("db", essential=True, healthCheck=CHECK)],
    )
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="10 min")
    [told_service] = region.ecs.describe_services(services=["web"])["services"]
    assert any("unable to consistently start tasks successfully" in e["message"] for e in told_service["events"])
    tasks = region.finish().tasks.frame().sort_values("created_at")
    assert set(tasks.stop_code.dropna()) == {"EssentialContainerExited"}
    assert tasks.started_at.isna().all()
    gaps = [round(gap.total_seconds()) for gap in tasks.created_at.diff().dropna()]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 2 * gaps[0]


def test_what_the_entry_of_the_first_essential_container_leaves_out_is_the_task_s():
    region = exact_region()
    behaviour = {"boot": "6 s", "boot_exit_code": 3, "stop": "9 s", "containers": {"app": {"boot": "10 s", **TINY}}}
    register(region, behaviour=behaviour)
    start(region)
    assert rows(region) == {("app", 0): (12, 22, 3)}  # nothing to pull: RUNNING at 12 s
