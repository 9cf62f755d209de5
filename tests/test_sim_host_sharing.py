"""Tasks without task-level cpu share their instance: by hand, across services, with every kind of work, and against an oracle."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sim_helpers import behind, exact_region, fleet, register, seconds, target_group

from fargsim import Region
from fargsim.kernel.reference_hosts import Host, Member
from fargsim.model.scenario import Record
from fargsim.sim.host_sharing import HostSharing, Seat, most_cores, shares_of
from fargsim.sim.state import TaskRun

FULL = Record(requests="full")
AT = 200
"""Seconds after which every task is healthy and nothing else happens."""


def on_host(
    region: Region,
    name: str,
    *,
    shares: int = 512,
    cpu: int | None = None,
    behaviour: Mapping[str, Any],
    balanced: bool = True,
    count: int = 1,
    **more: Any,
) -> None:
    """A service on EC2 whose one container has `cpu` shares; with `cpu`, the task has that and no more."""
    region.behave(name, {"image": {"size": "10 MiB"}, **behaviour})
    region.ecs.register_task_definition(
        family=name,
        **({} if cpu is None else {"cpu": str(cpu)}),
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        containerDefinitions=[
            {
                "name": "app",
                "image": f"{name}:1",
                "cpu": shares,
                "memory": 256,
                "portMappings": [{"containerPort": 80, "hostPort": 0}],
            }
        ],
        **more,
    )
    if balanced:
        target_group(region, name, kind="instance")
    region.ecs.create_service(
        serviceName=name,
        taskDefinition=name,
        desiredCount=count,
        launchType="EC2",
        loadBalancers=behind(name) if balanced else [],
    )


def send(region: Region, name: str, *at_s: float) -> None:
    region.send_traffic(name, {"instants": [f"{AT + at} s" for at in at_s]})


def tables(region: Region) -> Any:
    """The tables of a run that is over."""
    return region.kit.recorder if region._closed else region.finish()


def took(region: Region, name: str) -> list[float]:
    """Latencies of a service's requests, seconds."""
    frame = tables(region).requests.frame()
    frame = frame[frame.service == name].sort_values("request_id")
    return [round(x / 1000, 6) for x in frame.latency_ms]


def region_with(kind: str = "c5.large", size: int = 1, **more: Any) -> Region:
    region = exact_region(record=FULL, **more)
    fleet(region, size, kind, zones=1)
    return region


def test_services_on_one_instance_share_its_cores_by_their_cpu_units() -> None:
    region = region_with()  # 2 vCPU
    on_host(region, "web", shares=768, behaviour={"request": {"cpu": "3 s"}})
    on_host(region, "batch", shares=256, behaviour={"request": {"cpu": "3 s"}})
    send(region, "web", 0, 0)
    send(region, "batch", 0, 0)
    region.run("300 s")
    # four requests on two cores: 1.5 for web (0.75 each) and 0.5 for batch; after 4 s batch has both, 2 s of its 6 s done in 4
    assert took(region, "web") == [4.0, 4.0]
    assert took(region, "batch") == [6.0, 6.0]


def test_a_task_alone_bursts_into_the_whole_instance_beyond_what_it_reserves() -> None:
    region = region_with()
    on_host(region, "web", shares=256, behaviour={"request": {"cpu": "3 s"}})
    send(region, "web", 0, 0)
    region.run("300 s")
    assert took(region, "web") == [3.0, 3.0]
    services = tables(region).services.frame()
    busiest = services[services.service == "web"].cpu_utilization.max()
    assert busiest == pytest.approx(100 * 6 / 60 / 0.25), (
        "above 100 % in the end: 6 core-seconds a minute of a quarter vCPU"
    )


def test_a_capped_task_has_its_cpu_and_no_more_and_its_neighbour_has_the_rest() -> None:
    region = region_with()
    on_host(region, "capped", shares=512, cpu=512, behaviour={"request": {"cpu": "1 s"}})
    on_host(region, "free", shares=512, behaviour={"request": {"cpu": "3 s"}})
    send(region, "capped", 0, 0)
    send(region, "free", 0, 0, 10)
    region.run("300 s")
    assert took(region, "capped") == [4.0, 4.0], "two seconds of work on half a core, with a neighbour or without"
    assert took(region, "free") == [4.0, 4.0, 3.0], "1.5 cores meanwhile; one request has no more than one core"


