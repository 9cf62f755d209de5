"""Who deploys a service: the seam between a service and the kinds of deployment.

A service hands every deployment to its controller and lets it look whenever something may have changed. `ServiceRun` says what exists,
`ServiceActions` does things to tasks, `Rollouts` begins, completes, fails and rolls back; a controller decides. Rolling updates are
`fargsim.sim.rolling`, the model for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fargsim.model.service import CreateService
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun, ServiceRevisionRun
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun


class Controller(Protocol):
    """What a service asks of whoever deploys it."""

    def begin(self, deployment: DeploymentRun) -> None:
        """Take a deployment that has just become the newest one; a rollback is one, too (`deployment.rollback_of`)."""

    def step(self) -> None:
        """Look once at a tick of the scheduler: observe, decide, act."""

    def target_groups(self, task: TaskRun) -> tuple[TargetGroupRun, ...]:
        """Return the target groups a task registers with when it reaches RUNNING."""

    def failed(self, deployment: DeploymentRun) -> None:
        """Take note that a deployment has been given up; called before its rollback, if any, begins."""

    def place(self, spec: CreateService) -> tuple[TargetGroupRun, ...]:
        """Return the target groups that the tasks of a new revision of this specification register with."""

    def hand_over(self) -> ServiceRevisionRun | None:
        """Leave off, because another controller deploys from now on; return the revision that production traffic belongs to."""

    def take_over(self, holder: ServiceRevisionRun | None) -> None:
        """Go on where another controller has left off; `holder`: the revision that production traffic belongs to."""

    def finish(self) -> None:
        """Write down what is under way when the run ends."""


def kind_of(spec: CreateService) -> str:
    """Return which controller a service needs: ``DAEMON``, a deployment controller other than ECS, or the deployment strategy.

    >>> kind_of(CreateService(serviceName="web", taskDefinition="web"))
    'ROLLING'
    """
    if spec.scheduling_strategy == "DAEMON":
        return "DAEMON"
    if spec.deployment_controller.type != "ECS":
        return spec.deployment_controller.type
    return spec.deployment_configuration.strategy


def maker_of(kind: str) -> Callable[[Kit, ServiceRun], Controller]:
    """Return what makes the controllers of a kind: the strategies that shift traffic share one."""
    # the controllers know this module's protocol
    from fargsim.sim.blue_green import ShiftController
    from fargsim.sim.code_deploy import CodeDeployController
    from fargsim.sim.daemon import DaemonController
    from fargsim.sim.rolling import RollingController

    makers: dict[str, Callable[[Kit, ServiceRun], Controller]] = {
        "ROLLING": RollingController,
        "BLUE_GREEN": ShiftController,
        "LINEAR": ShiftController,
        "CANARY": ShiftController,
        "CODE_DEPLOY": CodeDeployController,
        "DAEMON": DaemonController,
    }
    return makers[kind]


def controller_of(kit: Kit, service: ServiceRun) -> Controller:
    """Return the controller of a service's present specification."""
    return maker_of(kind_of(service.spec))(kit, service)
