"""The table of why tasks stopped: from a run in which each cause is known."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import fargsim
from fargsim.load.issue import ScenarioError
from fargsim.record.result import Result, replace
from fargsim.report.facts import facts_of
from fargsim.report.failed_requests import KINDS, failed_requests, failed_requests_html, failed_requests_table
from fargsim.report.stops import NOT_LAUNCHED, stops, stops_html, stops_table
from fargsim.report.summary import ERRORS

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


@pytest.fixture(scope="module")
def lesson() -> Result:
    return fargsim.run(fargsim.load(SCENARIOS / "noisy-mistakes.yaml")).record


def test_every_mistake_of_the_lesson_has_its_row(lesson: Result) -> None:
    found = stops(lesson)
    why = {row["service"]: (row["reached"], row["stop_code"], row["reason"]) for row in found.to_dict("records")}
    expected = {
        "vcpu-quota": (NOT_LAUNCHED, "", "reached the limit on the number of vCPUs"),
        "role-not-trusted": (
            NOT_LAUNCHED,
            "",
            "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/ec2-only'",
        ),
        "no-capacity": (NOT_LAUNCHED, "", "Capacity is unavailable at this time"),
        "no-addresses": ("PROVISIONING", "TaskFailedToStart", "InsufficientFreeAddressesInSubnet"),
        "no-rights-to-ecr": ("ACTIVATING", "TaskFailedToStart", "perform: ecr:GetAuthorizationToken"),
        "no-rights-to-secret": ("ACTIVATING", "TaskFailedToStart", "perform: secretsmanager:GetSecretValue"),
        "no-such-secret": ("ACTIVATING", "TaskFailedToStart", "can't find the specified secret"),
        "no-such-log-group": ("ACTIVATING", "TaskFailedToStart", "The specified log group does not exist"),
        "wrong-tag": ("ACTIVATING", "TaskFailedToStart", "shop:1.O: not found"),
        "pull-limit": ("ACTIVATING", "TaskFailedToStart", "toomanyrequests"),
        "no-route": ("ACTIVATING", "TaskFailedToStart", 'manifests/2.4": dial tcp: i/o timeout'),
        "no-s3-endpoint": ("ACTIVATING", "TaskFailedToStart", "httpReaderSeeker: failed open: failed to do request"),
        "closed-group": ("RUNNING", "ServiceSchedulerInitiated", "due to (reason Request timed out)"),
        "loopback": ("RUNNING", "ServiceSchedulerInitiated", "due to (reason Health checks failed)"),
        "wrong-path": (
            "RUNNING",
            "ServiceSchedulerInitiated",
            "due to (reason Health checks failed with these codes: [404])",
        ),
        "wrong-processor": (
            "RUNNING",
            "EssentialContainerExited",
            "Essential container in task exited (exit code 1: exec format error)",
        ),
    }
    assert set(why) == set(expected)
    for service, (reached, code, words) in expected.items():
        assert why[service][:2] == (reached, code), service
        assert words in why[service][2], service
    for service in ("closed-group", "loopback", "wrong-path"):
        words = "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/"
        assert why[service][2].startswith(f"{words}{service}/"), service
    assert len(found) == len(expected)  # one row each, whatever the number of tasks


def test_who_never_ran_is_tried_more_and_more_rarely_and_who_ran_at_once(lesson: Result) -> None:
    found = stops(lesson).set_index("service")["times"]
    refused = (
        "no-rights-to-ecr",
        "wrong-tag",
        "pull-limit",
        "no-such-secret",
        "no-rights-to-secret",
        "no-such-log-group",
    )
    silent = ("no-route", "no-s3-endpoint", "no-addresses")
    running = ("closed-group", "loopback", "wrong-path", "wrong-processor")
    assert max(found[list(refused)]) < 10
    assert max(found[list(silent)]) < 10
    assert min(found[list(running)]) > 25


def test_the_sound_service_and_the_one_whose_requests_fail_have_no_row(lesson: Result) -> None:
    assert not {"sound", "no-task-role"} & set(stops(lesson)["service"])
    services = lesson.tables["services"]
    errors = services.groupby("service")["requests_failed"].sum()
    served = services.groupby("service")["requests_served"].sum()
    assert errors["sound"] == 0
    assert errors["no-task-role"] / (errors["no-task-role"] + served["no-task-role"]) == pytest.approx(0.4, abs=0.02)


def test_the_table_names_every_service_in_the_terminal_and_in_the_report(lesson: Result) -> None:
    table = stops_table([lesson])
    assert table is not None
    assert table.row_count == 16
    html = stops_html(lesson)
    assert html.count("<tr>") == 17
    assert "can&#x27;t find the specified secret" in html


def test_what_is_lost_with_an_instance_is_told_once_for_all_instances(lesson: Result) -> None:
    some = lesson.tables["tasks"].head(1).assign(stopped_at=facts_of(lesson).start, service="web")
    lost = [("TerminationNotice", f"Host EC2 (instance i-{n:017x}) terminated.") for n in range(3)]
    lost += [("SpotInterruption", "Your Spot Task was interrupted."), ("UserInitiated", "Task stopped by user")]
    tasks = [some.assign(task_id=f"{n:032x}", stop_code=c, stopped_reason=r) for n, (c, r) in enumerate(lost)]
    running = lesson.tables["task_states"].head(1).assign(last_status="RUNNING")
    states = [running.assign(task_id=f"{n:032x}") for n in range(len(lost))]
    refusal = (
        "(service web) was unable to place a task because no container instance met all of its requirements. The closest matching "
        "container-instance i-{:017x} has insufficient CPU units available."
    )
    event = lesson.tables["events"].head(1).assign(event_name="SERVICE_TASK_PLACEMENT_FAILURE", service="web")
    events = [event.assign(message=refusal.format(n)) for n in range(2)]
    changed = {"tasks": pd.concat(tasks), "task_states": pd.concat(states), "events": pd.concat(events)}
    found = stops(replace(lesson, **changed))
    rows = [(row["times"], row["reached"], row["stop_code"], row["reason"]) for row in found.to_dict("records")]
    assert rows == [
        (2, NOT_LAUNCHED, "", refusal.partition(") ")[2].replace("i-{:017x}", "...")),
        (3, "RUNNING", "TerminationNotice", "Host EC2 (instance ...) terminated."),
        (1, "RUNNING", "SpotInterruption", "Your Spot Task was interrupted."),
    ]


def test_variants_share_a_table_with_shorter_arns(lesson: Result) -> None:
    table = stops_table([lesson, lesson])
    assert table is not None
    assert [column.header for column in table.columns] == ["variant", "service", "times", "last", "reached", "why"]
    assert table.row_count == 31, "30 of 32 rows and a last one that says so"
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(table)
    said = console.export_text()
    assert "arn:...:targetgroup/" in said
    assert "2 more rows" in said
    assert "arn:aws:" not in said


def test_a_variant_with_many_rows_leaves_room_for_the_others(lesson: Result) -> None:
    def of(variant: str, tasks: int) -> Result:
        named = Result(lesson.tables, {**lesson.provenance, "variant": variant})
        some = lesson.tables["tasks"].head(1).assign(stop_code="TaskFailedToStart", stopped_at=facts_of(lesson).start)
        many = pd.concat([some.assign(service=f"web-{n:02}", task_id=f"{n:032x}") for n in range(tasks)])
        states = lesson.tables["task_states"].head(1).assign(last_status="PENDING")
        states = pd.concat([states.assign(task_id=f"{n:032x}") for n in range(tasks)])
        return replace(named, tasks=many, task_states=states, events=lesson.tables["events"].head(0))

    table = stops_table([of("a", 60), of("b", 2), of("c", 3)])
    assert table is not None
    variants = list(table.columns[0].cells)
    assert [str(cell) for cell in variants] == ["a"] * 25 + ["b"] * 2 + ["c"] * 3 + [""]
    assert str(list(table.columns[-1].cells)[-1]) == "35 more rows"


def test_requests_that_fail_while_no_task_stops_are_told_by_service(lesson: Result) -> None:
    [row] = failed_requests(lesson).to_dict("records")
    assert row["service"] == "no-task-role"
    assert row["failed"] == row["application"]
    assert row["application"] / row["requests"] == pytest.approx(0.4, abs=0.02)
    assert row["share"] == pytest.approx(row["failed"] / row["requests"])
    table = failed_requests_table(lesson)
    assert table is not None
    assert table.row_count == 1
    html = failed_requests_html(lesson)
    assert "<td>no-task-role</td>" in html
    assert 'class="counts"' in html, "figures are not set as the words of the other table are"


def test_every_error_of_the_summary_is_a_kind_of_failure() -> None:
    assert sorted(KINDS) == sorted(ERRORS)


def test_failures_of_services_of_one_name_in_two_clusters_are_told_apart(lesson: Result) -> None:
    def of(**timeouts: int) -> list[tuple[str, int, int]]:
        services = lesson.tables["services"].head(len(timeouts)).assign(**dict.fromkeys(KINDS, 0))
        changed = {"cluster": list(timeouts), "service": "web", "requests_arrived": 100}
        services = services.assign(**changed, requests_timeout_504=list(timeouts.values()))
        found = failed_requests(replace(lesson, services=services))
        return list(zip(found["service"], found["requests"], found["failed"], strict=True))

    assert of(one=2, two=3) == [("two/web", 100, 3), ("one/web", 100, 2)]
    assert of(one=2, two=0) == [("one/web", 100, 2)]
    assert of(one=2) == [], "one service: the comparison says it all"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"executionRoleArn": "null"},
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ),
        ({"memory": "4096"}, "No Fargate configuration exists for given values: "),
    ],
)
def test_what_registration_refuses_is_told_as_the_lesson_says(change: dict[str, str], words: str) -> None:
    overrides = [(f"taskDefinitions[sound].{key}", value) for key, value in change.items()]
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(SCENARIOS / "noisy-mistakes.yaml", overrides=overrides)
    [issue] = caught.value.issues
    assert issue.text.startswith(f"ClientException: {words}")
    [(key, value)] = change.items()
    text = (SCENARIOS / "noisy-mistakes.yaml").read_text(encoding="utf-8")
    assert f"--set 'taskDefinitions[sound].{key}={value}'" in text


def test_a_run_in_which_nothing_went_wrong_has_no_table() -> None:
    quiet = fargsim.run(fargsim.load(SCENARIOS / "binpack-vs-spread.yaml").model_copy(update={"duration": 60_000_000}))
    assert stops(quiet.record).empty
    assert stops_table([quiet.record]) is None
    assert stops_html(quiet.record) == ""
