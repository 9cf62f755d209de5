"""The verbs of Amazon ECS about tasks and container instances."""

from __future__ import annotations

from typing import Any

from fargsim.model.service import RunTask
from fargsim.sim.ecs_base import EcsVerbs
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.launching import Refusal
from fargsim.sim.registry import tail
from fargsim.sim.service_checks import check_network
from fargsim.sim.shapes import describe_task, instant, read
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import stop_task


class TaskVerbs(EcsVerbs):
    """Verbs that start, stop, list and describe tasks and the instances they run on."""

    def run_task(self, **arguments: Any) -> dict[str, Any]:
        """Start standalone tasks; what finds no place is in `failures`."""
        return self.run(read(RunTask, arguments))

    def run(self, spec: RunTask) -> dict[str, Any]:
        """Start standalone tasks from a value."""
        cluster = self._registry.cluster(spec.cluster)
        revision = self._registry.revision(spec.task_definition)
        check_network(self._registry, cluster, spec, revision)
        tasks, failures = [], []
        for outcome in self._launcher.run_task(cluster, spec, revision):
            if isinstance(outcome, Refusal):
                failures.append({"arn": outcome.arn, "reason": outcome.reason, "detail": outcome.detail})
            else:
                tasks.append(self._describe_task(outcome))
        return {"tasks": tasks, "failures": failures}

    def stop_task(self, *, task: str, cluster: str = "default", reason: str = "Task stopped by user") -> dict[str, Any]:
        """Stop a task: deregister it, SIGTERM, SIGKILL after the stop time-out."""
        found = self._registry.find_task(self._registry.cluster(cluster), task)
        if found is None:
            raise InvalidParameterException(f"The referenced task was not found: '{task}'.")
        stop_task(self._kit, found, Stop("UserInitiated", reason))
        return {"task": self._describe_task(found)}

    def list_tasks(
        self,
        *,
        cluster: str = "default",
        serviceName: str | None = None,
        family: str | None = None,
        desiredStatus: str = "RUNNING",
    ) -> dict[str, Any]:
        """List the ARNs of a cluster's tasks, those that stopped within the last hour included."""
        found = self._registry.cluster(cluster)
        known = found.tasks.values() if desiredStatus == "RUNNING" else [*found.tasks.values(), *found.stopped.values()]
        return {
            "taskArns": [
                self._kit.arn("task", f"{found.name}/{task.task_id}")
                for task in known
                if task.desired_status == desiredStatus
                and (serviceName is None or (task.service is not None and task.service.name == tail(serviceName)))
                and (family is None or task.revision.definition.family == family)
            ]
        }

    def describe_tasks(self, *, tasks: list[str], cluster: str = "default") -> dict[str, Any]:
        """Describe tasks; one that is not known any more is in `failures`."""
        found = self._registry.cluster(cluster)
        answer: dict[str, Any] = {"tasks": [], "failures": []}
        for name in tasks:
            task = self._registry.find_task(found, name)
            if task is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
            else:
                answer["tasks"].append(self._describe_task(task))
        return answer

    def list_container_instances(self, *, cluster: str = "default") -> dict[str, Any]:
        """List the ARNs of a cluster's container instances."""
        found = self._registry.cluster(cluster)
        return {
            "containerInstanceArns": [
                self._kit.arn("container-instance", f"{found.name}/{i.instance_id}")
                for i in found.instances_by_row.values()
            ]
        }

    def describe_container_instances(
        self, *, containerInstances: list[str], cluster: str = "default"
    ) -> dict[str, Any]:
        """Describe container instances: registered and remaining resources."""
        found = self._registry.cluster(cluster)
        by_id = {i.instance_id: i for i in found.instances_by_row.values()}
        view = found.fleet.view()
        answer: dict[str, Any] = {"containerInstances": [], "failures": []}
        for name in containerInstances:
            instance = by_id.get(tail(name))
            if instance is None or instance.row is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
                continue
            row = instance.row
            answer["containerInstances"].append(
                {
                    "containerInstanceArn": self._kit.arn("container-instance", f"{found.name}/{instance.instance_id}"),
                    "ec2InstanceId": instance.instance_id,
                    "status": instance.status,
                    "agentConnected": bool(view.agent_connected[row]),
                    "runningTasksCount": sum(1 for t in instance.tasks.values() if t.last_status == "RUNNING"),
                    "pendingTasksCount": sum(1 for t in instance.tasks.values() if t.started_at is None),
                    "registeredAt": instant(self._registry.start, instance.registered_at),
                    "registeredResources": _resources(instance.cpu_units, instance.memory_mib),
                    "remainingResources": _resources(int(view.free_cpu_units[row]), int(view.free_memory_mib[row])),
                    "attributes": [{"name": "ecs.availability-zone", "value": instance.zone}],
                }
            )
        return answer

    def _describe_task(self, task: TaskRun) -> dict[str, Any]:
        return describe_task(self._kit, self._registry.start, task)


def _resources(cpu_units: int, memory_mib: int) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu_units},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
    ]
