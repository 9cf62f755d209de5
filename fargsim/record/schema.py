"""The one declaration of every table that a run keeps.

Names follow the AWS API where it has a name for the thing (DescribeTasks, DescribeContainerInstances, DescribeServices,
DescribeScalingActivities, CloudWatch), in ``snake_case``. Instants end in ``_at``; other columns carry their
unit. ``python -m fargsim.record.page`` prints this declaration as ``docs/tables.md``.
"""

from __future__ import annotations

from fargsim.record.column import Table, flag, instant, real, text, whole
from fargsim.record.schema_balancer import LOAD_BALANCERS, TARGET_GROUPS
from fargsim.record.schema_containers import CONTAINERS
from fargsim.record.schema_credits import CPU_CREDITS
from fargsim.record.schema_queues import MESSAGE_LATENCIES, QUEUES
from fargsim.record.schema_shift import DEPLOYMENT_STAGES

SCHEMA_VERSION = 2
"""Raised by one whenever a column is removed, renamed or changes its meaning. Part of every result's
provenance.
"""

TASKS = Table(
    "tasks",
    "One row per task created: every timestamp that DescribeTasks returns, where it ran, how it ended.",
    ("task_id",),
    (
        text("task_id", "Identifier of the task, the last part of its ARN."),
        text("task_arn", "Amazon Resource Name of the task."),
        text("cluster", "Cluster that the task was started in."),
        text("group", "`service:NAME` or `family:NAME`, as DescribeTasks gives it."),
        text(
            "service",
            "Service of the task; absent for a task of RunTask.",
            nullable=True,
        ),
        text("family", "Family of the task definition."),
        whole("revision", "", "Revision of the task definition."),
        text("launch_type", "`FARGATE` or `EC2`."),
        text("capacity_provider", "Capacity provider that the task was started through.", nullable=True),
        text("platform_version", "Fargate platform version.", nullable=True),
        text("operating_system_family", "Operating system family, for example `LINUX`."),
        text("cpu_architecture", "`X86_64` or `ARM64`."),
        whole("cpu_units", "CPU units", "CPU that the task reserves; 1,024 units are one vCPU."),
        whole("memory_mib", "MiB", "Memory that the task reserves."),
        whole(
            "ephemeral_storage_gib",
            "GiB",
            "Ephemeral storage on Fargate, free 20 GiB included; 0 on EC2.",
        ),
        text("availability_zone", "Zone that the task was placed in.", nullable=True),
        text("subnet", "Subnet of the task's network interface.", nullable=True),
        text("instance_id", "EC2 instance that the task was placed on.", nullable=True),
        flag("public_ip", "Whether the task has a public IPv4 address of its own."),
        text("deployment_id", "Deployment of the service that started the task.", nullable=True),
        text("started_by", "Who started the task, as DescribeTasks gives it.", nullable=True),
        text("last_status", "State of the task at the end of the run."),
        text("desired_status", "State that ECS wanted at the end of the run, `RUNNING` or `STOPPED`."),
        text("health_status", "`HEALTHY`, `UNHEALTHY` or `UNKNOWN`, at the end of the run or of the task."),
        text("stop_code", "Stop code of DescribeTasks.", nullable=True),
        text("stopped_reason", "Reason for stopping, in ECS's words.", nullable=True),
        whole("exit_code", "", "Exit code of the essential container.", nullable=True),
        real("image_mib", "MiB", "Compressed size of the images of the task."),
        flag("image_cached", "Whether the images were already on the instance."),
        instant("created_at", "The task was created and entered PROVISIONING."),
        instant("connectivity_at", "The network interface was attached.", nullable=True),
        instant("pull_started_at", "The image pull began; Fargate bills from here.", nullable=True),
        instant("pull_stopped_at", "The image pull ended.", nullable=True),
        instant("started_at", "The task entered RUNNING.", nullable=True),
        instant("healthy_at", "The task first counted as healthy to its service.", nullable=True),
        instant("stopping_at", "The task entered STOPPING: its containers were told to stop.", nullable=True),
        instant("execution_stopped_at", "The essential container ended.", nullable=True),
        instant("stopped_at", "The task entered STOPPED.", nullable=True),
        whole("requests_served", "requests", "Requests that the task served."),
        real("cpu_core_s", "core-seconds", "CPU time that the task used."),
    ),
)

