"""Published target V10: how many healthy tasks the early success criteria ask for.

Source: Amazon ECS Developer Guide, early-success-criteria.html.
"""

from __future__ import annotations

import pytest

from fargsim.policy.deployment import RevisionView, ServiceView, bounds, rolling_step
from fargsim.policy.early_success import EarlySuccess, progress, required_healthy

PUBLISHED = [(2, 50, 1), (3, 50, 2), (10, 80, 8), (100, 90, 90), (10, 100, 10)]


@pytest.mark.parametrize(("desired", "percent", "required"), PUBLISHED)
def test_v10_required_healthy_tasks(desired: int, percent: int, required: int) -> None:
    assert required_healthy(desired, percent) == required


@pytest.mark.parametrize(("desired", "percent", "required"), PUBLISHED)
@pytest.mark.parametrize("healthy_more", [-1, 0])
def test_v10_the_deployment_is_done_with_that_many(
    desired: int, percent: int, required: int, healthy_more: int
) -> None:
    healthy = required + healthy_more
    new = RevisionView("new", desired, pending=desired - healthy, healthy=healthy)
    view = ServiceView(desired, bounds(desired, percent, 200), (new, RevisionView("old", desired, healthy=desired)))
    early = EarlySuccess(percent, deferred=True)
    baked = True if progress(view, rolling_step(view), early, None) == "baking" else None
    done = progress(view, rolling_step(view), early, baked)
    assert done == ("done" if healthy_more == 0 else "under way")
