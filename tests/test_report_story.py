"""The story of a run: everything that happened, in order, in words a newcomer can follow."""

from __future__ import annotations

import io

import pytest
from report_factory import MINUTE, SECOND, Story, add_task, day
from rich.console import Console

from fargsim.report.story import Line, clock, short_names, story, story_table

ONE, TWO = "1a2b" + "0" * 28, "9f8e" + "0" * 28


def quickstart() -> Story:
    told = Story(5 * MINUTE)
    told.add(
        "deployments",
        task_definition="httpd:1",
        desired=2,
        completed_at=95 * SECOND,
        rollout_state="COMPLETED",
        rollout_reason="ECS deployment ecs-svc/1 completed.",
    )
    small = {"family": "httpd", "image_mib": 56.2, "cpu_units": 256, "memory_mib": 512}
    add_task(
        told,
        ONE,
        [5 * SECOND, 18_200_000, 19_200_000, 31_700_000],
        availability_zone="us-east-1a",
        healthy_at=71_700_000,
        **small,
    )
    add_task(
        told,
        TWO,
        [5 * SECOND, 17_100_000, 18_100_000, 33_100_000, 150_000_000, 150_000_000, 151_000_000, 166_000_000],
        availability_zone="us-east-1b",
        stop_code="EssentialContainerExited",
        stopped_reason="Essential container in task exited",
        exit_code=1,
        **small,
    )
    told.add(
        "events",
        event_id="1",
        at=5 * SECOND,
        service="web",
        message=f"(service web) has started 2 tasks: (task {ONE}) (task {TWO}).",
    )
    told.add("events", event_id="2", at=95 * SECOND, service="web", message="(service web) has reached a steady state.")
    return told


def test_the_quickstart_is_told_whole():
    assert [str(line) for line in story(quickstart().result())] == [
        "+0:00:00.0  service web  deployment IN_PROGRESS  httpd:1",
        "+0:00:05.0  task 1a2b  PROVISIONING  httpd:1 on FARGATE, 0.25 vCPU, 512 MiB",
        "+0:00:05.0  task 9f8e  PROVISIONING  httpd:1 on FARGATE, 0.25 vCPU, 512 MiB",
        "+0:00:05.0  service web  has started 2 tasks: (task 1a2b) (task 9f8e).",
        "+0:00:17.1  task 9f8e  PROVISIONING -> PENDING  network interface attached in us-east-1b",
        "+0:00:18.1  task 9f8e  PENDING -> ACTIVATING  pulling 56 MiB of image",
        "+0:00:18.2  task 1a2b  PROVISIONING -> PENDING  network interface attached in us-east-1a",
        "+0:00:19.2  task 1a2b  PENDING -> ACTIVATING  pulling 56 MiB of image",
        "+0:00:31.7  task 1a2b  ACTIVATING -> RUNNING  container started, 26.7 s after creation",
        "+0:00:33.1  task 9f8e  ACTIVATING -> RUNNING  container started, 28.1 s after creation",
        "+0:01:11.7  task 1a2b  HEALTHY  its service counts it as healthy",
        "+0:01:35.0  service web  deployment IN_PROGRESS -> COMPLETED  ECS deployment ecs-svc/1 completed.",
        "+0:01:35.0  service web  has reached a steady state.",
        "+0:02:30.0  task 9f8e  RUNNING -> DEACTIVATING  leaves its load balancer, if it has one",
        "+0:02:30.0  task 9f8e  DEACTIVATING -> STOPPING",
        "+0:02:31.0  task 9f8e  STOPPING -> DEPROVISIONING  network interface detached",
        "+0:02:46.0  task 9f8e  DEPROVISIONING -> STOPPED  EssentialContainerExited, Essential container in task exited, exit code 1",
    ]


