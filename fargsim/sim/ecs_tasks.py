"""The verbs of Amazon ECS about tasks.

Source: Amazon ECS API Reference, API_RunTask.html, API_StartTask.html, API_StopTask.html; Amazon ECS Developer Guide,
api_failures_messages.html.
"""

from __future__ import annotations

from typing import Any

from fargsim.model.service import RunTask
from fargsim.model.task_verbs import StartTask
from fargsim.sim.api_rates import counted
from fargsim.sim.ecs_instances import InstanceVerbs
from fargsim.sim.errors import ConflictException, InvalidParameterException, NoContainerInstances
from fargsim.sim.launching import Call
from fargsim.sim.refusal import Refusal
from fargsim.sim.registry import tail
from fargsim.sim.service_checks import check_network, uses_fargate
from fargsim.sim.shapes import describe_task, read
from fargsim.sim.state import ClusterRun, Stop, TaskRun
from fargsim.sim.task_life import stop_task


class TaskVerbs(InstanceVerbs):
    """Verbs that start, stop, list and describe tasks."""

    @counted
    def run_task(self, **arguments: Any) -> dict[str, Any]:
        """Start standalone tasks; what finds no place is in `failures`.

        Raises
        ------
        ThrottlingException
            When RunTask, StartTask and StopTask are called too often, or RunTask on Fargate is.
        ConflictException
            When the client token was used for another request.
        ClientException
            When too many tasks of the cluster wait for instances already, or ECS cannot take on a role of the task.
        """
        spec = read(RunTask, arguments)
        cluster = self._registry.cluster(spec.cluster)
        if uses_fargate(cluster, spec):
            self.rates.run_on_fargate()
        if spec.client_token is not None:
            former = self._launcher.calls.get((cluster.name, spec.client_token))
            if former is not None:
                return self._again(former, cluster, spec)
        revision = self._launcher.overrides.apply(self._registry.revision(spec.task_definition), spec.overrides)
        check_network(self._registry, cluster, spec, revision)
        if spec.group is not None and spec.group.startswith("service:"):
            raise InvalidParameterException(f"group: the groups of services are theirs alone, not '{spec.group}'.")
        if (
            not cluster.instances_by_row
            and not uses_fargate(cluster, spec)
            and not self._launcher.strategy(cluster, spec)
        ):
            raise NoContainerInstances("No Container Instances were found in your cluster.")
        self._launcher.check_roles(revision)
        outcomes = list(self._launcher.run_task(cluster, spec, revision))
        if spec.client_token is not None:
            self._launcher.calls[cluster.name, spec.client_token] = (spec, outcomes)
        return self._answer(outcomes)

    def _again(self, former: Call, cluster: ClusterRun, spec: RunTask) -> dict[str, Any]:
        """Answer a call that has been made before under the same token: nothing new is started."""
        asked, outcomes = former
        if asked != spec:
            raise ConflictException(
                f"The client token '{spec.client_token}' was used for a RunTask with other parameters in cluster {cluster.name}."
            )
        return self._answer(outcomes)

    def _answer(self, outcomes: list[TaskRun | Refusal]) -> dict[str, Any]:
        tasks, failures = [], []
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                failures.append({"arn": outcome.arn, "reason": outcome.reason, "detail": outcome.detail})
            else:
                tasks.append(self._describe_task(outcome))
        return {"tasks": tasks, "failures": failures}

    @counted
    def start_task(self, **arguments: Any) -> dict[str, Any]:
        """Start a task on each of the given instances, whatever a placement strategy or constraint would say.

        What an instance cannot take is in `failures`, with the reason: MISSING, INACTIVE, AGENT, ATTRIBUTE, LOCATION, RESOURCE:*.

        Raises
        ------
        ThrottlingException
            As `run_task`.
        InvalidParameterException
            Where the task definition is for Fargate alone, or what it needs is missing.
        """
        spec = read(StartTask, arguments)
        cluster = self._registry.cluster(spec.cluster)
        registered = self._registry.revision(spec.task_definition)
        if set(registered.definition.requires_compatibilities) == {"FARGATE"}:
            raise InvalidParameterException(
                f"Task definition {registered.name} is for FARGATE: StartTask places tasks on container instances."
            )
        asked = {
            "taskDefinition": spec.task_definition,
            "cluster": cluster.name,
            "launchType": "EC2",
            "group": spec.group,
            "networkConfiguration": spec.network_configuration,
            "startedBy": spec.started_by,
        }
        request = read(RunTask, asked)
        revision = self._launcher.overrides.apply(registered, spec.overrides)
        check_network(self._registry, cluster, request, revision)
        self._launcher.check_roles(revision)
        outcomes = [
            self._launcher.start_on(cluster, request, revision, tail(name))
            for name in self._instance_names(cluster, spec)
        ]
        return self._answer(outcomes)

    @counted
    def stop_task(self, *, task: str, cluster: str = "default", reason: str = "Task stopped by user") -> dict[str, Any]:
        """Stop a task: deregister it, SIGTERM, SIGKILL after the stop time-out.

        Raises
        ------
        ThrottlingException
            As `run_task`.
        """
        found = self._registry.find_task(self._registry.cluster(cluster), task)
        if found is None:
            raise InvalidParameterException(f"The referenced task was not found: '{task}'.")
        stop_task(self._kit, found, Stop("UserInitiated", reason))
        return {"task": self._describe_task(found)}

    @counted
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

    @counted
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

    def _describe_task(self, task: TaskRun) -> dict[str, Any]:
        return describe_task(self._kit, self._registry.start, task)
