"""AWS CodeDeploy and the services that it deploys: task sets side by side, traffic by listener weights, the five presets.

Its lifecycle events are told under the names of the stages of Amazon ECS: Install is SCALE_UP, AllowTestTraffic is TEST_TRAFFIC_SHIFT,
AllowTraffic is PRODUCTION_TRAFFIC_SHIFT, the wait before the original task set is terminated is BAKE_TIME.

Sources: Amazon ECS Developer Guide, deployment-type-bluegreen.html; AWS CodeDeploy User Guide, deployment-configurations.html,
deployments-rollback-and-redeploy.html; AWS CodeDeploy API Reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fargsim.model.code_deploy import (
    AutoRollbackConfiguration,
    CreateDeployment,
    CreateDeploymentGroup,
    StopDeployment,
)
from fargsim.model.deployment import DeploymentAlarms
from fargsim.policy.traffic_shift import MINUTE_US, codedeploy_steps
from fargsim.sim.blue_green import ShiftController
from fargsim.sim.deployment_watch import Verdict
from fargsim.sim.deployments import DeploymentRun
from fargsim.sim.errors import (
    DeploymentAlreadyCompletedException,
    DeploymentDoesNotExistException,
    DeploymentGroupAlreadyExistsException,
    DeploymentGroupDoesNotExistException,
    DeploymentLimitExceededException,
    ECSServiceMappingLimitExceededException,
    InvalidDeploymentConfigNameException,
    InvalidECSServiceException,
    InvalidRequestException,
    InvalidTargetGroupPairException,
)
from fargsim.sim.kit import Kit
from fargsim.sim.lifecycle_hooks import HookCalls
from fargsim.sim.registry import Registry
from fargsim.sim.service_deployments import ServiceDeploymentRun
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import read
from fargsim.sim.task_sets import TaskSets
from fargsim.sim.traffic_shift import Plan, Route

ALL_AT_ONCE = "CodeDeployDefault.ECSAllAtOnce"
SHIFTING = (
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
)
"""Stages in which a scaling event must come to a steady state within five minutes."""


@dataclass(slots=True, eq=False)
class CodeDeployment:
    """One deployment of CodeDeploy."""

    deployment_id: str
    group: CreateDeploymentGroup
    config: str
    rollback: AutoRollbackConfiguration
    service: ServiceRun
    entry: ServiceDeploymentRun | None = None
    stopped: bool = False

    @property
    def status(self) -> str:
        """Its status in CodeDeploy's words."""
        entry = self.entry
        if entry is None or entry.status in ("PENDING", "IN_PROGRESS"):
            return "InProgress"
        if entry.status == "SUCCESSFUL":
            return "Succeeded"
        return "Stopped" if self.stopped else "Failed"


