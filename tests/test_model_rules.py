"""Rules of the model by themselves: quantities, distributions, and what one value forbids another."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fargsim.model.balancing import LoadBalancer, TargetGroup
from fargsim.model.base import Faults, Issue, raise_faults
from fargsim.model.capacity import AutoScalingGroup, CapacityProvider
from fargsim.model.distribution import Distribution, lognormal_sigma
from fargsim.model.placement import PlacementConstraint, PlacementStrategy
from fargsim.model.quantity import (
    format_duration,
    parse_bytes,
    parse_duration_us,
    parse_rate_per_s,
    parse_share,
    parse_vcpu,
)
from fargsim.model.scaling import ScalableTarget
from fargsim.model.service import CreateService
from fargsim.model.taskdef import TaskDefinition
from fargsim.model.traffic import Rate

DISTRIBUTION: TypeAdapter[Any] = TypeAdapter(Distribution)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration_us, "250 ms", 250_000),
        (parse_duration_us, "0.5us", 0),
        (parse_duration_us, "1.5 h", 5_400_000_000),
        (parse_duration_us, "0.1 s", 100_000),
        (parse_duration_us, "1e3 s", 10**9),
        (parse_duration_us, "0 s", 0),
        (parse_bytes, "1 MiB", 2**20),
        (parse_bytes, "1.5 GB", 1_500_000_000),
        (parse_rate_per_s, "300 /s", 300.0),
        (parse_rate_per_s, "90 /min", 1.5),
        (parse_rate_per_s, "3600 1/h", 1.0),
        (parse_share, "0.1 %", 0.001),
        (parse_share, 1, 1.0),
        (parse_vcpu, ".25 vCPU", 0.25),
    ],
)
def test_quantities_are_exact(parse: Any, text: Any, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration_us, 5, "5 has no unit: write a duration like '250 ms' (units: us, µs, ms, s, min, h, d)"),
        (parse_duration_us, "5", "'5' is not a duration: write it like '250 ms' (units: us, µs, ms, s, min, h, d)"),
        (parse_duration_us, "5 m", "'5 m' has an unknown unit 'm': legal units are us, µs, ms, s, min, h, d"),
        (parse_duration_us, "-5 s", "'-5 s' is negative"),
        (parse_duration_us, "400 y", "'400 y' has an unknown unit 'y': legal units are us, µs, ms, s, min, h, d"),
        (parse_duration_us, "1e9 d", "'1e9 d' is longer than three hundred years"),
        (
            parse_duration_us,
            "1e999999999 s",
            "'1e999999999 s' has an unknown unit 'e999999999s': legal units are us, µs, ms, s, min, h, d",
        ),
        (parse_duration_us, True, "must be a duration with a unit, like '250 ms' (units: us, µs, ms, s, min, h, d)"),
        (
            parse_bytes,
            "3 gb",
            "'3 gb' has an unknown unit 'gb': legal units are B, kB, KB, MB, GB, TB, KiB, MiB, GiB, TiB",
        ),
        (parse_rate_per_s, "-1 /s", "'-1 /s' is negative"),
        (parse_rate_per_s, "5 rps", "'5 rps' has an unknown unit 'rps': legal units are /s, /min, /h, /d"),
        (parse_share, "101 %", "'101 %' is not between 0 % and 100 %"),
        (parse_share, "0.1", "'0.1' is not a share: write it like '0.1 %' (units: %)"),
        (parse_share, 1.5, "'1.5' is not between 0 % and 100 %"),
        (parse_vcpu, "2 cores", "'2 cores' has an unknown unit 'cores': legal units are vCPU"),
    ],
)
def test_a_wrong_quantity_is_told_with_the_legal_units(parse: Any, text: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.integers(0, 10**15))
def test_a_duration_written_is_the_duration_read(us: int) -> None:
    assert parse_duration_us(format_duration(us)) == us


@given(st.floats(1.0, 1e9), st.floats(1.01, 50.0), st.sampled_from([0.6, 0.9, 0.95, 0.99, 0.999]))
def test_a_lognormal_has_the_mean_and_quantile_it_was_given(mean: float, ratio: float, p: float) -> None:
    z = NormalDist().inv_cdf(p)
    assume(math.log(ratio) < 0.999 * z * z / 2)
    sigma = lognormal_sigma(mean, mean * ratio, p)
    mu = math.log(mean) - sigma * sigma / 2
    assert math.exp(mu + sigma * sigma / 2) == pytest.approx(mean)
    assert math.exp(mu + sigma * z) == pytest.approx(mean * ratio)
    # of the two that fit, the narrower one
    assert 0 < sigma <= z


@given(st.floats(1.0, 1e9), st.floats(0.01, 0.99), st.sampled_from([0.05, 0.5, 0.9]))
def test_a_quantile_below_the_mean_has_a_lognormal_too(mean: float, ratio: float, p: float) -> None:
    z = NormalDist().inv_cdf(p)
    sigma = lognormal_sigma(mean, mean * ratio, p)
    assert sigma > 0
    assert math.exp(math.log(mean) - sigma * sigma / 2 + sigma * z) == pytest.approx(mean * ratio)


@pytest.mark.parametrize(
    ("value", "mean_us"),
    [
        ("6 s", 6e6),
        ({"constant": "6 s"}, 6e6),
        ({"exponential": {"mean": "15 ms"}}, 15e3),
        ({"uniform": {"min": "1 s", "max": "3 s"}}, 2e6),
        ({"lognormal": {"mean": "40 ms", "p99": "250 ms"}}, 40e3),
        ({"lognormal": {"median": "40 ms", "sigma": 0.5}}, 40e3 * math.exp(0.125)),
        (
            {"lognormal": {"median": "13 s", "p95": "22 s"}},
            13e6 * math.exp((math.log(22 / 13) / NormalDist().inv_cdf(0.95)) ** 2 / 2),
        ),
    ],
)
def test_a_distribution_has_its_mean_and_survives_storing(value: Any, mean_us: float) -> None:
    found = DISTRIBUTION.validate_python(value)
    assert found.mean_us == pytest.approx(mean_us)
    assert DISTRIBUTION.validate_json(DISTRIBUTION.dump_json(found, by_alias=True)) == found


@pytest.mark.parametrize(
    ("value", "loc", "message"),
    [
        (
            {"lognormal": {"mean": "1 s", "p95": "4 s"}},
            "lognormal",
            "no lognormal has a p95 that is 4 times its mean: at most 3.87 times is possible",
        ),
        (
            {"lognormal": {"mean": "1 s", "p40": "2 s"}},
            "lognormal",
            "no lognormal has a p40 that is 2 times its mean: at most 1 times is possible",
        ),
        ({"lognormal": {"mean": "1 s"}}, "lognormal", "give either sigma or one quantile such as p95"),
        ({"lognormal": {"p95": "1 s"}}, "lognormal", "give either mean or median"),
        ({"lognormal": {"mean": "1 s", "median": "1 s", "sigma": 1}}, "lognormal", "give either mean or median"),
        ({"lognormal": {"mean": "1 s", "p95": "2 s", "p99": "3 s"}}, "lognormal", "give one quantile, not two"),
        ({"lognormal": {"median": "2 s", "p95": "1 s"}}, "lognormal", "no lognormal with this median has such a p95"),
        ({"lognormal": {"mean": "0 s", "sigma": 1}}, "lognormal", "a lognormal is positive: zero is not possible"),
        ({"uniform": {"min": "3 s", "max": "1 s"}}, "uniform", "max (1 s) is below min (3 s)"),
        (
            {"normal": {"mean": "1 s"}},
            "",
            "must be a duration like '6 s' or one distribution, with exactly one of the keys constant, exponential, uniform, lognormal",
        ),
        (
            {"constant": "1 s", "uniform": {}},
            "",
            "must be a duration like '6 s' or one distribution, with exactly one of the keys constant, exponential, uniform, lognormal",
        ),
        (5, "", "5 has no unit: write a duration like '250 ms' (units: us, µs, ms, s, min, h, d)"),
    ],
)
def test_a_distribution_that_does_not_exist(value: Any, loc: str, message: str) -> None:
    assert messages(DISTRIBUTION.validate_python, value) == [(".".join([loc, loc]) if loc else "", message)]


def messages(validate: Any, value: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        validate(value)
    return [(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in caught.value.errors()]


SERVICE = {"serviceName": "web", "taskDefinition": "web"}
GROUP = {"AutoScalingGroupName": "g", "MinSize": 1, "MaxSize": 3, "LaunchTemplate": {"LaunchTemplateName": "t"}}


@pytest.mark.parametrize(
    ("model", "value", "path", "message"),
    [
        (PlacementStrategy, {"type": "random", "field": "cpu"}, "", "random takes no field"),
        (
            PlacementStrategy,
            {"type": "binpack", "field": "disk"},
            "",
            "field of binpack must be cpu or memory, not 'disk'",
        ),
        (
            PlacementStrategy,
            {"type": "spread"},
            "",
            "field of spread must be instanceId, host or attribute:NAME, but is missing",
        ),
        (PlacementConstraint, {"type": "memberOf"}, "", "memberOf needs an expression, distinctInstance takes none"),
        (
            PlacementConstraint,
            {"type": "distinctInstance", "expression": "x"},
            "",
            "memberOf needs an expression, distinctInstance takes none",
        ),
        (
            CreateService,
            SERVICE | {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "a"}]},
            "",
            "launchType and capacityProviderStrategy exclude each other",
        ),
        (
            CreateService,
            SERVICE | {"capacityProviderStrategy": [{"capacityProvider": "a"}, {"capacityProvider": "b"}]},
            "",
            "capacityProviderStrategy: with several capacity providers at least one weight must be above zero (legal: 0 to 1000)",
        ),
        (
            CreateService,
            SERVICE
            | {
                "capacityProviderStrategy": [
                    {"capacityProvider": "a", "base": 1, "weight": 1},
                    {"capacityProvider": "b", "base": 1},
                ]
            },
            "",
            "capacityProviderStrategy[1].base: only one capacity provider of a strategy may have a base, and a has one",
        ),
        (
            CreateService,
            SERVICE
            | {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "b"}]},
            "",
            "capacityProviderStrategy: a strategy may not mix Fargate providers with Auto Scaling group providers or Managed Instances, "
            "and it has FARGATE and b",
        ),
        (
            CreateService,
            SERVICE | {"capacityProviderStrategy": [{"capacityProvider": "a", "weight": 1}, {"capacityProvider": "a"}]},
            "",
            "capacityProviderStrategy[1].capacityProvider: a capacity provider stands twice in the strategy: a",
        ),
        (AutoScalingGroup, GROUP | {"MinSize": 4}, "", "MaxSize (3) is below MinSize (4)"),
        (
            AutoScalingGroup,
            GROUP | {"DesiredCapacity": 9},
            "",
            "DesiredCapacity (9) is not between MinSize and MaxSize",
        ),
        (
            CapacityProvider,
            {"name": "fargate-x", "autoScalingGroupProvider": {"autoScalingGroupArn": "g"}},
            "",
            "a capacity provider's name may not begin with aws, ecs or fargate",
        ),
        (
            ScalableTarget,
            {"service": "w", "MinCapacity": 3, "MaxCapacity": 2},
            "",
            "MaxCapacity (2) is below MinCapacity (3)",
        ),
        (
            TargetGroup,
            {"Name": "t", "HealthCheckTimeoutSeconds": 40},
            "",
            "HealthCheckTimeoutSeconds: Health check interval (30 s) must be greater than the timeout (40 s)",
        ),
        (
            TargetGroup,
            {"Name": "t", "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "3601"}]},
            "",
            "Attributes[0].Value: deregistration_delay.timeout_seconds must be from 0 to 3600, not '3601'",
        ),
        (
            TargetGroup,
            {"Name": "t", "Attributes": [{"Key": "load_balancing.algorithm.type", "Value": "best"}]},
            "",
            "Attributes[0].Value: load_balancing.algorithm.type must be one of round_robin, least_outstanding_requests, "
            "weighted_random, not 'best'",
        ),
        (
            LoadBalancer,
            {"Name": "t", "Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "0"}]},
            "",
            "Attributes[0].Value: idle_timeout.timeout_seconds must be from 1 to 4000, not '0'",
        ),
        (
            Rate,
            {"users": {"count": 1, "think": "1 s"}, "scale": 2},
            "",
            "scale and process are of rates: users have a count and a think time",
        ),
        (Rate, {}, "", "give exactly one of constant, daily, steps, counts, instants, trace, timestamps, users"),
        (
            Rate,
            {"constant": "1 /s", "instants": ["1 s"]},
            "",
            "give exactly one of constant, daily, steps, counts, instants, trace, timestamps, users, not constant, instants",
        ),
        (
            Rate,
            {"constant": "1 /s", "peak": "3 /s"},
            "",
            "peak scales the figures of daily, which must not all be zero",
        ),
        (Rate, {"daily": [0] * 24, "peak": "3 /s"}, "", "peak scales the figures of daily, which must not all be zero"),
        (
            Rate,
            {"steps": [{"at": "1 s", "rate": "1 /s"}, {"at": "1 s", "rate": "2 /s"}]},
            "",
            "steps[1].at: the instants of steps must increase",
        ),
        (Rate, {"counts": {"period": "0 s", "values": [1]}}, "counts.period", "Input should be greater than 0"),
        (
            Rate,
            {"counts": {"period": "1 s", "values": [1, -1]}},
            "counts.values.1",
            "Input should be greater than or equal to 0",
        ),
    ],
)
def test_what_contradicts_itself(model: Any, value: Any, path: str, message: str) -> None:
    assert messages(model.model_validate, value) == [(path, message)]


def definition(containers: list[dict[str, Any]], **task: Any) -> dict[str, Any]:
    return {"family": "f", "containerDefinitions": [{"image": "i", **c} for c in containers], **task}


A, B = {"name": "a", "memory": 100}, {"name": "b", "memory": 100}


@pytest.mark.parametrize(
    ("value", "issues"),
    [
        (definition([A, A]), ["containerDefinitions[1].name"]),
        (definition([A | {"essential": False}]), ["containerDefinitions"]),
        (definition([{"name": "a"}, B, {"name": "c"}]), ["containerDefinitions[0]", "containerDefinitions[2]"]),
        (definition([A | {"cpu": 600}, B | {"cpu": 600}], cpu=1024), ["cpu"]),
        (definition([A, B], memory=150), ["memory"]),
        (definition([A, B], memory=99), ["containerDefinitions[0].memory", "containerDefinitions[1].memory"]),
        (
            definition(
                [A | {"portMappings": [{"containerPort": 80, "hostPort": 0}, {"containerPort": 81, "hostPort": 82}]}],
                networkMode="host",
            ),
            ["containerDefinitions[0].portMappings[1].hostPort"],
        ),
        (
            definition(
                [
                    A | {"dependsOn": [{"containerName": "b", "condition": "START"}]},
                    B | {"dependsOn": [{"containerName": "a", "condition": "START"}]},
                ]
            ),
            ["containerDefinitions[0].dependsOn"],
        ),
        (
            definition(
                [
                    A
                    | {
                        "dependsOn": [
                            {"containerName": "b", "condition": "SUCCESS"},
                            {"containerName": "z", "condition": "START"},
                        ]
                    },
                    B,
                ]
            ),
            ["containerDefinitions[0].dependsOn[0].condition", "containerDefinitions[0].dependsOn[1].containerName"],
        ),
    ],
)
def test_a_task_definition_tells_all_its_contradictions_with_their_paths(value: Any, issues: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        TaskDefinition.model_validate(value)
    [error] = caught.value.errors()
    cause = error["ctx"]["error"]
    assert isinstance(cause, Faults)
    assert [i.dotted() for i in cause.issues] == issues


def test_no_faults_raise_nothing() -> None:
    raise_faults([])
    with pytest.raises(Faults, match=r"a\[0\]: wrong; worse"):
        raise_faults([Issue(("a", 0), "wrong"), Issue((), "worse")])


@pytest.mark.parametrize(
    ("cpu", "memory", "units", "mib"),
    [("1 vCPU", "2GB", 1024, 2048), (".25 vcpu", "0.5 GB", 256, 512), ("256", "512", 256, 512), (512, 1024, 512, 1024)],
)
def test_sizes_in_every_spelling_that_registration_takes(cpu: Any, memory: Any, units: int, mib: int) -> None:
    found = TaskDefinition.model_validate(definition([{"name": "a"}], cpu=cpu, memory=memory))
    assert (found.cpu_units, found.memory_mib) == (units, mib)


def test_what_placement_subtracts_without_a_task_size() -> None:
    containers = [
        {"name": "a", "cpu": 100, "memory": 500, "memoryReservation": 200},
        {"name": "b", "memory": 300, "cpu": 28},
    ]
    found = TaskDefinition.model_validate(definition(containers))
    assert (found.cpu_units, found.memory_mib) == (128, 500)