TASK_STATES = Table(
    "task_states",
    "One row per change of a task's state: the trace of its life.",
    ("task_id", "at", "last_status"),
    (
        text("task_id", "Identifier of the task."),
        instant("at", "The change."),
        text("last_status", "State entered, `PROVISIONING` to `STOPPED`."),
        text("desired_status", "State that ECS wanted at that instant."),
    ),
)

INSTANCES = Table(
    "instances",
    "One row per EC2 instance that was launched for a cluster.",
    ("instance_id",),
    (
        text("instance_id", "Identifier of the instance."),
        text("cluster", "Cluster that its agent registers with."),
        text("auto_scaling_group", "Auto Scaling group that launched it.", nullable=True),
        text("capacity_provider", "Capacity provider of that group.", nullable=True),
        text("instance_type", "EC2 instance type."),
        text("availability_zone", "Zone of the instance."),
        text("market", "`on-demand` or `spot`."),
        text("operating_system_family", "Operating system, for example `LINUX`; a Windows licence is billed."),
        whole("cpu_units", "CPU units", "CPU units that the agent registered."),
        whole("memory_mib", "MiB", "Memory that the agent registered."),
        whole("task_enis", "interfaces", "Network interfaces left for `awsvpc` tasks."),
        flag("public_ip", "Whether the instance has a public IPv4 address."),
        whole("root_volume_gib", "GiB", "Size of the root EBS volume."),
        whole("more_volumes_gib", "GiB", "Size of its other EBS volumes together."),
        whole("volume_iops_above", "IOPS", "IOPS of its volumes above the 3,000 that each has."),
        whole("volume_mib_s_above", "MiB/s", "Throughput of its volumes above the 125 MiB/s that each has."),
        instant("launched_at", "The launch was requested."),
        instant("running_at", "The instance entered `running`; EC2 bills from here.", nullable=True),
        instant(
            "stopped_at", "The instance was stopped in a warm pool; EC2 does not bill it from here.", nullable=True
        ),
        instant("restarted_at", "It was running again, out of the pool; EC2 bills it again from here.", nullable=True),
        instant("registered_at", "The agent registered with the cluster and was ACTIVE.", nullable=True),
        instant("draining_at", "The container instance was set to DRAINING.", nullable=True),
        instant("terminated_at", "The instance was terminated; EC2 bills to here.", nullable=True),
        text("status", "Status at the end of the run: `ACTIVE`, `DRAINING` or `INACTIVE`."),
        text("status_reason", "Why it has that status.", nullable=True),
    ),
)

SERVICES = Table(
    "services",
    "One row per service and period: task counts, requests by outcome, latency, utilisation.",
    ("cluster", "service", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period."),
        text("cluster", "Cluster of the service."),
        text("service", "Name of the service."),
        text(
            "load_balancer",
            "Load balancer in front of the service; of several the first whose requests reach it.",
            nullable=True,
        ),
        whole("desired", "tasks", "Desired count at the end of the period."),
        whole("running", "tasks", "Tasks in RUNNING at the end of the period."),
        whole("pending", "tasks", "Tasks on the way to RUNNING at the end of the period."),
        whole("healthy", "tasks", "Tasks that count as healthy at the end of the period."),
        real("running_mean", "tasks", "Tasks in RUNNING, averaged over the period."),
        whole("requests_arrived", "requests", "Requests that arrived in the period."),
        whole("requests_served", "requests", "Requests that ended in the period with a good answer."),
        whole("requests_failed", "requests", "Requests that the application failed (5xx of its own)."),
        whole("requests_refused_503", "requests", "Requests that a target with a full queue refused."),
        whole("requests_no_target_503", "requests", "Requests that found no registered target (503 of the balancer)."),
        whole(
            "requests_cut_502",
            "requests",
            "Requests cut off by the end of their task or connection.",
        ),
        whole("requests_timeout_504", "requests", "Requests that outlasted the balancer's idle time-out."),
        whole("requests_client_closed_460", "requests", "Requests whose client waited no longer (`client_timeout`)."),
        whole("requests_in_flight", "requests", "Requests waiting or being served at the end of the period."),
        real("requests_active_mean", "requests", "Requests in flight, averaged over the period."),
        real("latency_mean_ms", "ms", "Mean latency of the requests served in the period.", nullable=True),
        real("latency_p50_ms", "ms", "Median latency of the requests served in the period.", nullable=True),
        real("latency_p95_ms", "ms", "95th percentile of their latency.", nullable=True),
        real("latency_p99_ms", "ms", "99th percentile of their latency.", nullable=True),
        real(
            "cpu_utilization",
            "%",
            "CPU used over reserved (ECSServiceAverageCPUUtilization).",
            nullable=True,
        ),
        real("cpu_utilization_min", "%", "Lowest CPU utilisation of a task.", nullable=True),
        real("cpu_utilization_max", "%", "Highest CPU utilisation of a task.", nullable=True),
        real(
            "memory_utilization",
            "%",
            "Memory used over reserved (ECSServiceAverageMemoryUtilization).",
            nullable=True,
        ),
        real("memory_utilization_min", "%", "Lowest memory utilisation of a task.", nullable=True),
        real("memory_utilization_max", "%", "Highest memory utilisation of a task.", nullable=True),
        real(
            "request_count_per_target",
            "requests",
            "Requests per healthy target (ALBRequestCountPerTarget).",
            nullable=True,
        ),
    ),
)

