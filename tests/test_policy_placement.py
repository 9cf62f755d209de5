"""Placement: the four-host situation, decision tables, and every strategy chain against a slow twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.placement import PlacementConstraint, PlacementStrategy
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.explain import explain
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import TaskNeeds, needs_of
from fargsim.policy.placement import NoPlacement, Place, compile_placement, place, service_event
from fargsim.policy.views import FleetView, GroupView

AZ = PlacementStrategy(type="spread", field="attribute:ecs.availability-zone")
HOST = PlacementStrategy(type="spread", field="instanceId")
RACK = PlacementStrategy(type="spread", field="attribute:rack")
CPU = PlacementStrategy(type="binpack", field="cpu")
MEMORY = PlacementStrategy(type="binpack", field="memory")
RANDOM = PlacementStrategy(type="random")
DISTINCT = PlacementConstraint(type="distinctInstance")

CHAINS = [
    (),
    (AZ,),
    (HOST,),
    (RACK,),
    (CPU,),
    (MEMORY,),
    (RANDOM,),
    (AZ, CPU),
    (AZ, MEMORY),
    (HOST, MEMORY),
    (RACK, HOST),
    (CPU, AZ),
    (MEMORY, CPU, HOST),
    (AZ, RANDOM),
    (RACK, AZ, CPU, MEMORY, HOST),
]


def four_hosts() -> Fleet:
    """Four hosts of two zones and two racks; six tasks of the service run already.

    Free are, after them:

    ====  ====  ====  =========  ==========  =====
    host  zone  rack  cpu units  memory MiB  tasks
    ====  ====  ====  =========  ==========  =====
    h1    a     x          2048        2500      0
    h2    a     y          1100        3000      3
    h3    b     y          1600        1200      1
    h4    b     x           600        2000      1
    ====  ====  ====  =========  ==========  =====
    """
    fleet = Fleet()
    running = TaskNeeds(cpu_units=100, memory_mib=100)
    for name, zone, rack, cpu, memory, tasks in (
        ("h1", "a", "x", 2048, 2500, 0),
        ("h2", "a", "y", 1100, 3000, 3),
        ("h3", "b", "y", 1600, 1200, 1),
        ("h4", "b", "x", 600, 2000, 1),
    ):
        row = fleet.register(
            name, cpu_units=cpu + 100 * tasks, memory_mib=memory + 100 * tasks, zone=zone, attributes={"rack": rack}
        )
        for _ in range(tasks):
            fleet.take(row, running, "service:web")
    return fleet


@pytest.mark.parametrize(
    ("chain", "hosts"),
    [
        ((), "h3 h1 h4"),
        ((AZ,), "h3 h1 h4"),
        ((HOST,), "h1 h3 h4"),
        ((RACK,), "h4 h1 h1"),
        ((CPU,), "h4 h2 h2"),
        ((MEMORY,), "h3 h3 h4"),
        ((AZ, CPU), "h4 h2 h3"),
        ((AZ, MEMORY), "h3 h3 h1"),
        ((HOST, CPU), "h1 h4 h1"),
        ((HOST, MEMORY), "h1 h3 h1"),
        ((RANDOM,), "h2 h2 h4"),
        ((AZ, RANDOM), "h3 h2 h4"),
    ],
)
def test_four_hosts_three_tasks(chain: tuple[PlacementStrategy, ...], hosts: str) -> None:
    fleet, needs = four_hosts(), TaskNeeds(cpu_units=512, memory_mib=512)
    plan = compile_placement(needs, strategies=chain, service=True)
    chosen = []
    for draw in (0.3, 0.3, 0.8):
        found = place(plan, fleet.view(), fleet.group("service:web"), draw)
        assert isinstance(found, Place)
        fleet.take(found.row, needs, "service:web")
        chosen.append(fleet.view().instance_ids[found.row])
    assert " ".join(chosen) == hosts


def test_run_task_without_a_strategy_is_placed_uniformly_and_a_service_is_not() -> None:
    fleet = four_hosts()
    needs = TaskNeeds(cpu_units=100, memory_mib=100)
    standalone = compile_placement(needs, service=False)
    group = fleet.group("family:job")
    rows = [place(standalone, fleet.view(), group, draw) for draw in (0.0, 0.24, 0.25, 0.5, 0.75, 0.999)]
    assert [r.row for r in rows if isinstance(r, Place)] == [0, 0, 1, 2, 3, 3]
    service = compile_placement(needs, service=True)
    assert {place(service, fleet.view(), group, draw) for draw in (0.0, 0.5, 0.999)} == {Place(0, 4)}


BIG = TaskNeeds(cpu_units=512, memory_mib=512)


@pytest.mark.parametrize(
    ("needs", "reasons", "closest", "event"),
    [
        (replace(BIG, cpu_units=9000), (("RESOURCE:CPU", 4),), 0, "has insufficient CPU units available."),
        (replace(BIG, memory_mib=9000), (("RESOURCE:MEMORY", 4),), 0, "has insufficient memory available."),
        (
            replace(BIG, cpu_units=1100, memory_mib=2600, host_ports=((22, "tcp"),)),
            (("RESOURCE:CPU", 1), ("RESOURCE:MEMORY", 2), ("RESOURCE:PORTS", 1)),
            1,
            "is already using a port required by your task.",
        ),
        (replace(BIG, enis=1), (("RESOURCE:ENI", 4),), 0, 'encountered error "RESOURCE:ENI".'),
        (replace(BIG, gpus=1), (("RESOURCE:GPU", 4),), 0, 'encountered error "RESOURCE:GPU".'),
        (replace(BIG, zones=("c",)), (("LOCATION", 4),), 0, 'encountered error "LOCATION".'),
        (
            replace(BIG, attributes=(("rack", "z"),)),
            (("ATTRIBUTE", 4),),
            0,
            "is missing an attribute required by your task.",
        ),
        (
            replace(BIG, attributes=(("gpu", None),)),
            (("ATTRIBUTE", 4),),
            0,
            "is missing an attribute required by your task.",
        ),
    ],
)
def test_every_filter_says_why(
    needs: TaskNeeds, reasons: tuple[tuple[str, int], ...], closest: int, event: str
) -> None:
    fleet = four_hosts()
    found = place(compile_placement(needs, service=True), fleet.view(), fleet.group("service:web"))
    assert isinstance(found, NoPlacement)
    assert (found.reasons, found.closest) == (reasons, closest)
    assert service_event(found, "h9") == (
        "was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching container-instance h9 {event}"
    )


def test_constraints_status_and_agent_say_why_too() -> None:
    fleet = four_hosts()
    group = fleet.group("service:web")
    member = PlacementConstraint(type="memberOf", expression="attribute:rack == x")
    fleet.set_active(0, False)
    fleet.set_agent_connected(1, False)
    plan = compile_placement(BIG, (member, DISTINCT), service=True)
    assert place(plan, fleet.view(), group) == NoPlacement(
        (
            ("AGENT", 1),
            ("MemberOf placement constraint unsatisfied.", 1),
            ("DistinctInstance placement constraint unsatisfied.", 1),
        ),
        3,  # fails distinctInstance only
        "DistinctInstance placement constraint unsatisfied.",
    )
    for row in (1, 2, 3):
        fleet.set_active(row, False)
    empty = place(plan, fleet.view(), group)
    assert empty == NoPlacement((), None, None)
    assert service_event(empty, None).endswith("Reason: No Container Instances were found in your cluster.")
    assert place(plan, Fleet().view(), GroupView(np.zeros(0, dtype=np.int64))) == NoPlacement((), None, None)
    fleet.set_active(0, True)
    assert place(plan, fleet.view(), group) == Place(0, 1)


def test_distinct_instance_looks_at_desired_status() -> None:
    fleet = Fleet()
    row = fleet.register("i", cpu_units=100, memory_mib=100, zone="a")
    needs = TaskNeeds(cpu_units=1, memory_mib=1)
    plan = compile_placement(needs, (DISTINCT,), service=True)
    assert place(plan, fleet.view(), fleet.group("service:web")) == Place(row, 1)
    fleet.take(row, needs, "service:web")
    assert isinstance(place(plan, fleet.view(), fleet.group("service:web")), NoPlacement)
    assert place(plan, fleet.view(), fleet.group("service:other")) == Place(row, 1)
    fleet.release(row, needs, "service:web")  # told to stop: its host may be shutting it down still
    assert place(plan, fleet.view(), fleet.group("service:web")) == Place(row, 1)


def test_needs_of_a_definition() -> None:
    container = {
        "name": "app",
        "image": "app",
        "cpu": 256,
        "memory": 512,
        "memoryReservation": 300,
        "portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}],
        "resourceRequirements": [{"type": "GPU", "value": "2"}],
    }
    definition = TaskDefinition.model_validate({"family": "web", "containerDefinitions": [container]})
    assert needs_of(definition, ("a",)) == TaskNeeds(
        256, 300, ((8080, "tcp"),), gpus=2, dynamic_ports=(("app", 81, "tcp"),)
    )
    container.pop("portMappings")
    awsvpc = {
        "family": "web",
        "containerDefinitions": [container],
        "networkMode": "awsvpc",
        "cpu": "1 vCPU",
        "memory": "2 GB",
        "runtimePlatform": {"cpuArchitecture": "ARM64"},
    }
    assert needs_of(TaskDefinition.model_validate(awsvpc), ("a", "b")) == TaskNeeds(
        1024,
        2048,
        enis=1,
        gpus=2,
        zones=("a", "b"),
        attributes=(("ecs.cpu-architecture", "arm64"), ("ecs.os-type", "linux"), ("ecs.capability.task-eni", None)),
    )


# --- every chain against a twin that looks at one instance after the other


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    fleet = Fleet()
    for row in range(draw(st.integers(0, 7))):
        fleet.register(
            f"i-{row}",
            cpu_units=draw(st.sampled_from([0, 4, 8, 9, 16])),
            memory_mib=draw(st.sampled_from([0, 4, 8, 9, 16])),
            zone=draw(st.sampled_from("abc")),
            enis=draw(st.integers(0, 2)),
            attributes={"rack": draw(st.sampled_from("xy"))} if draw(st.booleans()) else {},
        )
        fleet.set_active(row, draw(st.integers(0, 9)) > 0)
        fleet.set_agent_connected(row, draw(st.integers(0, 9)) > 0)
    return fleet


NEEDS = st.builds(
    TaskNeeds,
    cpu_units=st.integers(0, 4),
    memory_mib=st.integers(1, 5),
    host_ports=st.sampled_from([(), ((80, "tcp"),), ((80, "tcp"), (80, "udp"))]),
    enis=st.integers(0, 1),
    zones=st.sampled_from([None, ("a",), ("b", "c"), ("d",)]),
    attributes=st.sampled_from([(), (("rack", None),), (("rack", "y"),)]),
)
CONSTRAINTS = st.lists(
    st.sampled_from(
        [
            DISTINCT,
            PlacementConstraint(type="memberOf", expression="attribute:rack == x or attribute:rack !exists"),
            PlacementConstraint(type="memberOf", expression="runningTasksCount < 2"),
            PlacementConstraint(type="memberOf", expression="not (task:group == service:other)"),
        ]
    ),
    max_size=2,
    unique=True,
).map(tuple)


def _value(view: FleetView, name: str, row: int) -> str | None:
    column = view.attributes.get(name)
    return None if column is None or column.codes[row] < 0 else column.values[column.codes[row]]


def _admitted(
    needs: TaskNeeds, constraints: tuple[PlacementConstraint, ...], view: FleetView, group: GroupView, row: int
) -> bool:
    others = view.groups.get("service:other")
    meanings = {
        None: group.tasks[row] == 0,
        "attribute:rack == x or attribute:rack !exists": _value(view, "rack", row) in ("x", None),
        "runningTasksCount < 2": view.running_tasks[row] < 2,
        "not (task:group == service:other)": others is None or others[row] == 0,
    }
    return bool(
        view.active[row]
        and view.agent_connected[row]
        and view.free_cpu_units[row] >= needs.cpu_units
        and view.free_memory_mib[row] >= needs.memory_mib
        and view.free_enis[row] >= needs.enis
        and not any(view.host_ports[p][row] for p in needs.host_ports if p in view.host_ports)
        and (needs.zones is None or _value(view, "ecs.availability-zone", row) in needs.zones)
        and all(_value(view, n, row) == v if v else _value(view, n, row) is not None for n, v in needs.attributes)
        and all(meanings[c.expression] for c in constraints)
    )


def _twin(
    chain: tuple[PlacementStrategy, ...],
    needs: TaskNeeds,
    constraints: tuple[PlacementConstraint, ...],
    fleet: Fleet,
    draw: float,
) -> int | None:
    """Choose as the documentation reads: one list, one key after the other."""
    view, group = fleet.view(), fleet.group("service:web")
    rows = [r for r in range(view.size) if _admitted(needs, constraints, view, group, r)]
    if not rows:
        return None
    for rule in (*chain, AZ, HOST):
        if rule.type == "random":
            return rows[int(draw * len(rows))]
        if rule.type == "binpack":
            keys = {r: (view.free_cpu_units if rule.field == "cpu" else view.free_memory_mib)[r] for r in rows}
        elif rule.field == "instanceId":
            keys = {r: group.tasks[r] for r in rows}
        else:
            name = (rule.field or "").removeprefix("attribute:")
            keys = {
                r: sum(group.tasks[o] for o in range(view.size) if _value(view, name, o) == _value(view, name, r))
                for r in rows
            }
        rows = [r for r in rows if keys[r] == min(keys.values())]
    return rows[0]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "+".join(s.field or s.type for s in chain) or "default")
@given(
    fleet=fleets(), needs=NEEDS, constraints=CONSTRAINTS, draws=st.lists(st.floats(0, 0.999), min_size=6, max_size=6)
)
def test_contract_of_every_chain(
    chain: tuple[PlacementStrategy, ...],
    fleet: Fleet,
    needs: TaskNeeds,
    constraints: tuple[PlacementConstraint, ...],
    draws: list[float],
) -> None:
    plan = compile_placement(needs, constraints, chain, service=True)
    other = TaskNeeds(cpu_units=1, memory_mib=1)
    for turn, draw in enumerate(draws):
        if turn == 2 and len(fleet) and fleet.view().free_cpu_units[0] > 0 and fleet.view().free_memory_mib[0] > 0:
            fleet.take(0, other, "service:other")
        if turn == 4:  # an instance, a zone and an attribute that were not there when the plan was first used
            fleet.register("late", cpu_units=16, memory_mib=16, zone="d", enis=1, attributes={"rack": "y", "new": "1"})
        view, group = fleet.view(), fleet.group("service:web", plan.spread_over)
        found = place(plan, view, group, draw)
        # deterministic, the same with nothing kept, and the same as the twin
        assert place(plan, view, group, draw) == found
        bare = replace(view, derived={}, journal=None, indexes={})
        assert place(plan, bare, GroupView(group.tasks), draw) == found
        expected = _twin(chain, needs, constraints, fleet, draw)
        told, steps = explain(plan, view, group, draw)
        assert told == found
        active = int(np.count_nonzero(view.active))
        if isinstance(found, NoPlacement):
            assert expected is None
            assert sum(number for _, number in found.reasons) == active
            assert not any(step.passed for step in steps if step.step == plan.checks[-1].name)
            continue
        assert found.row == expected
        assert _admitted(needs, constraints, view, group, found.row)
        assert all(step.passed for step in steps if step.row == found.row)
        fleet.take(found.row, needs, "service:web")
        after = fleet.view()
        assert min(after.free_cpu_units[found.row], after.free_memory_mib[found.row], after.free_enis[found.row]) >= 0


@given(
    fleet=fleets(),
    moves=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["g", "h"]), st.booleans()), max_size=20),
)
def test_what_is_kept_by_increments_equals_what_is_summed_up(fleet: Fleet, moves: list[tuple[int, str, bool]]) -> None:
    needs = TaskNeeds(cpu_units=1, memory_mib=1)
    running: list[tuple[int, str]] = []
    for row, group, stop in moves:
        view = fleet.group(group, ("ecs.availability-zone", "rack"))
        if stop and running:
            at, name = running.pop()
            fleet.release(at, needs, name)
        elif row < len(fleet):
            fleet.take(row, needs, group)
            running.append((row, group))
        if row == 6:
            fleet.register(f"more-{len(fleet)}", cpu_units=1, memory_mib=1, zone="new", attributes={"rack": "new"})
        for name in ("g", "h"):
            view = fleet.group(name, ("ecs.availability-zone", "rack"))
            counts = np.bincount([r for r, g in running if g == name], minlength=len(fleet))
            assert view.tasks.tolist() == counts.tolist()
            for attribute, column in fleet.view().attributes.items():
                kept, summed = view.per_value(attribute, column), GroupView(view.tasks).per_value(attribute, column)
                assert kept.tolist() == summed.tolist()
    assert fleet.view().running_tasks.sum() == len(running)


def test_a_busy_fleet_is_placed_with_an_index_as_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plans take turns, tasks end, instances drain and come back; journals and heaps are renewed on the way."""
    monkeypatch.setattr("fargsim.policy.fleet.JOURNAL_MAX", 700)
    rng = np.random.default_rng(20260302)
    fleet = Fleet()
    for row in range(40):
        fleet.register(
            f"i-{row}", cpu_units=int(rng.integers(4, 40)), memory_mib=int(rng.integers(4, 40)), zone="abc"[row % 3]
        )
    web, job = TaskNeeds(2, 1, host_ports=((80, "tcp"),)), TaskNeeds(1, 2)
    plans = [
        (compile_placement(web, (), (), service=True), web, "service:web"),
        (compile_placement(job, (), (AZ, MEMORY), service=False), job, "family:job"),
    ]
    running: list[tuple[int, TaskNeeds, str]] = []
    shortcuts, placed, failed = 0, 0, 0
    for turn in range(4000):
        if running and rng.integers(3):
            fleet.release(*running.pop(int(rng.integers(len(running)))))
        if turn % 50 == 0:
            fleet.set_active(int(rng.integers(40)), bool(rng.integers(2)))
        # the second plan rests for long stretches, so that its index falls behind
        plan, needs, group = plans[int(rng.integers(2)) if turn % 400 < 200 else 0]
        view, tasks = fleet.view(), fleet.group(group, plan.spread_over)
        found = place(plan, view, tasks)
        assert place(plan, replace(view, derived={}, journal=None, indexes={}), tasks) == found
        shortcuts += view.indexes[plan].index is not None
        if isinstance(found, Place):
            fleet.take(found.row, needs, group)
            running.append((found.row, needs, group))
            placed += 1
        else:
            failed += 1
    assert placed > 1000
    assert failed > 100
    assert shortcuts > 3000
