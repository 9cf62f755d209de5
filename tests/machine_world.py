"""A region to be shaken: fleets, providers, target groups, and task definitions that are good or bad in many ways.

What is done to it is done through its verbs and the faults of a timeline. A verb that refuses has answered; anything else that it raises
is a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import event
from sim_helpers import EXACT, SUBNETS, network

from fargsim import Region
from fargsim.model.timeline import TimelineEntry
from fargsim.model.traffic import Rate
from fargsim.sim.build import _happen
from fargsim.sim.errors import AwsError
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.sources import source
from fargsim.sim.streams import Streams

S = 1_000_000
NAMES = ("s0", "s1", "s2", "s3")
CLUSTER = "default"
FLEETS = {"asg-a": ("c5.large", 2, 6), "asg-m": ("m5.large", 1, 4), "asg-g": ("g4dn.xlarge", 1, 2)}
"""Auto Scaling groups: instance type, desired and largest size."""
PROVIDERS = {"cp-m": "asg-m", "cp-g": "asg-g"}
TRAFFIC_ENDS_S = 6 * 3600
ADDRESSES = 24
"""Free addresses of each subnet."""
AROUND = {
    "images": {"app": {"tags": ["1"]}},
    "network": {
        "subnets": [
            {"SubnetId": name, "AvailabilityZone": zone, "AvailableIpAddressCount": ADDRESSES}
            for name, zone in SUBNETS.items()
        ]
    },
}
REQUEST = {"cpu": {"exponential": {"mean": "40 ms"}}, "wait": {"constant": "20 ms"}, "workers": 4, "queue": 8}
CHECK = {"command": ["CMD", "true"], "interval": 7, "timeout": 2, "retries": 2}

# what a revision does: changes of its behaviour, of its container, and containers beside it
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = {
    "good": ({"boot": "3 s"}, {}, []),
    "checked": ({"boot": {"lognormal": {"mean": "6 s", "p95": "15 s"}}, "stop": "4 s"}, {"healthCheck": CHECK}, []),
    "fails its check": ({"boot": "1 h"}, {"healthCheck": CHECK}, []),
    "missing image": ({}, {"image": "app:missing"}, []),
    "crashes at boot": ({"boot": "5 s", "boot_exit_code": 1}, {}, []),
    "crashes": ({"crash": {"exponential": {"mean": "90 s"}}}, {}, []),
    "leaks": ({"memory": "100 MiB", "memory_leak_per_hour": "40 GiB"}, {"memory": 256}, []),
    "falls ill": ({"health": {"fails_after": "50 s", "recovers_after": "70 s", "requests": "served"}}, {}, []),
    "stays ill": ({"health": {"fails_after": "20 s", "hangs": True}}, {"healthCheck": CHECK}, []),
    "slow": ({"boot": "45 s", "stop": "70 s", "request": {**REQUEST, "cpu": {"constant": "3 s"}}}, {}, []),
    "errors": ({"request": {**REQUEST, "error_rate": "50 %", "memory": "5 MiB"}, "memory": "10 MiB"}, {}, []),
    "writes": ({"disk_writes_per_hour": "200 GiB"}, {}, []),
    "restarted": (
        {"crash": "80 s"},
        {"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [3]}},
        [],
    ),
    "depends": (
        {"containers": {"init": {"run": "4 s"}, "side": {"boot": "6 s", "stop": "3 s"}}},
        {
            "dependsOn": [
                {"containerName": "init", "condition": "SUCCESS"},
                {"containerName": "side", "condition": "HEALTHY"},
            ]
        },
        [
            {"name": "init", "image": "app:1", "essential": False},
            {"name": "side", "image": "app:1", "essential": True, "healthCheck": CHECK, "stopTimeout": 5},
        ],
    ),
    "depends in vain": (
        {"containers": {"init": {"run": "9 s", "exit_code": 3}}},
        {"dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
        [{"name": "init", "image": "app:1", "essential": False, "startTimeout": 20}],
    ),
    "ends by itself": ({"run": {"exponential": {"mean": "40 s"}}, "exit_code": 0, "request": None}, {}, []),
    "wants cores": (
        {
            "boot": "3 s",
            "request": None,
            "utilization": {"cpu": {"steps": [{"at": "0 s", "percent": 500}, {"at": "20 min", "percent": 150}]}},
        },
        {},
        [],
    ),
    "drags its feet": ({"stop": "80 s", "stop_exit_code": 143}, {"stopTimeout": 60}, []),
}
SOUND = ("good", "checked", "slow", "errors", "depends", "wants cores", "drags its feet")
"""Kinds of revision whose tasks stay healthy once they are there."""

HOOKS: dict[str, list[dict[str, str]]] = {
    "approve": [
        {"status": "IN_PROGRESS", "after": "2 s", "call_back_delay": "7 s"},
        {"status": "SUCCEEDED", "after": "3 s"},
    ],
    "refuse": [{"status": "FAILED", "after": "4 s"}],
}
"""Functions behind lifecycle hooks, and what they answer."""

# family: launch type, network mode, task size, port mapping, more of the container
FAMILIES: dict[str, tuple[str, str, tuple[int, int], dict[str, Any], dict[str, Any]]] = {
    "fg": ("FARGATE", "awsvpc", (256, 512), {"containerPort": 80}, {}),
    "br": ("EC2", "bridge", (256, 512), {"containerPort": 80}, {}),
    "pt": ("EC2", "bridge", (512, 512), {"containerPort": 80, "hostPort": 8080}, {}),
    "sh": (
        "EC2",
        "bridge",
        (0, 512),
        {"containerPort": 80},
        {"cpu": 256},
    ),  # without task-level cpu: shares its instance
    "ni": ("EC2", "awsvpc", (256, 512), {"containerPort": 80}, {}),
    "ho": ("EC2", "host", (128, 256), {"containerPort": 80}, {}),
    "bo": ("BOTH", "awsvpc", (256, 512), {"containerPort": 80}, {}),
    "gp": (
        "EC2",
        "bridge",
        (512, 1024),
        {"containerPort": 80},
        {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
    ),
}


class World:
    """The region, and what is known of it beside it."""

    def __init__(self, seed: int, exact: bool, vcpu: int, share: float) -> None:
        timings = {**EXACT, "provision_p95_s": 25, "start_max_s": 5} if exact else {}
        self.seed = seed
        self.region = Region(
            "us-east-1",
            seed=seed,
            surroundings=AROUND,
            quotas={
                "fargate_on_demand_vcpu": vcpu,
                "fargate_spot_vcpu": vcpu,
                "fargate_on_demand_launch_burst": max(2, vcpu),
                "fargate_on_demand_launches_per_s": 1,
            },
            assumptions={**timings, "spot_interruptions_per_task_hour": share, "eni_timeout_s": 40},
        )
        self.registry = self.region.registry
        self.cluster = self.registry.cluster(CLUSTER)
        self.kinds: dict[tuple[str, int], str] = {}
        self.arrivals: dict[str, list[list[int]]] = {name: [] for name in NAMES}
        """Instants at which requests come, by service name: drawn apart from the region, from the same seed."""
        self.faults_end_us = 0
        self.answered = self.refused = 0
        self.refusal = ""
        self.on_service: Callable[[ServiceRun], None] = lambda service: None
        self._streams = Streams(seed)
        for name, (kind, desired, most) in FLEETS.items():
            self._fleet(name, kind, desired, most)
        for name, group in PROVIDERS.items():
            self._provider(name, group)
        names = ["FARGATE", "FARGATE_SPOT", *PROVIDERS]
        self.region.ecs.put_cluster_capacity_providers(
            cluster=CLUSTER, capacityProviders=names, defaultCapacityProviderStrategy=[]
        )
        for family in FAMILIES:
            self.register(family, "wants cores" if family == "sh" else "good")
        for name in NAMES:
            self._balancer(name)
        for function, answers in HOOKS.items():
            self.region.answer_hook(function, answers)

    # what is there from the start

    def _fleet(self, name: str, kind: str, desired: int, most: int) -> None:
        autoscaling = self.region.autoscaling
        autoscaling.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"InstanceType": kind})
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=desired,
            LaunchTemplate={"LaunchTemplateName": name},
            AvailabilityZones=list(SUBNETS.values()),
            NewInstancesProtectedFromScaleIn=name == PROVIDERS["cp-m"],
            registered_at_start=True,
        )

    def _provider(self, name: str, group: str) -> None:
        managed = {"status": "ENABLED", "targetCapacity": 80, "instanceWarmupPeriod": 60}
        self.region.ecs.create_capacity_provider(
            name=name,
            autoScalingGroupProvider={
                "autoScalingGroupArn": group,
                "managedScaling": managed if name == "cp-m" else {"status": "DISABLED"},
                "managedTerminationProtection": "ENABLED" if name == "cp-m" else "DISABLED",
                "managedDraining": "ENABLED" if name == "cp-m" else "DISABLED",
            },
        )

    def _balancer(self, name: str) -> None:
        """Two target groups of each type behind one listener; the first of the type ``ip`` gets everything at first."""
        elbv2 = self.region.elbv2
        for kind in ("ip", "instance"):
            for colour in ("blue", "green"):
                elbv2.create_target_group(
                    Name=f"{name}-{kind}-{colour}",
                    TargetType=kind,
                    HealthCheckIntervalSeconds=7,
                    HealthCheckTimeoutSeconds=2,
                    HealthyThresholdCount=2,
                    UnhealthyThresholdCount=2,
                    Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "11"}],
                )
        elbv2.create_load_balancer(
            Name=f"lb-{name}",
            **(
                {"client_timeout": "3 s"} if name == NAMES[0] else {}
            ),  # who waits for one service does not wait for ever
            Listeners=[
                {
                    "Protocol": "HTTP",
                    "Port": 80,
                    "DefaultActions": [self.forward(name, "ip", 100, 0)],
                    "Rules": [
                        {"Priority": 10, "Actions": [self.forward(name, "ip", 0, 100)]},
                        # ECS wants a load balancer before every target group; nothing is sent here
                        {"Priority": 20, "Actions": [self.forward(name, "instance", 100, 0)]},
                    ],
                }
            ],
        )

    @staticmethod
    def forward(name: str, kind: str, blue: int, green: int) -> dict[str, Any]:
        """An action that splits a service's requests."""
        groups = [
            {"TargetGroupArn": f"{name}-{kind}-blue", "Weight": blue},
            {"TargetGroupArn": f"{name}-{kind}-green", "Weight": green},
        ]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    # what is done to it

    @property
    def now_us(self) -> int:
        """The instant of the run."""
        return self.region.now_us

    def attempt(self, room: str, verb: str, **arguments: Any) -> dict[str, Any] | None:
        """Call a verb; None where it refuses."""
        try:
            answer: dict[str, Any] = getattr(getattr(self.region, room), verb)(**arguments)
        except AwsError as refusal:
            self.refused += 1
            self.refusal = f"{verb}: {refusal.code}: {refusal}"
            event(f"{verb}: {refusal.code}")
            return None
        self.answered += 1
        event(f"{verb}: done")
        return answer

    def ecs(self, verb: str, **arguments: Any) -> dict[str, Any] | None:
        """Call a verb of ECS."""
        return self.attempt("ecs", verb, **arguments)

    def register(self, family: str, kind: str) -> bool:
        """Register the next revision of a family; false where the account has registered too many lately."""
        launch, mode, (cpu, memory), port, more = FAMILIES[family]
        behaviour, container, others = KINDS[kind]
        number = len(self.registry.revisions.get(family, ())) + 1
        does = {"image": {"size": "60 MiB"}, "request": REQUEST, **behaviour}
        self.region.behave(f"{family}:{number}", {k: v for k, v in does.items() if v is not None})
        answer = self.ecs(
            "register_task_definition",
            family=family,
            **({"cpu": str(cpu)} if cpu else {}),
            memory=str(memory),
            networkMode=mode,
            requiresCompatibilities=["EC2", "FARGATE"] if launch == "BOTH" else [launch],
            containerDefinitions=[
                {"name": "app", "image": "app:1", "portMappings": [port], **more, **container},
                *others,
            ],
        )
        if answer is None:
            assert "ThrottlingException" in self.refusal
            return False
        self.kinds[family, number] = kind
        return True

    def revision(self, family: str, back: int) -> str:
        """Name a revision, counted back from the newest."""
        newest = len(self.registry.revisions[family])
        return f"{family}:{max(1, newest - back)}"

    def services(self) -> list[ServiceRun]:
        """The services that are not deleted."""
        return [s for s in self.cluster.services.values() if not s.deleted]

    def some(self, name: str) -> str:
        """Return the name of a service that there is, where there is any."""
        there = [service.name for service in self.services()]
        return there[NAMES.index(name) % len(there)] if there else name

    def free(self, name: str) -> str:
        """Return a name that no service has, where there is any."""
        left = [n for n in NAMES if n not in self.cluster.services or self.cluster.services[n].deleted]
        return left[NAMES.index(name) % len(left)] if left else name

    def create(self, name: str, family: str, back: int, **more: Any) -> None:
        """Create a service, and have it watched."""
        fargate = FAMILIES[family][0] != "EC2" and more.get("schedulingStrategy") != "DAEMON"
        if FAMILIES[family][1] == "awsvpc":
            more.setdefault("networkConfiguration", network())
        if "capacityProviderStrategy" not in more:
            more["launchType"] = "FARGATE" if fargate else "EC2"
        answer = self.ecs("create_service", serviceName=name, taskDefinition=self.revision(family, back), **more)
        if answer is not None:
            self.on_service(self.registry.service(CLUSTER, name))

    def balanced(self, name: str, family: str, shifts: bool = False) -> list[dict[str, Any]]:
        """The load balancer of a service of this family, for CreateService; with a second target group where traffic shifts."""
        kind = "ip" if FAMILIES[family][1] == "awsvpc" else "instance"
        found: dict[str, Any] = {"targetGroupArn": f"{name}-{kind}-blue", "containerName": "app", "containerPort": 80}
        if shifts:
            found["advancedConfiguration"] = {
                "alternateTargetGroupArn": f"{name}-{kind}-green",
                "productionListenerRule": f"lb-{name}:80",
                "testListenerRule": f"lb-{name}:80/10",
                "roleArn": "arn:aws:iam::123456789012:role/ecsInfrastructureRole",
            }
        return [found]

    def traffic(self, name: str, rate_per_s: int, for_s: int) -> None:
        """Send requests to a service's listener for a while."""
        service = self.cluster.services.get(name)
        if service is None or not service.groups or self.now_us > TRAFFIC_ENDS_S * S:
            return
        end = min(self.now_us + for_s * S, TRAFFIC_ENDS_S * S)
        stream = f"{name}-{len(self.arrivals[name])}"
        rate = {"constant": f"{rate_per_s} /s"}
        try:
            self.region.send_traffic(name, rate, name=stream, until=end, listener=f"lb-{name}:80")
        except AwsError as refusal:
            event(f"traffic: {refusal.code}")
            return
        twin = source(
            Rate.model_validate(rate), self._streams[f"arrivals/{stream}"], self._start_of_day(), end, self.now_us
        )
        found: list[int] = []
        while (block := twin.block()) is not None:
            found += block.tolist()
        self.arrivals[name].append(found)

    def _start_of_day(self) -> int:
        return self.region._start_us % (86_400 * S)

    def fault(self, lasts_s: int = 0, span: str = "for", **what: Any) -> None:
        """Let something go wrong, for a while where it lasts."""
        more = {span: f"{lasts_s} s"} if lasts_s else {}
        [(name, arguments)] = what.items()
        try:
            _happen(self.region, TimelineEntry.model_validate({"at": "0 s", "fault": {name: {**arguments, **more}}}))
        except AwsError as refusal:
            event(f"{name}: {refusal.code}")
            return
        self.faults_end_us = max(self.faults_end_us, self.now_us + lasts_s * S)
        event(f"fault {name}")