def test_tasks_on_an_instance_of_capped_tasks_only_go_each_on_its_own() -> None:
    region = region_with()
    on_host(region, "one", cpu=512, behaviour={"request": {"cpu": "1 s"}})
    on_host(region, "other", cpu=512, behaviour={"request": {"cpu": "1 s"}})
    send(region, "one", 0)
    region.run("300 s")
    assert took(region, "one") == [2.0]
    assert region.kit.sharing._hosts is None


def test_fargate_tasks_of_the_same_service_keep_their_own_cores() -> None:
    region = region_with()
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "1 s"}})
    register(region, "alone", cpu=256, memory=512, behaviour={"request": {"cpu": "1 s"}})
    target_group(region, "alone")
    region.ecs.create_service(
        serviceName="alone", taskDefinition="alone", desiredCount=1, launchType="FARGATE", loadBalancers=behind("alone"),
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
    )  # fmt: skip
    send(region, "web", 0)
    send(region, "alone", 0)
    region.run("300 s")
    assert took(region, "web") == [1.0]
    assert took(region, "alone") == [4.0]


def test_what_tasks_use_while_they_are_idle_leaves_less_to_share() -> None:
    region = region_with()
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "1 s"}})
    on_host(region, "agent", shares=0, behaviour={"idle_cpu": "0.5 vCPU"}, balanced=False)
    send(region, "web", 0, 0, 0)
    region.run("220 s")
    region.ecs.update_service(service="agent", desiredCount=0)
    send(region, "web", 100, 100)
    region.run("400 s")
    assert took(region, "web") == [2.0, 2.0, 2.0, 1.0, 1.0], "1.5 of 2 vCPU, and all of it when the other has gone"


def test_an_instance_full_of_idle_work_keeps_a_rest_for_requests() -> None:
    region = region_with()
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "1 s"}})
    on_host(region, "agent", shares=0, behaviour={"idle_cpu": "2 vCPU"}, balanced=False)
    send(region, "web", 0)
    region.run("220 s")
    assert took(region, "web") == [10.0], "a twentieth of 2 vCPU"


def test_a_task_that_dies_gives_its_part_back_at_once() -> None:
    region = region_with()
    on_host(region, "web", shares=512, behaviour={"request": {"cpu": "4 s"}})
    on_host(region, "batch", shares=512, behaviour={"request": {"cpu": "60 s"}, "stop": "0 s"})
    send(region, "web", 0, 0)
    send(region, "batch", 0, 0)
    region.run(f"{AT + 2} s")
    [arn] = region.ecs.list_tasks(serviceName="batch")["taskArns"]
    task = region.registry.clusters["default"].tasks[arn.rpartition("/")[2]]
    for group, target in task.targets:
        group.drop(target)
    region.run("300 s")
    assert took(region, "web") == [5.0, 5.0], "half a core each for 2 s, then a whole one for the other 3"


def test_workers_of_a_queue_share_the_instance_with_requests() -> None:
    region = region_with("c5.large")
    region.sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "600"})
    on_host(region, "web", shares=768, behaviour={"request": {"cpu": "3 s"}})
    message = {"message": {"queue": "orders", "cpu": "4 s", "workers": 2}}
    on_host(region, "worker", shares=256, behaviour=message, balanced=False)
    region.send_messages("orders", {"instants": [f"{AT} s", f"{AT} s"]})
    send(region, "web", 0, 2)
    region.run("300 s")
    # 0 to 2: one request has a core, the two messages the other one: 1 s each. 2 to 4 2/3: two requests have 1.5 cores and the first one
    # ends (1 s more at 0.75), at 3 1/3; then the second (2 s left) has a core and the messages the other: each had 1 + 1/3 by then
    assert took(region, "web") == [pytest.approx(2 + 4 / 3), pytest.approx(4 / 3 + 2)]
    [row] = [r for r in tables(region).queues.frame().itertuples() if r.deleted]
    # messages: 4/3 s each done at 2 + 4/3, half a core each until 2 + 4/3 + 2 gives 1 s more, then a core each for what is left
    assert row.completion_max_s == pytest.approx(2 + 4 / 3 + 2 + (4 - 4 / 3 - 1), abs=1e-5)
    tasks = tables(region).tasks.frame().set_index("group").cpu_core_s
    assert tasks["service:worker"] == pytest.approx(8.0)


