"""The same station three ways: a service with traffic in a region, against one SimPy process per request of a fixed set of targets."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_simpy import Station
from sim_helpers import behind, exact_region, network, register

from fargsim.model.scenario import Record
from fargsim.sim.streams import Streams, sampler

SEED, TASKS, FIRST_S, LAST_S = 5, 4, 60, 180
WORDS = {"served": "served", "refused_full": "refused_503", "timed_out": "timeout_504"}


@pytest.mark.parametrize("routing", ["round_robin", "least_outstanding_requests"])
@pytest.mark.parametrize(
    ("cpu", "request_", "shared", "idle_s"),
    [
        (1024, {"workers": 1, "queue": 10_000_000}, False, 0),
        (1024, {"workers": 1, "queue": 3}, False, 0),
        (512, {}, True, 0),
        (1024, {"workers": 6, "queue": 2, "wait": {"exponential": {"mean": "40 ms"}}}, True, 0),
        (256, {"workers": 2, "queue": 5}, True, 1),
    ],
    ids=["fcfs", "fcfs-bounded", "ps", "station", "station-timeout"],
)
def test_a_region_serves_like_one_process_per_request(routing, cpu, request_, shared, idle_s):
    cores = cpu / 1024
    rate = TASKS * cores / 0.05 * 0.9
    demand = {"lognormal": {"mean": "50 ms", "p99": "300 ms"}}
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, cpu=cpu, memory=2048, behaviour={"request": {"cpu": demand, **request_}})
    region.elbv2.create_target_group(
        Name="tg",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        Attributes=[{"Key": "load_balancing.algorithm.type", "Value": routing}],
    )
    region.elbv2.create_load_balancer(
        Name="lb",
        Listeners=[{"DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}],
        Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": str(idle_s or 4000)}],
    )
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=TASKS,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    region.run(until=f"{FIRST_S} s")  # all targets are healthy before the first request
    health = region.elbv2.describe_target_health(TargetGroupArn="tg")["TargetHealthDescriptions"]
    assert [d["TargetHealth"]["State"] for d in health] == ["healthy"] * TASKS
    steps = [{"at": f"{FIRST_S} s", "rate": f"{rate} /s"}, {"at": f"{LAST_S} s", "rate": "0 /s"}]
    region.send_traffic("web", {"steps": steps}, until="1 h")
    region.run(until="1 h")
    got = region.finish().requests.frame().sort_values("request_id")
    arrivals = ((got.arrived_at - region.registry.start).dt.total_seconds() * 1e6).round().astype(np.int64).to_numpy()
    assert len(arrivals) > 0.8 * rate * (LAST_S - FIRST_S)
    assert len(np.unique(arrivals)) == len(arrivals), "causes that share an instant are ordered differently, by design"

    # the demands, drawn again from the streams' names
    behaviour = region.registry.revision("web").behaviour.request
    streams = Streams(SEED)
    cpu_us = sampler(behaviour.cpu)(streams["demand/web/cpu"], 1 << 17)[: len(arrivals)]
    wait_us = np.zeros(len(arrivals))
    if behaviour.wait is not None:
        wait_us = sampler(behaviour.wait)(streams["demand/web/wait"], 1 << 17)[: len(arrivals)]
    target = {
        "cores": cores,
        "speed": 1.0,
        "workers": behaviour.workers or 10**6,
        "queue_limit": behaviour.queue,
        "shared": shared,
    }
    rows = list(zip(arrivals.tolist(), cpu_us.tolist(), wait_us.tolist(), strict=True))
    expected = Station(routing, [target] * TASKS).run(rows, float((idle_s or 4000) * 1_000_000))

    assert got.outcome.tolist() == [WORDS[word] for word, *_ in expected]
    # the station's targets are the tasks in the order in which they were opened
    order: dict[str, int] = {}
    for name, (_, slot, *_) in zip(got.task_id, expected, strict=True):
        assert order.setdefault(name, slot) == slot
    assert sorted(order.values()) == list(range(TASKS))
    ended = ((got.ended_at - region.registry.start).dt.total_seconds() * 1e6).round().to_numpy()
    theirs = np.array([end for *_, end in expected])
    slack = 1e-3 if shared else 0.0
    assert bool(np.all(np.ceil(theirs - slack) <= ended))
    assert bool(np.all(ended <= np.ceil(theirs + slack)))
    words = set(got.outcome)
    assert "served" in words
    if behaviour.queue < 100:
        assert "refused_503" in words
    if idle_s:
        assert "timeout_504" in words
