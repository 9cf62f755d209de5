"""The bill of whole runs: it is the integral of priced usage whatever happens, and holds what a scenario says of its surroundings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_helpers import EXACT, PLENTY, SUBNETS, network
from test_cost_whole import agree

import fargsim
from fargsim.model.scenario import Scenario
from fargsim.report.cost import compute_usd, usd_by
from fargsim.sim.errors import ValidationError
from fargsim.study.billing import billing_terms

NETWORK = [{"SubnetId": s, "AvailabilityZone": z} for s, z in SUBNETS.items()]


def definition(family: str, *, fargate: bool = True, **more: Any) -> dict[str, Any]:
    ports = [{"containerPort": 80}]
    return {
        "family": family,
        "cpu": "512",
        "memory": "1024",
        "networkMode": "awsvpc" if fargate else "bridge",
        "requiresCompatibilities": ["FARGATE"] if fargate else ["EC2"],
        "containerDefinitions": [{"name": "app", "image": f"{family}:1", "portMappings": ports}],
        **more,
    }


def service(name: str, family: str, count: int, **more: Any) -> dict[str, Any]:
    return {"serviceName": name, "taskDefinition": family, "desiredCount": count, **more}


def behind(group: str) -> dict[str, Any]:
    return {"loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}]}


def fleet(kind: str, count: int, market: str = "on-demand", **more: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"InstanceType": kind, **more.pop("data", {})}
    if market == "spot":
        data["InstanceMarketOptions"] = {"MarketType": "spot"}
    group = {
        "AutoScalingGroupName": "hosts",
        "MinSize": 0,
        "MaxSize": 6,
        "DesiredCapacity": count,
        "LaunchTemplate": {"LaunchTemplateName": "hosts"},
        "VPCZoneIdentifier": ",".join(SUBNETS),
        **more,
    }
    template = {"LaunchTemplateName": "hosts", "LaunchTemplateData": data}
    return {"launchTemplates": [template], "autoScalingGroups": [group]}


def scenario(**parts: Any) -> Scenario:
    whole = {
        "name": "bill",
        "duration": "2 h",
        "network": {"subnets": NETWORK},
        "quotas": PLENTY,
        "assumptions": {**EXACT, **parts.pop("assumptions", {})},
        "record": {"period": "5 min"},
        **parts,
    }
    return Scenario.model_validate(whole)


def billed(made: Scenario) -> tuple[Any, dict[str, float]]:
    tables = dict(fargsim.run(made).tables)
    return tables, usd_by(tables["costs"], "item").to_dict()


REQUEST = {"request": {"cpu": "20 ms", "workers": 8}}
ON_FARGATE: dict[str, Any] = {"launchType": "FARGATE", "networkConfiguration": network()}


def test_what_listener_rules_forward_and_what_the_timeline_creates_is_on_the_bill() -> None:
    """Capacity units are those that CloudWatch shows, whatever service the requests were for."""
    forward = [{"Type": "forward", "TargetGroupArn": name} for name in ("a", "b", "c")]
    rules = [{"Priority": n, "Actions": [action]} for n, action in enumerate(forward[1:], 10)]
    listener = {"Protocol": "HTTP", "Port": 80, "DefaultActions": [forward[0]], "Rules": rules}
    names = {"web": "a", "api": "b"}
    made = scenario(
        taskDefinitions=[definition("web")],
        behaviour={"web": REQUEST},
        loadBalancers=[{"Name": "alb", "Scheme": "internal", "Listeners": [listener]}],
        targetGroups=[{"Name": name} for name in "abc"],
        services=[service(name, "web", 1, **ON_FARGATE, **behind(group)) for name, group in names.items()],
        timeline=[{"at": "20 min", "ecs.create_service": service("late", "web", 1, **ON_FARGATE, **behind("c"))}],
        traffic=[{"to": name, "rate": {"constant": "20 /s"}} for name in names],
        initial_state="running",
    )
    tables, _ = billed(made)
    costs, shown = tables["costs"], tables["load_balancers"]
    units = costs[costs["item"] == "load balancer LCU"]
    assert set(units["service"]) == {"web", "api"}
    assert units["quantity"].sum() == pytest.approx((shown["consumed_lcus"] * shown["period_s"] / 3600).sum(), rel=1e-6)
    # three services can be reached through it: its hours are nobody's
    assert costs.loc[costs["item"] == "load balancer hours", "service"].isna().all()
    assert billing_terms(made).load_balancers[0].services == (
        ("default", "web"),
        ("default", "api"),
        ("default", "late"),
    )


def test_of_two_balancers_of_a_service_the_one_with_traffic_is_billed_for_it() -> None:
    def forward(group: str) -> list[dict[str, Any]]:
        return [{"Type": "forward", "TargetGroupArn": group}]

    http = {"Protocol": "HTTP", "Port": 80, "DefaultActions": forward("a")}
    tcp = {"Protocol": "TCP", "Port": 80, "DefaultActions": forward("n")}
    both = {"loadBalancers": behind("a")["loadBalancers"] + behind("n")["loadBalancers"]}
    made = scenario(
        taskDefinitions=[definition("web")],
        behaviour={"web": REQUEST},
        loadBalancers=[{"Name": "alb", "Listeners": [http]}, {"Name": "nlb", "Type": "network", "Listeners": [tcp]}],
        targetGroups=[{"Name": "a"}, {"Name": "n", "Protocol": "TCP"}],
        services=[service("web", "web", 1, **ON_FARGATE, **both)],
        traffic=[{"to": "web", "listener": "nlb:80", "rate": {"constant": "20 /s"}}],
        initial_state="running",
    )
    tables, _ = billed(made)
    costs, shown = tables["costs"], tables["load_balancers"]
    units = costs[costs["item"] == "load balancer LCU"]
    network = shown[shown["load_balancer"] == "nlb"]
    assert units["quantity"].sum() == pytest.approx((network["consumed_lcus"] * network["period_s"] / 3600).sum())
    assert set(units["usd_per_unit"]) == {0.006}, "a network balancer's price"
    assert set(tables["services"]["load_balancer"]) == {"nlb"}


def test_a_windows_fleet_takes_windows_tasks_and_pays_for_its_licence() -> None:
    windows = {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64"}}

    def run(system: str) -> tuple[Any, dict[str, float]]:
        return billed(
            scenario(
                taskDefinitions=[definition("app", fargate=False, **windows)],
                services=[service("app", "app", 2, launchType="EC2")],
                **fleet("m5.large", 1, registered_at_start=True, operating_system_family=system),
            )
        )

    tables, usd = run("WINDOWS_SERVER_2022_CORE")
    assert len(tables["tasks"]) == 2
    assert tables["tasks"]["started_at"].notna().all()
    assert tables["instances"]["operating_system_family"].tolist() == ["WINDOWS_SERVER_2022_CORE"]
    licence = usd["ec2 Windows licence (used)"] + usd["ec2 Windows licence (idle)"]
    assert licence == pytest.approx(2 * 2 * 0.046)
    assert compute_usd(tables["costs"]) == pytest.approx(2 * 0.188)
    tables, usd = run("LINUX")
    assert tables["tasks"]["started_at"].isna().all()
    assert not any("licence" in item for item in usd)


def test_windows_on_graviton_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"operating_system_family.*x86_64 only, and m7g\.large is arm64"):
        fargsim.run(scenario(**fleet("m7g.large", 1, operating_system_family="WINDOWS_SERVER_2022_CORE")))


def test_a_spot_instance_is_free_when_it_is_taken_back_in_its_first_hour() -> None:
    """Two are launched at 0 and taken back after 42 minutes; those that take their places are not."""
    storm = {"at": "40 min", "fault": {"ec2_spot_reclaim": {"auto_scaling_group": "hosts"}}}
    made = scenario(timeline=[storm], assumptions={"ec2_spot_hazard_scale": 0}, **fleet("m5.large", 2, "spot"))
    tables, _ = billed(made)
    hosts, costs = tables["instances"], tables["costs"]
    taken = set(hosts.loc[hosts["terminated_at"].notna(), "instance_id"])
    assert (len(hosts), len(taken)) == (4, 2)
    time = costs[costs["item"] == "ec2 spot instance (idle)"]
    assert set(time.loc[time["usd"] == 0, "instance_id"]) == taken
    assert (time.loc[~time["instance_id"].isin(taken), "usd"] > 0).all()


def test_volumes_of_a_launch_template() -> None:
    root = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3", "Iops": 4000}}
    data = {"DeviceName": "/dev/xvdcz", "Ebs": {"VolumeSize": 160, "VolumeType": "gp3", "Throughput": 325}}
    more = {"data": {"BlockDeviceMappings": [root, data]}, "registered_at_start": True}
    _, usd = billed(scenario(**fleet("m5.large", 1, **more)))
    month = 2 / 730
    assert usd["ebs volume"] == pytest.approx(200 * 0.08 * month)
    assert usd["ebs volume IOPS"] == pytest.approx(1000 * 0.005 * month)
    assert usd["ebs volume throughput"] == pytest.approx(200 * 0.04 * month)


def test_the_price_page_s_own_table_can_be_chosen() -> None:
    """A task of 1 vCPU and 2 GB of Windows for two hours, by the price list and by the page's example 4."""
    windows = {
        "runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2019_CORE"},
        "cpu": "1024",
        "memory": "2048",
    }
    parts: dict[str, Any] = {
        "taskDefinitions": [definition("app", **windows)],
        "services": [service("app", "app", 1, **ON_FARGATE)],
        "initial_state": "running",
    }
    _, listed = billed(scenario(**parts))
    assert listed["fargate vCPU"] == pytest.approx(2 * 0.046552)
    tables = {"fargate_windows": "page-us-east-1"}
    _, page = billed(scenario(**parts, billing={"price_tables": tables}))
    assert page["fargate vCPU"] == pytest.approx(7200 * 0.0000254167)
    assert page["fargate memory"] == pytest.approx(7200 * 2 * 0.0000027778)
    assert page["fargate Windows licence"] == pytest.approx(7200 * 0.0000127778)


