"""What keeps a task from starting, and how long its images take: pure functions of what the agent finds.

ECS takes on the roles before it launches a task. Then the order is the agent's: authenticate at the registry, fetch secrets, open the log
stream, pull the images. The first thing that fails is what the task's ``stoppedReason`` says.

Sources: Amazon ECS Developer Guide, resource-initialization-error.html, task_cannot_pull_image.html, failed-to-start-error.html,
cannot-start-container.html, ecs-agent-config.html; AWS re:Post Knowledge Center, ecs-fargate-docker-timeout-error,
ecs-unable-to-pull-secrets. The texts are those that tasks show; addresses and request identifiers are left out of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fargsim.model.access import ImageName

Trouble = Literal["", "unreachable", "denied", "missing"]
"""What is wrong with something a task needs: nothing, no way to it, no right to it, no such thing."""

PULL_LIMIT = (
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and "
    "upgrading: https://www.docker.com/increase-rate-limit"
)
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task does not start.

    Parameters
    ----------
    reason
        Its ``stoppedReason``.
    waits
        Whether it is a connection that never comes about, so that the failure takes a time-out; otherwise an answer is refused at once.
    """

    reason: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a role that a task's agent has taken on.

    Parameters
    ----------
    role
        Name of the role.
    session
        Name of the session: the task's identifier, or the instance's.
    account, region
        Where.
    """

    role: str
    session: str
    account: str
    region: str

    def denied(self, action: str, resource: str) -> str:
        """Return IAM's refusal."""
        return (
            f"AccessDeniedException: User: arn:aws:sts::{self.account}:assumed-role/{self.role}/{self.session} is not authorized to "
            f"perform: {action} on resource: {resource} because no identity-based policy allows the {action} action"
        )


@dataclass(frozen=True, slots=True)
class SecretView:
    """A secret that a container is given.

    Parameters
    ----------
    value_from
        ARN of a secret or a parameter, or the parameter's name.
    """

    value_from: str
    trouble: Trouble

    @property
    def secrets_manager(self) -> bool:
        """Whether it lies in Secrets Manager rather than in the Parameter Store."""
        return self.value_from.startswith("arn:") and self.value_from.split(":")[2] == "secretsmanager"


