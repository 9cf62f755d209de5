"""The state machine: random sequences of verbs and faults, and what holds after each of them; in the end everybody has what is wanted."""

from __future__ import annotations

import sys
from typing import Any

import machine_laws
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from machine_choices import (
    PROVIDER_STRATEGIES,
    WAITS,
    ZONES,
    families,
    fleets,
    names,
    step,
)
from machine_end import finish
from machine_services import ServiceRules
from machine_watch import Watch
from machine_world import CLUSTER, FAMILIES, S, World
from sim_helpers import SUBNETS


class Machine(ServiceRules):
    """Whatever is done to a region and whatever goes wrong in it."""

    @initialize(
        seed=st.integers(0, 2**20),
        exact=st.booleans(),
        vcpu=st.sampled_from([4, 40]),
        share=st.sampled_from([0.0, 3.0]),
        begin=st.lists(
            st.tuples(names, families, st.integers(1, 4), st.booleans()),
            min_size=1,
            max_size=3,
            unique_by=lambda x: x[0],
        ),
    )
    def build(self, seed: int, exact: bool, vcpu: int, share: float, begin: list[tuple[str, str, int, bool]]) -> None:
        self.world = World(seed, exact, vcpu, share)
        self.watch = Watch(self.world)
        for name, family, desired, balanced in begin:
            more: dict[str, Any] = {"loadBalancers": self.world.balanced(name, family)} if balanced else {}
            self.world.create(name, family, 0, desiredCount=desired, **more)
            self.world.traffic(name, 3, 1800)

    # time

    @rule(wait=WAITS)
    def time_passes(self, wait: int) -> None:
        self.let_pass(wait)

    def let_pass(self, wait: int) -> None:
        """Let time pass, looking on."""
        world, end = self.world, self.world.now_us + wait
        while world.now_us < end:
            world.region.run(until=min(end, world.now_us + max(7 * S, wait // 5)))
            self.watch.containers()
            machine_laws.check(world)

    # tasks

    @step(family=families, count=st.integers(1, 5), provider=st.booleans())
    def run_task(self, family: str, count: int, provider: bool) -> None:
        launch, mode = FAMILIES[family][:2]
        more: dict[str, Any] = {}
        if provider:
            more["capacityProviderStrategy"] = PROVIDER_STRATEGIES[launch][0]
        else:
            more["launchType"] = launch
        if mode == "awsvpc":
            more["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": list(SUBNETS)}}
        self.world.ecs("run_task", taskDefinition=family, count=count, **more)

    @step(family=families, count=st.integers(1, 3), fleet=fleets)
    def start_task(self, family: str, count: int, fleet: str) -> None:
        more: dict[str, Any] = {}
        if FAMILIES[family][1] == "awsvpc":
            more["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": list(SUBNETS)}}
        self.world.ecs("start_task", taskDefinition=family, auto_scaling_group=fleet, count=count, **more)

    @step(which=st.integers(0, 30), count=st.integers(1, 3))
    def stop_tasks(self, which: int, count: int) -> None:
        tasks = list(self.world.cluster.tasks)
        for task in (tasks[which % len(tasks) :] if tasks else ["none"])[:count]:
            self.world.ecs("stop_task", task=task)

    # instances

    @step(fleet=fleets, count=st.integers(1, 3), status=st.sampled_from(["DRAINING", "ACTIVE"]))
    def set_state(self, fleet: str, count: int, status: str) -> None:
        names = list(self.world.registry.group(fleet).instances)[:count]
        self.world.ecs("update_container_instances_state", containerInstances=names, status=status)

    @step(fleet=fleets, force=st.booleans())
    def deregister(self, fleet: str, force: bool) -> None:
        self.world.ecs("deregister_container_instance", auto_scaling_group=fleet, force=force)

    @step(which=st.integers(0, 9), value=st.sampled_from(["prod", "test", None]))
    def attribute(self, which: int, value: str | None) -> None:
        arns = self.world.region.ecs.list_container_instances()["containerInstanceArns"]
        target = arns[which % len(arns)] if arns else "none"
        if value is None:
            self.world.ecs("delete_attributes", attributes=[{"name": "stack", "targetId": target}])
        else:
            self.world.ecs("put_attributes", attributes=[{"name": "stack", "value": value, "targetId": target}])

    @step(fleet=fleets, desired=st.integers(0, 5))
    def set_capacity(self, fleet: str, desired: int) -> None:
        self.world.attempt("autoscaling", "set_desired_capacity", AutoScalingGroupName=fleet, DesiredCapacity=desired)

    # scaling, alarms, traffic

    @step(name=names, least=st.integers(0, 2), most=st.integers(1, 5), goal=st.sampled_from([20.0, 60.0]))
    def track(self, name: str, least: int, most: int, goal: float) -> None:
        name = self.world.some(name)
        resource = f"service/{CLUSTER}/{name}"
        room = "application_autoscaling"
        self.world.attempt(room, "register_scalable_target", ResourceId=resource, MinCapacity=least, MaxCapacity=most)
        metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
        self.world.attempt(
            room,
            "put_scaling_policy",
            ResourceId=resource,
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": goal,
                "PredefinedMetricSpecification": metric,
                "ScaleInCooldown": 60,
                "ScaleOutCooldown": 30,
            },
        )

    @step(name=names, adjustment=st.sampled_from([-2, 1, 3]), every=st.integers(1, 5))
    def step_and_schedule(self, name: str, adjustment: int, every: int) -> None:
        """Scale in steps when the alarm is on, and by a schedule."""
        name = self.world.some(name)
        resource, room = f"service/{CLUSTER}/{name}", "application_autoscaling"
        self.world.attempt(
            room,
            "put_scaling_policy",
            ResourceId=resource,
            PolicyName=f"step-{name}",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": adjustment}],
                "Cooldown": 30,
            },
        )
        self.world.attempt(
            "cloudwatch",
            "put_metric_alarm",
            AlarmName=f"step-{name}",
            Namespace="App",
            MetricName="errors",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=50.0,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[f"step-{name}"],
        )
        self.world.attempt(
            room,
            "put_scheduled_action",
            ResourceId=resource,
            ScheduledActionName="often",
            Schedule=f"rate({every} minute{'s' if every > 1 else ''})",
            ScalableTargetAction={"MinCapacity": every % 3, "MaxCapacity": 1 + every % 4},
        )

    @step(name=names)
    def stop_tracking(self, name: str) -> None:
        name = self.world.some(name)
        self.world.attempt(
            "application_autoscaling", "deregister_scalable_target", ResourceId=f"service/{CLUSTER}/{name}"
        )

    @step(value=st.sampled_from([1.0, 99.0]), make=st.booleans())
    def measure(self, value: float, make: bool) -> None:
        if make:
            self.world.attempt(
                "cloudwatch",
                "put_metric_alarm",
                AlarmName="high",
                Namespace="App",
                MetricName="errors",
                Statistic="Average",
                Period=60,
                EvaluationPeriods=1,
                Threshold=50.0,
                ComparisonOperator="GreaterThanThreshold",
            )
        data = [{"MetricName": "errors", "Value": value}]
        self.world.attempt("cloudwatch", "put_metric_data", Namespace="App", MetricData=data)

    @step(state=st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA", None]))
    def set_alarm(self, state: str | None) -> None:
        if state is None:
            self.world.attempt("cloudwatch", "delete_alarms", AlarmNames=["high"])
        else:
            self.world.attempt(
                "cloudwatch", "set_alarm_state", AlarmName="high", StateValue=state, StateReason="by hand"
            )

    @step(name=names, rate=st.integers(1, 12), for_s=st.integers(10, 1200))
    def traffic(self, name: str, rate: int, for_s: int) -> None:
        name = self.world.some(name)
        self.world.traffic(name, rate, for_s)

    @step(
        name=names, kind=st.sampled_from(["ip", "instance"]), blue=st.sampled_from([0, 1, 100]), green=st.integers(0, 2)
    )
    def weigh(self, name: str, kind: str, blue: int, green: int) -> None:
        name = self.world.some(name)
        actions = [self.world.forward(name, kind, blue, green)]
        self.world.attempt("elbv2", "modify_listener", ListenerArn=f"lb-{name}:80", DefaultActions=actions)

    # faults

    @step(name=names, count=st.integers(1, 3), code=st.sampled_from([0, 1, 3]))
    def crash(self, name: str, count: int, code: int) -> None:
        name = self.world.some(name)
        self.world.fault(task_crash={"service": name, "count": count, "exit_code": code})

    @step(fleet=fleets, count=st.integers(1, 2))
    def lose_instance(self, fleet: str, count: int) -> None:
        self.world.fault(instance_loss={"auto_scaling_group": fleet, "count": count})

    @step(zone=st.sampled_from(ZONES), count=st.integers(1, 3))
    def lose_instances_of_a_zone(self, zone: str, count: int) -> None:
        self.world.fault(instance_loss={"zone": zone, "count": count})

    @step(fleet=fleets, count=st.integers(1, 2))
    def impair_instance(self, fleet: str, count: int) -> None:
        self.world.fault(instance_impaired={"auto_scaling_group": fleet, "count": count})

    @step(zone=st.sampled_from(ZONES), lasts=st.integers(1, 400), every=st.booleans())
    def no_instances(self, zone: str, lasts: int, every: bool) -> None:
        self.world.fault(lasts, ec2_capacity_unavailable={"zones": [] if every else [zone]})

    @step(zone=st.sampled_from(ZONES), lasts=st.integers(0, 400), share=st.sampled_from([0.5, 1.0]))
    def reclaim(self, zone: str, lasts: int, share: float) -> None:
        self.world.fault(lasts, "no_capacity_for", fargate_spot_reclaim={"zones": [zone], "share": share})

    @step(fleet=fleets, count=st.integers(1, 2), lasts=st.integers(1, 400))
    def cut_off(self, fleet: str, count: int, lasts: int) -> None:
        self.world.fault(lasts, agent_disconnected={"auto_scaling_group": fleet, "count": count})

    @step(zone=st.sampled_from(ZONES), lasts=st.integers(1, 400), every=st.booleans())
    def no_capacity(self, zone: str, lasts: int, every: bool) -> None:
        self.world.fault(lasts, fargate_capacity_unavailable={"zones": [] if every else [zone]})

    @step(zone=st.sampled_from(ZONES), lasts=st.integers(1, 700))
    def darken(self, zone: str, lasts: int) -> None:
        self.world.fault(lasts, az_outage={"zone": zone})

    @step(zone=st.sampled_from(ZONES), lasts=st.integers(1, 400), share=st.sampled_from([0.3, 1.0]))
    def impair(self, zone: str, lasts: int, share: float) -> None:
        self.world.fault(lasts, az_impairment={"zone": zone, "share": share})

    @step(name=names, count=st.integers(1, 3), lasts=st.integers(0, 200))
    def hang(self, name: str, count: int, lasts: int) -> None:
        name = self.world.some(name)
        if name in self.world.cluster.services:
            self.world.fault(lasts, task_hang={"service": name, "count": count})

    @step(wait=st.integers(0, 600))
    def publish_platform(self, wait: int) -> None:
        """AWS publishes a platform revision: what runs on the old one is retired."""
        self.world.fault(fargate_platform_revision={"wait": f"{wait} s"})

    # what holds after each

    @invariant()
    @precondition(lambda self: hasattr(self, "watch"))
    def laws(self) -> None:
        machine_laws.check(self.world, at_once=True)
        self.watch.everyone()

    def teardown(self) -> None:
        # what was broken on the way is told, not what follows from it
        if hasattr(self, "watch") and sys.exc_info()[0] is None:
            finish(self.world, self.watch)


HEALTH = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def test_whatever_is_done() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=6, stateful_step_count=220, suppress_health_check=HEALTH)
    )


@pytest.mark.slow
def test_whatever_is_done_for_long() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=100, stateful_step_count=250, suppress_health_check=HEALTH)
    )