class CodeDeployController(ShiftController):
    """Lets CodeDeploy move production traffic from the original task set to the replacement."""

    order: CodeDeployment | None = None
    """The newest deployment that was asked for; none while the service has its first task set."""
    _desired_before: int | None = None

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        super().__init__(kit, service)
        self._task_sets = TaskSets(service.events, self._desired)

    def find_routes(self) -> dict[int, Route]:
        """Return the target groups and listeners of the deployment group."""
        if self.order is None:
            return {}
        [pair] = self.order.group.load_balancer_info.target_group_pair_info_list
        registry = self._registry
        named = registry.target_group(self.service.spec.load_balancers[0].target_group_arn)
        groups = [registry.target_group(group.name) for group in pair.target_groups]
        [other] = [group for group in groups if group is not named]
        production = tuple(registry.listener(arn).default for arn in pair.prod_traffic_route.listener_arns)
        route = pair.test_traffic_route
        test = () if route is None else tuple(registry.listener(arn).default for arn in route.listener_arns)
        return {0: Route(named, other, production, test)}

    def begin(self, deployment: DeploymentRun) -> None:
        """Begin a deployment with the alarms of its deployment group."""
        order = self.order
        if order is not None and deployment.rollback_of is None and order.group.alarm_configuration.enabled:
            assert deployment.watch is not None
            names = tuple(alarm.name for alarm in order.group.alarm_configuration.alarms)
            back = order.rollback.on("DEPLOYMENT_STOP_ON_ALARM")
            deployment.watch.use_alarms(DeploymentAlarms(alarm_names=names, enable=True, rollback=back))
        super().begin(deployment)

    def plan(self, deployment: DeploymentRun) -> Plan:
        """Return the steps of the deployment configuration."""
        hour_us = self._kit.us("codedeploy_steady_state_s")
        if self.order is None:
            return Plan(codedeploy_steps(ALL_AT_ONCE), 0, hour_us)
        terminate = self.order.group.blue_green_deployment_configuration.terminate_blue_instances_on_deployment_success
        bake_us = terminate.termination_wait_time_in_minutes * MINUTE_US
        return Plan(codedeploy_steps(self.order.config), bake_us, hour_us)

    def hook_calls(self, deployment: DeploymentRun) -> HookCalls:
        """Return no hooks: those of an AppSpec file are not simulated."""
        return HookCalls(self._kit, self.service.events, (), {}, lambda reason: None)

    def settle_us(self) -> int:
        """Return that CodeDeploy does not wait for a Network Load Balancer."""
        return 0

    def give_up(self, deployment: DeploymentRun, reason: str) -> None:
        """Have a deployment fail; whether it is rolled back is its own business."""
        back = self.order is not None and self.order.rollback.on("DEPLOYMENT_FAILURE")
        if deployment.watch is not None:
            deployment.watch.fail(Verdict(reason, f"CodeDeploy deployment failed: {reason}.", rollback=back))

    def step(self) -> None:
        """Look once, and take note of a scaling event while traffic shifts."""
        shift, desired = self.shift_run, self.service.desired
        if shift is not None and not shift.over and shift.stage in SHIFTING and desired != self._desired_before:
            deployment = shift.deployment

            def steady() -> None:
                if not shift.over and any(
                    d.counts["healthy"] != self.service.desired for d in self.service.deployments
                ):
                    self.give_up(deployment, "no steady state within 5 minutes of a scaling event")

            self._kit.at(self._kit.now + self._kit.us("codedeploy_scaling_limit_s"), steady)
        self._desired_before = desired
        super().step()
        self._task_sets.look(self.service.deployments, self.service.desired)


class CodeDeploy:
    """The verbs of AWS CodeDeploy for Amazon ECS, as boto3 spells them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._groups: dict[str, CreateDeploymentGroup] = {}
        self._deployments: dict[str, CodeDeployment] = {}

    def create_deployment_group(self, **arguments: Any) -> dict[str, Any]:
        """Say how a service with the CODE_DEPLOY deployment controller is deployed.

        Raises
        ------
        InvalidRequestException, DeploymentGroupAlreadyExistsException, InvalidECSServiceException, InvalidTargetGroupPairException
            As CodeDeploy does, and what Elastic Load Balancing says of names that are not there.
        """
        spec = read(CreateDeploymentGroup, arguments, InvalidRequestException)
        if spec.deployment_group_name in self._groups:
            raise DeploymentGroupAlreadyExistsException(
                f"Deployment group '{spec.deployment_group_name}' exists already."
            )
        service = self._service(spec)
        for other in self._groups.values():
            if self._service(other) is service:
                raise ECSServiceMappingLimitExceededException(
                    f"Service '{service.name}' belongs to deployment group '{other.deployment_group_name}' already."
                )
        [pair] = spec.load_balancer_info.target_group_pair_info_list
        groups = [self._registry.target_group(group.name) for group in pair.target_groups]
        if service.groups[0] not in groups:
            raise InvalidTargetGroupPairException(
                f"targetGroups: service '{service.name}' is behind {service.groups[0].spec.name}, which is none of "
                + ", ".join(group.spec.name for group in groups)
            )
        for route in (pair.prod_traffic_route, pair.test_traffic_route):
            for arn in () if route is None else route.listener_arns:
                self._registry.listener(arn)
        self._check_config(spec, spec.deployment_config_name)
        self._groups[spec.deployment_group_name] = spec
        return {"deploymentGroupId": self._kit.identifier("codedeploy group", 32)}

    def create_deployment(self, **arguments: Any) -> dict[str, Any]:
        """Roll out a task definition as the replacement task set, and shift traffic to it.

        Raises
        ------
        InvalidRequestException, DeploymentGroupDoesNotExistException, DeploymentLimitExceededException, \
