"""The rules of containers: the computed health against check by check, the order of start and stop against their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.containers import (
    Health,
    Seen,
    Trouble,
    crossing_us,
    dependents_of,
    health_changes,
    may_start,
    restarts,
    task_health,
    usable_storage_bytes,
)


def check_by_check(
    started: int,
    ready: int,
    until: int,
    *,
    interval_us: int,
    timeout_us: int,
    retries: int,
    start_period_us: int,
    trouble: Trouble | None,
) -> list[tuple[int, Health]]:
    """The slow twin: every check, as Docker makes them."""
    changes: list[tuple[int, Health]] = []
    status: Health = "UNKNOWN"
    streak, at = 0, started + interval_us
    while at <= until:
        broken = trouble is not None and trouble.from_us <= at and (trouble.until_us is None or at < trouble.until_us)
        done = at + (timeout_us if broken and trouble is not None and trouble.hangs else 0)
        if at >= ready and not broken:
            streak, new = 0, "HEALTHY"
        else:
            new = status
            if status != "UNKNOWN" or at - started >= start_period_us:
                streak += 1
                if streak >= retries:
                    new = "UNHEALTHY"
        if new != status:
            status = new  # type: ignore[assignment]
            changes.append((done, status))
        at = done + interval_us
    return changes


@given(
    started=st.integers(0, 50),
    boot=st.integers(0, 300),
    interval_us=st.integers(1, 30),
    timeout_us=st.integers(0, 12),
    retries=st.integers(1, 10),
    start_period_us=st.integers(0, 120),
    trouble=st.none() | st.tuples(st.integers(0, 500), st.none() | st.integers(1, 300), st.booleans()),
)
def test_health_equals_a_check_by_check_simulation(
    started, boot, interval_us, timeout_us, retries, start_period_us, trouble
):
    span = None
    if trouble is not None:
        begins, lasts, hangs = trouble
        span = Trouble(begins, None if lasts is None else begins + lasts, hangs)
    settings = {
        "interval_us": interval_us,
        "timeout_us": timeout_us,
        "retries": retries,
        "start_period_us": start_period_us,
        "trouble": span,
    }
    slow = check_by_check(started, started + boot, 3000, **settings)
    fast = health_changes(started, started + boot, **settings)
    assert list(fast) == slow


CONDITIONS = st.sampled_from(["START", "COMPLETE", "SUCCESS", "HEALTHY"])
SEEN = st.builds(
    Seen,
    phase=st.sampled_from(["waiting", "starting", "running", "stopping", "stopped"]),
    exit_code=st.sampled_from([0, 1, 137]),
    health=st.sampled_from(["HEALTHY", "UNHEALTHY", "UNKNOWN"]),
    ran=st.booleans(),
)


@given(conditions=st.lists(CONDITIONS, max_size=3), data=st.data())
def test_a_container_may_start_exactly_when_every_dependency_is_met(conditions, data):
    seen = {str(n): data.draw(SEEN) for n in range(len(conditions))}
    needs = tuple((str(n), condition) for n, condition in enumerate(conditions))
    met = {
        "START": lambda s: s.phase in ("running", "stopping") or (s.phase == "stopped" and s.ran),
        "COMPLETE": lambda s: s.phase == "stopped" and s.ran,
        "SUCCESS": lambda s: s.phase == "stopped" and s.ran and s.exit_code == 0,
        "HEALTHY": lambda s: s.phase == "running" and s.health == "HEALTHY",
    }
    verdict = may_start(needs, seen).verdict
    assert (verdict == "yes") == all(met[condition](seen[name]) for name, condition in needs)
    # what never will be met is stopped: whoever waits for the others may go on waiting
    hopeless = [n for n, c in needs if seen[n].phase == "stopped" and not met[c](seen[n])]
    assert (verdict == "never") == bool(hopeless)


def test_order_of_stops_is_the_reverse_of_starts():
    needs = {"db": (), "app": (("db", "HEALTHY"),), "proxy": (("app", "START"), ("db", "START")), "log": ()}
    assert dependents_of("db", needs) == ("app", "proxy")
    assert dependents_of("app", needs) == ("proxy",)
    assert dependents_of("proxy", needs) == dependents_of("log", needs) == ()


def test_restarts_need_the_whole_period_and_a_code_that_counts():
    policy = {"enabled": True, "ignored_exit_codes": (0, 7), "attempt_period_us": 60}
    assert [restarts(ran, code, **policy) for ran, code in ((59, 1), (60, 1), (60, 0), (90, 7), (90, 137))] == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert not restarts(90, 1, **{**policy, "enabled": False})


@given(st.lists(st.sampled_from(["HEALTHY", "UNHEALTHY", "UNKNOWN"]), max_size=5))
def test_task_health_is_the_worst_known(statuses):
    if "UNHEALTHY" in statuses:
        assert task_health(statuses) == "UNHEALTHY"
    elif "UNKNOWN" in statuses or not statuses:
        assert task_health(statuses) == "UNKNOWN"
    else:
        assert task_health(statuses) == "HEALTHY"


@given(
    amount=st.floats(0, 1e12),
    per_hour=st.floats(1, 1e12),
    room=st.floats(0, 1e12),
)
def test_a_crossing_is_the_first_instant_above_the_limit(amount, per_hour, room):
    limit = amount + room
    after = crossing_us(amount, per_hour, limit)
    assert after is not None
    exact = room / per_hour * 3.6e9
    assert exact - 1e-6 * exact <= after <= exact * (1 + 1e-6) + 1.001


def test_storage_counts_images_twice():
    gib = 2.0**30
    assert usable_storage_bytes(21, gib, 2.5) / gib == 17.5
    assert usable_storage_bytes(20, 6 * gib, 2.5) < 0
