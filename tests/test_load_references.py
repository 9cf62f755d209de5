"""Rules between the parts of a scenario, each told at the line of the part that breaks it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from load_examples import EC2, SCENARIO, TASK_DEFINITION, changed, faults, line_of, place

from fargsim.load import load, validate_file

WITH_EC2 = SCENARIO + EC2
ON_EC2 = changed("launchType: FARGATE", "launchType: EC2", changed(", assignPublicIp: ENABLED", "", WITH_EC2))
BRIDGE = {k: v for k, v in TASK_DEFINITION.items() if k not in ("networkMode", "requiresCompatibilities")}
UNSCALED = SCENARIO[: SCENARIO.index("scaling:")] + SCENARIO[SCENARIO.index("traffic:") :]
NETWORK = "    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b], assignPublicIp: ENABLED}}\n"

CASES: dict[str, tuple[str, str, str, str, str]] = {
    # name: base text, what is replaced, by what, path, message
    "family": (
        SCENARIO, "taskDefinition: web", "taskDefinition: wob", "services[0].taskDefinition",
        "there is no task definition 'wob': did you mean web?",
    ),
    "revision": (
        SCENARIO, "taskDefinition: web", "taskDefinition: web:2", "services[0].taskDefinition",
        "there is no revision '2' of web: there is web:1",
    ),
    "revision of another alphabet": (
        SCENARIO, "taskDefinition: web", "taskDefinition: web:²", "services[0].taskDefinition",
        "there is no revision '²' of web: there is web:1",
    ),
    "family in an ARN": (
        SCENARIO, "taskDefinition: web", "taskDefinition: 'arn:aws:ecs:us-east-1:1:task-definition/api:1'",
        "services[0].taskDefinition", "there is no task definition 'api': there is web",
    ),
    "cluster": (
        SCENARIO, "taskDefinition: web\n", "taskDefinition: web\n    cluster: blue\n", "services[0].cluster",
        "there is no cluster 'blue': there is default",
    ),
    "target group of the service": (
        SCENARIO, "[{targetGroupArn: web-targets,", "[{targetGroupArn: web-target,", "services[0].loadBalancers[0].targetGroupArn",
        "there is no target group 'web-target': did you mean web-targets?",
    ),
    "target group of the listener": (
        SCENARIO, "TargetGroupArn: web-targets}", "TargetGroupArn: other}",
        "loadBalancers[0].Listeners[0].DefaultActions[0].TargetGroupArn", "there is no target group 'other': there is web-targets",
    ),
    "target group of another kind": (
        SCENARIO, "{Name: web-targets, TargetType: ip}", "{Name: web-targets, TargetType: ip, Protocol: TCP}",
        "loadBalancers[0].Listeners[0].DefaultActions[0].TargetGroupArn",
        "a load balancer of type application needs target groups of protocol HTTP or HTTPS, but web-targets has TCP",
    ),
    "all weights of the listener": (
        SCENARIO, "TargetGroupArn: web-targets}",
        "ForwardConfig: {TargetGroups: [{TargetGroupArn: web-targets, Weight: 0}]}}",
        "loadBalancers[0].Listeners[0].DefaultActions[0].ForwardConfig",
        "all weights of TargetGroups are 0: give one that is not",
    ),
    "listener of the traffic": (
        SCENARIO, "- {to: web, rate:", "- {to: web, listener: 'front:81', rate:", "traffic[0].listener",
        "there is no listener or rule 'front:81': did you mean front:80?",
    ),
    "listener of a shift": (
        SCENARIO, "ecs.update_service: {service: web, desiredCount: 6}",
        "elbv2.modify_rule: {RuleArn: 'front:80/1', Actions: [{Type: forward, TargetGroupArn: web-targets}]}",
        "timeline[0].elbv2.modify_rule.RuleArn", "there is no listener or rule 'front:80/1': did you mean front:80?",
    ),
    "slow start of an algorithm that has none": (
        SCENARIO, "{Name: web-targets, TargetType: ip}",
        "{Name: web-targets, TargetType: ip, Attributes: [{Key: load_balancing.algorithm.type, Value: weighted_random}, "
        "{Key: slow_start.duration_seconds, Value: '30'}]}",
        "targetGroups[0].Attributes", "slow_start.duration_seconds is for round_robin, not for weighted_random",
    ),
    "container": (
        SCENARIO, "containerName: app", "containerName: ap", "services[0].loadBalancers[0].containerName",
        "there is no container of web 'ap': did you mean app?",
    ),
    "port": (
        SCENARIO, "containerPort: 80}", "containerPort: 81}", "services[0].loadBalancers[0].containerPort",
        "container app has no port 81 in its portMappings: it has 80",
    ),
    "subnet of the service": (
        SCENARIO, "subnets: [subnet-a, subnet-b]", "subnets: [subnet-a, subnet-c]",
        "services[0].networkConfiguration.awsvpcConfiguration.subnets[1]",
        "there is no subnet 'subnet-c': did you mean subnet-b or subnet-a?",
    ),
    "subnet of the group": (
        WITH_EC2, "subnet-a,subnet-b", "subnet-x", "autoScalingGroups[0].VPCZoneIdentifier",
        "there is no subnet 'subnet-x': did you mean subnet-b or subnet-a?",
    ),
    "zone": (
        SCENARIO, "us-east-1b}", "us-east-2b}", "network.subnets[1].AvailabilityZone",
        "there is no zone of us-east-1 'us-east-2b': did you mean us-east-1b or us-east-1f or us-east-1e?",
    ),
    "launch template": (
        WITH_EC2, "{LaunchTemplateName: large}\n", "{LaunchTemplateName: huge}\n",
        "autoScalingGroups[0].LaunchTemplate.LaunchTemplateName", "there is no launch template 'huge': there is large",
    ),
    "Auto Scaling group": (
        WITH_EC2, "autoScalingGroupArn: fleet", "autoScalingGroupArn: flet",
        "capacityProviders[0].autoScalingGroupProvider.autoScalingGroupArn", "there is no Auto Scaling group 'flet': did you mean fleet?",
    ),
    "capacity provider": (
        WITH_EC2, "launchType: FARGATE", "capacityProviderStrategy: [{capacityProvider: on-flet}]",
        "services[0].capacityProviderStrategy[0].capacityProvider", "there is no capacity provider 'on-flet': did you mean on-fleet?",
    ),
    "protection": (
        WITH_EC2, "Arn: fleet}", "Arn: fleet, managedScaling: {status: ENABLED}, managedTerminationProtection: ENABLED}",
        "capacityProviders[0].autoScalingGroupProvider.managedTerminationProtection",
        "ENABLED needs NewInstancesProtectedFromScaleIn: true in the Auto Scaling group fleet",
    ),
    "instance type": (
        WITH_EC2, "m5.xlarge", "m5.xlrge", "launchTemplates[0].LaunchTemplateData.InstanceType",
        "there is no instance type 'm5.xlrge' in the catalogue: did you mean m5.xlarge",
    ),
    "region": (
        SCENARIO, "region: us-east-1", "region: us-east-7", "region",
        "there is no region 'us-east-7': did you mean us-east-2 or us-east-1",
    ),
    "behaviour": (
        SCENARIO, "behaviour:\n", "behaviour:\n  api: {}\n", "behaviour.api", "there is no task definition 'api': there is web",
    ),
    "container of the behaviour": (
        SCENARIO, "    image: {size: 180 MB}\n", "    image: {size: 180 MB}\n    containers: {side: {exit_code: 1}}\n",
        "behaviour.web.containers.side", "there is no container 'side': there is app",
    ),
    "no request": (
        SCENARIO, "    request: {cpu:", "    idle_cpu: 0.1 vCPU\n    #", "traffic[0].to",
        "service web gets requests, but behaviour.web has no 'request'",
    ),
    "no balancer": (
        SCENARIO, "    loadBalancers: [{targetGroupArn: web-targets, containerName: app, containerPort: 80}]\n", "", "traffic[0].to",
        "service web has no loadBalancers, so no request can reach it",
    ),
    "no listener": (
        SCENARIO, "    Listeners:\n      - DefaultActions: [{Type: forward, TargetGroupArn: web-targets}]\n", "",
        "services[0].loadBalancers[0].targetGroupArn",
        "target group web-targets does not have an associated load balancer: no listener forwards to it",
    ),
    "no network": (
        SCENARIO, NETWORK, "", "services[0]", "tasks of web have networkMode awsvpc: networkConfiguration is missing",
    ),
    "public address on EC2": (
        WITH_EC2, "launchType: FARGATE", "launchType: EC2", "services[0].networkConfiguration.awsvpcConfiguration.assignPublicIp",
        "ENABLED is for Fargate: the EC2 launch type does not support it",
    ),
    "strategy on Fargate": (
        SCENARIO, "launchType: FARGATE", "launchType: FARGATE\n    placementStrategy: [{type: random}]", "services[0].placementStrategy",
        "Fargate takes no placement strategy: it spreads tasks over zones",
    ),
    "strategy on Fargate Spot": (
        SCENARIO, "launchType: FARGATE",
        "capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT}]\n    placementStrategy: [{type: random}]",
        "services[0].placementStrategy", "Fargate takes no placement strategy: it spreads tasks over zones",
    ),
    "constraint on Fargate": (
        SCENARIO, "launchType: FARGATE", "launchType: FARGATE\n    placementConstraints: [{type: distinctInstance}]",
        "services[0].placementConstraints", "Fargate takes no placement constraints",
    ),
    "daemon on Fargate": (
        UNSCALED, "launchType: FARGATE", "launchType: FARGATE\n    schedulingStrategy: DAEMON", "services[0].schedulingStrategy",
        "DAEMON is not possible on Fargate: use REPLICA",
    ),
    "external": (
        SCENARIO, "launchType: FARGATE", "launchType: EXTERNAL", "services[0].launchType",
        "EXTERNAL instances are not simulated: use EC2 or FARGATE",
    ),
    "expression": (
        ON_EC2, "launchType: EC2", "launchType: EC2\n    placementConstraints: [{type: memberOf, expression: 'attribute:x = 1'}]",
        "services[0].placementConstraints[0].expression", "column 13: found '=' where an operator was expected",
    ),
    "scaled metric": (
        SCENARIO, "ECSServiceAverageCPUUtilization", "ALBRequestsPerTarget",
        "scaling[0].policies[0].TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType",
        "must be one of ECSServiceAverageCPUUtilization, ECSServiceAverageMemoryUtilization, "
        "ECSServiceAverageCPUUtilizationHighResolution, ECSServiceAverageMemoryUtilizationHighResolution, ALBRequestCountPerTarget, "
        "not 'ALBRequestsPerTarget' (did you mean ALBRequestCountPerTarget?)",
    ),
    "timeline beyond the end": (
        SCENARIO, "at: 10 h", "at: 25 h", "timeline[0].at", "25 h is beyond the end of the run, 1 d",
    ),
    "timeline's group": (
        SCENARIO, "ecs.update_service: {service: web, desiredCount: 6}", "fault: {instance_loss: {auto_scaling_group: fleet}}",
        "timeline[0].fault.instance_loss.auto_scaling_group", "there is no Auto Scaling group 'fleet': there are none",
    ),
    "timeline's definition": (
        SCENARIO, "{service: web, desiredCount: 6}", "{service: web, taskDefinition: 'web:2'}",
        "timeline[0].ecs.update_service.taskDefinition", "there is no revision '2' of web: there is web:1",
    ),
    "job's definition": (
        SCENARIO, "slo:", "jobs: [{name: j, run_task: {taskDefinition: nightly}, rate: {constant: 1 /h}}]\nslo:",
        "jobs[0].run_task.taskDefinition", "there is no task definition 'nightly': there is web",
    ),
    "quota": (
        SCENARIO, "fargate_on_demand_vcpu", "fargate_ondemand_vcpu", "quotas.fargate_ondemand_vcpu",
        "there is no quota 'fargate_ondemand_vcpu' in the catalogue: did you mean fargate_on_demand_vcpu",
    ),
    "assumption out of range": (
        SCENARIO, "service_reaction_s: 4", "service_reaction_s: -4", "assumptions.service_reaction_s",
        "service_reaction_s must be at least 0, not -4",
    ),
    "a service twice": (
        SCENARIO, "scaling:\n", "  - {serviceName: web, taskDefinition: web, launchType: EC2, networkConfiguration: "
        "{awsvpcConfiguration: {subnets: [subnet-a]}}}\nscaling:\n",
        "services[1].serviceName", "'web' stands twice in services",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_aws_would_refuse_is_told_before_the_run(case: str, tmp_path: Path) -> None:
    base, old, new, path, message = CASES[case]
    text = changed(old, new, base)
    found = faults(place(tmp_path, text))
    assert [f[3] for f in found] == [path], found
    assert found[0][4].startswith(message), found[0][4]
    if new.strip():
        # the fault points into the lines that were changed, or at what refers to them
        begun, _ = line_of(new, text) if text.count(new) == 1 else (0, 0)
        pointed = text.split("\n")[found[0][1] - 1][found[0][2] - 1 :]
        assert found[0][1] >= begun or path.startswith("traffic"), pointed


@pytest.mark.parametrize("base", [SCENARIO, WITH_EC2, ON_EC2])
def test_the_bases_of_the_cases_are_sound(base: str, tmp_path: Path) -> None:
    assert faults(place(tmp_path, base)) == []


def test_names_may_be_arns_as_the_cli_returns_them(tmp_path: Path) -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web-targets/73e2d6bc24d8a067"
    text = changed("[{targetGroupArn: web-targets,", f"[{{targetGroupArn: '{arn}',")
    text = changed(
        "taskDefinition: web\n",
        "taskDefinition: 'arn:aws:ecs:us-east-1:1:task-definition/web:1'\n    cluster: 'arn:aws:ecs:us-east-1:1:cluster/default'\n",
        text,
    )
    assert faults(place(tmp_path, text)) == []


def test_bridge_tasks_take_no_network_and_need_targets_by_instance(tmp_path: Path) -> None:
    text = changed(", assignPublicIp: ENABLED", "", changed("launchType: FARGATE", "launchType: EC2", WITH_EC2))
    assert [(f[3], f[4]) for f in faults(place(tmp_path, text, BRIDGE))] == [
        ("services[0].networkConfiguration", "networkConfiguration is for networkMode awsvpc, but web has bridge"),
        (
            "services[0].loadBalancers[0].targetGroupArn",
            "target group web-targets has TargetType ip, but tasks with networkMode bridge need instance",
        ),
    ]


def test_fargate_needs_a_definition_that_says_so(tmp_path: Path) -> None:
    definition = TASK_DEFINITION | {"requiresCompatibilities": ["EC2"]}
    [(_, _, _, path, message)] = faults(place(tmp_path, SCENARIO, definition))
    assert (path, message) == (
        "services[0].taskDefinition",
        "web cannot run on Fargate: its requiresCompatibilities must include FARGATE",
    )


@pytest.mark.parametrize(
    ("where", "change", "path", "message"),
    [
        ("task", {"networkMode": "bridge"}, "networkMode", "Fargate needs networkMode awsvpc"),
        ("task", {"ipcMode": "host"}, "ipcMode", "ipcMode is not possible on Fargate"),
        (
            "task",
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a exists"}]},
            "placementConstraints",
            "Fargate takes no placement constraints",
        ),
        (
            "task",
            {"ephemeralStorage": {"sizeInGiB": 300}},
            "ephemeralStorage.sizeInGiB",
            "must be at most 200, not 300 (legal: 21 to 200)",
        ),
        (
            "task",
            {"ephemeralStorage": {"sizeInGiB": 20}},
            "ephemeralStorage.sizeInGiB",
            "must be at least 21, not 20 (legal: 21 to 200)",
        ),
        (
            "container",
            {"privileged": True},
            "containerDefinitions[0].privileged",
            "privileged is not possible on Fargate",
        ),
        ("container", {"links": ["x"]}, "containerDefinitions[0].links", "links is not possible on Fargate"),
        (
            "container",
            {"stopTimeout": 121},
            "containerDefinitions[0].stopTimeout",
            "stopTimeout must be at most 120 s on Fargate, not 121 (legal: 2 to 120)",
        ),
        (
            "container",
            {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
            "containerDefinitions[0].resourceRequirements[0].type",
            "GPU is not possible on Fargate",
        ),
        (
            "container",
            {"linuxParameters": {"swappiness": 10}},
            "containerDefinitions[0].linuxParameters.swappiness",
            "swappiness is not possible on Fargate",
        ),
        (
            "container",
            {"memoryReservation": 2049, "memory": None},
            "containerDefinitions[0].memoryReservation",
            "container app has 2049 MiB, more than the task's memory of 2048 MiB",
        ),
        ("container", {"essential": False}, "containerDefinitions", "at least one container must be essential"),
        ("container", {"cpu": 2048}, "cpu", "the containers' cpu adds up to 2048 units, more than the task's 1024"),
        ("container", {"image": None}, "containerDefinitions[0].image", "must be a text, not null"),
        ("container", {"memory": "512"}, "containerDefinitions[0].memory", "must be a whole number, not '512'"),
        ("container", {"essential": "yes"}, "containerDefinitions[0].essential", "must be true or false, not 'yes'"),
        ("container", {"cpu": True}, "containerDefinitions[0].cpu", "must be a whole number, not true"),
        (
            "container",
            {"healthCheck": {"command": ["x"], "interval": 4}},
            "containerDefinitions[0].healthCheck.interval",
            "must be at least 5, not 4 (legal: 5 to 300)",
        ),
        (
            "container",
            {"dependsOn": [{"containerName": "db", "condition": "START"}]},
            "containerDefinitions[0].dependsOn[0].containerName",
            "Cannot depend on container 'db' because it does not exist: container app may wait for one of app",
        ),
        (
            "container",
            {"dependsOn": [{"containerName": "app", "condition": "START"}]},
            "containerDefinitions[0].dependsOn",
            "containers must not wait for each other in a circle: app -> app",
        ),
        (
            "container",
            {"dependsOn": [{"containerName": "app", "condition": "HEALTHY"}]},
            "containerDefinitions[0].dependsOn[0].condition",
            "container app waits for app to be HEALTHY: it has no health check",
        ),
    ],
)
def test_a_task_definition_by_itself(
    where: str, change: dict[str, Any], path: str, message: str, tmp_path: Path
) -> None:
    definition = copy.deepcopy(TASK_DEFINITION)
    (definition if where == "task" else definition["containerDefinitions"][0]).update(change)
    file = place(tmp_path, SCENARIO, definition).with_name("web.taskdef.json")
    report = validate_file(file)
    assert [(i.dotted(), i.message) for i in report.issues if i.dotted() == path] == [(path, message)], report.issues
    # the same fault, at the same place, through the scenario that names the file
    assert (file.name, path, message) in {(f[0], f[3], f[4]) for f in faults(tmp_path / "scenario.yaml")}
    [issue] = [i for i in report.issues if i.dotted() == path]
    text = file.read_text().split("\n")
    key = path.rpartition(".")[2].partition("[")[0]
    if "." in path or where == "task":
        assert f'"{key}"' in text[issue.line - 1]
    assert report.facts == {}


def test_eleven_containers_are_one_too_many(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION) | {"cpu": "2048", "memory": "4096"}
    definition["containerDefinitions"] = [{"name": f"c{n}", "image": "x"} for n in range(11)]
    report = validate_file(place(tmp_path, SCENARIO, definition).with_name("web.taskdef.json"))
    assert [(i.dotted(), i.message) for i in report.issues] == [
        ("containerDefinitions", "must have at most 10 elements, not 11 (legal: 1 to 10)")
    ]


def test_what_is_not_simulated_is_refused_and_not_run_as_something_else(tmp_path: Path) -> None:
    keys = "deploymentController: {type: EXTERNAL}\n    deploymentConfiguration: {strategy: CANARY}"
    text = changed("launchType: EC2", f"launchType: EC2\n    {keys}", ON_EC2)
    assert [(f[3], f[4]) for f in faults(place(tmp_path, text))] == [
        ("services[0].deploymentController.type", "EXTERNAL is not simulated: use ECS or CODE_DEPLOY"),
        ("services[0].deploymentConfiguration.strategy", "CANARY is for deploymentController ECS, not EXTERNAL"),
    ]


def test_what_a_daemon_service_must_not_have(tmp_path: Path) -> None:
    keys = "schedulingStrategy: DAEMON\n    placementStrategy: [{type: random}]\n    deploymentConfiguration: {maximumPercent: 200}"
    text = changed("launchType: EC2", f"launchType: EC2\n    {keys}", ON_EC2)
    refused = "the daemon scheduling strategy does not support "
    assert [(f[3], f[4]) for f in faults(place(tmp_path, text))] == [
        (
            "services[0].desiredCount",
            refused + "a desired count for services. Remove the desired count value and try again",
        ),
        (
            "services[0].placementStrategy",
            refused + "placement strategies. Remove the placement strategy and try again",
        ),
        (
            "services[0].deploymentConfiguration.maximumPercent",
            refused + "values above 100 for maximumPercent on a deployment configuration. "
            "Change the maximumPercent value to 100, and try again",
        ),
        ("scaling[0].service", "service web is a DAEMON, which has no desired count to scale"),
    ]


def test_a_service_of_another_cluster_is_told_apart(tmp_path: Path) -> None:
    text = changed("taskDefinition: web\n", "taskDefinition: web\n    cluster: blue\n")
    text = changed("services:\n", "clusters: [{clusterName: blue}, {clusterName: default}]\nservices:\n", text)
    message = "service web is in cluster blue, not in default: say which cluster"
    assert [(f[3], f[4]) for f in faults(place(tmp_path, text))] == [
        ("scaling[0].service", message),
        ("traffic[0].to", message),
        ("timeline[0].ecs.update_service.service", message),
    ]


def test_users_are_the_only_traffic_of_a_target_group(tmp_path: Path) -> None:
    line = "  - {to: web, rate: {constant: 100 /s}}\n"
    users = "  - {to: web, name: %s, rate: {users: {count: 50, think: {exponential: {mean: 2 s}}}}}\n"
    assert faults(place(tmp_path, changed(line, users % "a"))) == []
    text = changed(line, line + users % "a" + users % "b")
    message = "users are the only traffic of a target group: traffic[%d] reaches web-targets, too"
    found = faults(place(tmp_path, text))
    assert [(f[3], f[4]) for f in found] == [
        ("traffic[1].rate.users", message % 0),
        ("traffic[2].rate.users", message % 0),
    ]
    for fault, name in zip(found, "ab", strict=True):
        assert fault[1] == line_of(users % name, text)[0]


def test_undeclared_subnets_get_zones_in_order(tmp_path: Path) -> None:
    block = SCENARIO[SCENARIO.index("network:\n") : SCENARIO.index("taskDefinitions:")]
    scenario = load(place(tmp_path, changed(block, "")))
    assert [(s.subnet_id, s.availability_zone) for s in scenario.network.subnets] == [
        ("subnet-a", "us-east-1a"),
        ("subnet-b", "us-east-1b"),
    ]
