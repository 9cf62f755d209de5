"""Tasks that follow a trace of CPU and memory: their metrics, the load that is shared, scaling on it, the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_examples import changed, faults, place
from scaling_helpers import track
from sim_helpers import exact_region, fleet, network, register

import fargsim
from fargsim import Region
from fargsim.model.utilization import PercentTrace
from fargsim.sim.utilization_work import Steps

TASK = "request: {cpu: {lognormal: {mean: 40 ms, p99: 250 ms}}, wait: {exponential: {mean: 15 ms}}, workers: 32}"


def steps(**percent: float) -> dict[str, Any]:
    """`m5=40`: 40 % from minute 5 on."""
    return {"steps": [{"at": f"{key[1:]} min", "percent": value} for key, value in percent.items()]}


def region_of(count: int, **utilization: Any) -> Region:
    region = exact_region()
    register(region, behaviour={"utilization": utilization})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=count, launchType="FARGATE", networkConfiguration=network()
    )  # fmt: skip
    return region


def table(region: Region) -> Any:
    return region.kit.recorder.services.frame()


def test_every_task_uses_what_the_trace_says() -> None:
    region = region_of(3, cpu=steps(m2=40, m5=90), memory=steps(m0=25, m7=50))
    region.run("10 min")
    rows = table(region)
    assert rows["cpu_utilization"].tolist()[1:] == pytest.approx([0, 40, 40, 40, 90, 90, 90, 90, 90])
    assert rows["memory_utilization"].tolist()[1:] == pytest.approx([25] * 6 + [50] * 3)
    assert rows["cpu_utilization_max"].tolist()[5] == pytest.approx(90)
    cpu = region.finish().tasks.frame()["cpu_core_s"].tolist()
    assert cpu == pytest.approx([0.4 * 180 + 0.9 * 300] * 3)


def test_a_shared_load_is_divided_among_the_tasks_that_run_and_no_task_uses_more_than_it_has() -> None:
    region = region_of(2, cpu=steps(m0=30), tasks=4)
    region.run("3 min")
    region.ecs.update_service(service="web", desiredCount=6)
    region.run("6 min")
    region.ecs.update_service(service="web", desiredCount=1)
    region.run("9 min")
    cpu = table(region)["cpu_utilization"].tolist()
    assert cpu[1:3] == pytest.approx([60, 60])
    assert cpu[4:6] == pytest.approx([20, 20])
    assert cpu[7:] == pytest.approx([100, 100]), "120 % of one task: what is too much is not made up for"


def test_target_tracking_follows_it() -> None:
    region = region_of(2, cpu=steps(m0=40, m10=80, m60=10), tasks=2)
    region.application_autoscaling.register_scalable_target(
        ResourceId="service/default/web", MinCapacity=1, MaxCapacity=20
    )
    track(region, target=50)
    region.run("55 min")
    assert table(region)["running"].iloc[-1] == 4, "160 % over 50 % a task, rounded up"
    assert table(region)["cpu_utilization"].iloc[-1] == pytest.approx(40)
    region.run("3 h")
    assert table(region)["running"].iloc[-1] == 1


def test_tasks_of_run_task_and_cpu_credits_follow_it_too() -> None:
    region = exact_region(assumptions={"cpu_credit_share_at_start": 0.5})
    fleet(region, 1, "t3.small")
    register(region, cpu=2048, memory=256, fargate=False, behaviour={"utilization": {"cpu": steps(m0=60)}})
    region.ecs.run_task(taskDefinition="web", launchType="EC2")
    region.run("2 h")
    used = region.kit.recorder.cpu_credits.frame()["used_credits"]
    assert used.iloc[10] == pytest.approx(1.2)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 250)), min_size=1, unique_by=lambda s: s[0]), st.data())
def test_the_integral_of_a_span_is_that_of_its_parts(points: list[tuple[int, int]], data: Any) -> None:
    trace = PercentTrace.model_validate({"steps": [{"at": f"{a} us", "percent": p} for a, p in sorted(points)]})
    level = Steps(trace)
    a, b, c = sorted(data.draw(st.lists(st.integers(0, 80), min_size=3, max_size=3)))
    parts = level.integral(a, b, 0.7, 1.0) + level.integral(b, c, 0.7, 1.0)
    assert level.integral(a, c, 0.7, 1.0) == pytest.approx(parts)
    at = dict(sorted(points))
    naive, now = 0.0, 0.0
    for t in range(c):
        now = at.get(t, now)
        naive += min(now / 100 * 0.7, 1.0) if t >= a else 0.0
    assert level.integral(a, c, 0.7, 1.0) == pytest.approx(naive)


def test_a_trace_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "cpu.csv").write_text("timestamp,value\n2026-03-02T00:00:00Z,20\n2026-03-02T00:05:00Z,70.5\n")
    text = changed(TASK, "utilization: {cpu: {trace: {file: cpu.csv}}, tasks: 4}")
    text = changed("traffic:\n  - {to: web, rate: {constant: 100 /s}}\n", "", text)
    scenario = fargsim.load(place(tmp_path, text))
    does = scenario.behaviour["web"].utilization
    assert does is not None
    assert [(s.at // 60_000_000, s.percent) for s in does.cpu.steps or ()] == [(0, 20), (5, 70.5), (10, 0)]
    again = type(scenario).model_validate_json(scenario.model_dump_json(by_alias=True))
    assert again == scenario


@pytest.mark.parametrize(
    ("written", "path", "words"),
    [
        ("{cpu: {trace: {file: none.csv}}}", "behaviour.web.utilization.cpu.trace.file", "none.csv"),
        ("{cpu: {}}", "behaviour.web.utilization.cpu", "exactly one of steps, trace"),
        (
            "{cpu: {steps: [{at: 1 s, percent: 3}, {at: 1 s, percent: 4}]}}",
            "behaviour.web.utilization.cpu.steps[1].at",
            "must increase",
        ),
        ("{cpu: {steps: [{at: 1 s, percent: -3}]}}", "behaviour.web.utilization.cpu.steps[0].percent", "0"),
        ("{cpu: {steps: [{at: 1 s, percent: 3}]}, tasks: 0}", "behaviour.web.utilization.tasks", "0"),
    ],
)
def test_faults_have_their_path(written: str, path: str, words: str, tmp_path: Path) -> None:
    text = changed(TASK, f"utilization: {written}")
    text = changed("traffic:\n  - {to: web, rate: {constant: 100 /s}}\n", "", text)
    found = faults(place(tmp_path, text, name="s.yaml"))
    assert any(f[3] == path and words in f[4] for f in found), found
