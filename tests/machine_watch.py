"""Watching a region at the very instants at which something happens: changes of state, what schedulers do, what events say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from machine_laws import assert_steady
from machine_world import World

from fargsim.policy.deployment import bounds
from fargsim.record.buffer import Buffer
from fargsim.sim.blue_green import ShiftController
from fargsim.sim.deployments import DeploymentRun
from fargsim.sim.refusal import Refusal
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.state import TaskRun
from fargsim.sim.where import Where

# Amazon ECS Developer Guide, task-lifecycle-explanation.html. A task that is stopped before it runs skips what it has not begun; one whose
# instance is lost is STOPPED from any state.
NEXT = {
    "": {"PROVISIONING"},
    "PROVISIONING": {"PENDING", "DEPROVISIONING", "STOPPED"},
    "PENDING": {"ACTIVATING", "DEPROVISIONING", "STOPPED"},
    "ACTIVATING": {"RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"},
    "RUNNING": {"DEACTIVATING", "STOPPING", "STOPPED"},
    "DEACTIVATING": {"STOPPING", "STOPPED"},
    "STOPPING": {"DEPROVISIONING", "STOPPED"},
    "DEPROVISIONING": {"STOPPED"},
    "STOPPED": set(),
}
CODES = {
    "TaskFailedToStart",
    "EssentialContainerExited",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
}
RANK = {"waiting": 0, "starting": 1, "running": 2, "stopping": 3, "stopped": 4}


class Listening:
    """A table whose new rows are told before they are kept."""

    def __init__(self, buffer: Buffer, tell: Callable[[tuple[Any, ...]], None]) -> None:
        self._buffer = buffer
        self._tell = tell

    def append(self, row: tuple[Any, ...]) -> None:
        """Tell and keep a row."""
        self._tell(row)
        self._buffer.append(row)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buffer, name)

    def __len__(self) -> int:
        return len(self._buffer)


class Watch:
    """Looks on while a world goes its way, and raises where a law is broken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.last: dict[str, str] = {}
        """The newest status of every task."""
        self.ends: Counter[str] = Counter()
        """Ends of deployments, by id, as service events tell them."""
        self._containers: dict[tuple[str, str], tuple[int, str]] = {}
        recorder = world.region.kit.recorder
        recorder.task_states = Listening(recorder.task_states, self._moved)  # type: ignore[assignment]
        recorder.events = Listening(recorder.events, self._said)  # type: ignore[assignment]
        world.on_service = self.service

    # tasks

    def _moved(self, row: tuple[Any, ...]) -> None:
        task_id, at, status, desired = row
        before = self.last.get(task_id, "")
        assert status in NEXT[before], f"{before} to {status}"
        self.last[task_id] = status
        task = self.world.cluster.tasks[task_id]
        assert at == self.world.now_us
        if status in ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"):
            assert desired == "STOPPED"
            assert task.stop_wanted is not None
            assert task.stop_wanted.code in CODES
            assert task.stop_wanted.reason
        if status == "STOPPING":
            assert task.started_at is not None or (task.machine is not None and task.machine.ran)
        if task.instance is not None:
            self._room_on(task)
        fargate = self.world.registry.fargate
        for option, units in fargate._units.items():
            assert 0 <= units <= fargate._limit_units[option]

    def everyone(self) -> None:
        """See that every task that was ever started is there, or has stopped, with a reason, the last hour's being shown."""
        cluster = self.world.cluster
        assert {task for task, status in self.last.items() if status != "STOPPED"} == set(cluster.tasks)
        for name, task in cluster.tasks.items():
            assert self.last[name] == task.last_status
        for name, task in cluster.stopped.items():
            assert self.last[name] == task.last_status == "STOPPED"
            assert task.stop_wanted is not None
            assert task.stop_wanted.code in CODES
            assert task.stop_wanted.reason

    def _room_on(self, task: TaskRun) -> None:
        instance, view = task.instance, self.world.cluster.fleet.view()
        assert instance is not None
        assert min(instance.host_cpu_units, instance.host_memory_mib, instance.host_gpus) >= 0
        row = instance.row
        assert row is not None
        for column in (view.free_cpu_units, view.free_memory_mib, view.free_enis, view.free_gpus):
            assert column[row] >= 0

    def containers(self) -> None:
        """See that every container has gone on, and none back, since the last look."""
        for task in [*self.world.cluster.tasks.values(), *self.world.cluster.stopped.values()]:
            for run in () if task.machine is None else task.machine.runs.values():
                key = (task.task_id, run.name)
                number, phase = self._containers.get(key, (-1, "waiting"))
                self._containers[key] = (run.run, run.phase)
                assert run.run >= number
                policy = run.definition.restart_policy
                restarts = policy is not None and policy.enabled
                if run.run > max(number, 0):
                    assert restarts
                elif run.run == number:
                    again = restarts and run.phase == "starting" and number >= 0
                    assert RANK[run.phase] >= RANK[phase] or again, f"{phase} to {run.phase}"
                if task.last_status == "STOPPED":
                    assert run.phase == "stopped"
                if run.alive:
                    assert run.started_at is not None
                    assert run.exit_code is None

    # services

    def service(self, service: ServiceRun) -> None:
        """Watch what a new service does."""
        actions = service.actions
        start, stop, launch = actions.start, actions.stop, actions.launch

        def started(deployment: DeploymentRun, number: int, *places: Any, **more: Any) -> list[TaskRun]:
            found = start(deployment, number, *places, **more)
            if found:
                assert deployment.rollout_state != "FAILED"
                assert deployment in service.deployments
                assert there(service, deployment) <= upper(service), "starts stay within the upper bound"
                assert not service.deleted
            return found

        def launched(deployment: DeploymentRun, where: Where) -> TaskRun | Refusal:
            found = launch(deployment, where)
            if isinstance(found, TaskRun):
                assert not service.deleted
                assert there(service, deployment) <= upper(service), "rebalancing stays within the upper bound"
            return found

        def stopped(task: TaskRun, reason: str, code: str) -> None:
            deployment = service.deployment_of(task)
            standing = None if deployment is None else deployment.standing.get(task)
            daemon = service.spec.scheduling_strategy == "DAEMON"
            # on a draining instance, or where a constraint is not met any more, a daemon goes nevertheless
            of_will = not daemon or reason.startswith("Scaling activity")
            if standing in ("healthy", "undecided", "pending") and task.started_at is not None and of_will:
                assert task not in service.protection, "what is protected stays"
            stop(task, reason, code)
            bound = not isinstance(service.controller, ShiftController)
            if daemon:
                # where none is wanted any more, none counts
                bound = task.instance is not None and task.instance.status == "ACTIVE" and "constraints" not in reason
            if standing == "healthy" and code == "ServiceSchedulerInitiated" and bound:
                assert service.healthy >= lower(service), "stops leave the lower bound"
            if standing == "unhealthy" and task.serves and bound and not service.deleted:
                assert serving(service) >= lower(service), "so does what goes with a draining instance"

        # each act is looked at in the instant it is done, between two looks at the laws: so the instance's own methods are wrapped
        actions.start, actions.stop, actions.launch = started, stopped, launched

    def _said(self, row: tuple[Any, ...]) -> None:
        _, _, cluster, name, _, event, message = row
        if name is None or cluster != self.world.cluster.name:
            return
        service = self.world.cluster.services.get(name)
        if event == "SERVICE_STEADY_STATE":
            assert service is not None
            assert_steady(service)
            assert len(service.deployments) == 1
        if event in ("SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_FAILED"):
            [deployment] = re.findall(r"\(deployment ([^)]*)\)", message)
            self.ends[deployment] += 1
            assert self.ends[deployment] == 1, "a deployment ends once"


