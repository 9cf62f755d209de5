"""ECS cluster auto scaling by hand: from zero, back again, time-outs, the cap, protection and draining.

An instance is running 23 s after its launch and registered 60 s later; the metric is computed at the end of every minute (`sim_helpers`).
"""

from __future__ import annotations

import pytest
from capacity_helpers import percents, provider, service, sizes
from sim_helpers import exact_region, fleet, register, seconds, statuses

from fargsim.sim.errors import AwsError


def test_from_zero_two_instances_are_launched_whatever_is_needed():
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    service(region, 6)
    region.run(until="200 s")
    # tasks at 5 s; at 60 s N = 0 and M > 0: 200 %, and two are launched; registered at 143 s, four tasks run at once. At 120 s
    # the two have warmed up, three are needed: 3 of 2
    assert percents(region) == [200, 150, 100]
    assert sizes(region) == [(60, 0, 2), (120, 2, 3)]
    lives = statuses(region)
    assert [life[0] for life in lives] == [(5, "PROVISIONING")] * 6
    assert [life[-1] for life in lives[:4]] == [(147.4, "RUNNING")] * 4
    assert [life[-1] for life in lives[4:]] == [(5, "PROVISIONING")] * 2
    region.run(until="300 s")
    assert [life[-1] for life in statuses(region)[4:]] == [(207.4, "RUNNING")] * 2


def test_another_launch_template_version_changes_how_many_instances_are_needed():
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region, kind="c5.9xlarge")
    region.run(until="90 s")
    region.autoscaling.create_launch_template_version(
        LaunchTemplateName="asg", LaunchTemplateData={"InstanceType": "c5.large"}
    )
    service(region, 64)
    region.run(until="200 s")
    # two of a c5.large's 2048 units each: 32 of them, not two of a c5.9xlarge's 36,864
    assert sizes(region) == [(120, 0, 2), (180, 2, 32)]


@pytest.mark.parametrize(("counted", "after"), [(True, [(60, 0, 2)]), (False, [(60, 0, 2)])])
def test_whether_booting_instances_count(counted: bool, after: list[tuple[float, int, int]]):
    region = exact_region(assumptions={"cas_count_booting": counted})
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    service(region, 4)
    region.run(until="130 s")
    assert sizes(region) == after
    # not counted: the group looks empty for another minute and asks for two again, which it has
    assert percents(region) == ([200, 100] if counted else [200, 200])


def test_scale_in_takes_fifteen_low_points_and_then_half_of_the_group_at_a_time():
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, 20, registered_at_start=True)
    service(region, 2)
    region.run(until="60 min")
    # 2 of 20 are needed at the end of minute 1: fifteen datapoints later the first step, then one every 150 s, seen at the minute
    assert percents(region)[0] == 10
    assert sizes(region) == [(900, 20, 10), (1080, 10, 5), (1260, 5, 3), (1440, 3, 2)]
    assert len(region.registry.group("asg").instances) == 2


def test_a_scale_out_holds_scale_in_up_for_fifteen_minutes():
    region = exact_region(assumptions={"cas_low_datapoints": 1})
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, 1, registered_at_start=True)
    service(region, 3)
    region.run(until="4 min")
    assert sizes(region) == [(60, 1, 3)]
    region.ecs.update_service(service="web", desiredCount=1)
    region.run(until="30 min")
    assert sizes(region) == [(60, 1, 3), (960, 3, 2), (1140, 2, 1)]


def test_the_wait_in_provisioning_may_be_drawn_between_ten_and_thirty_minutes():
    region = exact_region(assumptions={"provisioning_timeout_min_s": 600})
    register(region, cpu=4096, memory=512, fargate=False)
    provider(region, MaxSize=1)
    region.ecs.run_task(
        taskDefinition="web", count=10, capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}]
    )
    region.run(until="40 min")
    ends = [life[-1] for life in statuses(region)]
    assert all(status == "STOPPED" and 600 <= at <= 1800 for at, status in ends)
    assert len({at for at, _ in ends}) == 10


@pytest.mark.parametrize("retry", [5, 60])
def test_a_service_refused_by_the_cap_tries_again_after_its_time(retry: int):
    region = exact_region(quotas={"provisioning_tasks_per_cluster": 2}, assumptions={"provisioning_retry_s": retry})
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    service(region, 4)
    region.run(until="20 s")
    with pytest.raises(AwsError) as caught:
        region.ecs.run_task(taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}])
    assert caught.value.code == "ClientException"
    region.run(until="400 s")
    created = [life[0][0] for life in statuses(region)]
    # two at 5 s, and two refused; both instances register at 143 s, which makes room; the next try of the grid from 5 s on
    first = 5 + -(-(143 - 5) // retry) * retry
    assert created == [5, 5, first, first]


MATRIX = {
    # protection, draining: is the busy instance chosen by a scale-in? how does its task end?
    ("ENABLED", "ENABLED"): (False, None),
    ("DISABLED", "ENABLED"): (True, ("STOPPING", None)),
    ("ENABLED", "DISABLED"): (False, None),
    ("DISABLED", "DISABLED"): (True, ("RUNNING", "TerminationNotice")),
}


@pytest.mark.parametrize(("protection", "draining"), MATRIX)
def test_protection_and_draining_at_scale_in(protection: str, draining: str):
    """Amazon ECS Developer Guide, managed-instance-draining.html: the four cases."""
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(
        region,
        2,
        registered_at_start=True,
        NewInstancesProtectedFromScaleIn=protection == "ENABLED",
        managedTerminationProtection=protection,
        managedDraining=draining,
    )
    service(region, 2, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100})
    region.run(until="100 s")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1)
    region.run(until="115 s")
    chosen, end = MATRIX[protection, draining]
    group = region.registry.group("asg")
    assert (len(group.in_service) == 1) == chosen
    ended = [life for life in statuses(region) if life[-1][1] == "STOPPED"]
    assert len(ended) == chosen
    if end is not None:
        before, code = end
        assert ended[0][-2][1] == before
        gone = region.kit.recorder.tasks.frame()
        assert code is None or set(gone.stop_code.dropna()) == {code}


