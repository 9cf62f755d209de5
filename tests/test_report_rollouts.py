"""The table of how deployments ended: what began in mid-run, with the end of its rollback, all variants in one."""

from __future__ import annotations

import io

from report_factory import MINUTE, Story
from rich.console import Console

from fargsim.record.result import Result
from fargsim.report.html import render_report
from fargsim.report.rollouts import rollouts, rollouts_html, rollouts_table


def deployed(variant: str, *rows: tuple[str, str, int, int | None, str, str, str | None]) -> Story:
    """A run with these deployments: name, task definition, begin and end in minutes, state, status, what it rolls back."""
    story = Story(variant=variant)
    for name, definition, began, ended, state, status, rolls_back in rows:
        story.add(
            "deployments",
            deployment_id=name,
            task_definition=definition,
            created_at=began * MINUTE,
            completed_at=None if ended is None else ended * MINUTE,
            rollout_state=state,
            rollout_reason="an alarm" if state == "FAILED" else "ECS deployment completed.",
            service_deployment_status=status,
            rollback_of=rolls_back,
            failed_tasks=3 if state == "FAILED" else 0,
        )
    return story


FIRST = ("d0", "web:1", 0, 1, "COMPLETED", "SUCCESSFUL", None)


def rolled_back() -> Result:
    failed = ("d1", "web:2", 10, 14, "FAILED", "ROLLBACK_SUCCESSFUL", None)
    back = ("d2", "web:1", 14, 20, "COMPLETED", "ROLLBACK_SUCCESSFUL", "d1")
    return deployed("alarm", FIRST, failed, back).result()


def under_way() -> Result:
    return deployed("rolling", FIRST, ("d1", "web:2", 10, None, "IN_PROGRESS", "IN_PROGRESS", None)).result()


def printed(*results: Result) -> list[list[str]]:
    table = rollouts_table(results)
    assert table is not None
    text = io.StringIO()
    Console(file=text, width=160, color_system=None).print(table)
    return [line.split() for line in text.getvalue().splitlines() if line.strip("─ ")]


def test_a_deployment_ends_with_its_rollback() -> None:
    [row] = rollouts(rolled_back()).to_dict("records")
    assert (row["task_definition"], row["status"], row["failed_tasks"], row["reason"]) == (
        "web:2",
        "ROLLBACK_SUCCESSFUL",
        3,
        "an alarm",
    )
    assert (row["ended"] - row["began"]).total_seconds() == 600


def test_all_variants_stand_in_one_table() -> None:
    rows = printed(under_way(), rolled_back())
    assert rows[0] == ["How", "deployments", "ended"]
    assert rows[2:] == [
        ["rolling", "web", "web:2", "+0:10:00.0", "IN_PROGRESS", "0"],
        ["alarm", "web", "web:2", "+0:10:00.0", "+0:20:00.0", "ROLLBACK_SUCCESSFUL", "3", "an", "alarm"],
    ]


def test_the_report_has_it_beside_the_comparison() -> None:
    page = render_report([under_way(), rolled_back()])
    assert page.count("How deployments ended") == 1
    assert page.index("<h2>Comparison") < page.index("How deployments ended") < page.index("Variant rolling")


def test_a_run_without_variants_names_none_and_one_without_deployments_says_nothing() -> None:
    lone = deployed("", FIRST, ("d1", "web:2", 10, 12, "COMPLETED", "SUCCESSFUL", None)).result()
    assert printed(lone)[1:] == [
        ["service", "to", "began", "ended", "status", "failed", "tasks", "why"],
        ["web", "web:2", "+0:10:00.0", "+0:12:00.0", "SUCCESSFUL", "0"],
    ]
    quiet = deployed("", FIRST).result()
    assert rollouts_table([quiet]) is None
    assert rollouts_html([quiet]) == ""
