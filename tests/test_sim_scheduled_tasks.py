"""Scheduled tasks: EventBridge Scheduler calls RunTask at the times of a schedule."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from sim_helpers import EXACT, PLENTY, SUBNETS, seconds

from fargsim.model.scenario import Scenario
from fargsim.sim.build import build
from fargsim.sim.region import Region


def scenario(schedule: str, *, zone: str | None = None, start: str = "2026-01-05T00:00:00Z", **more: Any) -> Scenario:
    job: dict[str, Any] = {
        "name": "nightly",
        "schedule": schedule,
        "run_task": {
            "taskDefinition": "web",
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        },
    }
    if zone is not None:
        job["time_zone"] = zone
    return Scenario.model_validate(
        {
            "name": "scheduled",
            "start": start,
            "duration": "48 h",
            "network": {"subnets": [{"SubnetId": s, "AvailabilityZone": z} for s, z in SUBNETS.items()]},
            "quotas": PLENTY,
            "assumptions": {**EXACT, "eventbridge_precision_s": 0, **more.pop("assumptions", {})},
            "taskDefinitions": [
                {
                    "family": "web",
                    "cpu": "256",
                    "memory": "512",
                    "networkMode": "awsvpc",
                    "requiresCompatibilities": ["FARGATE"],
                    "containerDefinitions": [{"name": "app", "image": "a"}],
                }
            ],
            "behaviour": {"web": {"run": "30 s"}},
            "jobs": [job],
            **more,
        }
    )


def ran(of: Scenario, until: str) -> tuple[Region, list[float | None]]:
    region = build(of)
    region.run(until=until)
    frame = region.finish().tasks.frame().sort_values("created_at")
    return region, [None if at != at else round((at - of.start).total_seconds(), 3) for at in frame["created_at"]]


def test_a_rate_begins_at_once_and_goes_on_at_its_distance() -> None:
    _, at = ran(scenario("rate(5 minutes)"), "16 min")
    assert at == [0, 300, 600, 900]


def test_a_cron_expression_follows_its_zone() -> None:
    _, at = ran(scenario("cron(30 9 * * ? *)", zone="Europe/Berlin"), "47 h")
    assert at == [8.5 * 3600, 32.5 * 3600], "Berlin is an hour ahead of UTC in January"


def test_a_night_in_which_the_clocks_leave_the_hour_out_has_no_call() -> None:
    _, at = ran(scenario("cron(30 2 * * ? *)", zone="Europe/Berlin", start="2026-03-28T12:00:00Z"), "47 h")
    assert at == [36.5 * 3600], "29 March has no 2:30; on 30 March it is 0:30 UTC"


def test_at_happens_once() -> None:
    _, at = ran(scenario("at(2026-01-05T03:00:00)"), "47 h")
    assert at == [3 * 3600]


def test_tasks_say_which_schedule_started_them() -> None:
    region, _ = ran(scenario("at(2026-01-05T00:01:00)"), "2 h")
    assert region.kit.recorder.tasks.frame()["started_by"].tolist() == ["chronos-schedule/nightly"]


def test_the_target_is_called_within_a_minute() -> None:
    _, at = ran(scenario("rate(5 minutes)", assumptions={"eventbridge_precision_s": 60}), "10 h")
    late = [a % 300 for a in at if a is not None]
    assert len(late) == 120
    assert 0 <= min(late) < 10
    assert 50 < max(late) < 60


def test_a_refused_call_is_made_again_and_tasks_without_a_place_are_not() -> None:
    busy = scenario("at(2026-01-05T00:01:00)")
    region = build(busy)
    region.run(until="59990 ms")
    run = busy.jobs[0].run_task.model_dump(by_alias=True, exclude_unset=True)
    assert all(region.ecs.run_task(**run, count=10)["tasks"] for _ in range(10)), (
        "which empties the account's launch bucket"
    )
    region.run(until="2 min")
    tasks = region.finish().tasks.frame()
    mine = tasks[tasks["started_by"] == "chronos-schedule/nightly"]
    assert [(at - busy.start).total_seconds() for at in mine["created_at"]] == [61], "refused at 60 s"
    small = scenario("at(2026-01-05T00:01:00)", quotas={"fargate_on_demand_vcpu": 0})
    region, at = ran(small, "2 h")
    assert at == []
    [event] = region.kit.recorder.events.frame().itertuples()
    assert (seconds(event.at), event.event_name) == (60, "API_ERROR")
    assert "1 tasks found no place: LIMIT:VCPU" in event.message


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"schedule": "rate(5 parsecs)"}, "rate"),
        ({"schedule": "cron(0 0 30 2 ? *)"}, "never fires"),
        ({"schedule": "every five minutes"}, "no schedule"),
        ({"schedule": "rate(5 minutes)", "time_zone": "Mars/Base"}, "no time zone"),
        ({"schedule": "rate(5 minutes)", "rate": {"constant": "1 /s"}}, "exactly one of rate, schedule"),
        ({"schedule": None}, "exactly one of rate, schedule"),
        ({"schedule": None, "rate": {"constant": "1 /s"}, "time_zone": "UTC"}, "time_zone is of schedule"),
    ],
)
def test_what_is_no_schedule_is_refused(job: dict[str, Any], words: str) -> None:
    good = scenario("rate(5 minutes)").model_dump(mode="json", by_alias=True)
    good["jobs"][0] |= job
    with pytest.raises(ValidationError, match=words):
        Scenario.model_validate(good)
