"""What is stopped on scale-in, and the zones of Fargate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.placement import PlacementStrategy
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.victims import ServiceTasksView, fargate_fullest_zone, fargate_zone, victims

AZ = PlacementStrategy(type="spread", field="attribute:ecs.availability-zone")
HOST = PlacementStrategy(type="spread", field="instanceId")
RACK = PlacementStrategy(type="spread", field="attribute:rack")
CPU = PlacementStrategy(type="binpack", field="cpu")
MEMORY = PlacementStrategy(type="binpack", field="memory")
RANDOM = PlacementStrategy(type="random")


def situation() -> tuple[Fleet, ServiceTasksView]:
    """Eight equal tasks, positions 0 to 7, on four hosts.

    ====  ====  ====  =========  ========  ==========  ===========
    host  zone  rack  positions  free cpu  free memory  (after)
    ====  ====  ====  =========  ========  ==========  ===========
    h0    a     x     0, 5           100        900
    h1    a     y     1, 2, 6        300        100
    h2    b     y     3, 4, 7        800        200
    h3    b     x     none          9000       9000
    ====  ====  ====  =========  ========  ==========  ===========
    """
    fleet = Fleet()
    needs = TaskNeeds(cpu_units=10, memory_mib=20)
    rows = [0, 1, 1, 2, 2, 0, 1, 2]
    for name, zone, rack, cpu, memory in (
        ("h0", "a", "x", 100, 900),
        ("h1", "a", "y", 300, 100),
        ("h2", "b", "y", 800, 200),
        ("h3", "b", "x", 9000, 9000),
    ):
        count = rows.count(len(fleet))
        fleet.register(
            name, cpu_units=cpu + 10 * count, memory_mib=memory + 20 * count, zone=zone, attributes={"rack": rack}
        )
    for row in rows:
        fleet.take(row, needs, "service:web")
    return fleet, ServiceTasksView(
        zone=np.array([0 if r < 2 else 1 for r in rows], dtype=np.int32),
        row=np.array(rows, dtype=np.int64),
        may_stop=np.ones(8, dtype=np.bool_),
        cpu_units=np.full(8, 10, dtype=np.int64),
        memory_mib=np.full(8, 20, dtype=np.int64),
    )


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        # zone a (5) and there h1 (3), newest; a (4) h0 and h1 have 2 each, newest of 0 1 2 5; then zones are equal, h2 has most
        ((), (6, 5, 7)),
        # zone a by lot: 0.5 of 0 1 2 5 6 is 2; then 0.9 of 0 1 5 6 is 6; then zones 3 and 3: 0.0 of all six is 0
        ((AZ,), (2, 6, 0)),
        # most tasks on a host: h1 and h2 by lot, 0.5 of 1 2 3 4 6 7 is 4; then h1, 0.9 is 6; then all three have 2: 0
        ((HOST,), (4, 6, 0)),
        # rack y has 6 of 8: 0.5 of 1 2 3 4 6 7 is 4; 0.9 of 1 2 3 6 7 is 7; 0.0 of 1 2 3 6 is 1
        ((RACK,), (4, 7, 1)),
        # most cpu left: h2 three times, its newest
        ((CPU,), (7, 4, 3)),
        # most memory left: h0 twice, then h2
        ((MEMORY,), (5, 0, 7)),
        ((RANDOM,), (4, 7, 0)),
        # zone a, there most memory: h0, whose two are equal: 0.5 of 0 5 is 5; zone a (4) still: h0 again, 0; then the zones have
        # three each and h2 (220) has more than h1 (120): 0.0 of 3 4 7 is 3
        ((AZ, MEMORY), (5, 0, 3)),
    ],
)
def test_each_strategy_chooses_by_its_own_rule(chain: tuple[PlacementStrategy, ...], expected: tuple[int, ...]) -> None:
    fleet, tasks = situation()
    assert victims(tasks, 3, chain, fleet.view(), (0.5, 0.9, 0.0)) == expected


def test_protected_tasks_are_never_chosen_but_count_in_the_balance() -> None:
    _, tasks = situation()
    tasks.may_stop[[1, 2, 6]] = False
    assert victims(tasks, 8) == (5, 0, 7, 4, 3)
    tasks.may_stop[:] = False
    assert victims(tasks, 2) == ()


def test_binpack_without_a_fleet_is_refused() -> None:
    _, tasks = situation()
    with pytest.raises(ValueError, match="binpack"):
        victims(tasks, 1, (CPU,))


@given(
    zones=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    data=st.data(),
)
def test_the_default_order_never_takes_from_a_zone_that_is_not_fullest(zones: list[int], data: st.DataObject) -> None:
    rows = [3 * z + data.draw(st.integers(0, 2)) for z in zones]
    may = [data.draw(st.booleans()) for _ in zones]
    number = data.draw(st.integers(0, len(zones)))
    n = len(zones)
    view = ServiceTasksView(
        np.array(zones, dtype=np.int32),
        np.array(rows),
        np.array(may),
        np.ones(n, dtype=np.int64),
        np.ones(n, dtype=np.int64),
    )
    chosen = victims(view, number)
    assert len(chosen) == min(number, sum(may)) == len(set(chosen))
    left = list(range(n))
    for pick in chosen:
        assert may[pick]
        able = [i for i in left if may[i]]
        in_zone = {i: sum(zones[o] == zones[i] for o in left) for i in able}
        on_host = {i: sum(rows[o] == rows[i] for o in left) for i in able}
        assert in_zone[pick] == max(in_zone.values())
        assert on_host[pick] == max(on_host[i] for i in able if in_zone[i] == in_zone[pick])
        left.remove(pick)


def test_fargate_spreads_and_gives_back_by_zone() -> None:
    assert [fargate_zone([2, 1, 1], draw) for draw in (None, 0.0, 0.5, 0.99)] == [1, 1, 2, 2]
    assert fargate_fullest_zone([3, 3, 1], [True, True, True], 0.6) == 1
    assert fargate_fullest_zone([3, 2, 1], [False, False, True]) == 2
    assert fargate_fullest_zone([3, 2, 1], [False, False, False]) is None
    with pytest.raises(ValueError, match="subnet"):
        fargate_zone([])


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=40), st.integers(1, 4))
def test_fargate_zones_stay_within_one_task_of_each_other(draws: list[float], zones: int) -> None:
    counts = [0] * zones
    for draw in draws:
        counts[fargate_zone(counts, draw)] += 1
        assert max(counts) - min(counts) <= 1
    for draw in draws:
        zone = fargate_fullest_zone(counts, [c > 0 for c in counts], draw)
        assert zone is not None
        counts[zone] -= 1
        assert max(counts) - min(counts) <= 1
