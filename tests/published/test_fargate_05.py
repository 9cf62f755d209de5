"""Published target Fargate 5: containers may not add up to more memory than the task has.

Source: Amazon ECS API Reference, API_ContainerDefinition.html.
"""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fargsim.catalog import fargate_size_fault
from fargsim.model.taskdef import TaskDefinition


def definition(*memory_mib: int) -> dict[str, object]:
    containers = [{"name": f"c{k}", "image": "httpd:2.4", "memory": m} for k, m in enumerate(memory_mib)]
    return {
        "family": "web",
        "cpu": "256",
        "memory": "1024",
        "networkMode": "awsvpc",
        "containerDefinitions": containers,
    }


def test_fargate_05_containers_above_the_task_are_rejected():
    with pytest.raises(ValidationError, match="adds up to 1025 MiB, more than the task's 1024 MiB"):
        TaskDefinition.model_validate(definition(512, 513))


def test_fargate_05_containers_that_fill_the_task_are_accepted():
    found = TaskDefinition.model_validate(definition(512, 512))
    assert fargate_size_fault(found.cpu_units, found.memory_mib) is None