CLUSTERS = Table(
    "clusters",
    "One row per cluster and period: tasks, capacity registered and reserved.",
    ("cluster", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period."),
        text("cluster", "Name of the cluster."),
        whole("running_tasks", "tasks", "Tasks in RUNNING at the end of the period."),
        whole("pending_tasks", "tasks", "Tasks in PENDING or ACTIVATING at the end of the period."),
        whole("provisioning_tasks", "tasks", "Tasks in PROVISIONING at the end of the period."),
        whole("container_instances", "instances", "Container instances registered at the end of the period."),
        whole("registered_cpu_units", "CPU units", "CPU units of those instances."),
        whole("registered_memory_mib", "MiB", "Memory of those instances."),
        whole("reserved_cpu_units", "CPU units", "CPU units reserved by tasks on them."),
        whole("reserved_memory_mib", "MiB", "Memory reserved by tasks on them."),
        real("cpu_reservation", "%", "CPU reserved over registered (CPUReservation).", nullable=True),
        real(
            "memory_reservation",
            "%",
            "Memory reserved over registered (MemoryReservation).",
            nullable=True,
        ),
        real("fargate_vcpu", "vCPU", "vCPUs of the cluster's Fargate tasks at the end of the period."),
        real(
            "capacity_provider_reservation",
            "%",
            "Instances needed over instances running (CapacityProviderReservation).",
            nullable=True,
        ),
    ),
)

EVENTS = Table(
    "events",
    "One row per service event, in ECS's own words.",
    ("event_id",),
    (
        text("event_id", "Identifier of the event."),
        instant("at", "When ECS wrote it."),
        text("cluster", "Cluster it concerns."),
        text("service", "Service it concerns.", nullable=True),
        text("event_type", "`INFO`, `WARN` or `ERROR`."),
        text("event_name", "Event name, for example `SERVICE_STEADY_STATE`."),
        text("message", "The message, as DescribeServices shows it."),
    ),
)

PLACEMENTS = Table(
    "placements",
    "One row per attempt to place a task: the winner, or why there was none.",
    ("at", "task_id"),
    (
        instant("at", "The decision."),
        text("task_id", "Task that was placed; absent where none was created.", nullable=True),
        text("group", "Group of the task."),
        text("cluster", "Cluster it was to be placed in."),
        text("launch_type", "`FARGATE` or `EC2`."),
        text("outcome", "`placed` or `failed`."),
        text("instance_id", "Instance that won.", nullable=True),
        text("availability_zone", "Zone that won.", nullable=True),
        text("step", "Step of the pipeline that decided (filter, constraint, strategy)."),
        whole("candidates", "instances", "Instances, or zones on Fargate, still eligible before that step."),
        text("reason", "Why it failed, counts per reason.", nullable=True),
    ),
)

