"""Images: how long they take, who keeps them, when they go, and what a pull that fails means for each behaviour of the agent.

An instance pulls 50 MiB/s, a Fargate task of one vCPU 40; 2 s from there to RUNNING. What is refused fails after 5 s, what gets no
answer on an instance after 60 s.
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import SUBNETS as ZONES
from sim_helpers import exact_region, fleet, network, register, stamps, statuses

from fargsim import Region
from fargsim.sim.images import Cleanup, ImageCache

MIN, HOUR = 60, 3600


def on_instance(region: Region, family: str = "web", at: str | None = None) -> dict[str, float]:
    """Run one task on the only instance for 100 s and return its stamps; `at` is when it is asked for, if not now."""
    if at is not None:
        region.run(until=at)
    [task] = region.ecs.run_task(taskDefinition=family, launchType="EC2")["tasks"]
    region.run(until=region.now_us + 100_000_000)
    return stamps(region, task["taskArn"])


def one_instance(surroundings: Any = None, **agent: Any) -> Region:
    region = exact_region(surroundings=surroundings or {})
    fleet(region, 1, "m5.4xlarge", agent=agent)
    return region


def stop_all(region: Region) -> None:
    for arn in region.ecs.list_tasks()["taskArns"]:
        region.ecs.stop_task(task=arn)


# what is kept


def test_an_image_is_kept_whatever_revision_or_family_pulled_it():
    region = one_instance()
    for family in ("web", "api"):
        register(region, family, fargate=False, cpu=256, memory=256)
    register(region, fargate=False, cpu=512, memory=256)
    register(region, "other", fargate=False, cpu=256, memory=256, container={"image": "app:2"})
    assert on_instance(region, "web:1")["startedAt"] == 4.4
    assert on_instance(region, "web:2")["startedAt"] == 102
    assert on_instance(region, "api")["startedAt"] == 202
    assert on_instance(region, "other")["startedAt"] == 304.4


def test_an_image_that_two_containers_share_is_pulled_once():
    region = one_instance()
    sidecar = {"name": "log", "image": "log:1", "essential": False}
    twin = {"name": "twin", "image": "docker.io/library/app:1", "essential": False}
    sizes = {"containers": {"log": {"image": {"size": "50 MiB"}}}}
    register(region, fargate=False, cpu=256, memory=256, behaviour=sizes, others=[sidecar, twin])
    told = on_instance(region)
    assert told["pullStoppedAt"] == pytest.approx((120 + 50) / 50)
    # only the sidecar's image is new to the next one
    register(region, "api", fargate=False, cpu=256, memory=256, behaviour=sizes, container={"image": "log:1"})
    assert on_instance(region, "api")["pullStoppedAt"] == 100


def test_fargate_pulls_all_images_for_every_task():
    region = exact_region()
    sidecar = {"name": "log", "image": "log:1", "essential": False}
    register(region, behaviour={"containers": {"log": {"image": {"size": "40 MiB"}}}}, others=[sidecar])
    for _ in range(2):
        region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    region.run(until="60 s")
    assert [life[-1] for life in statuses(region)] == [(16, "RUNNING"), (16, "RUNNING")]  # 160 MiB at 40 MiB/s, 2 s


@pytest.mark.parametrize(
    ("image", "pull_s"),
    [
        ({"size": "400 MiB"}, 10),
        ({"size": "400 MiB", "zstd": True}, 7.3),
        ({"size": "400 MiB", "soci": True}, 4.7),
        ({"size": "200 MiB", "soci": True}, 5),  # too small for lazy loading to pay
        ({"size": "400 MiB", "soci": True, "zstd": True}, 10 * 0.73 * 0.47),
    ],
    ids=["gzip", "zstd", "SOCI", "SOCI below its threshold", "both"],
)
def test_zstd_and_soci(image, pull_s):
    region = exact_region()
    register(region, behaviour={"image": image})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until="60 s")
    assert stamps(region, task["taskArn"])["pullStoppedAt"] == pytest.approx(10 + pull_s, abs=1e-6)


def test_a_task_may_mix_images_with_and_without_a_soci_index():
    region = exact_region()
    sizes = {
        "image": {"size": "400 MiB", "soci": True},
        "containers": {"log": {"image": {"size": "400 MiB"}}, "tiny": {"image": {"size": "40 MiB", "soci": True}}},
    }
    others = [{"name": name, "image": f"{name}:1", "essential": False} for name in ("log", "tiny")]
    register(region, behaviour=sizes, others=others)
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until="60 s")
    assert stamps(region, task["taskArn"])["pullStoppedAt"] == pytest.approx(10 + 4.7 + 10 + 1)


def test_instances_do_not_load_lazily():
    region = one_instance()
    register(region, fargate=False, cpu=256, memory=256, behaviour={"image": {"size": "400 MiB", "soci": True}})
    assert on_instance(region)["pullStoppedAt"] == 8


# ECS_IMAGE_PULL_BEHAVIOR


@pytest.mark.parametrize(
    ("behaviour", "first", "second"),
    [("default", 4.4, 102), ("always", 4.4, 104.4), ("once", 4.4, 102), ("prefer-cached", 4.4, 102)],
)
def test_a_second_task_of_an_image(behaviour, first, second):
    region = one_instance(ECS_IMAGE_PULL_BEHAVIOR=behaviour)
    register(region, fargate=False, cpu=256, memory=256)
    assert on_instance(region)["startedAt"] == first
    assert on_instance(region)["startedAt"] == second


def region_with_cached_image(behaviour: str, surroundings: Any) -> Region:
    """A service's task was there before the run began, and with it its image; nothing has been asked of the registry."""
    region = one_instance(surroundings, ECS_IMAGE_PULL_BEHAVIOR=behaviour)
    register(region, fargate=False, cpu=256, memory=256)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.registry.service("default", "web").settle()
    region.run(until="10 s")
    return region