@pytest.mark.parametrize("looks", [(), (11,), (11, 17), (2, 11.5, 13, 15.9, 16.1)])
def test_how_often_the_control_plane_looks_changes_nothing_for_a_queue_and_its_neighbours(
    looks: tuple[float, ...],
) -> None:
    region = region_with("c7g.medium")  # one core
    region.sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "600"})
    arm: dict[str, Any] = {"shares": 256, "runtimePlatform": {"cpuArchitecture": "ARM64"}}
    on_host(region, "web", behaviour={"request": {"cpu": "6 s"}}, **arm)
    on_host(region, "late", behaviour={"request": {"cpu": "1 s"}}, **arm)
    message = {"message": {"queue": "orders", "cpu": "10 s", "workers": 1}}
    on_host(region, "worker", behaviour=message, balanced=False, **arm)
    region.send_messages("orders", {"instants": [f"{AT} s"]})
    send(region, "web", 0, 40)
    send(region, "late", 16.5, 50)
    for at in looks:
        region.kit.at(round((AT + at) * 1_000_000), region.kit.sharing.advance_now)
    region.run("300 s")
    # half a core each until 12, then the message has the core for what is left of it, 4 s, and is done before the last request comes
    assert took(region, "web") == [12.0, 6.0]
    assert took(region, "late") == [1.0, 1.0]
    [row] = [r for r in tables(region).queues.frame().itertuples() if r.deleted]
    assert row.completion_max_s == pytest.approx(16.0, abs=1e-5)


def test_a_worker_that_is_stopped_finishes_what_its_neighbours_have_slowed_down() -> None:
    region = region_with("c5.large")
    region.sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "600"})
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "30 s"}})
    message = {"stop": "0 s", "message": {"queue": "orders", "cpu": "6 s", "workers": 1, "finish_on_stop": True}}
    on_host(region, "worker", shares=1024, behaviour=message, balanced=False)
    region.send_messages("orders", {"instants": [f"{AT} s"]})
    send(region, "web", 3, 3, 3)
    region.run(f"{AT + 1} s")
    region.ecs.update_service(service="worker", desiredCount=0)
    region.run("400 s")
    tasks = tables(region).tasks.frame().set_index("group")
    [row] = [r for r in tables(region).queues.frame().itertuples() if r.deleted]
    assert row.completion_max_s == pytest.approx(6.0), "four want two cores, its part is one of them"
    assert seconds(tasks.execution_stopped_at["service:worker"]) == pytest.approx(AT + 6, abs=0.01)


def test_followers_of_a_trace_share_the_instance_with_requests() -> None:
    region = region_with("c5.large")
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "2 s"}})
    trace = {
        "steps": [{"at": "0 s", "percent": 0}, {"at": f"{AT} s", "percent": 400}, {"at": f"{AT + 10} s", "percent": 0}]
    }
    on_host(region, "noise", shares=512, behaviour={"utilization": {"cpu": trace}}, balanced=False)
    send(region, "web", 0, 0, 20)
    region.run("300 s")
    # 400 % of half a vCPU are 2 cores: 2 wanted against 2 wanted, by 2 to 1: 4/3 and 2/3 until the requests end
    assert took(region, "web") == [pytest.approx(3.0), pytest.approx(3.0), 2.0]
    cpu = tables(region).tasks.frame().set_index("group").cpu_core_s["service:noise"]
    assert cpu == pytest.approx(3 * 2 / 3 + 7 * 2), "from 3 s on it has both cores, to the end of its ten seconds"


def test_credits_that_run_low_leave_less_for_all() -> None:
    region = exact_region(record=FULL)
    region.autoscaling.create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={"InstanceType": "t3.small", "CreditSpecification": {"CpuCredits": "standard"}},
    )
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg", MinSize=0, MaxSize=2, DesiredCapacity=1, LaunchTemplate={"LaunchTemplateName": "t"},
        AvailabilityZones=["us-east-1a"], registered_at_start=True,
    )  # fmt: skip
    on_host(region, "web", shares=1024, behaviour={"request": {"cpu": "100 ms", "workers": 4, "queue": 5}})
    region.send_traffic("web", {"constant": "10 /s", "process": "regular"})
    region.run("30 min")
    services, credits = region.kit.recorder.services.frame(), region.kit.recorder.cpu_credits.frame()
    assert services["cpu_utilization"].iloc[-1] == pytest.approx(40, abs=2), (
        "0.4 of 2 vCPU, which is 40 % of the one reserved"
    )
    assert credits["used_credits"].iloc[-1] == pytest.approx(0.4, abs=0.02)
    assert tables(region).tasks.frame()["cpu_core_s"].sum() == pytest.approx(60 * credits["used_credits"].sum())


