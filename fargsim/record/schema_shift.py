"""The table of deployments that shift traffic: one row per lifecycle stage."""

from __future__ import annotations

from fargsim.record.column import Table, instant, real, text, whole

DEPLOYMENT_STAGES = Table(
    "deployment_stages",
    "One row per lifecycle stage of a deployment that shifts traffic; per step where its steps go through a stage again.",
    ("deployment_id", "began_at", "stage", "step"),
    (
        text("deployment_id", "Deployment, or rollback, that the stage belongs to."),
        text("cluster", "Cluster of the service."),
        text("service", "Service that is deployed."),
        text("task_definition", "`FAMILY:REVISION` that it rolls out, or back to."),
        text("stage", "Lifecycle stage, `PRE_SCALE_UP` to `CLEAN_UP`."),
        whole("step", "", "Number of the step of production traffic, from 1.", nullable=True),
        instant("began_at", "The stage began."),
        instant("ended_at", "The stage ended; absent while it is under way.", nullable=True),
        real("production_percent", "%", "Share of production traffic that this revision gets in the stage."),
        real("test_percent", "%", "Share of test traffic that this revision gets in the stage."),
        text("result", "`SUCCEEDED`, `FAILED`, `STOPPED` or `IN_PROGRESS`."),
        text("reason", "Why it failed or was stopped.", nullable=True),
    ),
)
