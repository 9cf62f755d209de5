"""The key `billing` of a scenario: what AWS shows is taken as it is, and what is wrong is said with its path and what is legal."""

from __future__ import annotations

from pathlib import Path

import pytest

import fargsim
from fargsim.load.issue import ScenarioError
from fargsim.study.billing import billing_terms

HEAD = "schema: 1\nname: bill\nduration: 1 h\n"


def load(tmp_path: Path, text: str) -> fargsim.Scenario:
    path = tmp_path / "bill.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return fargsim.load(path)


def test_what_aws_shows_can_be_pasted(tmp_path: Path) -> None:
    scenario = load(
        tmp_path,
        """
billing:
  prices: {"ec2:m5.large": 0.09, alb_hour: 0.03}
  egress_before: 40 GB
  savingsPlans:
    - savingsPlanType: Compute
      paymentOption: All Upfront
      commitment: "1.5"
      termDurationInSeconds: 94608000
      currency: USD
      state: active
      productTypes: [EC2, Fargate, Lambda]
    - {savingsPlanType: EC2Instance, ec2InstanceFamily: m5, region: us-east-1, commitment: 0.25}
  reservedInstances:
    - {InstanceType: m5.large, InstanceCount: 3, OfferingClass: convertible, OfferingType: No Upfront, Duration: 31536000, Scope: Region}
""",
    )
    terms = billing_terms(scenario)
    plan, family, reserved = terms.commitments
    assert (plan.usd_per_h, plan.years, plan.payment, plan.family) == (1.5, 3, "All Upfront", None)
    assert (family.usd_per_h, family.years, family.payment, family.family) == (0.25, 1, "No Upfront", "m5")
    assert (reserved.instance_type, reserved.count, reserved.offering_class) == ("m5.large", 3, "convertible")
    assert terms.ec2("m5.large").value == 0.09
    assert terms.around.egress_before_bytes == 40e9
    # and it survives the birth certificate
    again = fargsim.Scenario.model_validate(scenario.model_dump(mode="json", by_alias=True))
    assert again == scenario


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("savingsPlans: [{savingsPlanType: Compute, commitment: -1}]", "savingsPlans[0].commitment", "0.001"),
        ("savingsPlans: [{savingsPlanType: Compute, commitment: much}]", "savingsPlans[0].commitment", "'much'"),
        ("savingsPlans: [{savingsPlanType: Computer, commitment: 1}]", "savingsPlans[0].savingsPlanType", "Compute"),
        (
            "savingsPlans: [{savingsPlanType: Compute, commitment: 1, termDurationInSeconds: 63072000}]",
            "savingsPlans[0].termDurationInSeconds",
            "31536000 (one year) or 94608000 (three years)",
        ),
        (
            "savingsPlans: [{savingsPlanType: Compute, commitment: 1, paymentOption: Monthly}]",
            "savingsPlans[0].paymentOption",
            "Partial Upfront",
        ),
        ("savingsPlans: [{savingsPlanType: EC2Instance, commitment: 1}]", "savingsPlans[0]", "ec2InstanceFamily"),
        (
            "savingsPlans: [{savingsPlanType: EC2Instance, ec2InstanceFamily: m55, commitment: 1}]",
            "savingsPlans[0].ec2InstanceFamily",
            "did you mean m5",
        ),
        (
            "savingsPlans: [{savingsPlanType: EC2Instance, ec2InstanceFamily: m5, commitment: 1, region: eu-west-9}]",
            "savingsPlans[0].region",
            "did you mean eu-west-",
        ),
        (
            "savingsPlans: [{savingsPlanType: EC2Instance, ec2InstanceFamily: m5, commitment: 1, region: eu-west-1}]",
            "savingsPlans[0].region",
            "covers nothing of a run in us-east-1",
        ),
        (
            "reservedInstances: [{InstanceType: m5.lrge, InstanceCount: 1}]",
            "reservedInstances[0].InstanceType",
            "did you mean m5.large",
        ),
        ("reservedInstances: [{InstanceType: m5.large, InstanceCount: 0}]", "reservedInstances[0].InstanceCount", "1"),
        ("prices: {alb_hours: 1}", "prices.alb_hours", "did you mean alb_hour"),
        ("prices: {alb_hour: -1}", "prices.alb_hour", "at least 0"),
        ("price_tables: {fargate: page}", "price_tables.fargate", "page-us-east-1"),
        ("price_tables: {spot: latest}", "price_tables.spot", "fargate_spot"),
        ("egress_bytes_per_request: -5", "egress_bytes_per_request", "0"),
        ("saving_plans: []", "saving_plans", "savingsPlans"),
    ],
)
def test_what_is_wrong_is_said_with_its_path_and_what_is_legal(
    tmp_path: Path, text: str, path: str, words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, f"billing:\n  {text}\n")
    (issue,) = caught.value.issues
    assert f"billing.{path}" in str(issue)
    assert words in str(issue)
    assert issue.line == 5


