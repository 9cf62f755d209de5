"""What a file says wrong about capacity: every fault with its path and what is legal, the same as through the verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from capacity_files import MANAGED, found, mixed, place, text
from sim_helpers import exact_region, fleet

from fargsim.load import load
from fargsim.sim.errors import AwsError


def test_the_base_is_sound(tmp_path: Path) -> None:
    assert load(place(tmp_path, text())).name == "capacity"
    assert load(place(tmp_path, text(template=mixed(), provider=MANAGED, more=", mi"))).name == "capacity"


BOTH = "[{capacityProvider: mi, weight: 1}, {capacityProvider: cp, weight: 1}]"
MI = "[{capacityProvider: mi, weight: 1}]"
UNSCALED = "- {name: cq, autoScalingGroupProvider: {autoScalingGroupArn: asg, managedTerminationProtection: ENABLED}}"
WITH_MI = {"provider": MANAGED, "more": ", mi"}
TIMELINE = "timeline: [{{at: 1 min, ecs.{verb}: {{{what}, capacityProviderStrategy: {strategy}}}}}]"
VERSION = (
    "timeline: [{{at: 1 min, autoscaling.create_launch_template_version: "
    "{{LaunchTemplateName: lt, LaunchTemplateData: {{InstanceType: {}}}}}}}]"
)
VERSION_TYPE = "timeline[0].autoscaling.create_launch_template_version.LaunchTemplateData.InstanceType"
REQUIREMENTS = "capacityProviders[1].managedInstancesProvider.instanceLaunchTemplate.instanceRequirements"


def required(what: str) -> str:
    """A provider of Managed Instances that asks for certain types."""
    wanted = f"instanceLaunchTemplate: {{instanceRequirements: {{memoryMiB: {{}}, {what}}}, "
    return MANAGED.replace("instanceLaunchTemplate: {", wanted)


STRATEGY = "services[0].capacityProviderStrategy"
GROUP = "autoScalingGroups[0]"


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"strategy": "[{capacityProvider: cp}, {capacityProvider: FARGATE}]"}, "services[0]", "at least one weight"),
        (
            {
                "strategy": "[{capacityProvider: FARGATE, base: 1}, {capacityProvider: FARGATE_SPOT, base: 1, weight: 1}]"
            },
            "services[0]",
            "only one capacity provider of a strategy may have a base",
        ),
        (
            {"strategy": "[{capacityProvider: FARGATE, weight: 1}, {capacityProvider: cp, weight: 1}]"},
            "services[0]",
            "may not mix Fargate",
        ),
        (
            {
                "strategy": "[{capacityProvider: mi, weight: 1}, {capacityProvider: cp, weight: 1}]",
                "provider": MANAGED,
                "more": ", mi",
            },
            STRATEGY,
            "a strategy may not mix Managed Instances providers with Auto Scaling group providers",
        ),
        (
            {"strategy": "[{capacityProvider: mi, weight: 1}]", "provider": MANAGED, "more": ", mi"},
            "services[0].taskDefinition",
            "Managed Instances run tasks with networkMode awsvpc or host, but job has bridge",
        ),
        (
            {
                "timeline": TIMELINE.format(
                    verb="create_service", what="serviceName: b, taskDefinition: job", strategy=BOTH
                ),
                **WITH_MI,
            },
            "timeline[0].ecs.create_service.capacityProviderStrategy",
            "a strategy may not mix Managed Instances providers with Auto Scaling group providers",
        ),
        (
            {"timeline": TIMELINE.format(verb="run_task", what="taskDefinition: job", strategy=MI), **WITH_MI},
            "timeline[0].ecs.run_task.taskDefinition",
            "Managed Instances run tasks with networkMode awsvpc or host, but job has bridge",
        ),
        (
            {"timeline": TIMELINE.format(verb="update_service", what="service: job", strategy=BOTH), **WITH_MI},
            "timeline[0].ecs.update_service.capacityProviderStrategy",
            "a strategy may not mix Managed Instances providers with Auto Scaling group providers",
        ),
        (
            {"timeline": TIMELINE.format(verb="update_service", what="service: job", strategy=MI), **WITH_MI},
            "timeline[0].ecs.update_service.capacityProviderStrategy",
            "a changed strategy takes effect with a forced deployment only: give forceNewDeployment: true",
        ),
        (
            {
                "timeline": TIMELINE.format(
                    verb="update_service",
                    what="service: job",
                    strategy="[{capacityProvider: cp}, {capacityProvider: FARGATE}]",
                )
            },
            "timeline[0].ecs.update_service",
            "at least one weight",
        ),
        (
            {"group": "agent: {ECS_RESERVED_MEMORY: 9999}"},
            f"{GROUP}.agent.ECS_RESERVED_MEMORY",
            "ECS_RESERVED_MEMORY of 9999 MiB is more than a c5.large has (3993 MiB): its agent cannot register",
        ),
        (
            {
                "kind": "c5.4xlarge",
                "group": "agent: {ECS_RESERVED_MEMORY: 9999}",
                "timeline": VERSION.format("c5.large"),
            },
            VERSION_TYPE,
            "Auto Scaling group asg: ECS_RESERVED_MEMORY of 9999 MiB is more than a c5.large has (3993 MiB): "
            "its agent cannot register",
        ),
        (
            {"group": "operating_system_family: WINDOWS_SERVER_2022_CORE", "timeline": VERSION.format("m7g.large")},
            VERSION_TYPE,
            "Auto Scaling group asg: Windows runs on x86_64 only, and m7g.large is arm64",
        ),
        (
            {"provider": required("vCpuCount: {min: 5000}"), "more": ", mi"},
            REQUIREMENTS,
            "no instance type of us-east-1 meets them",
        ),
        (
            {"provider": required("vCpuCount: {}, allowedInstanceTypes: [c5.large, m5.hugge]"), "more": ", mi"},
            f"{REQUIREMENTS}.allowedInstanceTypes[1]",
            "there is no instance type 'm5.hugge'",
        ),
        (
            {"provider": required('vCpuCount: {}, allowedInstanceTypes: ["c9z.*"]'), "more": ", mi"},
            f"{REQUIREMENTS}.allowedInstanceTypes[0]",
            "no instance type of us-east-1 is called c9z.*",
        ),
        ({"least": 5}, GROUP, "MaxSize (4) is below MinSize (5)"),
        (
            {"provider": UNSCALED},
            "capacityProviders[1].autoScalingGroupProvider.managedTerminationProtection",
            "ENABLED needs managedScaling with status ENABLED: without it the protection does not work",
        ),
        (
            {"most": 0},
            "capacityProviders[0].autoScalingGroupProvider.managedScaling",
            "managed scaling needs a MaxSize above 0, and the Auto Scaling group asg has 0: ECS does not change it",
        ),
        (
            {"provider": "- {name: cq, autoScalingGroupProvider: {autoScalingGroupArn: asg}}"},
            "capacityProviders[1].autoScalingGroupProvider.autoScalingGroupArn",
            "asg has the capacity provider cp already",
        ),
        (
            {
                "provider": MANAGED.replace("default", "other"),
                "clusters": "  - {clusterName: other}",
                "strategy": MI,
                "more": ", mi",
            },
            "services[0].capacityProviderStrategy[0].capacityProvider",
            "the Managed Instances provider mi belongs to cluster other, not to default",
        ),
        (
            {"kind": "m5.lagre"},
            "launchTemplates[0].LaunchTemplateData.InstanceType",
            "there is no instance type 'm5.lagre'",
        ),
        (
            {"template": mixed("[{InstanceType: c5.large}, {InstanceType: c5.lagre}]")},
            f"{GROUP}.MixedInstancesPolicy.LaunchTemplate.Overrides[1].InstanceType",
            "there is no instance type 'c5.lagre'",
        ),
        (
            {"template": mixed("[{InstanceType: c5.large}, {InstanceType: c5.large}]")},
            f"{GROUP}.MixedInstancesPolicy.LaunchTemplate",
            "c5.large stands twice in Overrides",
        ),
        (
            {"template": mixed(distribution="SpotAllocationStrategy: capacity-optimized, SpotInstancePools: 3")},
            f"{GROUP}.MixedInstancesPolicy.InstancesDistribution",
            "SpotInstancePools goes with SpotAllocationStrategy lowest-price only",
        ),
        (
            {"template": mixed(), "market": ", InstanceMarketOptions: {MarketType: spot}"},
            f"{GROUP}.MixedInstancesPolicy",
            "without",
        ),
        ({"group": mixed()}, GROUP, "give exactly one of LaunchTemplate and MixedInstancesPolicy"),
        ({"group": "WarmPoolConfiguration: {}"}, f"{GROUP}.WarmPoolConfiguration", "ECS_WARM_POOLS_CHECK: true"),
        (
            {
                "group": "WarmPoolConfiguration: {InstanceReusePolicy: {ReuseOnScaleIn: true}}\n    agent: {ECS_WARM_POOLS_CHECK: true}"
            },
            f"{GROUP}.WarmPoolConfiguration",
            "ReuseOnScaleIn must be false",
        ),
        (
            {"group": "TerminationPolicies: [OldestInstanc]"},
            f"{GROUP}.TerminationPolicies[0]",
            "there is no termination policy 'OldestInstanc': did you mean OldestInstance",
        ),
        (
            {
                "group": "policies: [{PolicyName: p, PolicyType: TargetTrackingScaling, TargetTrackingConfiguration: {TargetValue: 50,"
                " PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}}}]"
            },
            f"{GROUP}.policies",
            "the capacity provider cp manages the scaling of this group",
        ),
        (
            {
                "group": "LifecycleHookSpecificationList: [{LifecycleHookName: h, HeartbeatTimeout: 10, "
                "LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'}]"
            },
            f"{GROUP}.LifecycleHookSpecificationList[0].HeartbeatTimeout",
            "must be at least 30, not 10",
        ),
        (
            {"group": "MaxInstanceLifetime: 60"},
            f"{GROUP}.MaxInstanceLifetime",
            "must be 0 or at least 86400 seconds (a day)",
        ),
        (
            {"scaling": ", minimumScalingStepSize: 5, maximumScalingStepSize: 2"},
            "capacityProviders[0].autoScalingGroupProvider.managedScaling",
            "minimumScalingStepSize (5) is above maximumScalingStepSize (2)",
        ),
        (
            {"timeline": "timeline: [{at: 1 min, fault: {ec2_spot_reclaim: {auto_scaling_group: asq}}}]"},
            "timeline[0].fault.ec2_spot_reclaim.auto_scaling_group",
            "there is no Auto Scaling group 'asq': did you mean asg?",
        ),
        (
            {"timeline": "timeline: [{at: 1 min, fault: {fargate_spot_reclaim: {count: 1, share: 50 %}}}]"},
            "timeline[0].fault.fargate_spot_reclaim",
            "give count or share, not both",
        ),
        (
            {"timeline": "timeline: [{at: 1 min, autoscaling.start_instance_refresh: {AutoScalingGroupName: asq}}]"},
            "timeline[0].autoscaling.start_instance_refresh.AutoScalingGroupName",
            "there is no Auto Scaling group 'asq': did you mean asg?",
        ),
    ],
)
def test_a_fault_is_told_with_its_path(changes: dict[str, Any], path: str, message: str, tmp_path: Path) -> None:
    faults = found(tmp_path, text(**changes))
    assert any(at.startswith(path) and message in said for at, said in faults), faults


def test_a_type_that_the_region_does_not_offer(tmp_path: Path) -> None:
    document = text(template=mixed("[{InstanceType: inf2.xlarge}]")) + "region: eu-west-1\n"
    [(path, message)] = found(tmp_path, document)
    assert path == f"{GROUP}.MixedInstancesPolicy.LaunchTemplate.Overrides[0].InstanceType"
    assert message.startswith("inf2.xlarge is not offered in eu-west-1")


@pytest.mark.parametrize(
    ("assumption", "message"),
    [
        ("service_reactions_s: 4", "there is no parameter 'service_reactions_s'"),
        ("registered_memory_factor: 7", "registered_memory_factor must be"),
    ],
)
def test_reserved_memory_does_not_hide_an_assumption_at_fault(assumption: str, message: str, tmp_path: Path) -> None:
    document = text(group="agent: {ECS_RESERVED_MEMORY: 256}") + f"assumptions: {{{assumption}}}\n"
    [(path, said)] = found(tmp_path, document)
    assert path == f"assumptions.{assumption.partition(':')[0]}"
    assert message in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"WarmPoolConfiguration": {}}, "ECS_WARM_POOLS_CHECK"),
        ({"TerminationPolicies": ["arn:aws:lambda:us-east-1:123456789012:function:x"]}, "is not one of"),
        ({"MaxInstanceLifetime": 60}, "MaxInstanceLifetime"),
        (
            {"agent": {"ECS_RESERVED_MEMORY": 9999}},
            "agent.ECS_RESERVED_MEMORY: ECS_RESERVED_MEMORY of 9999 MiB is more",
        ),
        ({"MinSize": 101}, "MaxSize"),
    ],
)
def test_the_verbs_refuse_the_same(more: dict[str, Any], message: str) -> None:
    region = exact_region()
    with pytest.raises(AwsError, match=message) as caught:
        fleet(region, 0, **more)
    assert caught.value.code == "ValidationError"
    assert not region.registry.groups


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        ("update_auto_scaling_group", {"MaxSize": 1, "MinSize": 2}, "MaxSize .1. is below MinSize .2."),
        (
            "update_auto_scaling_group",
            {"DesiredCapacity": 500},
            "must be between the specified min size:0 and max size:100",
        ),
        ("put_warm_pool", {}, "ECS_WARM_POOLS_CHECK"),
        ("start_instance_refresh", {"Preferences": {"MinHealthyPercentage": 101}}, "MinHealthyPercentage"),
        ("put_lifecycle_hook", {"LifecycleHookName": "h", "LifecycleTransition": "x"}, "LifecycleTransition"),
    ],
)
def test_verbs_on_a_group(verb: str, arguments: dict[str, Any], message: str) -> None:
    region = exact_region()
    fleet(region, 1)
    with pytest.raises(AwsError, match=message):
        getattr(region.autoscaling, verb)(AutoScalingGroupName="asg", **arguments)


def test_instances_by_an_unknown_name_and_templates_that_are_not_there() -> None:
    region = exact_region()
    with pytest.raises(AwsError, match="Instance Id not found"):
        region.autoscaling.set_instance_health(InstanceId="i-0", HealthStatus="Unhealthy")
    with pytest.raises(AwsError, match="does not exist"):
        region.autoscaling.create_launch_template_version(
            LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": "c5.large"}
        )
    with pytest.raises(AwsError, match="no instance type"):
        region.autoscaling.create_launch_template(
            LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": "c5.huge"}
        )


def test_a_version_with_a_type_that_a_group_overrides_is_sound(tmp_path: Path) -> None:
    changes = {
        "kind": "c5.4xlarge",
        "group": "agent: {ECS_RESERVED_MEMORY: 9999}",
        "timeline": VERSION.format("c5.large"),
    }
    assert load(place(tmp_path, text(template=mixed("[{InstanceType: c5.4xlarge}]"), **changes)))


@pytest.mark.parametrize(
    ("before", "after", "more", "message"),
    [
        (
            "c5.large",
            "m7g.large",
            {"operating_system_family": "WINDOWS_SERVER_2022_CORE"},
            "operating_system_family: Windows runs on x86_64 only, and m7g.large is arm64",
        ),
        (
            "c5.4xlarge",
            "c5.large",
            {"agent": {"ECS_RESERVED_MEMORY": 9999}},
            "agent.ECS_RESERVED_MEMORY: .* c5.large has",
        ),
    ],
)
def test_a_version_is_refused_for_what_a_new_group_is(
    before: str, after: str, more: dict[str, Any], message: str
) -> None:
    region = exact_region()
    fleet(region, 0, before, **more)
    version = {"LaunchTemplateName": "asg", "LaunchTemplateData": {"InstanceType": after}}
    with pytest.raises(AwsError, match=message):
        region.autoscaling.create_launch_template_version(**version)
    assert region.registry.group("asg").types == (before,)
    with pytest.raises(AwsError, match=message):
        fleet(region, 0, after, name="new", **more)


SPOT_VERSION = (
    "timeline: [{at: 1 min, autoscaling.create_launch_template_version: {LaunchTemplateName: lt, "
    "LaunchTemplateData: {InstanceType: c5.large, InstanceMarketOptions: {MarketType: spot}}}}]"
)
POOLED = "agent: {ECS_WARM_POOLS_CHECK: true}\n    WarmPoolConfiguration: {}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": mixed()}, "its MixedInstancesPolicy divides the markets itself"),
        ({"group": POOLED}, "a warm pool does not go with Spot Instances"),
    ],
)
def test_a_version_for_spot_does_not_go_with_a_mixed_policy_or_a_warm_pool(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    at = "timeline[0].autoscaling.create_launch_template_version.LaunchTemplateData.InstanceMarketOptions"
    [(path, said)] = found(tmp_path, text(timeline=SPOT_VERSION, **changes))
    assert path == at
    assert said.endswith(message)
    assert load(place(tmp_path, text(timeline=SPOT_VERSION)))
    region = exact_region()
    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": "asg"}}
    policy = {"LaunchTemplate": template | {"Overrides": [{"InstanceType": "c5.4xlarge"}]}}
    pooled = {"agent": {"ECS_WARM_POOLS_CHECK": True}, "WarmPoolConfiguration": {}}
    fleet(region, 0, **({"LaunchTemplate": None, "MixedInstancesPolicy": policy} if "template" in changes else pooled))
    spot = {"InstanceType": "c5.large", "InstanceMarketOptions": {"MarketType": "spot"}}
    with pytest.raises(AwsError, match="does not go with"):
        region.autoscaling.create_launch_template_version(LaunchTemplateName="asg", LaunchTemplateData=spot)
    assert region.registry.launch_templates["asg"].instance_market_options is None


def test_a_version_with_a_type_that_a_group_overrides_is_taken_as_a_new_group_is() -> None:
    region = exact_region()
    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": "asg"}}
    policy = {"LaunchTemplate": template | {"Overrides": [{"InstanceType": "c5.4xlarge"}]}}
    fleet(region, 0, LaunchTemplate=None, MixedInstancesPolicy=policy, agent={"ECS_RESERVED_MEMORY": 9999})
    version = {"LaunchTemplateName": "asg", "LaunchTemplateData": {"InstanceType": "c5.large"}}
    region.autoscaling.create_launch_template_version(**version)
    assert region.registry.launch_templates["asg"].instance_type == "c5.large"


def test_managed_instances_take_no_placement_strategy(tmp_path: Path) -> None:
    on_mi = "[{capacityProvider: mi, weight: 1}]\n    placementStrategy: [{type: random}]"
    faults = found(tmp_path, text(provider=MANAGED, more=", mi", strategy=on_mi))
    assert (
        "services[0].placementStrategy",
        "Managed Instances take no placement strategy: ECS spreads tasks over zones, then packs them",
    ) in faults
    on_cp = "[{capacityProvider: cp, weight: 1}]\n    placementStrategy: [{type: random}]"
    assert load(place(tmp_path, text(strategy=on_cp)))
