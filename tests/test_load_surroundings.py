"""Bad input about a scenario's surroundings: each fault with its path and what would be legal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_examples import TASK_DEFINITION

from fargsim.load import ScenarioError, load

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web"
BASE = """\
schema: 1
name: example
duration: 1 h
{surroundings}
taskDefinitions:
  - file: web.taskdef.json
services:
  - serviceName: web
    taskDefinition: web
    launchType: FARGATE
    networkConfiguration: {{awsvpcConfiguration: {{subnets: [subnet-a], securityGroups: [sg-web]}}}}
"""
SUBNETS = "network: {subnets: [{SubnetId: subnet-a, AvailabilityZone: us-east-1a%s}]%s}"


def write(folder: Path, surroundings: str, **container: object) -> Path:
    definition = TASK_DEFINITION | {"executionRoleArn": "arn:aws:iam::123456789012:role/exec"}
    definition["containerDefinitions"] = [TASK_DEFINITION["containerDefinitions"][0] | container]
    (folder / "web.taskdef.json").write_text(json.dumps(definition))
    path = folder / "scenario.yaml"
    path.write_text(BASE.format(surroundings=surroundings))
    return path


def faults(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(ScenarioError) as error:
        load(path)
    return [(issue.dotted(), issue.message) for issue in error.value.issues]


@pytest.mark.parametrize("network", ["", "network: {zones_without_fargate: [us-east-1a]}\n"])
def test_an_unknown_region_is_told_at_its_place_beside_other_faults(tmp_path: Path, network: str) -> None:
    found = faults(write(tmp_path, f"region: mars-1\n{network}registries: {{quay.io: {{}}}}"))
    assert [where for where, _ in found] == ["region", "registries.quay.io"]
    assert found[0][1].startswith("there is no region 'mars-1'")


@pytest.mark.parametrize(
    ("surroundings", "where", "message"),
    [
        (SUBNETS % (", route: natt", ""), "network.subnets[0].route", "must be one of internet_gateway, nat, none"),
        (SUBNETS % (", route: nat", ""), "network.subnets[0].route", "set nat_gateways of the network"),
        (SUBNETS % (", AvailableIpAddressCount: -1", ""), "network.subnets[0].AvailableIpAddressCount", "at least 0"),
        (SUBNETS % (", CidrBlock: 10.0.0.0/33", ""), "network.subnets[0].CidrBlock", "is not a block of addresses"),
        (
            SUBNETS % ("", ", endpoints: [{ServiceName: ecr.api, VpcEndpointType: Gateway}]"),
            "network.endpoints[0]",
            "only s3 and dynamodb have Gateway endpoints: use Interface",
        ),
        (
            SUBNETS % ("", ", endpoints: [{ServiceName: com.amazonaws.eu-west-1.s3}]"),
            "network.endpoints[0].ServiceName",
            "is a service of eu-west-1, not of us-east-1",
        ),
        (
            SUBNETS % ("", ", endpoints: [{ServiceName: s3}, {ServiceName: com.amazonaws.us-east-1.s3}]"),
            "network.endpoints[1].ServiceName",
            "'s3' stands twice in endpoints",
        ),
        (
            SUBNETS % ("", ", endpoints: [{ServiceName: logs, SubnetIds: [subnet-b]}]"),
            "network.endpoints[0].SubnetIds[0]",
            "there is no subnet 'subnet-b': did you mean subnet-a?",
        ),
        (
            SUBNETS % ("", ", security_groups: [{GroupId: sg-wep}]"),
            "network.security_groups[0].GroupId",
            "no service, job, balancer, launch template, endpoint or rule uses the security group 'sg-wep'",
        ),
        (
            SUBNETS % ("", ", security_groups: [{GroupId: sg-web, IpPermissions: [{IpProtocol: tcp, FromPort: 80}]}]"),
            "network.security_groups[0].IpPermissions[0]",
            "a rule for tcp needs FromPort and ToPort",
        ),
        (
            SUBNETS
            % (
                "",
                ", security_groups: [{GroupId: sg-web, IpPermissions: [{IpProtocol: tcp, FromPort: 81, ToPort: 80}]}]",
            ),
            "network.security_groups[0].IpPermissions[0]",
            "ToPort (80) is below FromPort (81)",
        ),
        ("roles: {exek: {}}", "roles.exek", "did you mean exec?"),
        (
            "roles: {exec: {managed_policies: [AmazonECSTaskExecutionRole]}}",
            "roles.exec.managed_policies[0]",
            "is not known here: list its actions under 'actions', or use one of AmazonECSTaskExecutionRolePolicy",
        ),
        ("roles: {exec: {actions: [ecr]}}", "roles.exec.actions[0]", "is not an IAM action: write it like"),
        ("images: {example/wep: {}}", "images.example/wep", "did you mean docker.io/example/web?"),
        ("images: {'example/web:2': {}}", "images.example/web:2", "names a tag: give the repository"),
        (
            "images: {example/web: {}, docker.io/example/web: {}}",
            "images.docker.io/example/web",
            "are the same repository, docker.io/example/web",
        ),
        ("images: {example/web: {architectures: [X86]}}", "images.example/web.architectures[0]", "X86_64, ARM64"),
        ("registries: {quay.io: {anonymous_pulls: 1}}", "registries.quay.io", "there is docker.io"),
        ("registries: {docker.io: {per: 1 h}}", "registries.docker.io", "anonymous_pulls"),
        (
            "timeline: [{at: 1 min, fault: {fargate_capacity_unavailable: {zones: [us-east-1q], for: 1 min}}}]",
            "timeline[0].fault.fargate_capacity_unavailable.zones[0]",
            "there is no zone of us-east-1 'us-east-1q'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, surroundings: str, where: str, message: str) -> None:
    found = faults(write(tmp_path, surroundings))
    assert len(found) == 1, found
    path, said = found[0]
    assert path.startswith(where)
    assert message in f"{path} {said}"


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"image": f"{ECR}:1"}, "Fargate requires task definition to have execution role ARN to support ECR images."),
        (
            {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web"}}},
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
        (
            {"secrets": [{"name": "DB", "valueFrom": "db"}]},
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
    ],
)
def test_a_missing_execution_role_is_told_before_anything_runs(
    tmp_path: Path, container: dict[str, object], message: str
) -> None:
    path = write(tmp_path, "", **container)
    file = path.with_name("web.taskdef.json")
    definition = json.loads(file.read_text())
    del definition["executionRoleArn"]
    file.write_text(json.dumps(definition))
    assert faults(path) == [("executionRoleArn", message)]


def test_a_role_at_fault_leaves_the_others(tmp_path: Path) -> None:
    found = faults(write(tmp_path, "roles: {exec: {actoins: []}, nobody: {}}"))
    assert [path for path, _ in found] == ["roles.exec.actoins", "roles.nobody"]


def test_a_variant_changes_one_security_group_and_one_subnet(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        SUBNETS % (", route: none", ", endpoints: [{ServiceName: s3}], security_groups: [{GroupId: sg-web}]")
        + """
variants:
  open:
    network:
      nat_gateways: 1
      subnets: [{SubnetId: subnet-a, route: nat}]
      endpoints: [{ServiceName: s3, VpcEndpointType: Gateway}]
      security_groups: [{GroupId: sg-web, IpPermissions: [{IpProtocol: '-1', IpRanges: [{CidrIp: 0.0.0.0/0}]}]}]""",
    )
    network = load(path, variant="open").network
    assert [(s.subnet_id, s.route) for s in network.subnets] == [("subnet-a", "nat")]
    assert [len(g.ip_permissions) for g in network.security_groups] == [1]
    assert [e.vpc_endpoint_type for e in network.endpoints] == ["Gateway"]