def test_endpoints_of_the_network_and_metrics_of_the_scenario_are_charged() -> None:
    endpoints = [
        {"ServiceName": "ecr.api", "SubnetIds": list(SUBNETS)[:2]},
        {"ServiceName": "ecr.dkr"},
        {"ServiceName": "s3", "VpcEndpointType": "Gateway"},
    ]
    made = scenario(
        network={"subnets": NETWORK, "endpoints": endpoints},
        taskDefinitions=[definition("worker")],
        behaviour={"worker": {"message": {"queue": "work", "cpu": "1 s"}}},
        services=[service("worker", "worker", 1, **ON_FARGATE)],
        queues=[{"QueueName": "work", "backlog_per_task": {"service": "worker", "namespace": "Own"}}],
        metrics=[{"namespace": "Own", "name": "Load", "steps": [{"at": "0 s", "value": 1}]}],
        billing={"interface_endpoints": 1, "custom_metrics": 5},
    )
    _, usd = billed(made)
    # two zones, all three, none for the gateway; and one more in all three
    assert usd["interface endpoint hours"] == pytest.approx(2 * (2 + 3 + 3) * 0.01)
    assert usd["custom metrics"] == pytest.approx(2 * (5 + 2) * 0.30 / 730)


PLANS = [
    {"savingsPlanType": "Compute", "commitment": 0.02},
    {
        "savingsPlanType": "Compute",
        "commitment": 1.5,
        "termDurationInSeconds": 94608000,
        "paymentOption": "All Upfront",
    },
    {"savingsPlanType": "EC2Instance", "ec2InstanceFamily": "t3", "commitment": 0.01},
]
BYTES = {
    "nat_bytes_per_request": 2_000,
    "images_through_nat": True,
    "interface_endpoints": 2,
    "endpoint_bytes_per_request": 1_000,
    "cross_zone_bytes_per_request": 5_000,
    "egress_bytes_per_request": 2_000_000,
    "egress_before": "99 GB",
    "log_bytes_per_request": 300,
    "log_bytes_per_task_h": 1_000_000,
    "log_storage": "5 GB",
    "ecr_storage": "2 GB",
    "custom_metrics": 9_990,
}


