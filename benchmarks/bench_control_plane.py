"""RunTask tasks over EC2 instances: AZ spread, then binpack on memory. Prints one JSON object.

usage: python benchmarks/bench_control_plane.py [TASKS] [INSTANCES]
"""

from __future__ import annotations

import json
import resource
import sys
import time

from fargsim.sim.region import Region

SPREAD_THEN_BINPACK = [
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "binpack", "field": "memory"},
]
TASKS_PER_S = 100


def measure(tasks: int, instances: int) -> dict[str, float]:
    """Place `tasks` standalone tasks at 100 a second; each runs ten minutes on average."""
    region = Region(seed=1, quotas={"instances_per_cluster": instances})
    region.behave("job", {"run": {"exponential": {"mean": "10 min"}}})
    region.ecs.register_task_definition(
        family="job",
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        cpu="512",
        memory="900",
        containerDefinitions=[{"name": "job", "image": "job:1"}],
    )
    region.autoscaling.create_launch_template(LaunchTemplateName="m5", LaunchTemplateData={"InstanceType": "m5.xlarge"})
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=instances,
        MaxSize=instances,
        LaunchTemplate={"LaunchTemplateName": "m5"},
        registered_at_start=True,
    )
    asked = {"taskDefinition": "job", "count": 10, "launchType": "EC2", "placementStrategy": SPREAD_THEN_BINPACK}
    calls = tasks // 10
    step_us = 10 * 1_000_000 // TASKS_PER_S
    failed = 0

    def submit() -> None:
        nonlocal failed
        failed += len(region.ecs.run_task(**asked)["failures"])

    for call in range(calls):
        region.kit.at(call * step_us, submit)
    started = time.perf_counter()
    region.run(calls * step_us + 3_600_000_000)
    seconds = time.perf_counter() - started
    return {
        "tasks": tasks,
        "instances": instances,
        "failed": failed,
        "us_per_task": 1e6 * seconds / tasks,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


if __name__ == "__main__":
    wanted = [int(a) for a in sys.argv[1:3]] or [10_000, 10_000]
    sys.stdout.write(json.dumps(measure(*wanted)) + "\n")
