"""Jobs: RunTask calls that arrive at a rate; each is a task that runs to its end and is not started again."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import PLENTY, network
from test_cost_runs import definition, fleet, scenario

from fargsim.model.scenario import Scenario
from fargsim.sim.build import build

RUN: dict[str, Any] = {"taskDefinition": "batch", "launchType": "FARGATE", "networkConfiguration": network()}


def world(rate: str = "12 /h", run: Any = "90 s", call: dict[str, Any] = RUN, **more: Any) -> Scenario:
    parts: dict[str, Any] = {
        "duration": "1 h",
        "taskDefinitions": [
            definition("batch", fargate=call.get("launchType") == "FARGATE" or "capacityProviderStrategy" in call)
        ],
        "behaviour": {"batch": {"run": run, "exit_code": 3}},
        "jobs": [{"name": "batch", "rate": {"constant": rate, "process": "regular"}, "run_task": call}],
        **more,
    }
    return scenario(**parts)


def tasks(made: Scenario, until: str = "1 h") -> Any:
    region = build(made)
    region.run(until)
    frame = region.finish().tasks.frame().sort_values("created_at").reset_index(drop=True)
    return frame.assign(at=[(t - made.start).total_seconds() for t in frame["created_at"]])


def test_a_job_is_a_task_that_runs_to_its_end() -> None:
    found = tasks(world())
    # one every five minutes, and none is started a second time
    assert found["at"].tolist() == pytest.approx([300.0 * n for n in range(1, 12)])
    ended = found[found["stopped_at"].notna()]
    assert len(ended) == 11
    ran = (ended["execution_stopped_at"] - ended["started_at"]).dt.total_seconds()
    # and a second in which it stops
    assert ran.tolist() == pytest.approx([91.0] * 11)
    assert set(ended["stop_code"]) == {"EssentialContainerExited"}
    assert set(ended["exit_code"]) == {3}
    assert set(found["group"]) == {"family:batch"}
    assert found["service"].isna().all()


@pytest.mark.parametrize("run_s", [20, 1200])
def test_a_call_that_is_refused_is_made_again_ever_later(run_s: int) -> None:
    """The quota holds one task of half a vCPU; of two calls at once the second one waits, twice as long each time, up to 5 minutes."""
    call = {**RUN}
    two = [{"name": name, "rate": {"instants": ["10 s"]}, "run_task": call} for name in ("one", "two")]
    found = tasks(world(jobs=two, run=f"{run_s} s", quotas={**PLENTY, "fargate_on_demand_vcpu": 0.5}))
    first, second = found["at"]
    waits = [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    tries = [10 + sum(waits[:n]) for n in range(12)]
    freed = (found["stopped_at"].iloc[0] - found["created_at"].iloc[0]).total_seconds() + 10
    assert first == 10
    assert second == next(at for at in tries if at >= freed)


def test_of_a_call_for_several_only_those_without_a_place_are_asked_for_again() -> None:
    call = {"taskDefinition": "batch", "launchType": "EC2", "count": 3}
    job = [{"name": "batch", "rate": {"instants": ["1 min"]}, "run_task": call}]
    # 2 vCPU and 4 GB: room for three tasks of half a vCPU and 1 GB, one of which a task of before holds until it ends
    more = {"jobs": [*job, {"name": "before", "rate": {"instants": ["30 s"]}, "run_task": {**call, "count": 1}}]}
    found = tasks(world(call=call, run="3 min", **more, **fleet("c5.large", 1, registered_at_start=True)))
    assert len(found) == 4
    assert found["at"].tolist()[:3] == [30.0, 60.0, 60.0]
    assert found["at"].iloc[3] >= found["stopped_at"].iloc[0].timestamp() - world().start.timestamp()
    assert found["started_at"].notna().all()


def test_a_job_that_fargate_spot_takes_back_is_gone() -> None:
    spot = {**RUN, "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
    del spot["launchType"]
    job = [{"name": "batch", "rate": {"instants": ["1 min"]}, "run_task": spot}]
    storm = [{"at": "10 min", "fault": {"fargate_spot_reclaim": {}}}]
    found = tasks(world(jobs=job, call=spot, run="30 min", timeline=storm))
    assert found["stop_code"].tolist() == ["SpotInterruption"]
    assert found["capacity_provider"].tolist() == ["FARGATE_SPOT"]


def test_arrivals_follow_the_rate_and_run_times_their_distribution() -> None:
    """400 an hour for three hours, of a mean of 60 s and the second in which they stop, within 4 standard errors."""
    made = world("400 /h", {"exponential": {"mean": "60 s"}}, duration="3 h", seed=11)
    made = Scenario.model_validate(
        made.model_dump(mode="json", by_alias=True)
        | {"jobs": [{"name": "batch", "rate": {"constant": "400 /h"}, "run_task": RUN}]}
    )
    found = tasks(made, "3 h")
    assert len(found) == pytest.approx(1200, abs=4 * 1200**0.5)
    ran = (found["execution_stopped_at"] - found["started_at"]).dt.total_seconds().dropna()
    assert ran.mean() == pytest.approx(61, abs=4 * 60 / len(ran) ** 0.5)
