"""Laws that hold in every region: small random ones, built and shaken through the verbs, are watched second by second."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_helpers import EXACT, SUBNETS, behind, fleet, network, register, seconds, target_group

from fargsim import Region
from fargsim.policy.deployment import bounds
from fargsim.sim.errors import NoContainerInstances, ThrottlingException
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import stop_task

SHAKEN_S = 300
QUIET_S = 1500

# Amazon ECS Developer Guide, task-lifecycle-explanation.html. A task that is stopped before it runs skips what it has not begun; one whose
# instance is lost is STOPPED from any state.
NEXT = {
    "PROVISIONING": {"PENDING", "DEPROVISIONING", "STOPPED"},
    "PENDING": {"ACTIVATING", "DEPROVISIONING", "STOPPED"},
    "ACTIVATING": {"RUNNING", "DEPROVISIONING", "STOPPED"},
    "RUNNING": {"DEACTIVATING", "STOPPING", "STOPPED"},
    "DEACTIVATING": {"STOPPING", "STOPPED"},
    "STOPPING": {"DEPROVISIONING", "STOPPED"},
    "DEPROVISIONING": {"STOPPED"},
    "STOPPED": set(),
}


@dataclass(frozen=True)
class Service:
    """A service to create."""

    name: str
    desired: int
    low: int
    high: int
    fargate: bool
    balanced: bool
    strategy: tuple[dict[str, str], ...]
    grace: int


@dataclass(frozen=True)
class Plan:
    """A region and what is done to it."""

    seed: int
    instances: int
    kind: str
    services: tuple[Service, ...]
    actions: tuple[tuple[int, str, int, int], ...]
    delay: int
    boot: int
    stop: int
    quotas: dict[str, float] = field(default_factory=dict)


STRATEGIES = (
    (),
    ({"type": "random"},),
    ({"type": "binpack", "field": "memory"},),
    ({"type": "spread", "field": "instanceId"},),
    ({"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "cpu"}),
)


@st.composite
def services(draw: st.DrawFn, name: str) -> Service:
    fargate = draw(st.booleans())
    low, high = draw(st.sampled_from([(100, 200), (50, 100), (50, 200), (0, 100), (100, 150), (75, 125), (100, 100)]))
    return Service(
        name,
        draw(st.integers(0, 4)),
        low,
        high,
        fargate,
        draw(st.booleans()),
        () if fargate else draw(st.sampled_from(STRATEGIES)),
        draw(st.sampled_from([0, 30])),
    )


KINDS = ("desired", "deploy", "crash", "stop", "lose", "capacity", "run", "stop standalone")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 2))
    actions = draw(
        st.lists(
            st.tuples(st.integers(1, SHAKEN_S), st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 5)),
            max_size=10,
        )
    )
    return Plan(
        draw(st.integers(0, 2**20)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from(["c5.large", "m5.xlarge"])),
        tuple(draw(services(f"s{i}")) for i in range(count)),
        tuple(sorted(actions)),
        draw(st.integers(1, 9)),
        draw(st.sampled_from([0, 7])),
        draw(st.sampled_from([0, 3, 45])),
        draw(
            st.sampled_from(
                [
                    {},
                    {"fargate_service_launches_per_min": 3, "ec2_service_launches_per_min": 3},
                    {"fargate_on_demand_launch_burst": 2, "fargate_on_demand_launches_per_s": 0.1},
                    {"fargate_on_demand_vcpu": 3},
                ]
            )
        ),
    )


class World:
    """A region under watch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.region = Region(
            "us-east-1",
            seed=plan.seed,
            subnets=SUBNETS,
            quotas={"fargate_on_demand_vcpu": 500, **plan.quotas},
            assumptions={
                **EXACT,
                "scheduler_delay_min_s": plan.delay,
                "scheduler_delay_max_s": plan.delay,
                "provision_p95_s": 20,
                "start_max_s": 6,
            },
        )
        region = self.region
        fleet(region, plan.instances, plan.kind, MinSize=1, MaxSize=8)
        behaviour = {
            "boot": f"{plan.boot} s",
            "stop": f"{plan.stop} s",
            "request": {"cpu": {"exponential": {"mean": "60 ms"}}, "workers": 2, "queue": 5, "error_rate": "5 %"},
        }
        self.register("fargate-0", behaviour, fargate=True)
        self.register("ec2-0", behaviour, fargate=False)
        for service in plan.services:
            if service.balanced:
                target_group(region, service.name, delay=15, kind="ip" if service.fargate else "instance")
            region.ecs.create_service(
                serviceName=service.name,
                taskDefinition="fargate-0" if service.fargate else "ec2-0",
                desiredCount=service.desired,
                launchType="FARGATE" if service.fargate else "EC2",
                networkConfiguration=network() if service.fargate else None,
                loadBalancers=behind(service.name) if service.balanced else [],
                deploymentConfiguration={"minimumHealthyPercent": service.low, "maximumPercent": service.high},
                placementStrategy=list(service.strategy),
                healthCheckGracePeriodSeconds=service.grace,
            )
            if service.balanced:
                steps = [{"at": "40 s", "rate": "15 /s"}, {"at": f"{SHAKEN_S + 200} s", "rate": "0 /s"}]
                region.send_traffic(service.name, {"steps": steps}, until="1 h")
        self.seen: set[str] = set()
        self.healthy: dict[str, set[TaskRun]] = {s.name: set() for s in plan.services}
        self.wanted: dict[str, int] = {s.name: s.desired for s in plan.services}

    def register(self, family: str, behaviour: dict[str, Any], *, fargate: bool) -> None:
        register(self.region, family, cpu=512, memory=1024, fargate=fargate, behaviour=behaviour)

    def run_of(self, name: str) -> ServiceRun:
        return self.region.registry.service("default", name)

    def act(self, kind: str, which: int, number: int) -> None:
        region, plan = self.region, self.plan
        service = plan.services[which % len(plan.services)]
        family = "fargate-0" if service.fargate else "ec2-0"
        run = self.run_of(service.name)
        running = [t for t in run.tasks.values() if t.last_status == "RUNNING" and t.alive]
        group = region.registry.group("asg")
        if kind == "desired":
            region.ecs.update_service(service=service.name, desiredCount=number)
            self.wanted[service.name] = number
        elif kind == "deploy":
            region.ecs.update_service(service=service.name, taskDefinition=family, forceNewDeployment=True)
        elif kind == "crash":
            for task in running[:number]:
                task.exit_code = 1
                stop = Stop("EssentialContainerExited", "Essential container in task exited", 1, drain=False)
                stop_task(region.kit, task, stop)
        elif kind == "stop":
            for task in list(run.tasks.values())[:number]:
                region.ecs.stop_task(task=task.task_id)
        elif kind == "lose":
            for instance in group.in_service[: min(number, 2)]:
                group.lose(instance, "fault: instance_loss")
        elif kind == "capacity":
            region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1 + number)
        elif kind == "run":
            more = {"networkConfiguration": network()} if service.fargate else {}
            launch = "FARGATE" if service.fargate else "EC2"
            with suppress(ThrottlingException, NoContainerInstances):
                region.ecs.run_task(taskDefinition=family, launchType=launch, count=1 + number, **more)
        else:
            alone = [t for t in region.registry.cluster("default").tasks.values() if t.service is None]
            for task in alone[:number]:
                region.ecs.stop_task(task=task.task_id)

    def to(self, second: int) -> None:
        self.region.run(until=f"{second} s")
        self.watch_ledgers()
        for name in self.healthy:
            self.watch_bounds(name)

    def watch_ledgers(self) -> None:
        registry = self.region.registry
        cluster = registry.cluster("default")
        view = cluster.fleet.view()
        for row, instance in cluster.instances_by_row.items():
            held = [t for t in instance.tasks.values() if t.reserved]
            on_host = [t for t in instance.tasks.values() if t.on_host]
            assert int(view.free_cpu_units[row]) == instance.cpu_units - 512 * len(held) >= 0
            assert int(view.free_memory_mib[row]) == instance.memory_mib - 1024 * len(held) >= 0
            assert instance.host_cpu_units == instance.cpu_units - 512 * len(on_host) >= 0
            assert instance.host_memory_mib == instance.memory_mib - 1024 * len(on_host) >= 0
        fargate = [
            t for t in cluster.tasks.values() if t.fargate and t.last_status not in ("DEPROVISIONING", "STOPPED")
        ]
        assert registry.fargate.vcpu_in_use == 0.5 * len(fargate) <= self.region.kit.quotas["fargate_on_demand_vcpu"]
        assert cluster.fargate_cpu_units == 512 * len(fargate)
        states = [t.last_status for t in cluster.tasks.values()]
        for status, number in cluster.counts.items():
            if status != "STOPPED":
                assert number == states.count(status)
        assert sum(cluster.zones_of(fargate[0]).values()) >= 0 if fargate else True

    def watch_bounds(self, name: str) -> None:
        run = self.run_of(name)
        spec = run.spec.deployment_configuration
        limit = bounds(run.desired, spec.minimum_healthy_percent, spec.maximum_percent)
        assert run.desired == self.wanted[name]
        new = [t for t in run.tasks if t not in self.seen]
        if new:
            assert len(run.tasks) <= limit.upper
        self.seen.update(new)
        now = {t for t in run.tasks.values() if t.healthy and t.alive}
        assert len(now) == run.healthy
        left = self.healthy[name] - now
        chosen = [t for t in left if t.stop_wanted is not None and t.stop_wanted.code == "ServiceSchedulerInitiated"]
        free = [t for t in chosen if not t.host_drains and "health checks" not in t.stop_wanted.reason]
        if free:
            # what the scheduler stopped of its own will was beyond the lower bound; what was lost in the same second may have come later
            assert run.healthy + len(left) - len(chosen) >= limit.lower
        self.healthy[name] = now
        running = [t for t in run.tasks.values() if t.last_status == "RUNNING"]
        assert run.running == len(running)