@pytest.mark.parametrize(
    ("behaviour", "surroundings", "started", "stopped"),
    [
        ("default", {"images": {"app": {"exists": False}}}, 17, None),
        ("always", {"images": {"app": {"exists": False}}}, None, 15),
        ("once", {"images": {"app": {"exists": False}}}, 12, None),
        ("prefer-cached", {"images": {"app": {"exists": False}}}, 12, None),
        ("default", {"registries": {"docker.io": {"anonymous_pulls": 0}}}, 12, None),
        ("always", {"registries": {"docker.io": {"anonymous_pulls": 0}}}, None, 15),
    ],
    ids=[
        "default falls back on the disk",
        "always fails",
        "once does not ask",
        "prefer-cached does not ask",
        "default only compares",
        "always uses pulls up",
    ],
)
def test_a_pull_that_fails_while_the_image_is_on_the_disk(behaviour, surroundings, started, stopped):
    region = region_with_cached_image(behaviour, surroundings)
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="200 s")
    told = stamps(region, task["taskArn"])
    assert (told.get("startedAt"), told.get("stoppedAt")) == (started, stopped)


@pytest.mark.parametrize("behaviour", ["default", "always", "once", "prefer-cached"])
def test_a_pull_that_fails_without_the_image_on_the_disk(behaviour):
    region = one_instance({"images": {"app": {"tags": ["7"]}}}, ECS_IMAGE_PULL_BEHAVIOR=behaviour)
    register(region, fargate=False, cpu=256, memory=256)
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="100 s")
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert statuses(region) == [[(0, "PROVISIONING"), (0, "PENDING"), (0, "ACTIVATING"), (5, "STOPPED")]]
    assert told["stopCode"] == "TaskFailedToStart"
    assert told["stoppedReason"] == (
        "CannotPullContainerError: Error response from daemon: manifest for docker.io/library/app:1 not found: manifest unknown: "
        "Requested image not found"
    )


def instance_in(
    route: str,
    *,
    public_ip: bool = False,
    roles: Any = None,
    image: str = "app:1",
    container: Any = None,
    agent: Any = None,
) -> list[Any]:
    """A task on an instance of its own subnet: state and reason of the task, and when it got there."""
    subnets = [{"SubnetId": "subnet-a", "AvailabilityZone": "us-east-1a", "route": route}]
    region = exact_region(surroundings={"network": {"subnets": subnets, "nat_gateways": 1}, "roles": roles or {}})
    fleet(region, 1, VPCZoneIdentifier="subnet-a", AvailabilityZones=[], public_ip=public_ip, agent=agent or {})
    register(region, fargate=False, cpu=256, memory=256, container={"image": image, **(container or {})})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="200 s")
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    at, status = statuses(region)[0][-1]
    return [at, status, told.get("stoppedReason")]


def test_an_agent_pulls_through_its_instance():
    assert instance_in("nat")[:2] == [4.4, "RUNNING"]
    assert instance_in("internet_gateway", public_ip=True)[:2] == [4.4, "RUNNING"]
    assert instance_in("internet_gateway") == [
        60,
        "STOPPED",
        'CannotPullContainerError: Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request canceled while '
        "waiting for connection (Client.Timeout exceeded while awaiting headers)",
    ]