InvalidDeploymentConfigNameException, ClientException
            As CodeDeploy and ECS do.
        """
        spec = read(CreateDeployment, arguments, InvalidRequestException)
        group = self._group(spec.deployment_group_name)
        config = spec.deployment_config_name or group.deployment_config_name
        self._check_config(group, config)
        service = self._service(group)
        if service.deploying:
            raise DeploymentLimitExceededException(
                f"The deployment group '{group.deployment_group_name}' has an active deployment already."
            )
        revision = self._registry.revision(spec.rolls_out())
        service.choose_controller()
        controller = service.controller
        assert isinstance(controller, CodeDeployController)
        for pair in group.load_balancer_info.target_group_pair_info_list:
            for arn in pair.prod_traffic_route.listener_arns:
                if self._registry.listener(arn).default.users is not None:
                    raise InvalidRequestException(
                        f"The users of a closed loop reach {arn} and stay with one target group: shifting traffic needs a rate."
                    )
        number = self._kit.identifier("codedeploy deployment", 9)
        order = CodeDeployment(
            f"d-{number.upper()}",
            group,
            config,
            spec.auto_rollback_configuration or group.auto_rollback_configuration,
            service,
        )
        controller.order = order
        service.spec = service.spec.model_copy(update={"task_definition": revision.name})
        service.deploy(revision)
        order.entry = service.rollouts.current
        self._deployments[order.deployment_id] = order
        return {"deploymentId": order.deployment_id}

    def stop_deployment(self, **arguments: Any) -> dict[str, Any]:
        """Stop a deployment under way, with or without going back to the original task set."""
        spec = read(StopDeployment, arguments, InvalidRequestException)
        if spec.deployment_id is not None:
            order = self._deployment(spec.deployment_id)
        else:
            group = self._group(str(spec.deployment_group_name))
            found = [d for d in self._deployments.values() if d.group is group]
            if not found:
                raise DeploymentDoesNotExistException(f"Deployment group '{group.deployment_group_name}' has none.")
            order = found[-1]
        entry = order.entry
        if order.status != "InProgress" or entry is None or entry.deployment.stage == "CLEAN_UP":
            raise DeploymentAlreadyCompletedException(f"The deployment {order.deployment_id} is {order.status}.")
        order.stopped = True
        assert entry.deployment.watch is not None
        reason = f"CodeDeploy deployment {order.deployment_id} stopped by user."
        back = spec.auto_rollback_enabled
        back = order.rollback.on("DEPLOYMENT_STOP_ON_REQUEST") if back is None else back
        entry.deployment.watch.fail(Verdict("stopped by user", reason, rollback=back))
        return {"status": "Pending"}

    def get_deployment(self, *, deploymentId: str) -> dict[str, Any]:
        """Describe a deployment."""
        order = self._deployment(deploymentId)
        return {
            "deploymentInfo": {
                "applicationName": order.group.application_name,
                "deploymentGroupName": order.group.deployment_group_name,
                "deploymentConfigName": order.config,
                "deploymentId": order.deployment_id,
                "status": order.status,
                "computePlatform": "ECS",
            }
        }

    def _deployment(self, name: str) -> CodeDeployment:
        found = self._deployments.get(name)
        if found is None:
            raise DeploymentDoesNotExistException(f"Deployment '{name}' does not exist.")
        return found

    def _group(self, name: str) -> CreateDeploymentGroup:
        found = self._groups.get(name)
        if found is None:
            known = ", ".join(self._groups) or "none"
            raise DeploymentGroupDoesNotExistException(f"No deployment group '{name}'. Deployment groups: {known}.")
        return found

    def _service(self, group: CreateDeploymentGroup) -> ServiceRun:
        [named] = group.ecs_services
        service = self._registry.service(named.cluster_name, named.service_name)
        controller = service.spec.deployment_controller.type
        if controller != "CODE_DEPLOY":
            raise InvalidECSServiceException(
                f"Service '{service.name}' has the deployment controller {controller}: it must be CODE_DEPLOY."
            )
        return service

    def _check_config(self, group: CreateDeploymentGroup, config: str) -> None:
        [pair] = group.load_balancer_info.target_group_pair_info_list
        network = any(self._registry.target_group(g.name).spec.network for g in pair.target_groups)
        if network and config != ALL_AT_ONCE:
            raise InvalidDeploymentConfigNameException(
                f"deploymentConfigName: a Network Load Balancer takes {ALL_AT_ONCE} only, not {config}."
            )
