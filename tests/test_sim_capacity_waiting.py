"""Tasks that wait in PROVISIONING for instances of their capacity provider: how long, why in vain, and how they count.

An instance is running 23 s after its launch and registered 60 s later (`sim_helpers`).
"""

from __future__ import annotations

from capacity_helpers import MIN, provider, service, sizes
from sim_helpers import exact_region, fleet, network, register, statuses

from fargsim import Region


def test_a_task_gives_up_after_half_an_hour_in_provisioning():
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region, MaxSize=1)
    service(region, 4)
    region.run(until="31 min")
    lives = statuses(region)
    assert [life[-1] for life in lives[:2]] == [(147.4, "RUNNING")] * 2
    assert [life[:2] for life in lives[2:4]] == [[(5, "PROVISIONING"), (1805, "STOPPED")]] * 2
    frame = region.finish().tasks.frame()
    gone = frame[frame.last_status == "STOPPED"]
    assert set(gone.stop_code) == {"TaskFailedToStart"}
    assert set(gone.stopped_reason) == {"TaskFailedToStart: RESOURCE:CPU"}, "the one instance is full"


def given_up(region: Region) -> set[str]:
    """Why tasks stopped that never ran."""
    frame = region.kit.recorder.tasks.frame()
    return set(frame[frame.started_at.isna()].stopped_reason)


def test_why_a_task_has_waited_in_vain():
    """Amazon ECS Developer Guide, api_failures_messages.html."""
    for reason, group, task, spec in (
        ("RESOURCE:MEMORY", {}, {"memory": 8192}, {}),
        ("ATTRIBUTE", {}, {"mode": "awsvpc", "cpu": 256, "memory": 512}, {}),
        (
            "MemberOf placement constraint unsatisfied",
            {},
            {},
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]},
        ),
    ):
        region = exact_region()
        register(region, fargate=False, **{"cpu": 1024, "memory": 512, **task})
        agent = {"agent": {"ECS_ENABLE_TASK_ENI": False}}
        provider(region, 1, registered_at_start=True, MaxSize=1, **agent, **group)
        # instances of another group of the cluster are none of the provider's
        fleet(region, 1, kind="m5.4xlarge", name="other")
        network_ = {"networkConfiguration": network()} if task.get("mode") == "awsvpc" else {}
        region.ecs.run_task(
            taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}], **spec, **network_
        )
        region.run(until="31 min")
        assert given_up(region) == {f"TaskFailedToStart: {reason}"}


def test_why_a_task_has_waited_in_vain_for_instances_that_drain_or_are_not_there():
    for draining, reason in ((True, "NO ACTIVE INSTANCES"), (False, "EMPTY CAPACITY PROVIDER")):
        region = exact_region()
        register(region, cpu=1024, memory=512, fargate=False)
        provider(region, 1, registered_at_start=draining, MaxSize=1)
        region.registry.ec2.withdraw(["us-east-1a"], 120 * MIN)
        if draining:
            region.ecs.update_container_instances_state(auto_scaling_group="asg", status="DRAINING")
        else:
            region.registry.group("asg").lose(region.registry.group("asg").in_service[0], "gone")
        region.ecs.run_task(taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}])
        region.run(until="31 min")
        assert given_up(region) == {f"TaskFailedToStart: {reason}"}


def test_a_task_that_no_instance_of_its_provider_holds_waits_and_the_smallest_type_is_named():
    region = exact_region()
    register(region, cpu=4096, memory=512, fargate=False)
    provider(region, 1, registered_at_start=True)
    service(region, 2)
    region.run(until="29 min")
    assert [life[-1][1] for life in statuses(region)] == ["PROVISIONING"] * 2
    assert sizes(region) == [], "managed scaling leaves the group alone"
    events = region.kit.recorder.events.frame()
    [text] = events[events.event_name == "TASK_FITS_NO_INSTANCE"].message
    assert text.startswith(
        "(service web) tasks of web:1 on capacity provider cp: no c5.large holds one (4096 CPU units, 512 MiB), so they stay "
        "PROVISIONING and stop in the end; the smallest type that would do is c"
    ), "once, not for every task"
    region.run(until="31 min")
    assert given_up(region) == {"TaskFailedToStart: RESOURCE:CPU"}


def test_a_task_that_its_overrides_make_too_large_is_told_of_though_the_plain_one_was_not():
    region = exact_region()
    register(region, cpu=256, memory=512, fargate=False)
    provider(region)
    for overrides in ({}, {"memory": "9000"}, {"memory": "9000"}):
        region.ecs.run_task(
            taskDefinition="web",
            overrides=overrides,
            capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
        )
    events = region.kit.recorder.events.frame()
    [text] = events[events.event_name == "TASK_FITS_NO_INSTANCE"].message
    assert text.startswith(
        "tasks of web:1 on capacity provider cp: no c5.large holds one (256 CPU units, 9000 MiB), so they stay"
    )


def test_waiting_tasks_of_several_families_count_together_where_they_ask_for_the_same():
    """managed-scaling-behavior.html: the groups are those of identical resources; of different ones the maximum counts."""
    found = {}
    for same in (True, False):
        region = exact_region()
        for n, family in enumerate(("web", "api", "job")):
            register(region, family, cpu=2048, memory=512 + (0 if same else n), fargate=False)
        provider(region, 1, registered_at_start=True)
        for family in ("web", "api", "job"):
            region.ecs.run_task(
                taskDefinition=family, count=2, capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}]
            )
        region.run(until="61 s")
        found[same] = sizes(region)
    # one of the six runs on the instance that is there; five of one kind need five more, of 1, 2 and 2 two more
    assert found == {True: [(60, 1, 6)], False: [(60, 1, 3)]}


def test_tasks_that_want_instances_of_their_own_do_so_among_their_own_group():
    region = exact_region()
    register(region, cpu=256, memory=512, fargate=False)
    provider(region, 0)
    for number in range(2):
        region.ecs.create_service(
            serviceName=f"s{number}",
            taskDefinition="web",
            desiredCount=4,
            capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
            placementConstraints=[{"type": "distinctInstance"}],
        )
    region.run(until="20 min")
    assert len(region.registry.group("asg").in_service) == 4, "one task of each service on every instance"
