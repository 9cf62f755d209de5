"""The table of the containers inside tasks."""

from __future__ import annotations

from fargsim.record.column import Table, flag, instant, text, whole

CONTAINERS = Table(
    "containers",
    "One row per run of a container, in tasks whose containers have lives of their own: several containers, or one that is "
    "restarted in place, leaks, fills its disk, fails its checks, crashes at boot or cannot be executed; and one that was killed "
    "for its memory. The only container of any other task ends with it, as `tasks` says.",
    ("task_id", "container", "run"),
    (
        text("task_id", "Identifier of the task."),
        text("container", "Name of the container."),
        whole("run", "", "0 for the first run, one more for every restart in place."),
        flag("essential", "Whether the task stops with it."),
        text("last_status", "`PENDING`, `RUNNING` or `STOPPED`, at the end of the run."),
        text("health_status", "`HEALTHY`, `UNHEALTHY` or `UNKNOWN`, at its end."),
        instant("started_at", "It was started; absent where it never was.", nullable=True),
        instant("exited_at", "Its process ended.", nullable=True),
        whole("exit_code", "", "Its exit code.", nullable=True),
        text(
            "reason", "Why it ended or was not started, in ECS's words; absent where it ended by itself.", nullable=True
        ),
        text("last_words", "What the application said at its end, as only its log shows.", nullable=True),
    ),
)
