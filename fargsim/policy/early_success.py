"""When a rolling deployment counts as done: at full size, or earlier by the early success criteria.

Source: Amazon ECS Developer Guide, early-success-criteria.html, deployment-alarm-failure.html; Amazon ECS API Reference,
API_DeploymentEarlySuccessCriteria.html.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from fargsim.policy.deployment import ServiceView, Step

Progress = Literal["under way", "baking", "cleaning", "done"]


@dataclass(frozen=True, slots=True)
class EarlySuccess:
    """Early success criteria.

    Parameters
    ----------
    healthy_percent
        Share of the desired count that must be healthy.
    deferred
        Whether the deployment is done before the tasks of the source revisions have gone.
    """

    healthy_percent: int
    deferred: bool = False


def required_healthy(desired: int, healthy_percent: int) -> int:
    """Return how many tasks of the target revision must be healthy: rounded up, and one at least.

    >>> [required_healthy(d, p) for d, p in ((2, 50), (3, 50), (10, 80), (100, 90), (10, 100), (10, 0))]
    [1, 2, 8, 90, 10, 1]
    """
    return max(min(1, desired), math.ceil(Fraction(desired * healthy_percent, 100)))


def progress(view: ServiceView, step: Step, early: EarlySuccess | None, baked: bool | None) -> Progress:
    """Say how far the newest deployment has come.

    Without criteria it bakes when it is at its full size and no task of a source revision is left. With criteria it bakes when enough
    tasks are healthy; then it waits for the source revisions (``BLOCKING``) or not (``DEFERRED``).

    Parameters
    ----------
    step
        What was decided on the view.
    baked
        None before the bake time has begun, then whether it is over. Once begun it goes on.

    Examples
    --------
    >>> from fargsim.policy.deployment import RevisionView, bounds, rolling_step
    >>> view = ServiceView(4, bounds(4, 50, 200), (RevisionView("new", 4, pending=2, healthy=2), RevisionView("old", 2, healthy=2)))
    >>> step = rolling_step(view)
    >>> [progress(view, step, early, True) for early in (None, EarlySuccess(50), EarlySuccess(50, deferred=True))]
    ['under way', 'cleaning', 'done']
    """
    source_left = sum(r.alive + r.stopping for r in view.revisions[1:])
    if early is None:
        if not step.complete:
            return "under way"
        return "done" if baked else "baking"
    reached = view.revisions[0].healthy >= required_healthy(view.desired, early.healthy_percent)
    if baked is None and not reached:
        return "under way"
    if not baked:
        return "baking"
    return "cleaning" if source_left and not early.deferred else "done"
