"""Listeners: requests are split over target groups by the weights in force when they arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sim_helpers import behind, exact_region, network, register

from fargsim import Region
from fargsim.model.scenario import Record, Scenario
from fargsim.sim.build import simulate
from fargsim.sim.errors import (
    DuplicateListenerException,
    InvalidConfigurationRequestException,
    InvalidParameterException,
    ListenerNotFoundException,
    PriorityInUseException,
    RuleNotFoundException,
    TargetGroupNotFoundException,
    ValidationError,
)
from fargsim.sim.streams import Streams

US = 1_000_000
SEED = 11


def forward(**weights: float) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": name, "Weight": weight} for name, weight in weights.items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


QUICK: dict[str, Any] = {"cpu": "1 ms"}


def two_groups(weights: dict[str, float], request: dict[str, Any] = QUICK) -> Region:
    """Services blue and green behind target groups of these names, as far as the listener in front forwards to them."""
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": request})
    for name in ("blue", "green"):
        region.elbv2.create_target_group(Name=name, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    region.elbv2.create_load_balancer(Name="lb", Listeners=[{"DefaultActions": forward(**weights)}])
    for name in weights:
        region.ecs.create_service(
            serviceName=name,
            taskDefinition="web",
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=network(),
            loadBalancers=behind(name),
        )
        region.registry.service("default", name).settle()
    return region


def requests(region: Region) -> Any:
    """The requests that were kept, in order of arrival."""
    frame = region.finish().requests.frame()
    return frame.sort_values(["arrived_at", "service"], ignore_index=True)


def test_each_request_goes_where_its_number_says_under_the_weights_at_its_arrival():
    region = two_groups({"blue": 95, "green": 5})
    region.send_traffic("blue", {"constant": "20 /s", "process": "regular"}, until="10 min")
    for at, weights in (("3 min", {"blue": 50, "green": 50}), ("6 min", {"blue": 0, "green": 1})):
        region.run(until=at)
        region.elbv2.modify_listener(ListenerArn="lb:80", DefaultActions=forward(**weights))
    region.run(until="11 min")
    got = requests(region)
    arrived = ((got.arrived_at - region.registry.start).dt.total_seconds() * US).round().astype(np.int64).to_numpy()
    assert arrived.size == 600 * 20
    u = Streams(SEED)["split/lb:80/blue"].random(arrived.size)
    share = np.where(arrived < 180 * US, 0.05, np.where(arrived < 360 * US, 0.5, 1.0))
    assert (got.service == "green").tolist() == (u >= 1 - share).tolist()
    assert set(got.outcome) == {"served"}


def test_a_group_whose_share_grows_keeps_the_requests_it_had():
    def green(share: int) -> set[Any]:
        region = two_groups({"blue": 100 - share, "green": share})
        region.send_traffic("blue", {"constant": "50 /s"}, until="2 min")
        region.run(until="2 min")
        got = requests(region)
        return set(got.arrived_at[got.service == "green"])

    assert green(5) < green(10) < green(60)


def test_looking_more_often_changes_nothing():
    def run(step_s: int) -> str:
        region = two_groups({"blue": 80, "green": 20}, {"cpu": {"exponential": {"mean": "10 ms"}}})
        region.send_traffic("blue", {"constant": "40 /s"}, until="2 min")
        region.send_traffic("green", {"constant": "7 /s"}, until="2 min", name="more")
        for at in range(step_s, 121, step_s):
            region.run(until=f"{at} s")
            region.registry.target_groups["green"].bridge.advance(region.now_us)
        return requests(region).to_csv(index=False)

    assert run(1) == run(120)


def test_one_group_and_two_with_all_weight_on_one_are_the_same_to_its_requests():
    def run(weights: dict[str, float], change: bool) -> Any:
        region = two_groups(weights, {"cpu": {"lognormal": {"mean": "10 ms", "p99": "50 ms"}}, "wait": "5 ms"})
        region.send_traffic("blue", {"constant": "40 /s"}, until="2 min")
        region.run(until="1 min")
        if change:  # to what it is already: everything is taken back and offered again
            region.elbv2.modify_listener(ListenerArn="lb:80", DefaultActions=forward(blue=1, green=0))
        region.run(until="3 min")
        got = requests(region)
        return got[got.service == "blue"][["arrived_at", "started_at", "ended_at", "outcome"]].to_csv(index=False)

    alone = run({"blue": 1}, False)
    assert alone == run({"blue": 1, "green": 0}, False)
    assert alone == run({"blue": 7}, True)
    assert alone.count("served") > 4000


def test_a_weighted_group_without_a_target_answers_503_and_the_others_do_not_help():
    region = two_groups({"blue": 50, "green": 50})
    region.ecs.update_service(service="green", desiredCount=0)
    region.run(until="7 min")  # drained: deregistered for good
    region.send_traffic("blue", {"constant": "20 /s", "process": "regular"}, until="8 min")
    region.run(until="9 min")
    got = requests(region)
    assert set(got.outcome[got.service == "blue"]) == {"served"}
    assert set(got.outcome[got.service == "green"]) == {"no_target_503"}
    assert 0.4 < (got.service == "green").mean() < 0.6


def test_a_test_listener_reaches_the_other_group_beside_production():
    region = two_groups({"blue": 100, "green": 0})
    region.elbv2.create_listener(LoadBalancerArn="lb", Port=8080, DefaultActions=forward(green=1))
    region.send_traffic("blue", {"constant": "10 /s"}, until="1 min")
    region.send_traffic(
        "blue", {"constant": "1 /s", "process": "regular"}, until="1 min", name="qa", listener="lb:8080"
    )
    region.run(until="2 min")
    got = requests(region)
    assert (got.service == "green").sum() == 59
    assert (got.service == "blue").sum() > 500


def test_rules_are_shifted_like_default_actions():
    region = two_groups({"blue": 1, "green": 0})
    rule = region.elbv2.create_rule(
        ListenerArn="lb:80",
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
        Actions=forward(blue=1, green=0),
    )["Rules"][0]
    region.send_traffic("blue", {"constant": "10 /s", "process": "regular"}, until="2 min", listener=rule["RuleArn"])
    region.run(until="1 min")
    region.elbv2.modify_rule(RuleArn="lb:80/10", Actions=forward(blue=0, green=1))
    described = region.elbv2.describe_rules(ListenerArn="lb:80")["Rules"]
    assert [(r["Priority"], r["IsDefault"]) for r in described] == [("10", False), ("default", True)]
    weights = described[0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert [(g["TargetGroupArn"].split("/")[1], g["Weight"]) for g in weights] == [("blue", 0), ("green", 1)]
    region.run(until="3 min")
    got = requests(region)
    # the request that arrives with the change meets the new weights
    assert (got.service == "blue").sum() == 599
    assert (got.service == "green").sum() == 600


def test_the_service_says_which_rule_its_traffic_meets():
    region = two_groups({"blue": 0, "green": 1})
    region.elbv2.create_rule(ListenerArn="lb:80", Priority=1, Actions=forward(blue=1, green=1))
    region.elbv2.create_rule(ListenerArn="lb:80", Priority=2, Actions=forward(blue=1))
    advanced = {"alternateTargetGroupArn": "green", "productionListenerRule": "lb:80/2", "roleArn": "role"}
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=[{**behind("blue")[0], "advancedConfiguration": advanced}],
    )
    service = region.registry.service
    assert region.elbv2.rule_of(service("default", "web")).name == "lb:80/2"
    assert region.elbv2.rule_of(service("default", "blue")).name == "lb:80/1"
    assert region.elbv2.rule_of(service("default", "green")).name == "lb:80"


def test_users_of_a_closed_loop_are_neither_split_nor_moved():
    region = two_groups({"blue": 1, "green": 1})
    users = {"users": {"count": 3, "think": "1 s"}}
    with pytest.raises(InvalidParameterException, match="splits its traffic"):
        region.send_traffic("blue", users)
    region.elbv2.modify_listener(ListenerArn="lb:80", DefaultActions=forward(blue=1, green=0))
    region.send_traffic("blue", users)
    with pytest.raises(InvalidParameterException, match="needs an open loop"):
        region.elbv2.modify_listener(ListenerArn="lb:80", DefaultActions=forward(blue=1, green=1))
    region.elbv2.modify_listener(ListenerArn="lb:80", DefaultActions=forward(blue=3, green=0))


def test_a_timeline_shifts_weights_and_counts_what_billing_says():
    scenario = Scenario.model_validate(
        {
            "name": "shift",
            "duration": "2 min",
            "initial_state": "running",
            "taskDefinitions": [
                {
                    "family": "web",
                    "cpu": "256",
                    "memory": "512",
                    "networkMode": "awsvpc",
                    "requiresCompatibilities": ["FARGATE"],
                    "containerDefinitions": [{"name": "app", "image": "a", "portMappings": [{"containerPort": 80}]}],
                }
            ],
            "behaviour": {"web": {"request": {"cpu": "1 ms"}}},
            "targetGroups": [{"Name": "blue"}, {"Name": "green"}],
            "loadBalancers": [{"Name": "lb", "Listeners": [{"DefaultActions": forward(blue=1, green=0)}]}],
            "services": [
                {
                    "serviceName": name,
                    "taskDefinition": "web",
                    "desiredCount": 1,
                    "launchType": "FARGATE",
                    "networkConfiguration": network(),
                    "loadBalancers": behind(name),
                }
                for name in ("blue", "green")
            ],
            "traffic": [{"to": "blue", "rate": {"constant": "10 /s", "process": "regular"}}],
            "timeline": [
                {
                    "at": "1 min",
                    "elbv2.modify_listener": {"ListenerArn": "lb:80", "DefaultActions": forward(blue=0, green=1)},
                }
            ],
            "billing": {"connections_per_request": 0.5, "bytes_per_request": 1000},
        }
    )
    recorder = simulate(scenario)
    rows = recorder.target_groups.frame()
    counts = {name: of.request_count.fillna(0).tolist() for name, of in rows.groupby("target_group")}
    assert counts["blue"] == [599, 0]
    assert counts["green"][0] == 0
    assert counts["green"][1] in (600, 601)
    balancer = recorder.load_balancers.frame().iloc[0]
    assert (balancer.new_connection_count, balancer.processed_bytes) == (299.5, 599_000)


def test_a_balancer_forwards_to_target_groups_of_its_own_kind():
    region = exact_region()
    region.elbv2.create_target_group(Name="tcp", Protocol="TCP")
    with pytest.raises(InvalidConfigurationRequestException, match="needs target groups of protocol HTTP or HTTPS"):
        region.elbv2.create_load_balancer(Name="lb", Listeners=[{"DefaultActions": forward(tcp=1)}])
    assert region.registry.balancers == {}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda r: r.elbv2.create_listener(LoadBalancerArn="lb", DefaultActions=forward(blue=1)),
            DuplicateListenerException,
            "already exists on port 80",
        ),
        (
            lambda r: r.elbv2.create_listener(LoadBalancerArn="lb", Port=81, DefaultActions=forward(blew=1)),
            TargetGroupNotFoundException,
            "'blew' not found",
        ),
        (
            lambda r: r.elbv2.create_listener(LoadBalancerArn="lb", Port=81, DefaultActions=forward(blue=0)),
            ValidationError,
            "all weights of TargetGroups are 0",
        ),
        (
            lambda r: r.elbv2.create_listener(LoadBalancerArn="lb", Port=81, DefaultActions=forward(blue=1000)),
            ValidationError,
            "must be at most 999",
        ),
        (
            lambda r: r.elbv2.create_listener(LoadBalancerArn="lb", Port=81, DefaultActions=[{"Type": "forward"}]),
            ValidationError,
            "needs TargetGroupArn",
        ),
        (
            lambda r: r.elbv2.modify_listener(ListenerArn="lb:443", DefaultActions=forward(blue=1)),
            ListenerNotFoundException,
            "Listeners: lb:80",
        ),
        (
            lambda r: r.elbv2.modify_rule(RuleArn="lb:80/9", Actions=forward(blue=1)),
            RuleNotFoundException,
            "Rules: lb:80",
        ),
        (
            lambda r: [r.elbv2.create_rule(ListenerArn="lb:80", Priority=5, Actions=forward(blue=1)) for _ in range(2)],
            PriorityInUseException,
            "priority 5",
        ),
        (
            lambda r: r.elbv2.create_rule(ListenerArn="lb:80", Priority=50_001, Actions=forward(blue=1)),
            ValidationError,
            "must be at most 50000",
        ),
    ],
)
def test_what_the_api_refuses(call, error, words):
    region = two_groups({"blue": 1, "green": 1})
    before = {name: dict(listener.forward) for name, listener in region.registry.listeners.items()}
    with pytest.raises(error, match=words):
        call(region)
    assert {name: dict(listener.forward) for name, listener in region.registry.listeners.items()} == before
