"""The verbs of Amazon ECS about service deployments, service revisions and task scale-in protection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fargsim.model.deployment_verbs import ListServiceDeployments, StopServiceDeployment, UpdateTaskProtection
from fargsim.model.lifecycle import ContinueServiceDeployment
from fargsim.sim.api_rates import counted
from fargsim.sim.blue_green import ShiftController
from fargsim.sim.deployments import DeploymentRun, ServiceRevisionRun
from fargsim.sim.ecs_base import EcsVerbs
from fargsim.sim.errors import (
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    UnsupportedFeatureException,
)
from fargsim.sim.lifecycle_hooks import HookCalls, HookRun
from fargsim.sim.registry import tail
from fargsim.sim.scale_in_protection import DEFAULT_MINUTES
from fargsim.sim.service_deployments import STOPPABLE, ServiceDeploymentRun
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import instant, read
from fargsim.sim.state import ClusterRun, TaskRun


def hooks_of(service: ServiceRun, entry: ServiceDeploymentRun) -> HookCalls | None:
    """Return the hooks of the service deployment under way; None where it has none."""
    controller = service.controller
    shift = controller.shift_run if isinstance(controller, ShiftController) else None
    return shift.hooks if shift is not None and shift.deployment in (entry.deployment, entry.rollback) else None


class DeploymentVerbs(EcsVerbs):
    """Verbs that look at deployments, stop them, and protect tasks from them."""

    @counted
    def list_service_deployments(self, **arguments: Any) -> dict[str, Any]:
        """List a service's deployments, the newest first."""
        spec = read(ListServiceDeployments, arguments)
        service = self._registry.service(spec.cluster, spec.service)
        found = [
            {
                "serviceDeploymentArn": d.arn,
                "serviceArn": self._kit.arn("service", f"{service.cluster.name}/{service.name}"),
                "clusterArn": self._kit.arn("cluster", service.cluster.name),
                "targetServiceRevisionArn": d.target.arn,
                "status": d.status,
                **({"statusReason": d.reason} if d.reason else {}),
                **self._instants(d),
            }
            for d in reversed(service.rollouts.all)
            if not spec.status or d.status in spec.status
        ]
        return {"serviceDeployments": found[: spec.max_results]}

    @counted
    def describe_service_deployments(self, *, serviceDeploymentArns: list[str]) -> dict[str, Any]:
        """Describe service deployments; an unknown one is in `failures`."""
        answer: dict[str, Any] = {"serviceDeployments": [], "failures": []}
        for arn in serviceDeploymentArns:
            found = self._service_deployment(arn)
            if found is None:
                answer["failures"].append({"arn": arn, "reason": "MISSING"})
            else:
                answer["serviceDeployments"].append(self._describe_service_deployment(*found))
        return answer

    @counted
    def describe_service_revisions(self, *, serviceRevisionArns: list[str]) -> dict[str, Any]:
        """Describe service revisions; an unknown one is in `failures`."""
        answer: dict[str, Any] = {"serviceRevisions": [], "failures": []}
        for arn in serviceRevisionArns:
            found = next(((s, r) for s in self._services() for r in s.rollouts.revisions if r.arn == arn), None)
            if found is None:
                answer["failures"].append({"arn": arn, "reason": "MISSING"})
            else:
                answer["serviceRevisions"].append(self._describe_service_revision(*found))
        return answer

    @counted
    def stop_service_deployment(self, **arguments: Any) -> dict[str, Any]:
        """Stop a deployment that is under way and go back to the last completed one.

        Raises
        ------
        ServiceDeploymentNotFoundException
            There is none of that ARN.
        ConflictException
            It is over already, is being rolled back, or there is no completed deployment to go back to.
        UnsupportedFeatureException
            `stopType` ``ABORT``: what ECS leaves behind then is not published.
        """
        spec = read(StopServiceDeployment, arguments)
        if spec.stop_type == "ABORT":
            raise UnsupportedFeatureException("stopType ABORT is not simulated: use ROLLBACK")
        if spec.service is not None:
            service = self._registry.service(spec.cluster, spec.service)
            entry = service.rollouts.current
        else:
            found = self._service_deployment(str(spec.service_deployment_arn))
            if found is None:
                raise ServiceDeploymentNotFoundException(
                    f"Service deployment '{spec.service_deployment_arn}' not found."
                )
            service, entry = found
        if service.spec.deployment_controller.type != "ECS":
            raise UnsupportedFeatureException("The service is deployed by CodeDeploy: use codedeploy.stop_deployment.")
        if entry.status not in STOPPABLE:
            raise ConflictException(
                f"The service deployment is {entry.status}: only one that is {' or '.join(STOPPABLE)} can be stopped."
            )
        if entry.deployment.stage == "CLEAN_UP":
            raise ConflictException("The service deployment is in CLEAN_UP: what it replaces is being stopped already.")
        if service.rollouts.rollback_target() is None:
            raise ConflictException("The service has no completed deployment to roll back to.")
        service.rollouts.stop(entry)
        return {"serviceDeploymentArn": entry.arn}

    @counted
    def continue_service_deployment(self, **arguments: Any) -> dict[str, Any]:
        """Let a deployment that a pause hook holds go on, or roll it back.

        Raises
        ------
        ServiceDeploymentNotFoundException
            There is none of that ARN.
        InvalidParameterException
            No pause of the deployment waits under that identifier, or at all.
        """
        spec = read(ContinueServiceDeployment, arguments)
        if spec.service is not None:
            service = self._registry.service(spec.cluster, spec.service)
            entry = service.rollouts.current
        else:
            found = self._service_deployment(str(spec.service_deployment_arn))
            if found is None:
                raise ServiceDeploymentNotFoundException(
                    f"Service deployment '{spec.service_deployment_arn}' not found."
                )
            service, entry = found
        calls = hooks_of(service, entry)
        waiting = [] if calls is None else calls.waiting()
        run = next((run for run in waiting if spec.hook_id in (None, run.hook_id)), None)
        if calls is None or run is None:
            known = ", ".join(run.hook_id for run in waiting) or "none"
            what = "No pause hook" if spec.hook_id is None else f"hookId: the pause hook '{spec.hook_id}'"
            raise InvalidParameterException(
                f"{what} of the service deployment is AWAITING_ACTION. Hooks that wait: {known}."
            )
        calls.finish(run, spec.action)
        return {"serviceDeploymentArn": entry.arn}

    @counted
    def update_task_protection(self, **arguments: Any) -> dict[str, Any]:
        """Protect tasks of services from scale-in and deployments, or end their protection.

        Tasks that are not a service's are `failures` with the reason ``TASK_NOT_VALID``; while a deployment waits for protected tasks, no
        further task can be protected: ``DEPLOYMENT_BLOCKED``.
        """
        spec = read(UpdateTaskProtection, arguments)
        if spec.expires_in_minutes is not None and not spec.protection_enabled:
            raise InvalidParameterException("expiresInMinutes: give it only where protectionEnabled is true")
        cluster = self._registry.cluster(spec.cluster)
        names = [task.task_id for task in self._oldest(cluster, spec)] if spec.service is not None else list(spec.tasks)
        answer: dict[str, Any] = {"protectedTasks": [], "failures": []}
        for name in names:
            task, failure = self._protectable(cluster, name)
            if task is None or task.service is None:
                answer["failures"].append(failure)
                continue
            protection = task.service.protection
            if not spec.protection_enabled:
                protection.lift(task)
            elif task not in protection and protection.blocks_deployment():
                detail = "A deployment of the service waits for protected tasks: end their protection first."
                answer["failures"].append(
                    {"arn": self._task_arn(task), "reason": "DEPLOYMENT_BLOCKED", "detail": detail}
                )
                continue
            else:
                protection.put(task, spec.expires_in_minutes or DEFAULT_MINUTES)
            answer["protectedTasks"].append(self._describe_protection(task))
        return answer

    @counted
    def get_task_protection(self, *, cluster: str = "default", tasks: list[str] | None = None) -> dict[str, Any]:
        """Return whether tasks are protected, and until when; without `tasks`, of every service task of the cluster."""
        found = self._registry.cluster(cluster)
        names = tasks or [t.task_id for t in found.tasks.values() if t.service is not None and t.alive]
        answer: dict[str, Any] = {"protectedTasks": [], "failures": []}
        for name in names:
            task, failure = self._protectable(found, name)
            if task is None:
                answer["failures"].append(failure)
            else:
                answer["protectedTasks"].append(self._describe_protection(task))
        return answer

    def _protectable(self, cluster: ClusterRun, name: str) -> tuple[TaskRun | None, dict[str, str]]:
        task = cluster.tasks.get(tail(name))
        if task is None or not task.alive:
            return None, {"arn": name, "reason": "MISSING"}
        if task.service is None:
            detail = "The specified task is not part of an ECS service."
            return None, {"arn": self._task_arn(task), "reason": "TASK_NOT_VALID", "detail": detail}
        return task, {}

    def _oldest(self, cluster: ClusterRun, spec: UpdateTaskProtection) -> list[TaskRun]:
        tasks = self._registry.service(cluster.name, str(spec.service)).tasks.values()
        running = [t for t in tasks if t.alive and t.last_status == "RUNNING"]
        return sorted(running, key=lambda t: t.number)[: spec.count]

    def _task_arn(self, task: TaskRun) -> str:
        return self._kit.arn("task", f"{task.cluster.name}/{task.task_id}")

    def _describe_protection(self, task: TaskRun) -> dict[str, Any]:
        until = None if task.service is None else task.service.protection.until(task)
        answer = {"taskArn": self._task_arn(task), "protectionEnabled": until is not None}
        return answer if until is None else {**answer, "expirationDate": instant(self._registry.start, until)}

    def _services(self) -> Iterator[ServiceRun]:
        for cluster in self._registry.clusters.values():
            yield from cluster.services.values()

    def _service_deployment(self, arn: str) -> tuple[ServiceRun, ServiceDeploymentRun] | None:
        return next(((s, d) for s in self._services() for d in s.rollouts.all if d.arn == arn), None)

    def _instants(self, entry: ServiceDeploymentRun) -> dict[str, Any]:
        at = {
            "createdAt": entry.created_at,
            "startedAt": entry.started_at,
            "finishedAt": entry.finished_at,
            "stoppedAt": entry.stopped_at,
            "updatedAt": entry.changes[-1][0],
        }
        return {name: instant(self._registry.start, us) for name, us in at.items() if us is not None}

    def _describe_service_deployment(self, service: ServiceRun, entry: ServiceDeploymentRun) -> dict[str, Any]:
        start = self._registry.start
        answer: dict[str, Any] = {
            "serviceDeploymentArn": entry.arn,
            "serviceArn": self._kit.arn("service", f"{service.cluster.name}/{service.name}"),
            "clusterArn": self._kit.arn("cluster", service.cluster.name),
            "status": entry.status,
            "statusReason": entry.reason,
            "deploymentConfiguration": service.spec.deployment_configuration.model_dump(
                mode="json", by_alias=True, exclude_none=True
            ),
            "targetServiceRevision": self._counts(service, entry.target),
            "sourceServiceRevisions": [self._counts(service, source) for source in entry.sources],
            **self._instants(entry),
        }
        if entry.rollback is not None:
            answer["rollback"] = {
                "reason": entry.rollback_reason,
                "startedAt": instant(start, entry.rollback.created_at),
                "serviceRevisionArn": entry.rollback.service_revision.arn,
            }
        if entry.deployment.stage or (entry.rollback is not None and entry.rollback.stage):
            answer["lifecycleStage"] = (entry.rollback or entry.deployment).stage or entry.deployment.stage
        calls = hooks_of(service, entry)
        if calls is not None and calls.runs:
            answer["lifecycleHookDetails"] = [self._describe_hook(run) for run in calls.runs]
        newest = entry.rollback or entry.deployment
        watch = newest.watch
        if watch is not None and watch.threshold is not None:
            opened = entry.deployment.watch is not None and entry.deployment.watch.breaker_opened
            answer["deploymentCircuitBreaker"] = {
                "status": "TRIGGERED" if opened else ("MONITORING_COMPLETE" if entry.over else "MONITORING"),
                "failureCount": (
                    entry.deployment.watch if opened and entry.deployment.watch else watch
                ).memory.failures,
                "threshold": watch.threshold,
            }
        if watch is not None and watch.alarms is not None:
            triggered = None if entry.deployment.watch is None else entry.deployment.watch.triggered_alarm
            answer["alarms"] = {
                "status": "TRIGGERED" if triggered else ("MONITORING_COMPLETE" if entry.over else "MONITORING"),
                "alarmNames": list(watch.alarms.alarm_names),
                "triggeredAlarmNames": [triggered] if triggered else [],
            }
        return answer

    def _describe_hook(self, run: HookRun) -> dict[str, Any]:
        hook = run.hook
        return {
            "hookId": run.hook_id,
            "targetType": hook.target_type,
            **({} if hook.hook_target_arn is None else {"targetArn": hook.hook_target_arn}),
            "status": run.status,
            "expiresAt": instant(self._registry.start, run.expires_at),
            "timeoutAction": hook.timeout_configuration.action,
        }

    def _counts(self, service: ServiceRun, revision: ServiceRevisionRun) -> dict[str, Any]:
        own: list[DeploymentRun] = [d for d in service.deployments if d.service_revision is revision]
        return {
            "arn": revision.arn,
            "requestedTaskCount": sum(service.desired if d is service.primary else d.wanted for d in own),
            "runningTaskCount": sum(d.counts["undecided"] + d.counts["healthy"] + d.counts["unhealthy"] for d in own),
            "pendingTaskCount": sum(d.counts["pending"] for d in own),
        }

    def _describe_service_revision(self, service: ServiceRun, revision: ServiceRevisionRun) -> dict[str, Any]:
        keys = {
            "launch_type",
            "capacity_provider_strategy",
            "platform_version",
            "network_configuration",
            "load_balancers",
        }
        return {
            "serviceRevisionArn": revision.arn,
            "serviceArn": self._kit.arn("service", f"{service.cluster.name}/{service.name}"),
            "clusterArn": self._kit.arn("cluster", service.cluster.name),
            "taskDefinition": revision.revision.arn,
            "createdAt": instant(self._registry.start, revision.created_at),
            **revision.spec.model_dump(mode="json", by_alias=True, exclude_none=True, include=keys),
        }