def lower(service: ServiceRun) -> int:
    """How many healthy tasks a service must keep."""
    configuration = service.spec.deployment_configuration
    daemon = service.spec.scheduling_strategy == "DAEMON"
    low = configuration.minimum_healthy_percent
    low = (0 if daemon else 100) if low is None else low
    return bounds(service.desired, low, max(low, 100)).lower


def serving(service: ServiceRun) -> int:
    """How many tasks serve: the healthy ones, and those that would be healthy if their instances did not drain."""
    return service.healthy + sum(t.serves for d in service.deployments for t in d.standing)


def upper(service: ServiceRun) -> int:
    """How many tasks a service may have."""
    configuration = service.spec.deployment_configuration
    if service.spec.scheduling_strategy == "DAEMON":
        return len(service.cluster.instances_by_row) + sum(not t.alive for t in service.tasks.values())
    high = 200 if configuration.maximum_percent is None else configuration.maximum_percent
    return bounds(service.desired, 0, high).upper


def there(service: ServiceRun, deployment: DeploymentRun) -> int:
    """How many tasks count for the upper bound of a deployment: all, or its own where revisions stand side by side."""
    if not isinstance(service.controller, ShiftController):
        return len(service.tasks)
    return sum(task.deployment_id == deployment.deployment_id for task in service.tasks.values())
