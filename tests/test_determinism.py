"""Same scenario and seed: same bytes, in any order, in any process. Another replication: other numbers. Another variant: same traffic."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fargsim
from fargsim.model.scenario import Scenario

ROOT = Path(__file__).resolve().parents[1]
SCENARIO: dict[str, Any] = {
    "schema": 1,
    "name": "everything",
    "duration": "25 min",
    "seed": 11,
    "network": {
        "subnets": [
            {"SubnetId": "subnet-a", "AvailabilityZone": "us-east-1a"},
            {"SubnetId": "subnet-b", "AvailabilityZone": "us-east-1b"},
        ]
    },
    "quotas": {"fargate_on_demand_vcpu": 100, "fargate_spot_vcpu": 100},
    "assumptions": {"spot_interruptions_per_task_hour": 1},
    "record": {"requests": "sampled", "sample_every": 10},
    "launchTemplates": [{"LaunchTemplateName": "lt", "LaunchTemplateData": {"InstanceType": "c5.large"}}],
    "autoScalingGroups": [
        {"AutoScalingGroupName": "asg", "MinSize": 1, "MaxSize": 6, "LaunchTemplate": {"LaunchTemplateName": "lt"}}
    ],
    "clusters": [{"clusterName": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT", "cp"]}],
    "capacityProviders": [
        {
            "name": "cp",
            "autoScalingGroupProvider": {"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}},
        }
    ],
    "taskDefinitions": [
        {
            "family": "web",
            "cpu": "512",
            "memory": "1024",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 80}]}],
        },
        {
            "family": "worker",
            "cpu": "512",
            "memory": "700",
            "requiresCompatibilities": ["EC2"],
            "containerDefinitions": [{"name": "app", "image": "app:1"}],
        },
    ],
    "behaviour": {
        "web": {
            "image": {"size": "90 MiB"},
            "boot": {"lognormal": {"mean": "4 s", "p95": "8 s"}},
            "crash": {"exponential": {"mean": "20 min"}},
            "request": {"cpu": {"lognormal": {"mean": "30 ms", "p99": "200 ms"}}, "workers": 8, "error_rate": "1 %"},
        },
        "worker": {"image": {"size": "50 MiB"}, "run": {"exponential": {"mean": "5 min"}}},
    },
    "targetGroups": [
        {
            "Name": "tg",
            "TargetType": "ip",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 2,
            "Attributes": [{"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"}],
        }
    ],
    "loadBalancers": [{"Name": "lb", "Listeners": [{"DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}]}],
    "services": [
        {
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": 3,
            "capacityProviderStrategy": [
                {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 2},
            ],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}},
            "loadBalancers": [{"targetGroupArn": "tg", "containerName": "app", "containerPort": 80}],
        },
        {
            "serviceName": "workers",
            "taskDefinition": "worker",
            "desiredCount": 4,
            "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}],
            "placementStrategy": [{"type": "random"}],
        },
    ],
    "scaling": [
        {
            "service": "web",
            "MinCapacity": 2,
            "MaxCapacity": 9,
            "policies": [
                {
                    "PolicyName": "cpu",
                    "TargetTrackingScalingPolicyConfiguration": {
                        "TargetValue": 40,
                        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                    },
                }
            ],
        }
    ],
    "traffic": [{"to": "web", "rate": {"constant": "25 /s"}}],
    "timeline": [
        {"at": "8 min", "ecs.update_service": {"service": "web", "forceNewDeployment": True}},
        {"at": "14 min", "fault": {"instance_loss": {"auto_scaling_group": "asg", "count": 1}}},
    ],
}


def scenario(**changes: Any) -> Scenario:
    return Scenario.model_validate({**SCENARIO, **changes})


def fingerprint(result: fargsim.Result, folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a saved result."""
    result.save(folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_two_runs_in_one_process_in_both_orders(tmp_path):
    other = scenario(seed=12, name="other")
    first = fingerprint(fargsim.run(scenario()), tmp_path / "a")
    between = fingerprint(fargsim.run(other), tmp_path / "b")
    second = fingerprint(fargsim.run(scenario()), tmp_path / "c")
    assert second == first
    assert fingerprint(fargsim.run(other), tmp_path / "d") == between
    assert first["tasks.parquet"] != between["tasks.parquet"]
    assert set(first) >= {"provenance.json", "tasks.parquet", "requests.parquet", "costs.parquet"}
    # the scenario is worth comparing: it has a bit of everything
    tables = fargsim.run(scenario()).tables
    for name in ("tasks", "task_states", "instances", "services", "events", "placements", "scaling", "alarms"):
        assert len(tables[name]) > 0, name
    assert len(tables["requests"]) > 1000
    assert {"FARGATE", "FARGATE_SPOT", "cp"} == set(tables["tasks"].capacity_provider)
    assert tables["tasks"].stop_code.nunique() >= 3


def test_two_processes_with_other_hash_seeds(tmp_path):
    here = fingerprint(fargsim.run(scenario()), tmp_path / "here")
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO))
    code = (
        "import sys, json, fargsim\n"
        "from fargsim.model.scenario import Scenario\n"
        "scenario = Scenario.model_validate(json.load(open(sys.argv[1])))\n"
        "fargsim.run(scenario).save(sys.argv[2])\n"
    )
    for hash_seed in ("1", "4242"):
        folder = tmp_path / hash_seed
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "scenario.json"), str(folder)],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            timeout=300,
        )
        there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
        assert there == here


