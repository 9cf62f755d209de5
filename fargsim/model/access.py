"""What a task needs from around it before it runs: roles, images and their registries.

Source: Amazon ECS Developer Guide, task_execution_IAM_role.html, task-iam-roles.html, instance_IAM_role.html; AWS Managed Policy Reference,
AmazonECSTaskExecutionRolePolicy.html, AmazonEC2ContainerServiceforEC2Role.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fargsim.model.base import Own
from fargsim.model.network import Network
from fargsim.model.quantity import DurationUs

TASKS_PRINCIPAL = "ecs-tasks.amazonaws.com"

MANAGED_POLICIES: dict[str, tuple[str, ...]] = {
    "AmazonECSTaskExecutionRolePolicy": (
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ),
    "AmazonEC2ContainerServiceforEC2Role": (
        "ec2:DescribeTags",
        "ecs:*",
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ),
    "AmazonEC2ContainerRegistryReadOnly": (
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "ecr:Describe*",
        "ecr:List*",
    ),
    "CloudWatchLogsFullAccess": ("logs:*",),
    "SecretsManagerReadWrite": ("secretsmanager:*",),
    "AmazonSSMReadOnlyAccess": ("ssm:Describe*", "ssm:Get*", "ssm:List*"),
    "AdministratorAccess": ("*",),
}
"""Managed policies by name with the actions that matter here. The one for task execution has no ``logs:CreateLogGroup``."""


def _action(value: str) -> str:
    if value != "*" and not re.fullmatch(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+", value):
        raise ValueError(f"'{value}' is not an IAM action: write it like ecr:BatchGetImage")
    return value


def _policy(value: str) -> str:
    name = value.rsplit("/", 1)[-1]
    if name not in MANAGED_POLICIES:
        raise ValueError(
            f"the managed policy '{name}' is not known here: list its actions under 'actions', or use one of "
            f"{', '.join(MANAGED_POLICIES)}"
        )
    return name


Action = Annotated[str, AfterValidator(_action)]


class Role(Own):
    """An IAM role: what it may do, and who may take it on.

    Parameters
    ----------
    managed_policies
        AWS managed policies by name or ARN.
    actions
        IAM actions it is allowed besides, with ``*`` and ``?``.
    trusts
        Principals of its trust policy.

    Examples
    --------
    >>> role = Role(managed_policies=("AmazonECSTaskExecutionRolePolicy",), actions=("ssm:Get*",))
    >>> role.allows("ecr:BatchGetImage"), role.allows("ssm:GetParameters"), role.allows("logs:CreateLogGroup")
    (True, True, False)
    """

    managed_policies: tuple[Annotated[str, AfterValidator(_policy)], ...] = ()
    actions: tuple[Action, ...] = ()
    trusts: tuple[str, ...] = (TASKS_PRINCIPAL,)

    def allows(self, action: str) -> bool:
        """Whether a policy of the role allows an action; IAM does not tell capital letters from small ones in them."""
        patterns = [*self.actions, *(a for policy in self.managed_policies for a in MANAGED_POLICIES[policy])]
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


class Repository(Own):
    """What is in a repository of a registry; one that is not listed has every tag for every processor.

    Parameters
    ----------
    exists
        Whether there is such a repository.
    tags
        The tags (or digests) there are; ``None``: every one.
    architectures
        Processors its images were built for.
    multi_architecture
        Whether a tag names an index of images by platform: then a processor that is missing fails the pull. Otherwise the one image there
        is gets pulled, and cannot be executed.
    """

    exists: bool = True
    tags: tuple[str, ...] | None = None
    architectures: tuple[Literal["X86_64", "ARM64"], ...] = Field(default=("X86_64", "ARM64"), min_length=1)
    multi_architecture: bool = False


class ImageRegistry(Own):
    """A limit of a registry on pulls without an account.

    Parameters
    ----------
    anonymous_pulls
        Pulls from one address within `per`; the next is answered 429 (``toomanyrequests``).
    per
        Length of the rolling window.
    """

    anonymous_pulls: int = Field(ge=0)
    per: DurationUs = Field(default=6 * 3600 * 1_000_000, gt=0)


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image's name taken apart, as Docker reads it.

    Examples
    --------
    >>> str(ImageName.of("httpd:2.4")), ImageName.of("httpd:2.4").repository
    ('docker.io/library/httpd:2.4', 'docker.io/library/httpd')
    >>> ImageName.of("123456789012.dkr.ecr.us-east-1.amazonaws.com/web").ecr
    True
    """

    host: str
    path: str
    tag: str

    @staticmethod
    def of(image: str) -> ImageName:
        """Read an image as a container definition names it."""
        name, _, digest = image.partition("@")
        head, slash, rest = name.partition("/")
        registry = bool(slash) and ("." in head or ":" in head or head == "localhost")
        host, path = (head, rest) if registry else ("docker.io", name)
        path, _, tag = path.partition(":")
        if host == "docker.io" and "/" not in path:
            path = f"library/{path}"
        return ImageName(host, path, digest or tag or "latest")

    @property
    def repository(self) -> str:
        """Registry and path, without the tag."""
        return f"{self.host}/{self.path}"

    @property
    def ecr(self) -> bool:
        """Whether it lies in a private registry of Amazon ECR."""
        return re.fullmatch(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", self.host) is not None

    def __str__(self) -> str:
        """Return the whole name."""
        return f"{self.repository}{'@' if self.tag.startswith('sha256:') else ':'}{self.tag}"


class Surroundings(Own):
    """What tasks find around them: network, roles, images, secrets, log groups. What is not said is sound.

    Parameters
    ----------
    roles
        IAM roles by name; one that is not listed may do everything.
    images
        Repositories by name, as Docker reads it; one that is not listed has every image.
    registries
        Limits of registries by host, like ``docker.io``.
    secrets
        Secrets and parameters there are, by name or ARN; ``None``: every one.
    log_groups
        Log groups there are; ``None``: every one.
    """

    network: Network = Network()
    roles: dict[str, Role] = Field(default_factory=dict)
    images: dict[str, Repository] = Field(default_factory=dict)
    registries: dict[str, ImageRegistry] = Field(default_factory=dict)
    secrets: tuple[str, ...] | None = None
    log_groups: tuple[str, ...] | None = None
