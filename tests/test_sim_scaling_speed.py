"""How fast a service follows its load: what AWS has measured, and the law against runaway.

AWS published two pairs of figures (What's New, 2026-06-18, Amazon ECS faster auto scaling): 363 s to the trigger and 386 s to provisioned
tasks with metrics of 60 s, 86 s and 109 s with metrics of 20 s. The first of each pair **calibrates** the publish lags (150 s and 15 s);
that both pairs are 23 s apart is a prediction of the model.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from scaling_helpers import decisions, service, track
from sim_helpers import PLENTY, SUBNETS, behind, network, register, seconds, target_group

from fargsim import Region

FINE = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
KINDS = {60: "ECSServiceAverageCPUUtilization", 20: "ECSServiceAverageCPUUtilizationHighResolution"}


def trigger_and_provision(
    period: int, phase_s: float, tasks: int, seed: int, before: float = 4.5, after: float = 8.5
) -> tuple[float, float]:
    """Seconds from a step of the load to the scale-out and to RUNNING of its last task, with the catalogue's own durations."""
    region = Region("us-east-1", seed=seed, subnets=SUBNETS, quotas=PLENTY, start=_start())
    # the sample image of ECS's own tutorials, compressed
    register(
        region,
        cpu=256,
        memory=512,
        behaviour={"image": {"size": "57 MiB"}, "request": {"cpu": "25 ms", "workers": 1, "queue": 4}},
    )
    target_group(region)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=tasks, launchType="FARGATE",
        networkConfiguration=network(), loadBalancers=behind(), monitoring=FINE,
    )  # fmt: skip
    region.registry.service("default", "web").settle()
    region.application_autoscaling.register_scalable_target(
        ResourceId="service/default/web", MinCapacity=1, MaxCapacity=200
    )
    track(region, KINDS[period], ScaleOutCooldown=0, DisableScaleIn=True)
    at_s = 1200 + phase_s
    steps = [{"at": "0 s", "rate": f"{before * tasks} /s"}, {"at": f"{at_s} s", "rate": f"{after * tasks} /s"}]
    region.send_traffic("web", {"steps": steps, "process": "regular"}, until="1 h")
    region.run(until=f"{at_s + 900} s")
    trigger = decisions(region)[0][0]
    assert trigger is not None
    running = max(t.started_at for t in region.registry.service("default", "web").tasks.values() if t.started_at)
    return trigger - at_s, running / 1e6 - at_s


def _start() -> Any:
    from sim_helpers import START

    return START


@pytest.mark.parametrize(("period", "published"), [(60, 363), (20, 86)])
def test_the_published_time_to_the_trigger_calibrates_the_lag(period: int, published: int) -> None:
    """Mean over the phases of the step: half a period, three periods and the lag, which was chosen so.

    The step is to 51 % of a target of 50 %, so that the period in which it falls does not breach: the published figures do not say.
    """
    phases = [period * (n + 0.5) / 4 for n in range(4)]
    # 25 ms of CPU on a quarter of a vCPU: ten requests a second are all it has
    found = [trigger_and_provision(period, phase, 2, 1, before=0.5, after=5.1)[0] for phase in phases]
    assert sum(found) / len(found) == pytest.approx(published, abs=5)


@pytest.mark.parametrize("period", [60, 20])
def test_from_trigger_to_provisioned_is_a_prediction(period: int) -> None:
    """AWS: 23 s in both cases, without the conditions. Reaction, placement, pull and start of the catalogue, fitted to none of it."""
    found = []
    for seed in range(6):
        trigger, running = trigger_and_provision(period, 7.0 * seed % period, 2, seed)
        found.append(running - trigger)
    mean = sum(found) / len(found)
    assert 18 <= mean <= 32, (
        found
    )  # 4 to 11 s reaction, 13 s (p95 22 s) to the pull, 2.3 s pull, 1 to 3 s start; the last of two tasks


@pytest.mark.parametrize("period", [60, 20])
@pytest.mark.parametrize("tasks", [1, 3, 8])
@pytest.mark.parametrize("phase_s", [0, 13, 37, 59])
def test_a_step_never_runs_away(period: int, tasks: int, phase_s: float) -> None:
    """Never beyond ceil(load / target) + 1, whatever the lag, the period, the size and the phase of the step."""
    load = 9.0 * tasks
    region = service({1: 4.5 * tasks, 20 + phase_s / 60: load}, tasks=tasks, high=500, monitoring=FINE)
    track(region, KINDS[period], ScaleOutCooldown=0)
    region.run(until="45 min")
    needed = math.ceil(load / 10 / 0.5)  # 100 ms of CPU a request, half of it used
    counts = [after for *_, after in decisions(region)]
    assert counts == sorted(counts)
    assert needed <= counts[-1] <= needed + 1
    assert seconds(region.kit.recorder.scaling.frame()["at"].iloc[0]) > 1200


@pytest.mark.parametrize("lag", [0, 60, 300])
def test_nor_with_another_lag(lag: int) -> None:
    region = service({1: 9.0, 20.4: 36.0}, tasks=2, high=500, assumptions={"metric_publish_lag_s": lag})
    track(region, ScaleOutCooldown=0)
    region.run(until="60 min")
    counts = [after for *_, after in decisions(region)]
    # two tasks of one core show 100 % at most: 4 at first, then as far as saturation shows; 36 /s at 50 % are 7.2 tasks
    assert counts[0] == 4
    assert counts[-1] in (8, 9)
    assert counts == sorted(counts)


@pytest.mark.parametrize("boot", ["0 s", "100 s", "4 min"])
def test_nor_by_requests_per_target_while_tasks_are_not_healthy_yet(boot: str) -> None:
    """What boots gets no request: the load is divided among the healthy targets, and only they may be multiplied by it."""
    region = service({1: 9.0, 20.4: 36.0}, tasks=2, high=500, cpu="10 ms", boot=boot, healthCheckGracePeriodSeconds=600)
    track(region, "ALBRequestCountPerTarget", 300, ScaleOutCooldown=0)
    region.run(until="45 min")
    # 36 /s are 2,160 a minute: 7.2 targets of 300
    counts = [after for *_, after in decisions(region)]
    assert counts in ([8], [9])
    [row] = region.kit.recorder.scaling.frame().itertuples()
    assert row.running_mean == pytest.approx(2)