def shake(plan: Plan) -> World:
    world = World(plan)
    actions = list(plan.actions)
    for second in range(SHAKEN_S + 1):
        world.to(second)
        while actions and actions[0][0] == second:
            _, kind, which, number = actions.pop(0)
            world.act(kind, which, number)
    for second in range(SHAKEN_S + 1, SHAKEN_S + QUIET_S):
        if second < SHAKEN_S + 120 or second % 20 == 0:
            world.to(second)
    return world


def check_end(world: World) -> None:
    region, plan = world.region, world.plan
    cluster = region.registry.cluster("default")
    scarce = {"fargate_on_demand_vcpu"} & set(plan.quotas)
    for service in plan.services:
        run = world.run_of(service.name)
        held = len(run.tasks)
        if run.healthy < run.desired:
            # only a lack of capacity keeps a service from its desired count, or its tasks on a draining instance
            assert held < run.desired or any(t.host_drains for t in run.tasks.values())
            assert (service.fargate and scarce) or not service.fargate
            if not service.fargate:
                view = cluster.fleet.view()
                assert all(
                    int(view.free_cpu_units[i]) < 512 or int(view.free_memory_mib[i]) < 1024
                    for i, instance in cluster.instances_by_row.items()
                    if instance.status == "ACTIVE"
                )
            continue
        assert run.running == run.healthy == held == run.desired
        stuck = bounds(run.desired, service.low, service.high)
        if stuck.lower < run.desired or stuck.upper > run.desired:
            if service.fargate and not scarce:
                assert [d.rollout_state for d in run.deployments] == ["COMPLETED"]
        elif len(run.deployments) > 1:
            assert any("unable to stop or start tasks" in message for _, message in run.events.newest())


