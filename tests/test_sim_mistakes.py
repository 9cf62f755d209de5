"""One hand timeline for each configuration mistake: the stage at which it shows, stop code, words, and when.

On Fargate with the constants of `sim_helpers`: PENDING at 4 s, ACTIVATING at 10 s; what is refused fails 5 s later, what gets no answer
180 s after PENDING; the interface takes 7 s to detach.
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, messages, network, statuses

from fargsim import Region
from fargsim.sim.errors import ClientException

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web"
ROLE = "arn:aws:iam::123456789012:role/exec"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
LOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1"}}
CALLER = "User: arn:aws:sts::123456789012:assumed-role/exec/{task} is not authorized to perform: "
AUTH = "ResourceInitializationError: unable to pull secrets or registry auth: "
FETCH = f"{AUTH}execution resource retrieval failed: "

REFUSED = [
    (0, "PROVISIONING"),
    (4, "PENDING"),
    (10, "ACTIVATING"),
    (15, "DEPROVISIONING"),
    (22, "STOPPED"),
]
SILENT = [*REFUSED[:3], (184, "DEPROVISIONING"), (191, "STOPPED")]


def subnet(**more: Any) -> dict[str, Any]:
    return {"SubnetId": "subnet-a", "AvailabilityZone": "us-east-1a", **more}


def private(*endpoints: str) -> dict[str, Any]:
    return {"network": {"subnets": [subnet(route="none")], "endpoints": [{"ServiceName": name} for name in endpoints]}}


def define(
    region: Region,
    image: str = "app:1",
    *,
    role: str | None = ROLE,
    more: dict[str, Any] | None = None,
    **container: Any,
) -> None:
    region.behave("web", {"image": {"size": "120 MiB"}})
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        **({"executionRoleArn": role} if role else {}),
        containerDefinitions=[{"name": "app", "image": image, "portMappings": [{"containerPort": 80}], **container}],
        **(more or {}),
    )


def run(region: Region, *, public: bool = False, until: str = "400 s") -> dict[str, Any]:
    configuration = {"subnets": ["subnet-a"], "assignPublicIp": "ENABLED" if public else "DISABLED"}
    [task] = region.ecs.run_task(
        taskDefinition="web", launchType="FARGATE", networkConfiguration={"awsvpcConfiguration": configuration}
    )["tasks"]
    region.run(until=until)
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    return told


def reason(told: dict[str, Any]) -> str:
    """The reason with the task's identifier as {task}."""
    return str(told["stoppedReason"]).replace(told["taskArn"].rpartition("/")[2], "{task}")


# at registration


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"image": f"{ECR}:1"}, "Fargate requires task definition to have execution role ARN to support ECR images."),
        (
            {"logConfiguration": LOGS},
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
        (
            {"secrets": [{"name": "DB", "valueFrom": SECRET}]},
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
    ],
    ids=["image in Amazon ECR", "log driver", "secret"],
)
def test_without_an_execution_role_the_definition_is_refused(container, expected):
    region = exact_region()
    with pytest.raises(ClientException) as refused:
        define(region, **{"image": "app:1", **container}, role=None)
    assert str(refused.value) == expected


def test_an_image_of_a_public_registry_needs_no_execution_role():
    region = exact_region()
    define(region, "httpd:2.4", role=None)
    assert run(region)["lastStatus"] == "RUNNING"


# before a task is launched

NOT_TAKEN_ON = (
    f"ECS was unable to assume the role '{ROLE}' that was provided for this task. Please verify that the role being passed has the proper "
    "trust relationship and permissions and that your IAM user has permissions to pass this role."
)
UNTRUSTED = {"roles": {"exec": {"trusts": ["ec2.amazonaws.com"]}}}


@pytest.mark.parametrize("which", ["executionRoleArn", "taskRoleArn"])
def test_a_role_that_cannot_be_taken_on_launches_nothing(which):
    region = exact_region(surroundings=UNTRUSTED)
    define(region, role=None, more={which: ROLE})
    placed = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network("subnet-a")}
    with pytest.raises(ClientException) as refused:
        region.ecs.run_task(**placed)
    assert str(refused.value) == NOT_TAKEN_ON
    region.ecs.create_service(serviceName="web", desiredCount=2, **placed)
    region.run(until="10 min")
    # told once, not at every attempt
    assert messages(region) == [(5, f"failed to launch a task with (error {NOT_TAKEN_ON}).")]
    events = region.kit.recorder.events.frame()
    assert events[events.message.str.contains("failed to launch")].event_name.tolist() == [
        "SERVICE_TASK_CONFIGURATION_FAILURE"
    ]
    assert region.finish().tasks.frame().empty


def test_a_role_that_cannot_be_taken_on_is_tried_again_at_every_look():
    region = exact_region(surroundings=UNTRUSTED, assumptions={"event_suppression_s": 0})
    define(region, role=None, more={"executionRoleArn": ROLE})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="1 min")
    assert [at for at, _ in messages(region)] == [5.0 * n for n in range(1, 13)], "as where no instance has room"


