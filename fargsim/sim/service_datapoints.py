"""What CloudWatch is told of services and clusters, and under which names.

Sources: Amazon ECS Developer Guide, available-metrics.html, service_utilization.html, target-tracking-faster-auto-scaling.html; Amazon
CloudWatch User Guide, Container-Insights-metrics-ECS.html; Elastic Load Balancing, load-balancer-cloudwatch-metrics.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import MetricKey, metric_key
from fargsim.sim.cloudwatch import MINUTE_US, CloudWatch
from fargsim.sim.kit import US_PER_S
from fargsim.sim.state import ClusterRun
from fargsim.sim.task_use import Extremes

if TYPE_CHECKING:
    from fargsim.sim.metering import Closed
    from fargsim.sim.service_scheduler import ServiceRun

HIGH_RESOLUTION_US = 20 * US_PER_S
OURS = "fargsim"
"""Namespace of what the simulator itself needs to know; no alarm of a user can name it."""


def high_resolution(service: ServiceRun) -> frozenset[str]:
    """Return the metrics that a service sends every 20 seconds: asked for, and deployed to all tasks.

    While a deployment runs these are what the old revision and the new one have in common: a service that had them before keeps them.
    """
    found = service.spec.monitoring.high_resolution if service.spec.monitoring else frozenset()
    for deployment in service.deployments if found else ():
        monitoring = deployment.spec.monitoring
        found = found & monitoring.high_resolution if monitoring else frozenset()
    return found


def service_key(service: ServiceRun, name: str, namespace: str = "AWS/ECS") -> MetricKey:
    """Return the key of a metric of a service."""
    return metric_key(namespace, name, {"ClusterName": service.cluster.name, "ServiceName": service.name})


def running_key(service: ServiceRun) -> MetricKey:
    """Return the key under which the mean number of RUNNING tasks is kept."""
    return service_key(service, "RunningTasks", OURS)


def _percent(closed: Closed, average: float, extremes: Extremes) -> Point:
    count = float(max(1, closed.use.samples))
    low, high = extremes.pair()
    return Point(
        closed.start_us,
        closed.end_us,
        count,
        average * count,
        average if low is None else low,
        average if high is None else high,
    )


def publish_service(cloudwatch: CloudWatch, service: ServiceRun, closed: Closed, period_us: int) -> None:
    """Publish the datapoints of a service's period."""
    fine = high_resolution(service) if period_us == HIGH_RESOLUTION_US else None
    for name, value, extremes in (
        ("CPUUtilization", closed.cpu_utilization, closed.use.cpu),
        ("MemoryUtilization", closed.memory_utilization, closed.use.memory),
    ):
        if value is not None and (fine is None or name in fine):
            cloudwatch.publish(service_key(service, name), _percent(closed, value, extremes), period_us)
    span = (closed.start_us, closed.end_us)
    cloudwatch.publish(running_key(service), Point.of(*span, closed.running_mean), period_us)
    if period_us != MINUTE_US:
        return
    _publish_requests(cloudwatch, service, closed)
    if has_container_insights(service.cluster):
        for name, value in (
            ("DesiredTaskCount", service.desired),
            ("RunningTaskCount", service.running),
            ("PendingTaskCount", service.pending),
        ):
            key = service_key(service, name, "ECS/ContainerInsights")
            cloudwatch.publish(key, Point.of(*span, float(value)))


def _publish_requests(cloudwatch: CloudWatch, service: ServiceRun, closed: Closed) -> None:
    """Publish what a target group's requests were, unless somebody measures the balancer itself; nothing while no traffic flows."""
    group, per_target = service.group_with_requests(), closed.request_count_per_target
    if group is None or per_target is None or cloudwatch.provides("AWS/ApplicationELB"):
        return
    dimensions = {"TargetGroup": group.spec.name}
    key = metric_key("AWS/ApplicationELB", "RequestCountPerTarget", dimensions)
    cloudwatch.publish(key, Point.of(closed.start_us, closed.end_us, per_target))
    number = float(closed.arrived - closed.no_target)
    every = Point(closed.start_us, closed.end_us, number, number, 1.0, 1.0)
    cloudwatch.publish(metric_key("AWS/ApplicationELB", "RequestCount", dimensions), every)


def has_container_insights(cluster: ClusterRun) -> bool:
    """Whether the cluster's setting ``containerInsights`` is ``enabled`` or ``enhanced``."""
    return any(s.name == "containerInsights" and s.value != "disabled" for s in cluster.spec.settings)


def publish_cluster(cloudwatch: CloudWatch, cluster: ClusterRun, now_us: int) -> None:
    """Publish the datapoints of a cluster's minute; there are none without container instances.

    Reservations, and the use of tasks that belong to no service, are read at the end of the minute.
    """
    span = (now_us - MINUTE_US, now_us)
    if not cluster.registered_cpu_units or not cluster.registered_memory_mib:
        return
    for name, value in (
        ("CPUReservation", cluster.reserved_cpu_units / cluster.registered_cpu_units),
        ("MemoryReservation", cluster.reserved_memory_mib / cluster.registered_memory_mib),
    ):
        cloudwatch.publish(_cluster_key(cluster, name), Point.of(*span, 100 * value))
    for name in ("CPUUtilization", "MemoryUtilization"):
        key = _cluster_key(cluster, name)
        if cloudwatch.watched(key):
            cloudwatch.publish(key, Point.of(*span, _cluster_use(cloudwatch, cluster, name, now_us)))


def _cluster_key(cluster: ClusterRun, name: str) -> MetricKey:
    return metric_key("AWS/ECS", name, {"ClusterName": cluster.name})


def _cluster_use(cloudwatch: CloudWatch, cluster: ClusterRun, name: str, now_us: int) -> float:
    """Return what the tasks on the cluster's instances use of what these registered, in percent."""
    cpu = name == "CPUUtilization"
    used = 0.0
    for service in cluster.services.values():
        if any(not task.fargate for task in service.tasks.values()):
            [point] = cloudwatch.windows(service_key(service, name), now_us, MINUTE_US, 1)
            definition = service.revision.definition
            each = definition.cpu_units if cpu else definition.memory_mib
            used += 0.0 if point is None else point.statistic("Average") / 100 * each * service.running
    for task in cluster.tasks.values():
        if task.service is None and not task.fargate and task.last_status == "RUNNING":
            behaviour = task.revision.behaviour
            used += behaviour.idle_cpu * 1024 if cpu else behaviour.memory / 2**20
    return 100 * used / (cluster.registered_cpu_units if cpu else cluster.registered_memory_mib)