PLACEMENT_STEPS = Table(
    "placement_steps",
    "One row per placement decision, candidate and step, where the scenario records placements in full; empty otherwise.",
    ("decision", "candidate", "step"),
    (
        whole("decision", "", "Number of the decision, from 0; its rows stand together."),
        instant("at", "The decision."),
        text("kind", "`place` a new task, `wait`: try a waiting task again, `stop`: choose whom a service stops."),
        text("task_id", "Task that was to be placed; absent where none was created, and of `stop`.", nullable=True),
        text("group", "Group of the task."),
        text("cluster", "Cluster of the decision."),
        text("candidate_type", "`instance`, `zone`, `capacity provider`, `account`, `task` or `cluster`."),
        text("candidate", "Instance, zone or provider that was looked at; of `stop` the task."),
        text("step", "Filter, constraint or rule, in the order in which they apply."),
        flag("passed", "Whether the candidate was let through (of `stop`: could still be chosen)."),
        text("reason", "Failure that the step stands for, where it let the candidate go no further.", nullable=True),
        text("needed", "What the step asked for.", nullable=True),
        text("found", "What the candidate had.", nullable=True),
    ),
)

SCALING = Table(
    "scaling",
    "One row per change of a desired count or capacity that a scaling policy made.",
    ("at", "resource_id", "policy_name"),
    (
        instant("at", "The decision."),
        text("resource_id", "Scalable target or group, for example `service/CLUSTER/SERVICE`."),
        text("policy_name", "Name of the policy or scheduled action."),
        text("policy_type", "Policy type, for example `TargetTrackingScaling`."),
        text("alarm", "Alarm that called for the decision.", nullable=True),
        text("alarm_state", "State of that alarm.", nullable=True),
        text("metric_name", "Metric that the policy follows.", nullable=True),
        real(
            "metric_value",
            "metric's own",
            "Value of the metric that was decided on.",
            nullable=True,
        ),
        real("target_value", "metric's own", "Target of the policy.", nullable=True),
        real("running_mean", "tasks", "Running count that was decided on.", nullable=True),
        whole("desired_before", "tasks or instances", "Desired count before."),
        whole("desired_after", "tasks or instances", "Desired count after."),
        text("reason", "Why, in words."),
    ),
)

ALARMS = Table(
    "alarms",
    "One row per change of a CloudWatch alarm's state.",
    ("at", "alarm"),
    (
        instant("at", "The change."),
        text("alarm", "Name of the alarm."),
        text("resource_id", "Scalable target or group that the alarm watches."),
        text("metric_name", "Metric that the alarm watches."),
        text("state_before", "`OK`, `ALARM` or `INSUFFICIENT_DATA`."),
        text("state_after", "`OK`, `ALARM` or `INSUFFICIENT_DATA`."),
        text("reason", "The data points that changed it."),
    ),
)

DEPLOYMENTS = Table(
    "deployments",
    "One row per deployment of a service.",
    ("deployment_id",),
    (
        text("deployment_id", "Identifier of the deployment."),
        text("cluster", "Cluster of the service."),
        text("service", "Service that is deployed."),
        text("task_definition", "`FAMILY:REVISION` that it rolls out."),
        instant("created_at", "The deployment began."),
        instant("completed_at", "The deployment completed or failed.", nullable=True),
        text("status", "`PRIMARY`, `ACTIVE` or `INACTIVE` at the end of the run."),
        text("rollout_state", "`IN_PROGRESS`, `COMPLETED` or `FAILED`."),
        text("rollout_reason", "Why, in ECS's words.", nullable=True),
        whole("desired", "tasks", "Desired count of the deployment at the end."),
        whole("failed_tasks", "tasks", "Tasks that failed to start or to become healthy."),
        text("rollback_of", "Deployment that this one rolls back.", nullable=True),
        text("service_revision", "ARN of the service revision that it rolls out.", nullable=True),
        text("service_deployment_status", "Status of its service deployment at the end of the run.", nullable=True),
    ),
)

LATENCIES = Table(
    "latencies",
    "One row per non-empty bucket of a service's latency histogram over the run.",
    ("service", "lower_us"),
    (
        text("service", "Name of the service."),
        real("lower_us", "us", "Lower edge of the bucket, included."),
        real("upper_us", "us", "Upper edge of the bucket, excluded."),
        whole("requests", "requests", "Requests served with a latency in `[lower_us, upper_us)`."),
    ),
)

