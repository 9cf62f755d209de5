"""Laws of the containers in a task, for any task definition and any behaviour."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_helpers import exact_region, network, register, seconds

from fargsim.policy.containers import dependents_of

TINY = {"image": {"size": "0 MiB"}}
CHECK = {"command": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 2}


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    """A legal task definition of up to five containers, in any order, and how they behave."""
    number = draw(st.integers(2, 5))
    names = [f"c{n}" for n in range(number)]
    containers, behaviour = [], {}
    for n, name in enumerate(names):
        essential = n == number - 1 or draw(st.booleans())
        checked = draw(st.booleans())
        needs = []
        for m, other in enumerate(containers):
            if not draw(st.booleans()):
                continue
            legal = ["START"]
            if not other["essential"]:
                legal += ["COMPLETE", "SUCCESS"]
            if "healthCheck" in other:
                legal.append("HEALTHY")
            needs.append({"containerName": names[m], "condition": draw(st.sampled_from(legal))})
        container: dict[str, Any] = {"name": name, "image": f"{name}:1", "essential": essential, "dependsOn": needs}
        if checked:
            container["healthCheck"] = CHECK
        if draw(st.booleans()):
            container["startTimeout"] = draw(st.integers(2, 40))
        if draw(st.booleans()):
            container["stopTimeout"] = draw(st.integers(2, 20))
        if draw(st.booleans()):
            container["restartPolicy"] = {"enabled": True, "restartAttemptPeriod": 60}
        containers.append(container)
        does: dict[str, Any] = {
            **TINY,
            "boot": f"{draw(st.integers(0, 12))} s",
            "stop": f"{draw(st.integers(0, 25))} s",
        }
        if draw(st.booleans()):
            does |= {"run": f"{draw(st.integers(0, 130))} s", "exit_code": draw(st.sampled_from([0, 1, 139]))}
        if draw(st.booleans()):
            does |= {"memory": "100 MiB", "memory_leak_per_hour": f"{draw(st.integers(1, 40))} GiB"}
        if draw(st.booleans()):
            does["health"] = {"fails_after": f"{draw(st.integers(0, 60))} s", "hangs": draw(st.booleans())}
        behaviour[name] = does
    return {"containers": draw(st.permutations(containers)), "behaviour": behaviour, "stop": draw(st.integers(5, 300))}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tasks())
def test_containers_start_after_what_they_wait_for_and_stop_before_it(task):
    region = exact_region()
    region.behave("web", {"containers": task["behaviour"]})
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=task["containers"],
    )
    [started] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until=f"{task['stop']} s")
    region.ecs.stop_task(task=started["taskArn"])
    region.run(until=f"{task['stop'] + 300} s")
    # whatever has happened, the task is over and says why
    [told] = region.ecs.describe_tasks(tasks=[started["taskArn"]])["tasks"]
    assert told["lastStatus"] == "STOPPED"
    assert told["stopCode"] in ("UserInitiated", "EssentialContainerExited", "TaskFailedToStart")
    assert all(c["lastStatus"] in ("STOPPED", "PENDING") for c in told["containers"])
    tables = region.finish()
    rows = tables.containers.frame()
    assert not rows.duplicated(["container", "run"]).any()
    [life] = tables.tasks.frame().itertuples()
    runs: dict[str, list[Any]] = {}
    for row in rows.sort_values("run").itertuples():
        if seconds(row.started_at) is not None:
            assert row.exited_at >= row.started_at
            assert 0 <= row.exit_code <= 255
            runs.setdefault(row.container, []).append(row)
    by_name = {c["name"]: c for c in task["containers"]}
    for name, container in by_name.items():
        mine = runs.get(name, [])
        for first, second in pairwise(mine):
            # in place, once a period at most, and never two at a time
            assert (first.exited_at - first.started_at).total_seconds() >= 60
            assert (second.started_at - first.exited_at).total_seconds() == 0.5
        if not mine:
            continue
        for need in container["dependsOn"]:
            other = runs[need["containerName"]]
            assert other[0].started_at <= mine[0].started_at
            ended = [r.exited_at for r in other if r.exited_at <= mine[0].started_at]
            if need["condition"] in ("COMPLETE", "SUCCESS"):
                assert len(ended) == len(other)
            if need["condition"] == "SUCCESS":
                assert other[-1].exit_code == 0
    if seconds(life.stopping_at) is not None:
        needs = {n: tuple((d["containerName"], d["condition"]) for d in c["dependsOn"]) for n, c in by_name.items()}
        for name, mine in runs.items():
            last = mine[-1]
            if last.exited_at <= life.stopping_at:
                continue
            does = task["behaviour"][name]
            by_itself = "run" in does or last.exit_code == 137
            above = [runs[d][-1].exited_at for d in dependents_of(name, needs) if d in runs]
            told_at = max([life.stopping_at, *above])
            limit = by_name[name].get("stopTimeout", 30)
            # told when those that depend on it have stopped, gone by its stop time-out at the latest
            assert (last.exited_at - told_at).total_seconds() <= limit
            assert by_itself or last.exited_at >= told_at
        assert life.execution_stopped_at >= max(r.exited_at for mine in runs.values() for r in mine)
    ran = set(runs) == set(by_name)
    assert (seconds(life.started_at) is not None) <= ran


def test_same_seed_same_rows():
    def rows() -> list[Any]:
        region = exact_region(seed=5)
        register(
            region,
            behaviour={
                "boot": {"exponential": {"mean": "5 s"}},
                "crash": {"exponential": {"mean": "100 s"}},
                "containers": {"log": {**TINY, "run": {"exponential": {"mean": "90 s"}}, "exit_code": 1}},
            },
            container={"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}},
            others=[{"name": "log", "image": "log:1", "essential": False}],
        )
        region.ecs.create_service(
            serviceName="web",
            taskDefinition="web",
            desiredCount=3,
            launchType="FARGATE",
            networkConfiguration=network(),
        )
        region.run(until="30 min")
        return region.finish().containers.frame().astype(str).to_numpy().tolist()

    first = rows()
    assert first == rows()
    assert len(first) > 6


def test_a_service_that_was_there_before_has_its_init_containers_behind_it():
    region = exact_region()
    register(
        region,
        behaviour={"containers": {"migrate": {**TINY, "run": "20 s"}, "log": TINY}},
        container={
            "dependsOn": [
                {"containerName": "migrate", "condition": "SUCCESS"},
                {"containerName": "log", "condition": "START"},
            ]
        },
        others=[
            {"name": "migrate", "image": "m:1", "essential": False},
            {"name": "log", "image": "log:1", "essential": False},
        ],
    )
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE", networkConfiguration=network()
    )
    region.registry.service("default", "web").settle()
    region.run(until="1 s")
    [service] = region.ecs.describe_services(services=["web"])["services"]
    assert service["runningCount"] == 2
    [task, _] = region.ecs.describe_tasks(tasks=region.ecs.list_tasks()["taskArns"])["tasks"]
    assert [(c["name"], c["lastStatus"]) for c in task["containers"]] == [
        ("app", "RUNNING"),
        ("migrate", "STOPPED"),
        ("log", "RUNNING"),
    ]


def test_a_spot_reclaim_signals_every_container_in_its_turn():
    region = exact_region(assumptions={"spot_interruptions_per_task_hour": 3600})
    register(
        region,
        behaviour={"stop": "10 s", "containers": {"log": {**TINY, "stop": "4 s", "stop_exit_code": 143}}},
        container={"dependsOn": [{"containerName": "log", "condition": "START"}]},
        others=[{"name": "log", "image": "log:1", "essential": False}],
    )
    [started] = region.ecs.run_task(
        taskDefinition="web",
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        networkConfiguration=network(),
    )["tasks"]
    region.run(until="10 min")
    [told] = region.ecs.describe_tasks(tasks=[started["taskArn"]])["tasks"]
    assert told["stopCode"] == "SpotInterruption"
    assert (told["executionStoppedAt"] - told["stoppingAt"]).total_seconds() == pytest.approx(14)
    assert [c["exitCode"] for c in told["containers"]] == [0, 143]