def test_an_agent_pulls_from_amazon_ecr_with_its_instances_role():
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"
    sound = {"ecsInstanceRole": {"managed_policies": ["AmazonEC2ContainerServiceforEC2Role"]}}
    assert instance_in("nat", image=image, roles=sound)[1] == "RUNNING"
    at, status, reason = instance_in("nat", image=image, roles={"ecsInstanceRole": {"actions": ["ecs:*"]}})
    assert (at, status) == (5, "STOPPED")
    assert "assumed-role/ecsInstanceRole/i-" in reason  # the instance asks in its own name
    assert "is not authorized to perform: ecr:GetAuthorizationToken on resource: * " in reason
    at, status, reason = instance_in("nat", image=image, roles={"ecsInstanceRole": {"actions": ["ecr:Get*"]}})
    assert (at, status) == (5, "STOPPED")
    assert reason.startswith(
        "CannotPullContainerError: Error response from daemon: pull access denied for 123456789012.dkr.ecr.us-east-1.amazonaws.com/web, "
        "repository does not exist or may require 'docker login': denied: User: arn:aws:sts::123456789012:assumed-role/ecsInstanceRole/i-"
    )
    assert (
        "is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:123456789012:repository/web"
    ) in reason


@pytest.mark.parametrize(
    ("agent", "size", "ends"),
    [({}, "300 GiB", (4.4 + 300 * 1024 / 50 - 2.4, "RUNNING")), ({"ECS_IMAGE_PULL_TIMEOUT": "1h"}, "300 GiB", (3600, "STOPPED")),
     ({"ECS_IMAGE_PULL_TIMEOUT": "1m"}, "120 MiB", (4.4, "RUNNING"))],
)  # fmt: skip
def test_a_pull_that_takes_longer_than_the_agent_allows(agent, size, ends):
    region = one_instance(**agent)
    register(region, fargate=False, cpu=256, memory=256, behaviour={"image": {"size": size}})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="3 h")
    assert statuses(region)[0][-1] == (pytest.approx(ends[0]), ends[1])
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    if ends[1] == "STOPPED":
        assert (told["stopCode"], told["stoppedReason"]) == (
            "TaskFailedToStart",
            "DockerTimeoutError: Could not transition to pulled; timed out after waiting 1h0m0s",
        )


def test_the_agent_says_how_long_a_pull_may_stand_still():
    assert instance_in("internet_gateway", agent={"ECS_IMAGE_PULL_INACTIVITY_TIMEOUT": "3m"})[:2] == [180, "STOPPED"]


@pytest.mark.parametrize(("said", "seconds"), [("2m", 120), ("90s", 90), (45, 45), ("45", 45)])
def test_the_agent_writes_its_stop_time_out_as_a_duration(said, seconds):
    region = one_instance(ECS_CONTAINER_STOP_TIMEOUT=said, ECS_CONTAINER_START_TIMEOUT="3m")
    register(region, fargate=False, cpu=256, memory=256, behaviour={"stop": "10 min"})
    told = on_instance(region)
    region.ecs.stop_task(task=region.ecs.list_tasks()["taskArns"][0])
    region.run(until="10 min")
    [task] = region.finish().tasks.frame().itertuples()
    assert (task.execution_stopped_at - task.stopping_at).total_seconds() == seconds
    assert told["startedAt"] == 4.4


def test_on_an_instance_a_missing_log_group_shows_after_the_pull():
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1"}}
    region = one_instance({"log_groups": []})
    register(region, fargate=False, cpu=256, memory=256, container={"logConfiguration": log})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="100 s")
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert statuses(region)[0][-1] == (7.4, "STOPPED")
    assert stamps(region, task["taskArn"])["pullStoppedAt"] == 2.4
    assert told["stoppedReason"] == (
        "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log "
        "stream: ResourceNotFoundException: The specified log group does not exist."
    )


# cleanup


def test_an_image_goes_when_no_container_of_it_is_left_and_it_is_old_enough():
    region = one_instance()
    register(region, fargate=False, cpu=256, memory=256)
    on_instance(region)
    region.run(until="10 min")
    stop_all(region)  # its container stays for three hours: until 3 h 10 min; the next cycle is at 3 h 30 min
    assert on_instance(region, at="209 min")["startedAt"] == 209 * MIN + 2
    stop_all(
        region
    )  # at 210 min 40 s: until 6 h 30 min 40 s, so the cycle at 6 h 30 min finds it, the one at 7 h takes it
    assert on_instance(region, at="419 min")["startedAt"] == 419 * MIN + 2
    stop_all(region)
    assert on_instance(region, at="631 min")["startedAt"] == 631 * MIN + 4.4