COSTS = Table(
    "costs",
    "One row per line item of the bill.",
    ("hour_at", "item", "cluster", "service", "task_id", "instance_id"),
    (
        instant("hour_at", "Start of the hour that the line is booked in."),
        text("item", "What is billed."),
        text("cluster", "Cluster that caused it; absent for what no cluster caused.", nullable=True),
        text("service", "Service that caused it.", nullable=True),
        text("task_id", "Task that caused it; absent for idle share, balancers and NAT.", nullable=True),
        text("instance_id", "Instance that it is billed for.", nullable=True),
        real("quantity", "see unit", "Amount billed."),
        text("unit", "Unit of the amount."),
        real("usd_per_unit", "USD", "Price of one unit."),
        real(
            "usd",
            "USD",
            "Quantity times price, rounded to the last bit of the total so that sums agree in any grouping.",
        ),
        text(
            "price_basis",
            "Where the price comes from: listed, documented, estimated, assumed, or scenario where the scenario sets it.",
        ),
    ),
)

CAPACITY_USE = Table(
    "capacity_use",
    "One row per cluster and kind of capacity: what was paid for, what running tasks reserved of it, what did work.",
    ("cluster", "launch_type", "instance_type", "market"),
    (
        text("cluster", "Cluster of the capacity; absent for unused commitments.", nullable=True),
        text("launch_type", "`FARGATE`, `EC2`, or `unused commitment`, which buys no capacity."),
        text("instance_type", "EC2 instance type.", nullable=True),
        text("market", "`on-demand` or `spot`.", nullable=True),
        real("paid_vcpu_h", "vCPU-hours", "vCPUs of tasks (Fargate) or instances (EC2) times their billed time."),
        real("reserved_vcpu_h", "vCPU-hours", "vCPUs of tasks times their time in RUNNING."),
        real("used_vcpu_h", "vCPU-hours", "CPU time that tasks used."),
        real("paid_gib_h", "GiB-hours", "Memory of tasks, or registered by instances, times their billed time."),
        real("reserved_gib_h", "GiB-hours", "Memory of tasks times their time in RUNNING."),
        real(
            "used_gib_h",
            "GiB-hours",
            "Memory that tasks held; absent where tasks ran without a service, whose memory is not metered.",
            nullable=True,
        ),
        real("paid_usd", "USD", "What the bill charges for the capacity."),
        real("reserved_usd", "USD", "The part of it that tasks in RUNNING reserved."),
        real("used_usd", "USD", "The part of it that did work; on EC2 by the larger of CPU and memory.", nullable=True),
    ),
)

REQUESTS = Table(
    "requests",
    "One row per request, where the scenario asks for a sample or for all; empty otherwise.",
    ("service", "target_group", "request_id"),
    (
        text("service", "Service that it was sent to."),
        text("target_group", "Target group that it was forwarded to."),
        whole("request_id", "", "Number of the request in the order of arrival at the target group."),
        instant("arrived_at", "It reached the load balancer."),
        instant("started_at", "A worker took it.", nullable=True),
        instant("ended_at", "It ended; absent while in flight.", nullable=True),
        text(
            "outcome",
            "`served`, `in_flight`, or the name of the fault as in `services`.",
        ),
        text("task_id", "Task that it was routed to.", nullable=True),
        real("latency_ms", "ms", "From arrival to end.", nullable=True),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        TASKS,
        TASK_STATES,
        CONTAINERS,
        INSTANCES,
        CPU_CREDITS,
        SERVICES,
        CLUSTERS,
        TARGET_GROUPS,
        LOAD_BALANCERS,
        QUEUES,
        MESSAGE_LATENCIES,
        EVENTS,
        PLACEMENTS,
        PLACEMENT_STEPS,
        SCALING,
        ALARMS,
        DEPLOYMENTS,
        DEPLOYMENT_STAGES,
        LATENCIES,
        COSTS,
        CAPACITY_USE,
        REQUESTS,
    )
}
"""Every table by name, in the order in which they are written and documented."""
