"""2022, ECS on EC2 behind a capacity provider: a prediction, minute by minute.

The conditions are published (https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/ and its code), the rules are Amazon's
(Amazon ECS Developer Guide, managed-scaling-behavior.html and cluster-auto-scaling.html), the measured curve is not at hand. How soon a
service that was refused by the limit of tasks in PROVISIONING tries again is not published; three values are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fargsim.report.verify_facts import Curve, Experiment, Figure, Minute, Panel, Role
from fargsim.study.verify_experiments import Tell, figure
from fargsim.study.verify_series import Floats, Run, run

NAME = "ec2-2022"
RETRIES_S = (5, 10, 60)
LEVELS = (1000, 2000, 3000, 3500)
ROLES: Mapping[int, Role] = {5: "other", 10: "calibrated", 60: "uncalibrated"}
"""How the lines of each retry look; nothing here is calibrated."""
REPLICATIONS = 3


def ec2_2022(folder: Path, tell: Tell) -> Experiment:
    """ECS on EC2 in April 2022: 5 services of 700 tasks on c6g.4xlarge Spot instances."""
    minutes: dict[int, tuple[Minute, ...]] = {}
    figures: list[Figure] = []
    for retry in RETRIES_S:
        tell(f"2022, ECS on EC2, provisioning_retry_s {retry}")
        runs = [run(folder, NAME, f"retry-{retry}s", n) for n in range(REPLICATIONS)]
        minutes[retry] = minute_by_minute(runs[0])
        started = [one.started() for one in runs]
        for level in LEVELS:
            times = [s.reaches(level) for s in started]
            figures.append(
                figure(f"{level:,} started, retry after {retry} s", "s", None, (times, []), "predicted", None)
            )
        launched = [float(len(one.seconds("instances", "launched_at"))) for one in runs]
        words = f"instances launched, retry after {retry} s"
        figures.append(figure(words, "instances", None, (launched, []), "predicted", None))
    return Experiment(
        NAME,
        "2022: ECS on EC2 behind a capacity provider (prediction)",
        (
            "us-east-1, c6g.4xlarge Spot, 1 to 250 instances; managed scaling to 95 %, warm-up 1 s; awsvpc with trunking, 15 tasks each.",
            "250 launches a minute and service; at most 300 tasks of the cluster in PROVISIONING.",
            "No published curve: every number and every line is a prediction, and none of them has a verdict. Nothing is calibrated.",
            f"Mean of {REPLICATIONS} replications, which differ in when instances register; picture and minutes are those of the first.",
        ),
        tuple(figures),
        _panels(minutes),
        tuple((f"provisioning_retry_s = {retry}", table) for retry, table in minutes.items()),
        notes=(
            "How to read it: the first instance takes 15 tasks; 300 wait, which is the limit, and ECS refuses the services more. At the "
            "end of the minute the metric asks for 20 instances more; over a target of 95 % that makes 23. They launch in 23 s and "
            "register about a minute later, so that the next metric sees them booting and asks only for the 5 % of head-room. Once they "
            "register, the waiting tasks are placed, the services fill the line again and the next metric asks again: about 300 tasks "
            "for every two minutes.",
            "Tried again after 60 s, the services fill the line up to a minute after it has emptied: at the end of some minutes the metric "
            "finds few tasks waiting and asks for little, and the whole takes about six minutes longer. Between 5 and 10 s there is hardly "
            "a difference: either way the line is full again when the metric is computed.",
            "What holds it back is the limit of 300 tasks in PROVISIONING together with the time from launch to registration "
            "(running_to_registered_s, an assumption), not the rate of launches.",
        ),
    )


def minute_by_minute(one: Run) -> tuple[Minute, ...]:
    """Return what a planner would read off the console at the end of every minute."""
    clusters = one.tables["clusters"]
    scaling = one.tables["scaling"]
    ends = np.arange(1, len(clusters) + 1, dtype=np.float64) * 60
    waiting = _waiting(one, ends)
    at = one.seconds("scaling", "at")
    whole = {name: clusters[name].to_numpy() for name in ("running_tasks", "container_instances")}
    metric = clusters["capacity_provider_reservation"].to_numpy(dtype=np.float64, na_value=np.nan)
    requested = one.scenario.auto_scaling_groups[0].min_size
    found = []
    for n, end in enumerate(ends):
        changes = np.flatnonzero((at > end - 60) & (at <= end))
        if len(changes):
            requested = int(scaling["desired_after"].iloc[int(changes[-1])])
        found.append(
            Minute(
                n + 1,
                int(whole["running_tasks"][n]),
                int(waiting[n]),
                None if np.isnan(metric[n]) else float(metric[n]),
                requested,
                int(whole["container_instances"][n]),
                str(scaling["reason"].iloc[int(changes[-1])]) if len(changes) else "",
            )
        )
    return tuple(found)


def _waiting(one: Run, ends: Floats) -> npt.NDArray[np.int64]:
    """Return how many tasks wait for an instance at some instants: created, and neither placed nor stopped."""
    created = one.seconds("tasks", "created_at")
    placed = one.tables["placements"].query("outcome == 'placed'").drop_duplicates("task_id", keep="first")
    gone = one.tables["tasks"].query("instance_id.isna() and stopping_at.notna()")
    left = np.sort(
        np.concatenate(
            [
                Run(one.scenario, {"t": placed}).seconds("t", "at"),
                Run(one.scenario, {"t": gone}).seconds("t", "stopping_at"),
            ]
        )
    )
    return np.asarray(np.searchsorted(created, ends, "right") - np.searchsorted(left, ends, "right"), dtype=np.int64)


def _panels(minutes: Mapping[int, tuple[Minute, ...]]) -> tuple[Panel, ...]:
    shown: dict[str, tuple[str, Callable[[Minute], float | None]]] = {
        "Tasks in RUNNING": ("tasks", lambda m: m.running),
        "Tasks that wait in PROVISIONING": ("tasks", lambda m: m.waiting),
        "CapacityProviderReservation": ("%", lambda m: m.metric),
    }
    panels = []
    for title, (unit, of) in shown.items():
        lines = []
        for retry, table in minutes.items():
            points = [(float(m.minute), float(y)) for m in table if (y := of(m)) is not None]
            lines.append(_line(f"retry after {retry} s", ROLES[retry], points))
        panels.append(Panel(title, "minute", unit, tuple(lines), log=unit == "%"))
    for retry, table in minutes.items():
        requested = _line("requested", "other", [(float(m.minute), float(m.requested)) for m in table])
        registered = _line("registered", "calibrated", [(float(m.minute), float(m.registered)) for m in table])
        panels.append(Panel(f"Instances, retry after {retry} s", "minute", "instances", (requested, registered)))
    return tuple(panels)


def _line(label: str, role: Role, points: list[tuple[float, float]]) -> Curve:
    return Curve(label, role, tuple(x for x, _ in points), tuple(y for _, y in points))