def test_on_instances_a_role_that_cannot_be_taken_on_launches_nothing_either():
    region = exact_region(surroundings=UNTRUSTED)
    fleet(region, 1)
    [instance] = region.ecs.list_container_instances()["containerInstanceArns"]
    region.ecs.register_task_definition(
        family="web", executionRoleArn=ROLE, containerDefinitions=[{"name": "app", "image": "app:1", "memory": 256}]
    )
    for start in (
        lambda: region.ecs.run_task(taskDefinition="web", launchType="EC2"),
        lambda: region.ecs.start_task(taskDefinition="web", containerInstances=[instance]),
    ):
        with pytest.raises(ClientException, match="ECS was unable to assume the role"):
            start()
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.run(until="1 min")
    assert statuses(region) == []
    assert messages(region) == [(5, f"failed to launch a task with (error {NOT_TAKEN_ON}).")]


def test_a_task_definition_with_a_sound_role_ends_it_and_the_breaker_counts_it():
    region = exact_region(surroundings=UNTRUSTED)
    define(region, role=None)
    define(region)
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web:1",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        deploymentConfiguration=breaker,
    )
    region.run(until="5 min")
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="15 min")
    [told] = region.ecs.describe_services(services=["web"])["services"]
    assert told["taskDefinition"].endswith("web:1")
    assert (told["runningCount"], len(statuses(region))) == (1, 1)  # the old task was never touched


# refused at once


def check(region: Region, told: dict[str, Any], states: list[tuple[float, str]], expected: str) -> None:
    assert statuses(region) == [states]
    assert told["stopCode"] == "TaskFailedToStart"
    assert reason(told) == expected
    # what a container cannot do is its own reason, too; what the task cannot have is not
    [container] = told["containers"]
    assert container.get("reason") == (told["stoppedReason"] if expected.startswith("Cannot") else None)
    assert "startedAt" not in told