@pytest.mark.parametrize(("draining", "before"), [("ENABLED", "STOPPING"), ("DISABLED", "RUNNING")])
def test_protection_does_not_keep_an_unhealthy_instance(draining: str, before: str):
    """The third and the first case once more: forced terminations are drained, or kill."""
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(
        region,
        2,
        registered_at_start=True,
        NewInstancesProtectedFromScaleIn=True,
        managedTerminationProtection="ENABLED",
        managedDraining=draining,
    )
    service(region, 2, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100})
    region.run(until="100 s")
    region.autoscaling.set_instance_health(auto_scaling_group="asg", HealthStatus="Unhealthy")
    region.run(until="115 s")
    [ended] = [life for life in statuses(region) if life[-1][1] == "STOPPED"]
    assert ended[-2][1] == before


@pytest.mark.parametrize("way", ["instance refresh", "maximum lifetime"])
def test_a_busy_instance_that_a_refresh_or_its_age_ends_is_drained_first(way: str):
    """Amazon ECS Developer Guide, managed-instance-draining.html; health, scale-in and Spot: the tests around this one."""
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, 1, registered_at_start=True, MaxInstanceLifetime=86_400)
    service(region, 1, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200})
    region.run(until="5 min")
    [first] = region.registry.group("asg").in_service
    if way == "instance refresh":
        region.autoscaling.start_instance_refresh(AutoScalingGroupName="asg")
        region.run(until="301 s")
    else:
        region.run(until="86401 s")
    assert (first.status, first.status_reason, len(first.tasks)) == ("DRAINING", way, 1)
    least = 1
    for _ in range(60):
        region.run(region.kit.now + 5_000_000)
        least = min(least, region.registry.service("default", "web").running)
    assert least == 1, "replaced before it goes: the minimum is 100 percent"
    assert first.gone()


@pytest.mark.parametrize(("draining", "tasks"), [("ENABLED", 0), ("DISABLED", 1)])
def test_an_instance_that_leaves_before_its_agent_registers(draining: str, tasks: int):
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    hook = {
        "LifecycleHookName": "h",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": 600,
    }
    provider(region, 1, LifecycleHookSpecificationList=[hook], registered_at_start=False, managedDraining=draining)
    region.run(until="30 s")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    [instance] = region.registry.group("asg").instances.values()
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.run(until="200 s")
    assert (instance.lifecycle_state, len(instance.tasks)) == ("Terminating:Wait", tasks)


def test_protected_for_good_without_managed_protection_nothing_is_scaled_in():
    """Amazon ECS Developer Guide, managed-termination-protection.html: nobody lifts the protection of the group's own setting."""
    region = exact_region()
    fleet(region, 2, NewInstancesProtectedFromScaleIn=True)
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    assert len(region.registry.group("asg").in_service) == 2


def test_draining_ends_after_48_hours():
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, 1, registered_at_start=True, managedDraining="ENABLED")
    region.ecs.run_task(taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}])
    region.run(until="1 min")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    region.run(until="50 h")
    frame = region.finish().instances.frame()
    assert seconds(frame.terminated_at[0]) == 60 + 48 * 3600, "a standalone task is left alone that long"


@pytest.mark.parametrize("strategy", [[], [{"type": "spread", "field": "attribute:ecs.availability-zone"}]])
def test_a_service_may_shrink_before_any_instance_has_ever_registered(strategy: list[dict[str, str]]):
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    service(region, 5, placementStrategy=strategy)
    region.run(until="30 s")
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="50 s")
    assert len(region.registry.service("default", "web").tasks) == 2


def test_the_metric_is_seen_late_where_it_is_published_late():
    region = exact_region(assumptions={"reservation_publish_lag_s": 60})
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    service(region, 2)
    region.run(until="200 s")
    assert sizes(region) == [(120, 0, 2)]


def test_the_metric_can_be_watched_by_an_alarm_of_ones_own():
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    provider(region)
    region.cloudwatch.put_metric_alarm(
        AlarmName="starved",
        Namespace="AWS/ECS/ManagedScaling",
        MetricName="CapacityProviderReservation",
        Dimensions=[{"Name": "CapacityProviderName", "Value": "cp"}, {"Name": "ClusterName", "Value": "default"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=150,
        ComparisonOperator="GreaterThanThreshold",
    )
    service(region, 2)
    region.run(until="61 s")
    assert region.cloudwatch.state("starved") == "ALARM"


def test_tasks_with_a_launch_type_are_invisible_to_cluster_auto_scaling():
    """Amazon ECS Developer Guide, cluster-auto-scaling.html: they fail where there is no room, and the group stays as it is."""
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, 1, registered_at_start=True)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=3, launchType="EC2")
    answer = region.ecs.run_task(taskDefinition="web", count=2, launchType="EC2")
    assert len(answer["tasks"]) == 1
    assert answer["failures"][0]["reason"] == "RESOURCE:CPU"
    region.run(until="30 min")
    assert sizes(region) == []
    assert [life[-1][1] for life in statuses(region)] == ["RUNNING"]
    assert set(percents(region)) == {100}, "its instance is not empty, and nothing else is needed"
