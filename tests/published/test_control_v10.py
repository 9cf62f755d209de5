"""Published target V10: how many healthy tasks the early success criteria ask for.

Source: Amazon ECS Developer Guide, early-success-criteria.html.
"""

from __future__ import annotations

import pytest
from deployment_helpers import said, updated
from sim_helpers import seconds

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


@pytest.mark.parametrize(("desired", "percent", "required"), PUBLISHED)
def test_v10_a_service_is_deployed_when_so_many_are_healthy(desired: int, percent: int, required: int) -> None:
    # as many stop at once as the lower bound lets: what comes in their places makes the required number up in one turn or several
    low = 50 if percent == 100 else percent
    early = {"enable": True, "healthyPercent": percent, "sourceServiceRevisionCleanup": "DEFERRED"}
    region = updated(
        {"minimumHealthyPercent": low, "maximumPercent": 100, "earlySuccessCriteria": early}, desired=desired
    )
    region.run(until="2 h")
    [done] = [at for at, text in said(region) if "deployment completed" in text]
    tasks = region.finish().tasks.frame()
    healthy = [seconds(at) for at in tasks[tasks.revision == 2].healthy_at]
    assert len(healthy) == desired
    assert sum(at <= done for at in healthy) == required
    assert max(at for at in healthy if at <= done) == done
