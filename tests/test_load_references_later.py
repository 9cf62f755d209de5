"""Names that the timeline makes or moves: each is told by what is there at its instant."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_examples import changed, faults, place

from fargsim.load import load
from fargsim.sim.build import build


def test_revisions_that_the_timeline_registers_count(tmp_path: Path) -> None:
    entry = (
        "  - at: 1 h\n    ecs.register_task_definition: {family: web, memory: '2048', cpu: '1024', networkMode: awsvpc, "
        "requiresCompatibilities: [FARGATE], containerDefinitions: [{name: app, image: x, portMappings: [{containerPort: 80}]}]}\n"
        "  - {at: 2 h, ecs.update_service: {service: web, taskDefinition: 'web:2'}}\nslo:"
    )
    assert faults(place(tmp_path, changed("slo:", entry))) == []


@pytest.mark.parametrize(
    "shift",
    [
        "elbv2.modify_listener: {ListenerArn: 'front:80', DefaultActions: [{Type: forward, TargetGroupArn: green}]}",
        "elbv2.modify_rule: {RuleArn: 'front:80/1', Actions: [{Type: forward, TargetGroupArn: green}]}",
    ],
)
@pytest.mark.parametrize("at", [1, 3])
def test_a_target_group_that_a_listener_reaches_later_may_have_a_service_from_then_on(
    tmp_path: Path, shift: str, at: int
) -> None:
    listener = "      - DefaultActions: [{Type: forward, TargetGroupArn: web-targets}]\n"
    rule = "        Rules: [{Priority: 1, Conditions: [], Actions: [{Type: forward, TargetGroupArn: web-targets}]}]\n"
    text = changed(listener, listener + rule)
    text = changed("targetGroups:\n", "targetGroups:\n  - {Name: green, TargetType: ip}\n", text)
    created = text[text.index("    taskDefinition: web\n") : text.index("scaling:")].replace("web-targets", "green")
    entries = f"  - at: 2 s\n    ecs.create_service:\n      serviceName: green\n{created.replace('    ', '      ')}"
    text = changed("slo:", f"{entries}  - {{at: {at} s, {shift}}}\nslo:", text)
    message = "target group green does not have an associated load balancer"
    path = place(tmp_path, text)
    found = [(where, said[: len(message)]) for *_, where, said in faults(path)]
    if at > 2:
        assert found == [("timeline[1].ecs.create_service.loadBalancers[0].targetGroupArn", message)]
        return
    assert found == []
    region = build(load(path))
    region.run(until="4 s")
    assert "API_ERROR" not in set(region.kit.recorder.events.frame()["event_name"])
    assert region.registry.service("default", "green")