def check_tables(world: World) -> None:
    plan = world.plan
    tables = world.region.finish()
    tasks = tables.tasks.frame()
    states = tables.task_states.frame()
    by_task = {task: rows.last_status.tolist() for task, rows in states.groupby("task_id", sort=False)}
    assert set(by_task) == set(tasks.task_id)
    assert tasks.task_id.is_unique
    for row in tasks.itertuples():
        path = by_task[row.task_id]
        assert path[0] == "PROVISIONING"
        for before, after in pairwise(path):
            assert after in NEXT[before], path
        assert path[-1] == row.last_status
        if row.last_status == "STOPPED":
            assert row.stop_code
            assert row.stopped_reason
            assert row.desired_status == "STOPPED"
        instants = [
            row.created_at,
            row.connectivity_at,
            row.pull_started_at,
            row.pull_stopped_at,
            row.started_at,
            row.stopping_at,
            row.execution_stopped_at,
            row.stopped_at,
        ]
        known = [t for t in instants if t == t and t is not None]
        assert known == sorted(known)
        assert (row.last_status == "STOPPED") == (row.stopped_at == row.stopped_at)
        assert (row.started_at == row.started_at) == ("RUNNING" in path)
    check_rates(world, tasks)
    services = tables.services.frame()
    for _, rows in services.groupby("service"):
        ended = rows[
            [
                "requests_served",
                "requests_failed",
                "requests_refused_503",
                "requests_no_target_503",
                "requests_cut_502",
                "requests_timeout_504",
                "requests_client_closed_460",
            ]
        ].sum(axis=1)
        assert (rows.requests_arrived.cumsum() == ended.cumsum() + rows.requests_in_flight).all()
        assert rows.requests_in_flight.iloc[-1] == 0
    served = services.requests_served.sum()
    assert tasks.requests_served.sum() == served
    assert tables.latencies.frame().requests.sum() == served
    balanced = [s for s in plan.services if s.balanced]
    assert (services.requests_arrived.sum() > 0) == bool(balanced)


def check_rates(world: World, tasks: Any) -> None:
    quotas = world.region.kit.quotas
    fargate = sorted(seconds_of(world, t) for t in tasks[tasks.launch_type == "FARGATE"].created_at)
    burst, rate = quotas["fargate_on_demand_launch_burst"], quotas["fargate_on_demand_launches_per_s"]
    for i, start in enumerate(fargate):
        for j in range(i, len(fargate)):
            assert j - i + 1 <= burst + rate * (fargate[j] - start) + 1e-6
    for service in world.plan.services:
        limit = quotas["fargate_service_launches_per_min" if service.fargate else "ec2_service_launches_per_min"]
        created = sorted(seconds_of(world, t) for t in tasks[tasks.service == service.name].created_at)
        for i, start in enumerate(created):
            assert sum(1 for t in created[i:] if t < start + 60) <= limit


def seconds_of(world: World, at: Any) -> float:
    found = seconds(at)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plans())
def test_laws_of_every_region(plan):
    world = shake(plan)
    check_end(world)
    check_tables(world)