def test_a_run_made_again_from_its_birth_certificate(tmp_path):
    first = fargsim.run(scenario(), seed=77, replication=2)
    kept = first.provenance
    again = fargsim.run(Scenario.model_validate(kept["scenario"]), seed=kept["seed"], replication=kept["replication"])
    assert fingerprint(again, tmp_path / "b") == fingerprint(first, tmp_path / "a")


def test_replications_and_seeds_differ():
    runs = [fargsim.run(scenario()), fargsim.run(scenario(), replication=1), fargsim.run(scenario(), seed=12)]
    arrived = [tuple(r.tables["services"].requests_arrived) for r in runs]
    assert len(set(arrived)) == 3
    ids = [set(r.tables["tasks"].task_id) for r in runs]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


def arrivals(result: fargsim.Result) -> list[int]:
    table = result.tables["services"]
    return table[table.service == "web"].requests_arrived.tolist()


VARIANTS: dict[str, dict[str, Any]] = {
    "no other service": {"services": SCENARIO["services"][:1], "timeline": SCENARIO["timeline"][:1]},
    "no scaling": {"scaling": []},
    "no timeline": {"timeline": []},
    "all on demand": {
        "services": [
            {k: v for k, v in SCENARIO["services"][0].items() if k != "capacityProviderStrategy"}
            | {"launchType": "FARGATE"}
        ],
        "timeline": [],
    },
    "other routing": {
        "targetGroups": [{"Name": "tg", "TargetType": "ip"}],
    },
    "more tasks": {"services": [{**SCENARIO["services"][0], "desiredCount": 7}, SCENARIO["services"][1]]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_meet_the_same_traffic(variant):
    base = arrivals(fargsim.run(scenario()))
    other = fargsim.run(scenario(**VARIANTS[variant]))
    assert arrivals(other) == base
    assert sum(base) > 25 * 60 * 25 * 0.9


def test_common_requests_ask_for_the_same():
    """With ample tasks every request meets no other: its latency is its own demand, the same in both variants."""
    light = {
        "record": {"requests": "full"},
        "traffic": [{"to": "web", "rate": {"constant": "2 /s"}}],
        "behaviour": {
            **SCENARIO["behaviour"],
            "web": {"request": {"cpu": {"lognormal": {"mean": "30 ms", "p99": "200 ms"}}}},
        },
        "timeline": [],
        "assumptions": {"spot_interruptions_per_task_hour": 0},
    }
    few = {**SCENARIO["services"][0], "desiredCount": 40}
    many = {**SCENARIO["services"][0], "desiredCount": 80}
    tables = [
        fargsim.run(scenario(**light, services=[one], scaling=[])).tables["requests"].set_index("request_id")
        for one in (few, many)
    ]
    served = [t[t.outcome == "served"] for t in tables]
    both = served[0].index.intersection(served[1].index)
    assert len(both) > 2000
    same = (served[0].latency_ms[both] - served[1].latency_ms[both]).abs() < 0.002
    assert same.mean() > 0.98
    assert (served[0].arrived_at[both] == served[1].arrived_at[both]).all()


def test_a_new_stream_moves_no_other():
    """Crashes draw from a stream of their own: boots, zones and arrivals stay what they were."""
    calm = {name: {k: v for k, v in does.items() if k != "crash"} for name, does in SCENARIO["behaviour"].items()}
    quiet = {"timeline": [], "scaling": [], "assumptions": {"spot_interruptions_per_task_hour": 0}}
    rare = {**calm, "web": {**calm["web"], "crash": {"exponential": {"mean": "1000 h"}}}}
    without, crashing = fargsim.run(scenario(behaviour=calm, **quiet)), fargsim.run(scenario(behaviour=rare, **quiet))
    for name in ("tasks", "services", "requests", "task_states"):
        assert without.tables[name].equals(crashing.tables[name]), name
