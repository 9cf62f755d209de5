"""A closed loop of users before a service in a region: the laws of the loop, its place beside other traffic, its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sim_helpers import behind, exact_region, network, register, target_group

from fargsim import Region
from fargsim.kernel import DemandsNeeded, Plane
from fargsim.model.scenario import Record
from fargsim.model.traffic import Rate
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.streams import Streams, sampler

US = 1_000_000
SEED, BEGIN_S = 5, 60
RATE: dict[str, Any] = {"users": {"count": 30, "think": {"exponential": {"mean": "2 s"}}}}
REQUEST = {
    "cpu": {"exponential": {"mean": "80 ms"}},
    "wait": {"exponential": {"mean": "20 ms"}},
    "workers": 4,
    "queue": 2,
}


def served(tasks: int = 2, *, seed: int = SEED, begin_s: int = BEGIN_S, request: dict[str, Any] = REQUEST) -> Region:
    """A region whose service has been healthy for a while."""
    region = exact_region(seed=seed, record=Record(requests="full"))
    register(region, cpu=512, behaviour={"request": request})
    target_group(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=tasks,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    region.run(until=f"{begin_s} s")
    return region


def instants(region: Region, column: Any) -> list[int]:
    return [int(x) for x in ((column - region.registry.start).dt.total_seconds() * 1e6).round()]


def test_the_region_asks_the_plane_what_the_streams_say():
    # the same loop by hand: a plane with the same slots, and the draws of the streams by name
    region = served()
    region.send_traffic("web", RATE, until="10 min")
    region.run(until="10 min")
    got = region.finish().requests.frame().sort_values("request_id")

    streams = Streams(SEED)
    draw = {
        name: sampler(law)
        for name, law in (
            ("think/web", Rate.model_validate(RATE).users.think),
            ("demand/web/cpu", region.registry.revision("web").behaviour.request.cpu),
            ("demand/web/wait", region.registry.revision("web").behaviour.request.wait),
        )
    }
    first = BEGIN_S * US + np.rint(draw["think/web"](streams["think/web"], 30)).astype(np.int64)
    plane = Plane("round_robin", 60 * US, first_requests_us=first, record_every=1)
    for _ in range(2):
        plane.open_slot(BEGIN_S * US, cores=0.5, workers=4, queue_limit=2)
    while plane.now_us < 600 * US:
        try:
            plane.advance(600 * US)
        except DemandsNeeded:
            # in other blocks than the region's
            cpu, think, wait = (draw[n](streams[n], 77) for n in ("demand/web/cpu", "think/web", "demand/web/wait"))
            plane.offer_demands(cpu, think, wait)
    expected = plane.take_outcomes()
    assert len(expected) > 5_000
    words = {1: "served", 2: "refused_503"}
    assert got.outcome.tolist() == [words[int(x)] for x in expected["outcome"]]
    assert set(got.outcome) == set(words.values())
    assert instants(region, got.arrived_at) == expected["arrival_us"].tolist()
    assert instants(region, got.ended_at) == expected["end_us"].tolist()


def test_throughput_follows_the_interactive_response_time_law():
    region = served()
    region.send_traffic("web", {"users": {"count": 30, "think": "2 s"}}, until="1 h")
    region.run(until="1 h")
    got = region.finish().requests.frame()
    took_us = np.array(instants(region, got.ended_at)) - np.array(instants(region, got.arrived_at))
    span_us = (3600 - BEGIN_S) * US
    # N = X (R + Z), where R counts refused requests, too; but for what each user has begun at the end
    x, r, z = len(got) / span_us, float(took_us.mean()), 2.0 * US
    edge = 30 * (z + float(took_us.max())) / len(got)
    assert edge < 0.05 * r  # so that the law is told from one without R
    assert 30 / x == pytest.approx(r + z, abs=edge)
    # and it is the loop that holds the rate down: thinking alone would bring in 15 a second
    assert x * US < 30 / 2.0
    assert r > 50_000


def test_the_same_seed_gives_the_same_requests_and_another_one_others():
    def requests(seed: int) -> bytes:
        region = served(seed=seed)
        region.send_traffic("web", RATE, until="5 min")
        region.run(until="5 min")
        frame = region.finish().requests.frame()
        return frame.to_csv(index=False).encode()

    assert requests(1) == requests(1)
    assert requests(1) != requests(2)


def test_looking_more_often_changes_nothing():
    def requests(step_s: int) -> str:
        region = served()
        region.send_traffic("web", RATE, until="5 min")
        for at in range(BEGIN_S, 301, step_s):
            region.run(until=f"{at} s")
            region.registry.target_groups["tg"].bridge.advance(region.now_us)
        return region.finish().requests.frame().to_csv(index=False)

    assert requests(1) == requests(240)


def test_users_whose_service_is_gone_get_503_and_come_again():
    region = served()
    region.send_traffic("web", RATE, until="20 min")
    region.run(until="120 s")
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="300 s")
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="600 s")
    plane = region.registry.target_groups["tg"].bridge.plane
    c = plane.counters()
    # some 200 s without a target, at 15 a second
    assert 2_000 < c.no_target < 4_000
    assert c.in_flight + plane.thinking == 30
    got = region.finish().requests.frame()
    late = got[got.arrived_at >= got.arrived_at.max() - np.timedelta64(60, "s")]
    assert (late.outcome == "served").mean() > 0.9


def test_users_send_nothing_from_the_end_of_their_traffic_on():
    region = served()
    region.send_traffic("web", RATE, until="120 s")
    region.run(until="10 min")
    plane = region.registry.target_groups["tg"].bridge.plane
    assert plane.thinking == plane.counters().in_flight == 0
    got = region.finish().requests.frame()
    arrived = instants(region, got.arrived_at)
    assert 118 * US < max(arrived) < 120 * US
    assert len(got) > 500


@pytest.mark.parametrize("first", [RATE, {"constant": "1 /s"}])
@pytest.mark.parametrize("second", [RATE, {"constant": "1 /s"}])
def test_users_are_the_only_traffic_of_a_target_group(first: dict[str, Any], second: dict[str, Any]):
    region = served()
    region.send_traffic("web", first, name="a")
    if "users" in first or "users" in second:
        with pytest.raises(InvalidParameterException, match="users are the only traffic of a target group"):
            region.send_traffic("web", second, name="b")
    else:
        region.send_traffic("web", second, name="b")
    region.run(until="90 s")