@pytest.mark.parametrize(
    ("image", "container", "surroundings", "expected"),
    [
        (
            f"{ECR}:1",
            {},
            {"roles": {"exec": {"actions": ["logs:*"]}}},
            f"{FETCH}unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: {CALLER}"
            "ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action",
        ),
        (
            f"{ECR}:1",
            {},
            {"roles": {"exec": {"actions": ["ecr:GetAuthorizationToken"]}}},
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {ECR}:1: "
            f"unexpected status from HEAD request to https://{ECR.replace('/', '/v2/')}/manifests/1: 403 Forbidden",
        ),
        (
            f"{ECR}:9",
            {},
            {"images": {ECR: {"tags": ["1"]}}},
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {ECR}:9: {ECR}:9: not found",
        ),
        (
            "htpd:2.4",
            {},
            {"images": {"htpd": {"exists": False}}},
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/htpd:2.4: "
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: "
            "authorization failed",
        ),
        (
            "httpd:2.4",
            {},
            {"registries": {"docker.io": {"anonymous_pulls": 0}}},
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to copy: httpReaderSeeker: failed open: "
            "unexpected status code https://registry-1.docker.io/v2/library/httpd/manifests/2.4: 429 Too Many Requests - Server message: "
            "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: "
            "https://www.docker.com/increase-rate-limit",
        ),
        (
            "app:1",
            {},
            {"images": {"app": {"architectures": ["ARM64"], "multi_architecture": True}}},
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor "
            "matching platform 'linux/amd64'",
        ),
        (
            "app:1",
            {"secrets": [{"name": "DB", "valueFrom": SECRET}]},
            {"secrets": ["other"]},
            f"{FETCH}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {SECRET} from "
            "secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        ),
        (
            "app:1",
            {"secrets": [{"name": "DB", "valueFrom": SECRET}]},
            {"roles": {"exec": {"managed_policies": ["AmazonECSTaskExecutionRolePolicy"]}}},
            f"{FETCH}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {SECRET} from "
            f"secrets manager: AccessDeniedException: {CALLER}secretsmanager:GetSecretValue on resource: {SECRET} because no "
            "identity-based policy allows the secretsmanager:GetSecretValue action",
        ),
        (
            "app:1",
            {"secrets": [{"name": "DB", "valueFrom": "/db/password"}]},
            {"secrets": []},
            f"{FETCH}unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: /db/password",
        ),
        (
            "app:1",
            {"logConfiguration": LOGS},
            {"log_groups": ["/ecs/other"]},
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create "
            "Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1",
        ),
        (
            "app:1",
            {"logConfiguration": {**LOGS, "options": {**LOGS["options"], "awslogs-create-group": "true"}}},
            {"log_groups": [], "roles": {"exec": {"managed_policies": ["AmazonECSTaskExecutionRolePolicy"]}}},
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create "
            f"Cloudwatch log group: AccessDeniedException: {CALLER}logs:CreateLogGroup on resource: "
            "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/web:log-stream: because no identity-based policy allows the "
            "logs:CreateLogGroup action : exit status 1",
        ),
    ],
    ids=[
        "no right to a token",
        "no right to the image",
        "no such tag",
        "no such repository",
        "too many requests",
        "no such platform",
        "no such secret",
        "no right to the secret",
        "no such parameter",
        "no such log group",
        "no right to create the log group",
    ],
)
def test_what_is_refused_fails_the_task_in_activating(image, container, surroundings, expected):
    region = exact_region(surroundings=surroundings)
    define(region, image, **container)
    told = run(region)
    check(region, told, REFUSED, expected)


# no answer


@pytest.mark.parametrize(
    ("image", "container", "endpoints", "expected"),
    [
        (
            f"{ECR}:1",
            {},
            (),
            f"{AUTH}The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. "
            "Check your task network configuration. RequestError: send request failed caused by: Post "
            '"https://api.ecr.us-east-1.amazonaws.com/": dial tcp: i/o timeout',
        ),
        (
            f"{ECR}:1",
            {},
            ("com.amazonaws.us-east-1.ecr.api",),
            f"CannotPullContainerError: The task cannot pull '{ECR}:1' from the Amazon ECR repository '{ECR}'. There is a connection issue "
            "between the task and Amazon ECR. Check your task network configuration.",
        ),
        (
            f"{ECR}:1",
            {},
            ("ecr.api", "ecr.dkr"),
            "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: httpReaderSeeker: failed open: failed to do "
            "request: dial tcp: i/o timeout",
        ),
        (
            "httpd:2.4",
            {},
            ("ecr.api", "ecr.dkr", "s3"),
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/httpd:2.4: "
            'failed to do request: Head "https://registry-1.docker.io/v2/library/httpd/manifests/2.4": dial tcp: i/o timeout',
        ),
        (
            f"{ECR}:1",
            {"secrets": [{"name": "DB", "valueFrom": SECRET}]},
            ("ecr.api", "ecr.dkr", "s3"),
            f"{FETCH}unable to retrieve secret from asm: service call has been retried 5 time(s): failed to fetch secret {SECRET} from "
            "secrets manager: RequestCanceled: request context canceled caused by: context deadline exceeded. Please check your task "
            "network configuration.",
        ),
        (
            f"{ECR}:1",
            {"logConfiguration": LOGS},
            ("ecr.api", "ecr.dkr", "s3"),
            "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined in "
            "the task definition. There is a connection issue between the task and Amazon CloudWatch. Check your network configuration. "
            ": signal: killed",
        ),
    ],
    ids=["registry", "images", "layers in S3", "public registry", "Secrets Manager", "CloudWatch Logs"],
)
def test_without_a_way_the_task_fails_three_minutes_after_pending(image, container, endpoints, expected):
    region = exact_region(surroundings=private(*endpoints))
    define(region, image, **container)
    told = run(region)
    check(region, told, SILENT, expected)


def test_endpoints_for_all_it_needs_let_an_isolated_task_run():
    region = exact_region(surroundings=private("ecr.api", "ecr.dkr", "s3", "logs", "secretsmanager"))
    define(region, f"{ECR}:1", secrets=[{"name": "DB", "valueFrom": SECRET}], logConfiguration=LOGS)
    assert run(region)["lastStatus"] == "RUNNING"
    assert statuses(region)[0][-1] == (15, "RUNNING")


@pytest.mark.parametrize(
    ("route", "public", "last"),
    [
        ("internet_gateway", True, "RUNNING"),
        ("internet_gateway", False, "STOPPED"),
        ("nat", False, "RUNNING"),
        ("none", True, "STOPPED"),
    ],
)
def test_a_public_subnet_needs_a_public_address_and_a_private_one_a_gateway(route, public, last):
    region = exact_region(surroundings={"network": {"subnets": [subnet(route=route)], "nat_gateways": 1}})
    define(region, "httpd:2.4")
    assert run(region, public=public)["lastStatus"] == last


@pytest.mark.parametrize(("admitted", "last"), [("sg-task", "RUNNING"), ("sg-other", "STOPPED")])
def test_the_security_group_of_an_endpoint_must_admit_the_task_on_443(admitted, last):
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": admitted}]}
    around = {
        "network": {
            # the name of the endpoint hides the way through the NAT gateway
            "subnets": [subnet(route="nat")],
            "endpoints": [{"ServiceName": "ecr.api", "SecurityGroupIds": ["sg-endpoint"]}],
            "security_groups": [{"GroupId": "sg-endpoint", "IpPermissions": [rule]}],
        }
    }
    region = exact_region(surroundings=around)
    define(region, f"{ECR}:1")
    configuration = {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-task"]}}
    region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=configuration)
    region.run(until="400 s")
    assert statuses(region)[0][-1][1] == last


def test_a_security_group_that_lets_nothing_out():
    group = {"GroupId": "default", "IpPermissionsEgress": []}
    region = exact_region(surroundings={"network": {"subnets": [subnet()], "security_groups": [group]}})
    define(region, "httpd:2.4")
    told = run(region)
    assert (told["lastStatus"], told["stoppedReason"][:25]) == ("STOPPED", "CannotPullContainerError:")