@st.composite
def fleets(draw: st.DrawFn, arm: bool) -> dict[str, Any]:
    """Burstable or not, on demand or Spot."""
    kind = draw(st.sampled_from(["t4g.nano", "t4g.small"] if arm else ["t3.nano", "t3.small", "m5.large"]))
    mode = draw(st.sampled_from(["standard", "unlimited"]))
    data = {"CreditSpecification": {"CpuCredits": mode}} if kind.startswith("t") else {}
    market = draw(st.sampled_from(["on-demand", "spot"]))
    return fleet(kind, draw(st.integers(0, 2)), market, data=data, public_ip=draw(st.booleans()))


HAPPENS: dict[str, dict[str, Any]] = {
    "ec2_spot_reclaim": {"auto_scaling_group": "hosts"},
    "fargate_spot_reclaim": {"share": 0.5},
    "instance_loss": {"auto_scaling_group": "hosts", "count": 1},
    "task_crash": {"service": "web", "count": 1},
}


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    fault = draw(st.sampled_from(sorted(HAPPENS)))
    capacity = {"AutoScalingGroupName": "hosts", "DesiredCapacity": draw(st.integers(0, 2))}
    does = [
        {"fault": {fault: HAPPENS[fault]}},
        {"autoscaling.set_desired_capacity": capacity},
        {"ecs.update_service": {"service": "web", "desiredCount": draw(st.integers(0, 4))}},
        {"ecs.create_service": service("late", "web", 1, **ON_FARGATE, **behind("late"))},
    ]
    return [{"at": f"{draw(st.integers(1, 69))} min", **one} for one in does]


