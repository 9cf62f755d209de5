"""Published target control plane Z9: awsvpc tasks on a c5.large.

Source: Amazon ECS Developer Guide, container-instance-eni.html.
"""

from __future__ import annotations

from fargsim.catalog import awsvpc_task_limit


def test_control_z09_two_tasks_and_ten_with_trunking():
    assert awsvpc_task_limit("c5.large") == 2
    assert awsvpc_task_limit("c5.large", trunking=True) == 10