def test_a_capped_worker_that_comes_while_credits_are_low_has_its_cores_back_when_its_neighbours_want_none() -> None:
    region = exact_region(record=FULL)
    credits = {"InstanceType": "t3.small", "CreditSpecification": {"CpuCredits": "standard"}}
    region.autoscaling.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=credits)
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg", MinSize=1, MaxSize=1, LaunchTemplate={"LaunchTemplateName": "t"},
        AvailabilityZones=["us-east-1a"], registered_at_start=True,
    )  # fmt: skip
    region.sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "600"})
    trace = {"steps": [{"at": "0 s", "percent": 400}, {"at": "3500 s", "percent": 0}]}
    on_host(region, "noise", behaviour={"utilization": {"cpu": trace}}, balanced=False)
    message = {"message": {"queue": "orders", "cpu": "2 s", "workers": 1}}
    on_host(region, "worker", shares=256, cpu=256, behaviour=message, balanced=False, count=0)
    region.run("3000 s")
    [noise] = region.registry.clusters["default"].tasks.values()
    instance = noise.instance
    assert instance is not None
    assert instance.cpu_factor < 0.5
    region.ecs.update_service(service="worker", desiredCount=1)
    region.run("3600 s")
    region.send_messages("orders", {"instants": ["3601 s"]})
    region.run("4000 s")
    assert instance.cpu_factor < 1.0, "the instance has 0.4 cores, which the worker does not even want"
    [row] = [r for r in tables(region).queues.frame().itertuples() if r.deleted]
    assert row.completion_max_s == pytest.approx(2 / 0.25, abs=1e-5)


def test_a_follower_that_is_being_stopped_takes_no_seat_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    region = region_with("c5.large")
    trace = {"steps": [{"at": "0 s", "percent": 100}]}
    on_host(region, "noise", cpu=512, behaviour={"stop": "60 s", "utilization": {"cpu": trace}}, balanced=False)
    free = {"utilization": {"cpu": {"steps": [{"at": "0 s", "percent": 10}]}}}
    on_host(region, "free", behaviour=free, balanced=False, count=0)
    region.run(f"{AT} s")
    [task] = region.registry.clusters["default"].tasks.values()
    assert task.instance is not None
    seated: list[str] = []
    seat = HostSharing.seat

    def spied(sharing: HostSharing, task: TaskRun, *on_grant: Callable[[float, float], None]) -> Seat | None:
        seated.append(task.group)
        return seat(sharing, task, *on_grant)

    monkeypatch.setattr(HostSharing, "seat", spied)
    region.ecs.update_service(service="noise", desiredCount=0)
    region.ecs.update_service(service="free", desiredCount=1)
    region.run(f"{AT + 28} s")
    assert task.last_status == "STOPPING"
    assert region.kit.sharing.in_use(task.instance) is not None, "it is shared by now"
    assert seated == ["service:free"]


