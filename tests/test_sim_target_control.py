"""Target optimizer: agents beside the application say when it is ready, and the balancer sends nothing to who is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stats
from balancer_helpers import SEED, group, kept, service
from load_examples import changed, faults, place
from ruamel.yaml import YAML
from sim_helpers import exact_region, register

from fargsim import Region
from fargsim.kernel import Plane, accumulate
from fargsim.load import load, load_notes
from fargsim.model.scenario import Record
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import metric_key
from fargsim.sim.errors import AwsError

MINUTE = 60_000_000
GROUP = {"TargetGroup": "tg", "LoadBalancer": "lb-tg"}
BALANCER = {"LoadBalancer": "lb-tg"}


def agent(**variables: str) -> dict[str, Any]:
    """The agent's container."""
    given = {"TARGET_CONTROL_DESTINATION_ADDRESS": "127.0.0.1:8080", **variables}
    environment = [{"name": name, "value": value} for name, value in given.items()]
    return {"name": "agent", "image": "target-control-agent:1", "environment": environment}


def behind_agents(tasks: int, *agents: dict[str, Any], **behaviour: Any) -> Region:
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, cpu=1024, behaviour={"request": {"cpu": "1 s", **behaviour}}, others=agents)
    group(region, TargetControlPort=3000)
    service(region, "web", tasks)
    return region


@pytest.mark.parametrize(("variables", "most"), [({}, 1), ({"TARGET_CONTROL_MAX_CONCURRENCY": "2"}, 2)])
def test_a_target_has_as_many_requests_as_its_agent_lets_in_and_the_others_are_refused(
    variables: dict[str, str], most: int
) -> None:
    region = behind_agents(2, agent(**variables))
    region.send_traffic("web", {"instants": ["10 s"] * 6 + ["20 s"]})
    region.run(until="2 min")
    got = kept(region)
    at_once = got[got.arrived_at < 15e6]
    assert at_once.outcome.tolist() == ["served"] * (2 * most) + ["no_target_503"] * (6 - 2 * most)
    assert at_once.task_id.dropna().value_counts().tolist() == [most, most]
    assert got.outcome.iloc[-1] == "served"

    def counted(name: str, dimensions: dict[str, str]) -> float:
        key = metric_key("AWS/ApplicationELB", name, dimensions)
        [point] = region.cloudwatch.windows(key, MINUTE, MINUTE, 1)
        assert isinstance(point, Point)
        return point.statistic("Sum")

    for dimensions in (GROUP, BALANCER):
        assert counted("TargetControlRequestCount", dimensions) == counted("RequestCount", dimensions) == 2 * most + 1
        assert counted("TargetControlRequestRejectCount", dimensions) == 6 - 2 * most
    assert counted("HTTPCode_ELB_503_Count", BALANCER) == 6 - 2 * most


@pytest.mark.parametrize(
    "agents",
    [
        (),
        (agent(TARGET_CONTROL_MAX_CONCURRENCY="0"),),
        (agent(TARGET_CONTROL_MAX_CONCURRENCY="many"),),
        (agent(TARGET_CONTROL_MAX_CONCURRENCY="1001"),),
    ],
    ids=["no agent", "nothing let in", "no number", "too many"],
)
def test_without_an_agent_that_says_so_nobody_is_ever_ready(agents: tuple[dict[str, Any], ...]) -> None:
    region = behind_agents(2, *agents)
    region.run(until="1 s")
    assert region.registry.target_groups["tg"].healthy == 2
    region.send_traffic("web", {"instants": ["10 s", "20 s"]})
    region.run(until="1 min")
    assert kept(region).outcome.tolist() == ["no_target_503"] * 2


def test_a_group_without_a_control_port_does_not_ask_agents() -> None:
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, cpu=1024, behaviour={"request": {"cpu": "1 s"}}, others=[agent()])
    group(region)
    service(region, "web", 1)
    region.send_traffic("web", {"instants": ["10 s"] * 4})
    region.run(until="1 min")
    assert set(kept(region).outcome) == {"served"}


def erlang_b(servers: int, offered: float) -> float:
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked


def test_targets_of_one_request_each_lose_what_erlang_says() -> None:
    """M/G/5/5: the share that finds nobody ready depends on the mean of the work only (Erlang B), whoever is asked first."""
    servers, offered, n, mean_us = 5, 4.0, 200_000, 10_000.0

    def one(draw: np.random.Generator) -> float:
        plane = Plane("when_ready")
        for _ in range(servers):
            plane.open_slot(0, cores=1.0, max_concurrency=1)
        arrivals = np.rint(accumulate(0.0, draw.exponential(mean_us / offered, n))).astype(np.int64)
        plane.offer(arrivals, draw.lognormal(np.log(mean_us) - 0.8**2 / 2, 0.8, n))
        plane.advance(int(arrivals[n // 10]))
        before = plane.counters()
        plane.advance(int(arrivals[-1]))
        after = plane.counters()
        return (after.not_ready - before.not_ready) / (after.arrived - before.arrived)

    stats.replicate("targets that are ready or not", 20, one, erlang_b(servers, offered))


CONTROLLED = "{Name: web-targets, TargetType: ip, TargetControlPort: 3000"


WEIGHTED = "{Key: load_balancing.algorithm.type, Value: weighted_random}"
STICKY = "{Key: stickiness.enabled, Value: 'true'}"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (f", Attributes: [{WEIGHTED}]", "TargetControlPort is for round_robin, not for weighted_random"),
        (f", Attributes: [{STICKY}]", "TargetControlPort does not go with stickiness"),
        (", Protocol: TCP", "TargetControlPort is for target groups of protocol HTTP or HTTPS, not of TCP"),
    ],
)
def test_what_does_not_go_with_a_control_port(tmp_path: Path, more: str, message: str) -> None:
    shape = CONTROLLED + more + "}"
    text = changed("{Name: web-targets, TargetType: ip}", shape)
    assert message in [said for *_, said in faults(place(tmp_path, text))]
    with pytest.raises(AwsError, match=message):
        exact_region().elbv2.create_target_group(**YAML(typ="safe").load(shape))


def test_another_algorithm_is_refused_later_too() -> None:
    region = behind_agents(1, agent())
    attributes = [{"Key": "load_balancing.algorithm.type", "Value": "weighted_random"}]
    with pytest.raises(AwsError, match="TargetControlPort is for round_robin"):
        region.elbv2.modify_target_group_attributes(TargetGroupArn="tg", Attributes=attributes)


def test_a_scenario_without_an_agent_is_noted(tmp_path: Path) -> None:
    text = changed("{Name: web-targets, TargetType: ip}", CONTROLLED + "}")
    notes = [note for note in load_notes(load(place(tmp_path, text))) if "TargetControlPort" in note]
    [note] = notes
    assert note.startswith(
        "target group web-targets has a TargetControlPort, but tasks of service web never say that they"
    )
    assert note.endswith("no container of it has the environment variables of an agent (TARGET_CONTROL_...)")
