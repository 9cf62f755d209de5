"""What tasks find around them at run time: what is wrong with each thing that a start needs.

Sources: Amazon ECS Developer Guide, task_execution_IAM_role.html, task-iam-roles.html, instance_IAM_role.html,
specifying-sensitive-data.html, using_awslogs.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fargsim.model.access import TASKS_PRINCIPAL, ImageName, Repository, Surroundings
from fargsim.model.behaviour import Behaviour
from fargsim.model.network import Subnet
from fargsim.model.taskdef import ContainerDefinition, TaskDefinition
from fargsim.policy.start_up import Caller, ImageView, LogView, SecretView, Trouble, role_fault
from fargsim.sim.images import PullLimit
from fargsim.sim.kit import Kit
from fargsim.sim.network import NetworkRun

if TYPE_CHECKING:
    from fargsim.sim.state import ImageFacts, TaskRun


class SurroundingsRun:
    """Network, roles, registries, secrets and log groups of a region."""

    def __init__(self, kit: Kit, spec: Surroundings, subnets: Iterable[Subnet]) -> None:
        self.network = NetworkRun(kit.env, spec.network, subnets)
        self._kit = kit
        self._spec = spec
        self._limits = {host: PullLimit(limit) for host, limit in spec.registries.items()}
        self._repositories = {ImageName.of(name).repository: facts for name, facts in spec.images.items()}
        self._secrets = None if spec.secrets is None else frozenset(spec.secrets)
        self.plain = spec == Surroundings(network=spec.network.model_copy(update={"nat_gateways": 0})) and not (
            spec.network.endpoints
            or spec.network.security_groups
            or any(s.spec.route or s.spec.addresses is not None for s in self.network.subnets.values())
        )
        """Whether nothing is said, so that nothing can be wrong."""

    # roles

    def untrusted(self, arn: str | None) -> bool:
        """Whether a role does not let the tasks of ECS take it on."""
        role = self._spec.roles.get(_role_name(arn)) if arn is not None else None
        return role is not None and TASKS_PRINCIPAL not in role.trusts

    def role_fault(self, definition: TaskDefinition) -> str | None:
        """Return what ECS says of a role of a task definition that it cannot take on; None where it can."""
        arns = (definition.execution_role_arn, definition.task_role_arn)
        return next((role_fault(arn) for arn in arns if arn is not None and self.untrusted(arn)), None)

    def allows(self, arn: str | None, action: str) -> bool:
        """Whether a role may do something; none at all may nothing, one that is not listed everything."""
        if arn is None:
            return False
        role = self._spec.roles.get(_role_name(arn))
        return role is None or role.allows(action)

    def lacks(self, definition: TaskDefinition, actions: Iterable[str]) -> bool:
        """Whether the task role of a definition misses one of some actions.

        On EC2 an application without a task role uses the instance's, which is taken to be sound.
        """
        if definition.task_role_arn is None and "FARGATE" not in definition.requires_compatibilities:
            return False
        return not all(self.allows(definition.task_role_arn, action) for action in actions)

    def permitted(self, definition: TaskDefinition, behaviour: Behaviour) -> Behaviour:
        """Return a behaviour whose requests fail as often as the task role makes them fail."""
        calls, request = behaviour.calls, behaviour.request
        if calls is None or request is None or not self.lacks(definition, calls.actions):
            return behaviour
        rate = 1.0 - (1.0 - request.error_rate) * (1.0 - calls.error_rate)
        return behaviour.model_copy(update={"request": request.model_copy(update={"error_rate": rate})})

    def agent_role(self, task: TaskRun) -> str | None:
        """Return the role with which the agent pulls images and opens log streams: the execution role, or on EC2 the instance's."""
        arn = task.revision.definition.execution_role_arn
        if arn is None and task.instance is not None:
            profile: Any = task.instance.group.template.iam_instance_profile
            named = (profile.get("Name") or profile.get("Arn")) if isinstance(profile, dict) else profile
            return str(named or "ecsInstanceRole")
        return arn

    def caller(self, task: TaskRun, arn: str | None) -> Caller:
        """Return who asks, for the text of a refusal: an instance in its own name, unless it takes on a role for the task."""
        kit = self._kit
        own = task.instance is not None and arn != task.revision.definition.execution_role_arn
        session = task.instance.instance_id if own and task.instance is not None else task.task_id
        return Caller(_role_name(arn) if arn is not None else "none", session, kit.account, kit.region)

    # ways out

    def reaches(self, task: TaskRun, service: str) -> bool:
        """Whether a task's agent reaches a service: through the task's interface on Fargate, through the instance's own on EC2."""
        network = task.spec.network_configuration
        if task.instance is None:
            groups = () if network is None else network.awsvpc_configuration.security_groups
            return self.network.reaches(task.subnet, task.public_ip, groups, service)
        group = task.instance.group
        subnet = self._subnet_of_instance(task)
        return self.network.reaches(subnet, group.spec.public_ip, group.template.security_group_ids, service)

    def _subnet_of_instance(self, task: TaskRun) -> str | None:
        assert task.instance is not None
        known = self.network.subnets
        here = (s for s in task.instance.group.spec.subnets if s in known)
        return next((s for s in here if known[s].spec.availability_zone == task.instance.zone), None)

    # what the agent finds

    def registry_auth(self, task: TaskRun) -> Trouble:
        """What is wrong with a token for Amazon ECR."""
        if not self.reaches(task, "ecr.api"):
            return "unreachable"
        return "" if self.allows(self.agent_role(task), "ecr:GetAuthorizationToken") else "denied"

    def secrets(self, task: TaskRun) -> list[SecretView]:
        """Return the secrets of a task's containers, of their log drivers and of their registries."""
        names: list[str] = []
        for container in task.revision.definition.container_definitions:
            names += [s.value_from for s in container.secrets]
            if container.repository_credentials is not None:
                names.append(container.repository_credentials.credentials_parameter)
            if container.log_configuration is not None:
                names += [s.value_from for s in container.log_configuration.secret_options]
        return [SecretView(name, self._secret(task, name)) for name in dict.fromkeys(names)]

    def _secret(self, task: TaskRun, name: str) -> Trouble:
        manager = SecretView(name, "").secrets_manager
        if not self.reaches(task, "secretsmanager" if manager else "ssm"):
            return "unreachable"
        action = "secretsmanager:GetSecretValue" if manager else "ssm:GetParameters"
        if not self.allows(task.revision.definition.execution_role_arn, action):
            return "denied"
        return "" if self._secrets is None or self._secrets & set(_names_of_secret(name)) else "missing"

    def logs(self, task: TaskRun) -> list[LogView]:
        """Return the log groups of a task's containers that use the driver ``awslogs``."""
        found = []
        for container in task.revision.definition.container_definitions:
            log = container.log_configuration
            if log is not None and log.log_driver == "awslogs":
                found.append(self._log(task, container))
        return found

    def _log(self, task: TaskRun, container: ContainerDefinition) -> LogView:
        assert container.log_configuration is not None
        options = container.log_configuration.options
        group = options.get("awslogs-group", f"/ecs/{task.revision.definition.family}")
        role = self.agent_role(task)
        there = self._spec.log_groups is None or group in self._spec.log_groups
        if not self.reaches(task, "logs"):
            return LogView(group, "unreachable")
        if not there and options.get("awslogs-create-group") != "true":
            return LogView(group, "missing")
        if not there and not self.allows(role, "logs:CreateLogGroup"):
            return LogView(group, "denied", "logs:CreateLogGroup")
        return LogView(group, "" if self.allows(role, "logs:CreateLogStream") else "denied")

    def image(self, task: TaskRun, facts: ImageFacts, cached: bool) -> ImageView:
        """Return an image as a task's agent meets it; the registry's limit is not asked here."""
        name = facts.view.name
        repository = self._repositories.get(name.repository, Repository())
        trouble: Trouble = ""
        layers = False
        lacking = self._lacking_for_pull(task) if name.ecr else ""
        if not self.reaches(task, "ecr.dkr" if name.ecr else "internet"):
            trouble = "unreachable"
        elif name.ecr and lacking:
            trouble = "denied"
        elif not repository.exists or (repository.tags is not None and name.tag not in repository.tags):
            trouble = "missing"
        elif name.ecr:
            layers = not self.reaches(task, "s3")
        return replace(
            facts.view,
            cached=cached,
            registry=trouble,
            layers=layers,
            no_platform=repository.multi_architecture and self.architecture(task) not in repository.architectures,
            repository_missing=not repository.exists,
            denied=lacking,
        )

    def _lacking_for_pull(self, task: TaskRun) -> str:
        """Return the first action that an agent's role lacks for a pull from Amazon ECR; empty where it has all."""
        role = self.agent_role(task)
        needed = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        if task.instance is not None:
            needed.insert(0, "ecr:GetAuthorizationToken")
        return next((action for action in needed if not self.allows(role, action)), "")

    def takes_a_pull(self, task: TaskRun, facts: ImageFacts) -> bool:
        """Count a pull at a registry with a limit; false when there is none left for the address it comes from."""
        limit = self._limits.get(facts.view.name.host)
        if limit is None or facts.credentials:
            return True
        return limit.take(self._address(task), self._kit.now)

    def _address(self, task: TaskRun) -> str:
        subnet = task.subnet if task.instance is None else self._subnet_of_instance(task)
        if self.network.behind_nat(subnet):
            return f"nat {self.network.subnets[subnet].spec.availability_zone if subnet else ''}"
        return task.task_id if task.instance is None else task.instance.instance_id

    def architecture(self, task: TaskRun) -> str:
        """Return the processor a task runs on: what its definition asks for on Fargate, its instance's on EC2."""
        if task.instance is None:
            return task.revision.definition.cpu_architecture
        return "ARM64" if task.instance.architecture in ("arm64", "ARM64") else "X86_64"

    def cannot_execute(self, task: TaskRun, container: ContainerDefinition) -> bool:
        """Whether a container's image was built for another processor only (``exec format error``)."""
        if self.plain:
            return False
        repository = self._repositories.get(ImageName.of(container.image).repository)
        return (
            repository is not None
            and not repository.multi_architecture
            and self.architecture(task) not in repository.architectures
        )


def _role_name(arn: str | None) -> str:
    return (arn or "").rsplit("/", 1)[-1]


def _names_of_secret(value_from: str) -> list[str]:
    """Return the names by which a scenario may list a secret: as it stands, without its key, and by its plain name."""
    found = [value_from, value_from.rsplit("/", 1)[-1]]
    if value_from.startswith("arn:"):
        parts = value_from.split(":")
        whole = ":".join(parts[:7])
        name = parts[6] if len(parts) > 6 else parts[-1].removeprefix("parameter/")
        found += [whole, name, name.rpartition("-")[0] or name]
    return [*found, value_from.lstrip("/")]
