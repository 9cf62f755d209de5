"""The ways in which a revision can be bad, and what users see of each under a rolling update and under a canary.

Sources: Amazon ECS Developer Guide, deployment-circuit-breaker.html (what counts), canary-deployment.html.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import pytest
from deployment_helpers import history, revisions_alive, said
from shift_helpers import shifting

GOOD: dict[str, Any] = {"request": {"cpu": "10 ms"}}
CRASHES: dict[str, Any] = {**GOOD, "boot": "5 s", "boot_exit_code": 1}
NEVER_HEALTHY: dict[str, Any] = {**GOOD, "health": {"fails_after": "0 s"}}
SLOW: dict[str, Any] = {"request": {"cpu": "900 ms"}}
LEAKS: dict[str, Any] = {
    "memory": "1 GB",
    "memory_leak_per_hour": "40 GB",
    "request": {"cpu": "10 ms", "wait": "2 s"},
}
FAILS: dict[str, Any] = {"request": {"cpu": "10 ms", "error_rate": "30 %"}}

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True, "resetOnHealthyTask": False}}
CANARY = {
    "strategy": "CANARY",
    "canaryConfiguration": {"canaryPercent": 10, "canaryBakeTimeInMinutes": 60},
    "bakeTimeInMinutes": 5,
}
ONE_GROUP = [{"targetGroupArn": "blue", "containerName": "app", "containerPort": 80}]
RATE, END = 20, 1200


class Outcome(NamedTuple):
    """What became of a deployment, and of the requests from its begin at 200 s to 1,200 s."""

    status: str
    alive: dict[int, int]
    ends: pd.Series
    tasks: pd.DataFrame
    said: list[str]

    @property
    def errors(self) -> int:
        """Requests that users got no good answer to."""
        return int(self.ends.sum() - self.ends.requests_served)


def outcome(bad: dict[str, Any], configuration: dict[str, Any]) -> Outcome:
    more = {} if "strategy" in configuration else {"loadBalancers": ONE_GROUP}
    region = shifting(configuration, desired=4, good=GOOD, bad={"behaviour": bad}, **more)
    region.send_traffic("web", {"constant": f"{RATE} /s"}, until=f"{END} s")
    region.run(until=f"{END} s")
    status, alive, texts = history(region)[1][0], revisions_alive(region), [text for _, text in said(region)]
    recorder = region.finish()
    kinds = ["served", "failed", "refused_503", "no_target_503", "cut_502", "timeout_504"]
    ends = recorder.services.frame()[[f"requests_{kind}" for kind in kinds]].sum()
    tasks = recorder.tasks.frame()
    return Outcome(status, alive, ends, tasks[tasks.revision == 2], texts)


@pytest.mark.parametrize(
    ("configuration", "again"), [(BREAKER, 28), (CANARY, 25)], ids=["rolling with breaker", "canary"]
)
def test_one_that_crashes_at_boot_serves_nobody_and_never_opens_the_breaker(
    configuration: dict[str, Any], again: int
) -> None:
    found = outcome(CRASHES, configuration)
    assert found.errors == 0
    assert found.alive[1] == 4
    stopped = found.tasks[found.tasks.stop_code.notna()]
    # RUNNING 15 s after its start, a crash 5 s later. It is noticed 5 s after that, and its place in a rolling update, where eight are all
    # that may be, is free when the task is gone, 8 s after the crash
    assert len(stopped) == 4 * ((END - 205 - 20) // again + 1)
    assert set(stopped.stop_code) == {"EssentialContainerExited"}
    assert found.tasks.healthy_at.isna().all()
    # it has reached RUNNING: neither the breaker nor the launch throttle counts it
    assert found.status == "IN_PROGRESS"
    assert not [text for text in found.said if "unable to consistently" in text]


def test_one_that_is_never_healthy_is_stopped_by_the_breaker_before_anybody_notices() -> None:
    found = outcome(NEVER_HEALTHY, BREAKER)
    assert (found.status, found.alive, found.errors) == ("ROLLBACK_SUCCESSFUL", {1: 4}, 0)
    found = outcome(NEVER_HEALTHY, {})
    assert (found.status, found.alive, found.errors) == ("IN_PROGRESS", {1: 4, 2: 4}, 0)


def test_one_that_is_slow_drowns_a_rolling_service_and_not_a_canary() -> None:
    # 20 requests a second of 0.9 s are the work of 18 cores: four cannot do it, two of them are enough for a tenth
    rolling, canary = outcome(SLOW, {}), outcome(SLOW, CANARY)
    assert rolling.ends.requests_timeout_504 > 0.8 * RATE * (END - 240)
    assert canary.errors == 0
    assert rolling.status == "SUCCESSFUL"


def test_one_that_leaks_is_killed_again_and_again() -> None:
    rolling, canary = outcome(LEAKS, {}), outcome(LEAKS, CANARY)
    for found in (rolling, canary):
        stopped = found.tasks[found.tasks.stop_code.notna()]
        assert set(stopped.exit_code) == {137}
    assert rolling.ends.requests_cut_502 > 5 * canary.ends.requests_cut_502 > 0
    assert rolling.errors > 5 * canary.errors


def test_one_that_fails_requests_fails_its_share_of_its_share() -> None:
    rolling, canary = outcome(FAILS, {}), outcome(FAILS, CANARY)
    for found, share in ((rolling, 1.0), (canary, 0.1)):
        healthy = found.tasks.healthy_at.max()
        from_then_on = END - (healthy - pd.Timestamp("2026-01-05", tz=healthy.tz)).total_seconds()
        expected = RATE * from_then_on * share * 0.3
        assert found.ends.requests_failed == pytest.approx(expected, abs=4 * expected**0.5 + RATE)
        assert found.errors == found.ends.requests_failed
