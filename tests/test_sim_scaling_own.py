"""Scaling by a function of the user's own, through the simulation."""

from __future__ import annotations

from typing import Any

import pytest
from scaling_helpers import WEB, decisions, service, track
from sim_helpers import exact_region, network, register

from fargsim.policy.user_policy import UserPolicy, UserView


def test_a_function_decides() -> None:
    region = service({1: 9.6, 20: 19.2}, high=7)
    track(region, target=10)
    views: list[UserView] = []

    def policy(view: UserView, memory: int | None) -> tuple[int | None, int, str]:
        views.append(view)
        if view.cpu_utilization is not None and view.cpu_utilization > 90:
            return view.desired + 10, (memory or 0) + 1, f"busy for the {(memory or 0) + 1}th time"
        return None, memory or 0, ""

    region.application_autoscaling.use("web", policy)
    region.run(until="26 min")
    # it takes the place of the tracking policy; 12 is beyond the maximum of 7
    assert decisions(region) == [(1410, "policies", 2, 7)]
    assert region.kit.recorder.scaling.frame().reason[0] == "busy for the 1th time"
    assert [v.at_us for v in views] == [60_000_000 * n + 150_000_000 for n in range(1, 24)]
    busy = views[20]
    assert (busy.data_end_us, busy.desired, busy.running, busy.minimum, busy.maximum) == (1260 * 10**6, 2, 2, 1, 7)
    assert busy.cpu_utilization == pytest.approx(96, abs=0.1)
    assert busy.request_count_per_target == pytest.approx(576, abs=2)
    assert busy.request_count == pytest.approx(2 * busy.request_count_per_target)
    assert busy.messages_visible is None


def test_a_function_is_asked_once_a_minute_from_now_on_and_no_more_when_its_target_is_gone() -> None:
    region = service({1: 9.6})
    asked: list[tuple[str, int]] = []

    def named(name: str) -> UserPolicy:
        def policy(view: UserView, memory: None) -> tuple[int | None, None, str]:
            asked.append((name, view.at_us // 1_000_000))
            return None, None, ""

        return policy

    region.run(until="10 min")
    region.application_autoscaling.use("web", named("first"))
    region.run(until="12 min")
    region.application_autoscaling.use("web", named("second"))
    region.run(until="14 min")
    region.application_autoscaling.deregister_scalable_target(ResourceId=WEB)
    region.run(until="20 min")
    # at 30 s past a minute, as metrics of AWS/ECS are seen 150 s late
    assert asked == [("first", 630), ("first", 690), ("second", 750), ("second", 810)]


def test_a_function_sees_the_queue_of_its_workers() -> None:
    region = exact_region()
    region.sqs.create_queue(QueueName="jobs")
    register(region, behaviour={"message": {"queue": "jobs", "cpu": "10 s"}})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.send_messages("jobs", {"steps": [{"at": "0 s", "rate": "1 /s"}], "process": "regular"}, until="1 h")
    seen: list[UserView] = []

    def backlog(view: UserView, memory: None) -> tuple[int | None, None, str]:
        seen.append(view)
        return None if view.messages_visible is None else -int(-view.messages_visible // 100), None, "100 a task"

    region.application_autoscaling.use("web", backlog)
    region.run(until="8 min")
    told = [v.messages_visible for v in seen]
    # one task works off six a minute, and begins at 20 s; what it has in hand is not visible
    assert told[0] == pytest.approx(60 - 4, abs=2)
    assert told[1] == pytest.approx(told[0] + 54, abs=2)
    assert [after for *_, after in decisions(region)][:2] == [2, 3]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((2.5, None, ""), r"returns a whole number of tasks or None, not 2\.5"),
        ((True, None, ""), "returns a whole number of tasks or None, not True"),
        (None, r"returns \(desired count or None, what to remember, why\), not None"),
        (5, r"returns \(desired count or None, what to remember, why\), not 5"),
        ((5, None, 3), "says why in words, not 3"),
    ],
)
def test_a_function_that_returns_something_else_is_told_so(answer: Any, message: str) -> None:
    region = service({1: 1})
    region.application_autoscaling.use("web", lambda view, memory: answer)
    with pytest.raises(TypeError, match=message):
        region.run(until="5 min")
