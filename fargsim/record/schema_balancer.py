"""The tables of load balancers and target groups: CloudWatch's metrics of them, by their names."""

from __future__ import annotations

from fargsim.record.column import Table, instant, real, text, whole

TARGET_GROUPS = Table(
    "target_groups",
    "One row per target group and period: its metrics in AWS/ApplicationELB. Without traffic there are no counts of requests.",
    ("target_group", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period."),
        text("load_balancer", "Load balancer that forwards to it.", nullable=True),
        text("target_group", "Name of the target group."),
        whole("healthy_host_count", "targets", "Healthy targets at the end of the period (HealthyHostCount)."),
        whole(
            "un_healthy_host_count",
            "targets",
            "Unhealthy targets at the end of the period; draining ones do not count (UnHealthyHostCount).",
        ),
        whole("request_count", "requests", "Requests for which a target was chosen (RequestCount).", nullable=True),
        real(
            "request_count_per_target",
            "requests",
            "The same over the healthy targets, or over the registered ones when none is healthy (RequestCountPerTarget).",
            nullable=True,
        ),
        real(
            "target_response_time_s",
            "s",
            "Mean time from the balancer to the target's answer, of the answers of the period (TargetResponseTime).",
            nullable=True,
        ),
        whole(
            "http_code_target_2xx_count",
            "answers",
            "Good answers of targets (HTTPCode_Target_2XX_Count); absent for TCP.",
            nullable=True,
        ),
        whole(
            "http_code_target_3xx_count",
            "answers",
            "Redirects of targets (HTTPCode_Target_3XX_Count), of behaviours with a `redirect_rate`; absent for TCP.",
            nullable=True,
        ),
        whole(
            "http_code_target_4xx_count",
            "answers",
            "Client errors of targets (HTTPCode_Target_4XX_Count), of behaviours with a `client_error_rate`; absent for TCP.",
            nullable=True,
        ),
        whole(
            "http_code_target_5xx_count",
            "answers",
            "Answers of targets that failed or had no room (HTTPCode_Target_5XX_Count); absent for TCP.",
            nullable=True,
        ),
        whole(
            "target_connection_error_count",
            "connections",
            "Connections to targets that were not established (TargetConnectionErrorCount).",
            nullable=True,
        ),
        whole(
            "http_code_elb_502_count",
            "answers",
            "502 of the balancer for want of an answer of a target.",
            nullable=True,
        ),
        whole("http_code_elb_503_count", "answers", "503 of the balancer for want of a target.", nullable=True),
        whole(
            "http_code_elb_504_count", "answers", "504 of the balancer for an answer that came too late.", nullable=True
        ),
        whole(
            "http_code_elb_460_count",
            "answers",
            "460 of the balancer for a client that closed its connection.",
            nullable=True,
        ),
        whole(
            "anomalous_host_count",
            "targets",
            "Targets that fail more than their peers, at the end of the period (AnomalousHostCount); absent for TCP.",
            nullable=True,
        ),
        whole(
            "mitigated_host_count",
            "targets",
            "Targets that get less traffic for it (MitigatedHostCount), with anomaly mitigation; absent for TCP.",
            nullable=True,
        ),
    ),
)

LOAD_BALANCERS = Table(
    "load_balancers",
    "One row per load balancer and period: requests, codes of its own, capacity units by dimension.",
    ("load_balancer", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period."),
        text("load_balancer", "Name of the load balancer."),
        text("type", "`application` or `network`."),
        whole("request_count", "requests", "Requests for which a target was chosen (RequestCount).", nullable=True),
        whole("http_code_elb_5xx_count", "answers", "Errors of the balancer (HTTPCode_ELB_5XX_Count).", nullable=True),
        whole("http_code_elb_502_count", "answers", "HTTPCode_ELB_502_Count.", nullable=True),
        whole("http_code_elb_503_count", "answers", "HTTPCode_ELB_503_Count.", nullable=True),
        whole("http_code_elb_504_count", "answers", "HTTPCode_ELB_504_Count.", nullable=True),
        whole("http_code_elb_4xx_count", "answers", "HTTPCode_ELB_4XX_Count: 460 only.", nullable=True),
        real("new_connection_count", "connections", "Connections opened by clients (NewConnectionCount)."),
        real(
            "active_connection_count", "connections", "Connections there at a time, on average (ActiveConnectionCount)."
        ),
        real("processed_bytes", "bytes", "Requests and answers (ProcessedBytes)."),
        whole(
            "rule_evaluations",
            "rules",
            "Rules that the requests met, the default action not counted (RuleEvaluations); a Network Load Balancer has none.",
            nullable=True,
        ),
        real("lcu_new_connections", "LCU", "Capacity units by new connections."),
        real("lcu_active_connections", "LCU", "Capacity units by active connections."),
        real("lcu_processed_bytes", "LCU", "Capacity units by bytes."),
        real(
            "lcu_rule_evaluations", "LCU", "Capacity units by rules; a Network Load Balancer has none.", nullable=True
        ),
        real("consumed_lcus", "LCU", "The largest of them, as a rate (ConsumedLCUs)."),
    ),
)