def test_instances_scaling_alarms_and_failures_have_their_place():
    told = Story(10 * MINUTE)
    told.add(
        "alarms", at=3 * MINUTE, alarm="high", state_before="OK", state_after="ALARM", reason="3 of 3 points above 60"
    )
    told.add(
        "scaling",
        at=3 * MINUTE,
        resource_id="service/default/web",
        desired_before=2,
        desired_after=4,
        reason="CPU 80 %",
    )
    told.add(
        "scaling",
        at=4 * MINUTE,
        resource_id="service/default/web",
        desired_before=4,
        desired_after=4,
        reason="cooldown",
    )
    told.add(
        "instances",
        instance_id="i-1",
        cpu_units=2048,
        memory_mib=7629,
        launched_at=0,
        running_at=20 * SECOND,
        registered_at=MINUTE,
        terminated_at=5 * MINUTE,
        status_reason="scaled in",
    )
    told.add("placements", at=3 * MINUTE, outcome="failed", reason="RESOURCE:MEMORY on 3 instances")
    told.add("placements", at=3 * MINUTE, outcome="placed")
    told.add(
        "events", at=3 * MINUTE, service="web", event_type="ERROR", message="(service web) was unable to place a task."
    )
    told.add("events", at=6 * MINUTE, message="cluster event")
    add_task(
        told, TWO, [200 * SECOND, 200 * SECOND], instance_id="i-1", availability_zone="us-east-1a", image_cached=True
    )
    assert [str(line) for line in story(told.result())] == [
        "+0:00:00.0  instance i-1  launched  m5.large (on-demand) in us-east-1a",
        "+0:00:20.0  instance i-1  running  billed from here",
        "+0:01:00.0  instance i-1  registered  2,048 CPU units, 7,629 MiB",
        "+0:03:00.0  alarm high  OK -> ALARM  3 of 3 points above 60",
        "+0:03:00.0  service default/web  desired count 2 -> 4  CPU 80 %",
        "+0:03:00.0  service web  not placed  RESOURCE:MEMORY on 3 instances",
        "+0:03:00.0  service web  ERROR  was unable to place a task.",
        "+0:03:20.0  task 9f8e  PROVISIONING  web:1 on FARGATE, 1 vCPU, 2,048 MiB",
        "+0:03:20.0  task 9f8e  PROVISIONING -> PENDING  network interface attached in i-1 us-east-1a",
        "+0:05:00.0  instance i-1  terminated  scaled in",
        "+0:06:00.0  cluster default  cluster event",
    ]


def test_a_task_healthy_as_soon_as_it_runs_is_not_told_twice():
    told = Story()
    add_task(told, ONE, [0, 1, 2, 3], healthy_at=3)
    assert not [line for line in story(told.result()) if line.event == "HEALTHY"]


def test_every_change_of_state_of_a_day_is_told_once_and_in_order():
    result = day()
    lines = story(result)
    assert len([line for line in lines if line.subject.startswith("task ")]) == len(result.tables["task_states"])
    assert [line.at_us for line in lines] == sorted(line.at_us for line in lines)


@pytest.mark.parametrize(
    ("at_us", "text"),
    [(0, "+0:00:00.0"), (99_999, "+0:00:00.0"), (59_999_999, "+0:00:59.9"), (3_600_000_000, "+1:00:00.0")],
)
def test_times_are_cut_to_tenths_never_rounded_up_to_what_has_not_happened(at_us: int, text: str):
    assert clock(at_us) == text


def test_names_are_as_short_as_tells_them_apart():
    assert short_names([]) == {}
    assert short_names(["abc"]) == {"abc": "abc"}
    assert short_names(["abcdef", "abcdeg"]) == {"abcdef": "abcdef", "abcdeg": "abcdeg"}
    assert short_names([ONE, TWO]) == {ONE: "1a2b", TWO: "9f8e"}


def draw(told: Story, width: int = 100, **options: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(story_table(told.result(), **options))
    return console.export_text()


def test_the_terminal_shows_one_line_each():
    lines = [line.rstrip() for line in draw(quickstart()).splitlines()]
    assert lines[1] == "+0:00:05.0  task 1a2b    PROVISIONING  httpd:1 on FARGATE, 0.25 vCPU, 512 MiB"
    assert lines[4] == "+0:00:17.1  task 9f8e    PROVISIONING -> PENDING  network interface attached in us-east-1b"
    assert max(map(len, lines)) <= 100


def test_a_long_story_says_how_much_is_left_out():
    lines = draw(quickstart(), most=3).splitlines()
    assert len(lines) == 4
    assert lines[3].split() == ["...", "14", "more", "lines"]


def test_a_message_is_no_markup():
    told = Story()
    told.add("events", service="[red]web", message="[bold]x[/red] (service web)")
    assert "service [red]web  [bold]x[/red] (service web)" in draw(told)


def test_a_line_without_a_detail_has_no_trailing_space():
    assert str(Line(0, "task a", "STOPPING", "")) == "+0:00:00.0  task a  STOPPING"
