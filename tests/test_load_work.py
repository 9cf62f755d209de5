"""Faults of queues, messages and CPU credits in a scenario file: each with its path and what is legal."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_examples import EC2, SCENARIO, changed, faults, place

import fargsim

WORK = """
queues:
  - QueueName: orders
    Attributes: {VisibilityTimeout: "20", RedrivePolicy: {deadLetterTargetArn: dead, maxReceiveCount: 3}}
    backlog_per_task: {service: web, namespace: Shop}
  - QueueName: dead
messages:
  - {queue: orders, rate: {constant: 1 /s}}
"""
TASK = "request: {cpu: {lognormal: {mean: 40 ms, p99: 250 ms}}, wait: {exponential: {mean: 15 ms}}, workers: 32}"
WITH_WORK = SCENARIO + WORK


def test_a_scenario_with_queues_is_sound(tmp_path: Path) -> None:
    assert faults(place(tmp_path, WITH_WORK)) == []


CASES = {
    "an unknown queue": ("{queue: orders, rate", "{queue: order, rate", "messages[0].queue", "did you mean orders?"),
    "a dead-letter queue that is not there": (
        "deadLetterTargetArn: dead",
        "deadLetterTargetArn: deed",
        "queues[0].Attributes.RedrivePolicy",
        "did you mean dead?",
    ),
    "a ring": (
        "  - QueueName: dead\n",
        "  - {QueueName: dead, Attributes: {RedrivePolicy: {deadLetterTargetArn: orders, maxReceiveCount: 1}}}\n",
        "queues[0].Attributes.RedrivePolicy",
        "in a ring: orders, dead",
    ),
    "a time-out out of bounds": ('"20"', '"43201"', "queues[0].Attributes.VisibilityTimeout", "from 0 to 43200"),
    "an unknown attribute": ("VisibilityTimeout:", "Visibility:", "queues[0].Attributes.Visibility", "there are Visib"),
    "too many receives": (
        "maxReceiveCount: 3",
        "maxReceiveCount: 1001",
        "queues[0].Attributes.RedrivePolicy",
        "1 to 1000",
    ),
    "a backlog of nobody": (
        "{service: web, namespace",
        "{service: wep, namespace",
        "queues[0].backlog_per_task.service",
        "did you mean web?",
    ),
    "a name twice": ("QueueName: dead", "QueueName: orders", "queues[1].QueueName", "stands twice"),
    "users": (
        "rate: {constant: 1 /s}",
        "rate: {users: {count: 3, think: 1 s}}",
        "messages[0]",
        "messages arrive in an open loop",
    ),
    "two streams of one name": (
        "  - {queue: orders, rate: {constant: 1 /s}}\n",
        "  - {queue: orders, rate: {constant: 1 /s}}\n  - {queue: orders, rate: {constant: 2 /s}}\n",
        "messages[1].queue",
        "give each a name of its own",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_faults_have_their_path_and_what_is_legal(name: str, tmp_path: Path) -> None:
    old, new, path, words = CASES[name]
    found = faults(place(tmp_path, changed(old, new, WITH_WORK)))
    assert any(f[3] == path and words in f[4] for f in found), found


@pytest.mark.parametrize(
    ("message", "path", "words"),
    [
        ("{queue: oders, cpu: 1 s}", "behaviour.web.message.queue", "did you mean orders?"),
        ("{queue: orders, cpu: 1 s, heartbeat: 20 s}", "behaviour.web.message.heartbeat", "shorter than the Visib"),
    ],
)
def test_faults_of_who_takes_messages(message: str, path: str, words: str, tmp_path: Path) -> None:
    text = changed(TASK, f"message: {message}", WITH_WORK)
    found = faults(place(tmp_path, text))
    assert any(f[3] == path and words in f[4] for f in found), found


def test_a_task_has_one_kind_of_work(tmp_path: Path) -> None:
    text = changed(TASK, f"{TASK}\n    message: {{queue: orders, cpu: 1 s}}", WITH_WORK)
    [found] = faults(place(tmp_path, text))
    assert "either serves requests (request) or works on messages (message), not both" in found[4]


def test_cpu_credits_are_of_burstable_types(tmp_path: Path) -> None:
    wrong = changed(
        "{InstanceType: m5.xlarge}", "{InstanceType: m5.xlarge, CreditSpecification: {CpuCredits: standard}}", EC2
    )
    [found] = faults(place(tmp_path, SCENARIO + wrong))
    assert found[3] == "launchTemplates[0].LaunchTemplateData.CreditSpecification"
    assert "m5.xlarge has no CPU credits" in found[4]
    mode = changed(
        "{InstanceType: m5.xlarge}", "{InstanceType: t3.large, CreditSpecification: {CpuCredits: plenty}}", EC2
    )
    [found] = faults(place(tmp_path, SCENARIO + mode))
    assert "standard" in found[4]


def test_a_stored_scenario_says_the_same(tmp_path: Path) -> None:
    scenario = fargsim.load(place(tmp_path, WITH_WORK))
    stored = scenario.model_dump_json(by_alias=True)
    assert type(scenario).model_validate_json(stored) == scenario