def test_a_region_without_ec2_rates_says_which_have_them(tmp_path: Path) -> None:
    plan = "{savingsPlanType: EC2Instance, ec2InstanceFamily: m5, commitment: 1}"
    with pytest.raises(ScenarioError, match=r"no EC2 rates for eu-west-3: there are for us-east-1"):
        load(tmp_path, f"region: eu-west-3\nbilling:\n  savingsPlans: [{plan}]\n")


def test_a_scenario_is_told_which_assumed_rates_its_bill_rests_on(tmp_path: Path) -> None:
    from fargsim.load.notes import load_notes

    plan = "{savingsPlanType: EC2Instance, ec2InstanceFamily: m5, commitment: 1, paymentOption: Partial Upfront}"
    scenario = load(tmp_path, f"billing:\n  savingsPlans: [{plan}]\n")
    said = " ".join(load_notes(scenario))
    assert "ec2_instance_plan_1y_saving_percent = 37" in said
    assert "partial_upfront_share = 0.7" in said
    assert "compute_plan" not in said


@pytest.mark.parametrize(
    ("region", "tables", "key", "words"),
    [
        (
            "eu-central-1",
            "{fargate: page-us-east-1}",
            "fargate",
            "'page-us-east-1' has no arm64_memory for eu-central-1",
        ),
        ("us-east-1", "{fargate: launch-2018}", "fargate", "'launch-2018' has no arm64_memory for us-east-1"),
        ("eu-central-1", "{fargate_spot: spot-2026-09}", "fargate_spot", "'spot-2026-09' has no arm64_memory"),
        ("us-east-1", "{fargate: page-us-east-1, fargate_spot: spot-2025-11}", None, None),
        ("eu-central-1", "{fargate_windows: page-us-east-1}", None, None),  # nothing here runs on Windows
    ],
)
def test_a_price_table_must_hold_what_the_tasks_are_billed_by(
    tmp_path: Path, region: str, tables: str, key: str | None, words: str | None
) -> None:
    text = f"""region: {region}
taskDefinitions:
  - family: web
    cpu: "256"
    memory: "512"
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    runtimePlatform: {{cpuArchitecture: ARM64}}
    containerDefinitions: [{{name: app, image: httpd}}]
clusters: [{{clusterName: default, defaultCapacityProviderStrategy: [{{capacityProvider: FARGATE_SPOT, weight: 1}}]}}]
billing:
  price_tables: {tables}
"""
    if key == "fargate_spot":
        load(tmp_path, text.replace("FARGATE_SPOT", "FARGATE"))  # nothing is billed by that table
    if key is None:
        load(tmp_path, text)
        return
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, text)
    (issue,) = caught.value.issues
    assert f"billing.price_tables.{key}" in str(issue)
    assert words is not None
    assert words in str(issue)


@pytest.mark.parametrize(
    ("volume", "key", "words"),
    [
        ("{VolumeSize: 30, Iops: 2999}", "Iops", "3000"),
        ("{VolumeSize: 30, Iops: 90000}", "Iops", "80000"),
        ("{VolumeSize: 30, Iops: 16000}", "Iops", "at most 15000 IOPS (500 per GiB), not 16000"),
        ("{VolumeSize: 30, Throughput: 100}", "Throughput", "125"),
        ("{VolumeSize: 30, Iops: 3500, Throughput: 900}", "Throughput", "at most 875 MiB/s (0.25 per IOPS), not 900"),
        ("{VolumeSize: 30, VolumeType: gp2}", "VolumeType", "gp3"),
        ("{VolumeSize: 4, Iops: 3000, Throughput: 750}", None, ""),
    ],
)
def test_volumes_keep_what_gp3_can(tmp_path: Path, volume: str, key: str | None, words: str) -> None:
    data = f"{{InstanceType: m5.large, BlockDeviceMappings: [{{DeviceName: /dev/xvda, Ebs: {volume}}}]}}"
    text = f"launchTemplates:\n  - {{LaunchTemplateName: t, LaunchTemplateData: {data}}}\n"
    if key is None:
        load(tmp_path, text)
        return
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, text)
    (issue,) = caught.value.issues
    assert f"LaunchTemplateData.BlockDeviceMappings[0].Ebs.{key}" in str(issue)
    assert words in str(issue)


@pytest.mark.parametrize(
    "template",
    [
        "LaunchTemplate: {LaunchTemplateName: t}",
        # a mixed policy without overrides takes the type of its template
        "MixedInstancesPolicy: {LaunchTemplate: {LaunchTemplateSpecification: {LaunchTemplateName: t}}}",
    ],
)
def test_windows_needs_an_instance_that_runs_it(tmp_path: Path, template: str) -> None:
    text = f"""launchTemplates:
  - {{LaunchTemplateName: t, LaunchTemplateData: {{InstanceType: m7g.large}}}}
autoScalingGroups:
  - {{AutoScalingGroupName: g, MinSize: 1, MaxSize: 1, {template}, AvailabilityZones: [us-east-1a],
     operating_system_family: WINDOWS_SERVER_2022_CORE}}
"""
    with pytest.raises(ScenarioError, match=r"x86_64 only, and m7g\.large is arm64") as caught:
        load(tmp_path, text)
    assert "autoScalingGroups[0].operating_system_family" in str(caught.value)