@dataclass(frozen=True, slots=True)
class LogView:
    """The log group of a container with the driver ``awslogs``.

    Parameters
    ----------
    denied
        The action that its role lacks, where `trouble` is ``denied``.
    """

    group: str
    trouble: Trouble
    denied: str = "logs:CreateLogStream"


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image as the agent meets it.

    Parameters
    ----------
    registry
        What is wrong with the registry's answer to the manifest: ``missing`` is a tag or a repository that is not there.
    layers
        Whether the storage behind the registry is out of reach (Amazon ECR keeps layers in Amazon S3).
    limited
        Whether the registry has no more pulls for this address.
    no_platform
        Whether the image is an index without this processor.
    repository_missing
        Whether there is no such repository at all.
    denied
        The action that the agent's role lacks, where `registry` is ``denied``.
    """

    name: ImageName
    mib: float
    zstd: bool = False
    soci: bool = False
    cached: bool = False
    registry: Trouble = ""
    layers: bool = False
    limited: bool = False
    no_platform: bool = False
    repository_missing: bool = False
    denied: str = "ecr:GetAuthorizationToken"


def agent_duration(seconds: float) -> str:
    """Write a duration as the agent does.

    >>> agent_duration(180), agent_duration(7200)
    ('3m0s', '2h0m0s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def role_fault(arn: str) -> str:
    """What ECS says of a role that does not trust its tasks, or is not there: it launches none.

    Source: the words are those of service events, as in github.com/boto/boto3/issues/1878 and
    github.com/aws-samples/aws-modern-application-workshop/issues/88.
    """
    return (
        f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being passed has the "
        "proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )


def address_failure(subnet: str, public: bool) -> Failure:
    """A subnet without free addresses."""
    how = " with public IP assignment enabled" if public else ""
    return Failure(
        f"Unexpected EC2 error while attempting to Create Network Interface{how} in subnet '{subnet}': "
        "InsufficientFreeAddressesInSubnet",
        waits=True,
    )


def registry_auth_failure(trouble: Trouble, caller: Caller) -> Failure | None:
    """What the agent on Fargate finds when it asks Amazon ECR for a token."""
    head = "ResourceInitializationError: unable to pull secrets or registry auth: "
    if trouble == "unreachable":
        return Failure(
            f"{head}The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. "
            "Check your task network configuration. RequestError: send request failed caused by: Post "
            f'"https://api.ecr.{caller.region}.amazonaws.com/": dial tcp: i/o timeout',
            waits=True,
        )
    if trouble == "denied":
        return Failure(
            f"{head}execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): "
            f"{caller.denied('ecr:GetAuthorizationToken', '*')}"
        )
    return None


def secret_failure(secret: SecretView, caller: Caller) -> Failure | None:
    """What the agent finds when it fetches a secret."""
    if not secret.trouble:
        return None
    name = secret.value_from
    head = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
    unreachable = (
        "RequestCanceled: request context canceled caused by: context deadline exceeded. "
        "Please check your task network configuration."
    )
    times = 5 if secret.trouble == "unreachable" else 1
    if secret.secrets_manager:
        said = {
            "unreachable": unreachable,
            "denied": caller.denied("secretsmanager:GetSecretValue", name),
            "missing": "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        }[secret.trouble]
        reason = (
            f"{head}unable to retrieve secret from asm: service call has been retried {times} time(s): "
            f"failed to fetch secret {name} from secrets manager: {said}"
        )
    else:
        arn = (
            name
            if name.startswith("arn:")
            else f"arn:aws:ssm:{caller.region}:{caller.account}:parameter/{name.lstrip('/')}"
        )
        said = {
            "unreachable": unreachable,
            "denied": caller.denied("ssm:GetParameters", arn),
            "missing": f"invalid parameters: {name}",
        }[secret.trouble]
        reason = f"{head}unable to retrieve secrets from ssm: service call has been retried {times} time(s): {said}"
    return Failure(reason, waits=secret.trouble == "unreachable")


def log_failure(log: LogView, caller: Caller, fargate: bool) -> Failure | None:
    """What the agent finds when it opens a container's log stream: before the pull on Fargate, at the start of the container on EC2."""
    if not log.trouble:
        return None
    resource = f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{log.group}:log-stream:"
    kind = "group" if log.denied == "logs:CreateLogGroup" else "stream"
    said = {
        "missing": "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
        "denied": f"failed to create Cloudwatch log {kind}: {caller.denied(log.denied, resource)}",
        "unreachable": "failed to create Cloudwatch log stream: RequestError: send request failed caused by: Post "
        f'"https://logs.{caller.region}.amazonaws.com/": dial tcp: i/o timeout',
    }[log.trouble]
    if not fargate:
        reason = f"CannotStartContainerError: Error response from daemon: failed to initialize logging driver: {said}"
    elif log.trouble == "unreachable":
        reason = (
            "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined in "
            "the task definition. There is a connection issue between the task and Amazon CloudWatch. Check your network configuration. "
            ": signal: killed"
        )
    else:
        reason = (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
            f"{said} : exit status 1"
        )
    return Failure(reason, waits=log.trouble == "unreachable")


def image_failure(image: ImageView, caller: Caller, architecture: str, fargate: bool) -> Failure | None:
    """What the agent finds when it pulls an image."""
    reason = _fargate_pull(image, architecture) if fargate else _docker_pull(image, caller, architecture)
    if reason is None:
        return None
    return Failure(f"CannotPullContainerError: {reason}", waits=image.registry == "unreachable" or _stuck(image))


def _stuck(image: ImageView) -> bool:
    answered = image.registry or image.limited or image.no_platform
    return image.layers and not answered


def _fargate_pull(image: ImageView, architecture: str) -> str | None:
    name = image.name
    manifest = f"https://{'registry-1.docker.io' if name.host == 'docker.io' else name.host}/v2/{name.path}/manifests/{name.tag}"
    once, often = "pull image manifest has been retried 1 time(s): ", "pull image manifest has been retried 5 time(s): "
    if image.registry == "unreachable" and name.ecr:
        return (
            f"The task cannot pull '{name}' from the Amazon ECR repository '{name.repository}'. There is a connection issue between the "
            "task and Amazon ECR. Check your task network configuration."
        )
    if image.registry == "unreachable":
        return f'{often}failed to resolve ref {name}: failed to do request: Head "{manifest}": dial tcp: i/o timeout'
    if image.registry == "denied":
        return f"{once}failed to resolve ref {name}: unexpected status from HEAD request to {manifest}: 403 Forbidden"
    if image.registry == "missing" and image.repository_missing and not name.ecr:
        return (
            f"{once}failed to resolve ref {name}: pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed"
        )
    if image.registry == "missing":
        return f"{once}failed to resolve ref {name}: {name}: not found"
    if image.limited:
        return (
            f"{once}failed to copy: httpReaderSeeker: failed open: unexpected status code {manifest}: "
            f"429 Too Many Requests - Server message: {PULL_LIMIT}"
        )
    if image.no_platform:
        return f"{once}image Manifest does not contain descriptor matching platform '{PLATFORMS[architecture]}'"
    if image.layers:
        return (
            "ref pull has been retried 5 time(s): failed to copy: httpReaderSeeker: failed open: failed to do request: "
            "dial tcp: i/o timeout"
        )
    return None


def _docker_pull(image: ImageView, caller: Caller, architecture: str) -> str | None:
    name = image.name
    registry = "registry-1.docker.io" if name.host == "docker.io" else name.host
    head = "Error response from daemon: "
    if image.registry == "unreachable" or _stuck(image):
        return (
            f'{head}Get "https://{registry}/v2/": net/http: request canceled while waiting for connection '
            "(Client.Timeout exceeded while awaiting headers)"
        )
    if image.registry == "denied" and image.denied == "ecr:GetAuthorizationToken":
        return caller.denied(image.denied, "*")
    if image.registry == "denied":
        resource = f"arn:aws:ecr:{caller.region}:{caller.account}:repository/{name.path}"
        said = caller.denied(image.denied, resource).removeprefix("AccessDeniedException: ")
        return f"{head}pull access denied for {name.repository}, repository does not exist or may require 'docker login': denied: {said}"
    if image.registry == "missing" and image.repository_missing:
        if name.ecr:
            return f"{head}repository {name.repository} not found: name unknown: The repository with name '{name.path}' does not exist"
        return f"{head}pull access denied for {name.path}, repository does not exist or may require 'docker login'"
    if image.registry == "missing":
        return f"{head}manifest for {name} not found: manifest unknown: Requested image not found"
    if image.limited:
        return f"{head}{PULL_LIMIT}"
    if image.no_platform:
        return f"{head}no matching manifest for {PLATFORMS[architecture]} in the manifest list entries"
    return None


@dataclass(frozen=True, slots=True)
class PullRate:
    """How fast images come.

    Parameters
    ----------
    mib_per_s
        Compressed MiB per second, all images of a task together.
    scale
        Factor on the time of every pull.
    zstd
        Factor on an image with zstd layers.
    soci
        Factor on an image with a SOCI index that is larger than `soci_above_mib`; 1 where the platform does not load lazily.
    """

    mib_per_s: float
    scale: float = 1.0
    zstd: float = 1.0
    soci: float = 1.0
    soci_above_mib: float = 0.0


def pull_s(images: Sequence[ImageView], rate: PullRate) -> float:
    """Return the seconds in which images are pulled; an image that two containers share is in the list once.

    A task may mix images with and without a SOCI index (since November 2023); each is judged by itself.

    Examples
    --------
    >>> big = ImageView(ImageName.of("app:1"), 600.0, soci=True)
    >>> small = ImageView(ImageName.of("proxy:1"), 60.0, soci=True)
    >>> pull_s([big, small], PullRate(60.0, soci=0.5, soci_above_mib=250.0))
    6.0
    """
    seconds = 0.0
    for image in images:
        scale = rate.scale
        if image.zstd:
            scale *= rate.zstd
        if image.soci and image.mib > rate.soci_above_mib:
            scale *= rate.soci
        seconds += image.mib / rate.mib_per_s * scale
    return seconds


PullBehaviour = Literal["default", "always", "once", "prefer-cached"]


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What an agent does about one image.

    Parameters
    ----------
    download
        Whether it downloads the image.
    failure
        What the attempt meets, which costs its time; fatal unless `falls_back`.
    falls_back
        Whether the image on the disk serves instead.
    """

    download: bool
    failure: Failure | None = None
    falls_back: bool = False


def plan_pull(image: ImageView, behaviour: PullBehaviour, failure: Failure | None) -> PullPlan:
    """Decide about an image on an instance by ``ECS_IMAGE_PULL_BEHAVIOR``.

    ``default`` asks the registry, downloads what is not on the disk, and falls back on the disk when the pull fails; ``always`` downloads
    and fails with the pull; ``once`` and ``prefer-cached`` do not ask the registry when the image is on the disk.

    Source: github.com/aws/amazon-ecs-agent, README.md.
    """
    if behaviour in ("once", "prefer-cached") and image.cached:
        return PullPlan(False)
    if failure is not None:
        return PullPlan(False, failure, falls_back=behaviour == "default" and image.cached)
    return PullPlan(behaviour == "always" or not image.cached)