@pytest.mark.parametrize(
    ("agent", "pull_s"),
    [
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m"}, 2.4),  # the cycle at 1 h 30 min
        ({}, 0),
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m", "ECS_IMAGE_MINIMUM_CLEANUP_AGE": "2h"}, 0),
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m", "ECS_IMAGE_CLEANUP_INTERVAL": "2h"}, 0),
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m", "ECS_DISABLE_IMAGE_CLEANUP": True}, 0),
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m", "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached"}, 0),
        ({"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m", "ECS_IMAGE_PULL_BEHAVIOR": "once"}, 2.4),
    ],
    ids=["short wait", "default wait", "old enough only", "rare cycles", "no cleanup", "prefer-cached", "once"],
)
def test_the_agents_settings_of_cleanup(agent, pull_s):
    region = one_instance(**agent)
    register(region, fargate=False, cpu=256, memory=256)
    on_instance(region)
    stop_all(region)
    told = on_instance(region, at="100 min")
    assert told["startedAt"] - 2 == pytest.approx(100 * MIN + pull_s)


def by_hand(rules: Cleanup, events: list[tuple[int, str, str]], until: int) -> set[str]:
    """What is on the disk in the end, cycle by cycle, as the agent does it."""
    kept: dict[str, dict[str, int]] = {}
    for now in range(until + 1):
        if now and now % rules.interval_us == 0:
            due = [
                (k["used"], name)
                for name, k in kept.items()
                if not k["users"] and k["free"] <= now and k["pulled"] + rules.minimum_age_us <= now
            ]
            for _, name in sorted(due)[: rules.per_cycle]:
                del kept[name]
        for _, what, name in (e for e in events if e[0] == now):
            if what == "hold":
                entry = kept.setdefault(name, {"pulled": now, "used": now, "users": 0, "free": 0})
                entry["users"] += 1
                entry["used"] = now
            else:
                kept[name]["users"] -= 1
                if not kept[name]["users"]:
                    kept[name]["free"] = now + rules.task_wait_us
    return set(kept)


def test_the_cache_worked_out_at_a_look_is_the_cache_cleaned_cycle_by_cycle():
    rules = Cleanup(interval_us=10, minimum_age_us=25, per_cycle=1, task_wait_us=7)
    events = [
        (1, "hold", "a"), (2, "hold", "b"), (3, "hold", "c"), (4, "release", "b"), (12, "release", "a"), (13, "release", "c"),
        (33, "hold", "c"), (36, "hold", "d"), (41, "release", "c"), (44, "release", "d"),
    ]  # fmt: skip
    for until in range(45, 120):
        cache = ImageCache(0, rules)
        for at, what, name in events:
            getattr(cache, what)(name, at)
        assert {name for name in "abcd" if cache.has(name, until)} == by_hand(rules, events, until), until


# pulls without an account


def pulls(route: str, count: int, *, public: bool, **container: Any) -> list[str]:
    subnets = [{"SubnetId": "subnet-a", "AvailabilityZone": ZONES["subnet-a"], "route": route}]
    around = {
        "network": {"subnets": subnets, "nat_gateways": 1},
        "registries": {"docker.io": {"anonymous_pulls": 3, "per": "10 min"}},
    }
    region = exact_region(surroundings=around)
    region.behave("web", {"image": {"size": "120 MiB"}})
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        executionRoleArn="arn:aws:iam::123456789012:role/exec",
        containerDefinitions=[{"name": "app", "image": "app:1", **container}],
    )
    configuration = {"subnets": ["subnet-a"], "assignPublicIp": "ENABLED" if public else "DISABLED"}
    for _ in range(count):
        region.ecs.run_task(
            taskDefinition="web", launchType="FARGATE", networkConfiguration={"awsvpcConfiguration": configuration}
        )
        region.run(until=region.now_us + 150_000_000)
    return [life[-1][1] for life in statuses(region)]


def test_tasks_behind_a_nat_gateway_share_its_address_at_the_registry():
    # pulls at 10, 160 and 310 s use the ten minutes up; at 610 s the first one is forgotten
    assert pulls("nat", 6, public=False) == ["RUNNING"] * 3 + ["STOPPED"] + ["RUNNING"] * 2


def test_tasks_with_public_addresses_or_an_account_do_not():
    assert pulls("internet_gateway", 5, public=True) == ["RUNNING"] * 5
    account = {
        "repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub"}
    }
    assert pulls("nat", 5, public=False, **account) == ["RUNNING"] * 5