def test_a_windows_container_has_its_cpu_and_no_more() -> None:
    region = exact_region(record=FULL)
    fleet(region, 1, zones=1, operating_system_family="WINDOWS_SERVER_2022_CORE")
    windows = {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64"}}
    on_host(region, "web", shares=512, behaviour={"request": {"cpu": "1 s"}}, **windows)
    on_host(region, "none", shares=0, behaviour={}, balanced=False, **windows)
    send(region, "web", 0)
    region.run("300 s")
    assert took(region, "web") == [2.0], "half a vCPU, though nobody else wants one"
    found = {t.group: most_cores(t) for t in region.registry.clusters["default"].tasks.values()}
    assert found == {"service:web": 0.5, "service:none": 0.01}


def test_shares_and_limits_of_a_task() -> None:
    region = region_with("c5.xlarge")
    on_host(region, "none", shares=0, behaviour={}, balanced=False)
    on_host(region, "some", shares=300, behaviour={}, balanced=False)
    on_host(region, "one", shares=1, behaviour={}, balanced=False)
    on_host(region, "capped", shares=100, cpu=512, behaviour={}, balanced=False)
    for name, shares in (("two", {"cpu": 200}), ("unsaid", {})):
        containers = [
            {"name": f"c{n}", "image": "some:1", "memory": 64, **more} for n, more in enumerate([{"cpu": 300}, shares])
        ]
        region.ecs.register_task_definition(family=name, containerDefinitions=containers)
        region.ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=1, launchType="EC2")
    region.run("100 s")
    found = {
        t.group: (shares_of(region.kit, t), most_cores(t)) for t in region.registry.clusters["default"].tasks.values()
    }
    assert found == {
        "service:none": (2.0, 4.0),
        "service:one": (2.0, 4.0),
        "service:some": (300.0, 4.0),
        "service:capped": (512.0, 0.5),
        "service:two": (500.0, 4.0),
        "service:unsaid": (302.0, 4.0),
    }


# against an oracle


def simulate(arrivals: list[tuple[float, int, float]], weights: list[float], cores: float) -> list[float]:
    """Latencies by arrival of requests (instant, task, work) on one host: small steps from event to event, remaining work by request."""
    now, left, ends = 0.0, {}, {}
    queue = [(at, number) for number, (at, _, _) in enumerate(arrivals)]
    heapq.heapify(queue)
    while queue or left:
        busy = [sum(1 for n in left if arrivals[n][1] == task) for task in range(len(weights))]
        given, free, hungry = [0.0] * len(weights), cores, [t for t, b in enumerate(busy) if b]
        while hungry:  # hand out what is free by weight, take back what is too much, until nothing comes back
            per = free / sum(weights[t] for t in hungry)
            sated = [t for t in hungry if busy[t] - given[t] <= per * weights[t]]
            for t in sated or hungry:
                part = busy[t] - given[t] if sated else per * weights[t]
                given[t] += part
                free -= part
            hungry = [t for t in hungry if t not in sated] if sated else []
        rate = {n: given[arrivals[n][1]] / busy[arrivals[n][1]] for n in left}
        end = min((now + left[n] / rate[n] for n in left), default=np.inf)
        upto = min(end, queue[0][0] if queue else np.inf)
        for n in list(left):
            left[n] -= rate[n] * (upto - now)
            if left[n] <= 1e-9:
                ends[n] = upto
                del left[n]
        now = upto
        while queue and queue[0][0] <= now:
            _, number = heapq.heappop(queue)
            left[number] = arrivals[number][2]
    return [ends[n] - arrivals[n][0] for n in range(len(arrivals))]


@pytest.mark.parametrize("load", [0.6, 0.95])
def test_an_exact_twin_of_a_busy_host(load: float) -> None:
    """Three services, hundreds of requests through a region: each latency is that of an oracle with other bookkeeping, to rounding."""
    region = region_with("c5.large")
    weights, work = [512.0, 256.0, 128.0], [0.4, 0.2, 0.6]
    rng = np.random.default_rng(5)
    arrivals: list[tuple[float, int, float]] = []
    for task, (shares, cpu) in enumerate(zip(weights, work, strict=True)):
        on_host(region, f"s{task}", shares=int(shares), behaviour={"request": {"cpu": f"{cpu * 1000} ms"}})
        at = np.cumsum(rng.exponential(3 * cpu / (2 * load), 150))
        at = np.rint(at * 1e6) / 1e6
        send(region, f"s{task}", *at.tolist())
        arrivals += [(t, task, cpu) for t in at.tolist()]
    region.run("20 min")
    ours = [x for task in range(3) for x in took(region, f"s{task}")]
    theirs = simulate(arrivals, weights, 2.0)
    assert np.allclose(ours, theirs, rtol=0, atol=2e-6), np.abs(np.array(ours) - theirs).max()
    assert max(ours) > 2 * max(work), "or the host was never short of cores"


def test_the_oracle_shares_as_the_rule_says() -> None:
    host = Host(2.0, [Member(n, None, w, 2.0, told=b) for n, (w, b) in enumerate([(512.0, 3.0), (256.0, 1.0)])])
    host.share(0.0)
    assert [m.cores for m in host.members] == pytest.approx([4 / 3, 2 / 3])