@st.composite
def worlds(draw: st.DrawFn) -> Scenario:
    """Web, workers, jobs and a fleet, on whatever capacity, under whatever happens and whatever was committed to."""
    arm = draw(st.booleans())
    platform = {"runtimePlatform": {"cpuArchitecture": "ARM64"}} if arm else {}
    addresses = draw(st.sampled_from(["ENABLED", "DISABLED"]))
    mixed = {
        "capacityProviderStrategy": [
            {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": draw(st.integers(0, 2))},
        ],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": list(SUBNETS), "assignPublicIp": addresses}},
    }
    insights = draw(st.sampled_from(["disabled", "enabled", "enhanced"]))
    to_web, to_late = ([{"Type": "forward", "TargetGroupArn": name}] for name in ("web", "late"))
    rules = [{"Priority": 1, "Actions": to_late}]
    listener = {"Protocol": "HTTP", "Port": 80, "DefaultActions": to_web, "Rules": rules}
    requests, messages = draw(st.sampled_from([1, 8])), draw(st.sampled_from([0.1, 2]))
    return scenario(
        start=draw(st.sampled_from(["2026-03-02T00:00:00Z", "2026-03-31T22:40:00Z"])),
        seed=draw(st.integers(0, 1000)),
        duration=draw(st.sampled_from(["70 min", "2 h"])),
        initial_state=draw(st.sampled_from(["empty", "running"])),
        network={"subnets": NETWORK, "nat_gateways": draw(st.integers(0, 2))},
        taskDefinitions=[
            definition("web", **platform),
            definition("worker", fargate=False, cpu="256", memory="128", **platform),
            definition("batch", ephemeralStorage={"sizeInGiB": 40}),
        ],
        behaviour={
            "web": REQUEST,
            "worker": {"message": {"queue": "work", "cpu": "2 s", "workers": 2}},
            "batch": {"run": {"exponential": {"mean": "6 min"}}, "idle_cpu": "0.4 vCPU"},
        },
        clusters=[{"clusterName": "default", "settings": [{"name": "containerInsights", "value": insights}]}],
        loadBalancers=[{"Name": "alb", "Listeners": [listener]}],
        targetGroups=[{"Name": "web"}, {"Name": "late"}],
        services=[
            service("web", "web", draw(st.integers(0, 3)), **mixed, **behind("web")),
            service("worker", "worker", 2, launchType="EC2"),
        ],
        traffic=[{"to": "web", "rate": {"constant": f"{requests} /s"}}],
        queues=[{"QueueName": "work"}],
        messages=[{"queue": "work", "rate": {"constant": f"{messages} /s"}}],
        jobs=[{"name": "batch", "rate": {"constant": "20 /h"}, "run_task": {"taskDefinition": "batch", **ON_FARGATE}}],
        timeline=draw(events()),
        billing={
            "savingsPlans": draw(st.lists(st.sampled_from(PLANS), max_size=2)),
            "reservedInstances": draw(st.sampled_from([[], [{"InstanceType": "t3.small", "InstanceCount": 1}]])),
            **draw(st.sampled_from([{}, BYTES])),
        },
        **draw(fleets(arm)),
    )


@settings(max_examples=10)
@given(worlds())
def test_the_bill_of_any_run_is_the_integral_of_its_priced_usage(made: Scenario) -> None:
    tables = dict(fargsim.run(made).tables)
    costs = agree(tables, billing_terms(made))
    assert costs.equals(tables["costs"])
    capacity = tables["capacity_use"]
    assert capacity["paid_usd"].sum() == pytest.approx(compute_usd(costs), rel=1e-9, abs=1e-12)
