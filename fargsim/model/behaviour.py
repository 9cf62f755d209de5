"""How containers behave: what AWS cannot know and a scenario must say."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Own
from fargsim.model.distribution import Distribution
from fargsim.model.health import HealthBehaviour
from fargsim.model.quantity import Bytes, DurationUs, Share, VCpu
from fargsim.model.utilization import UtilizationBehaviour


class Image(Own):
    """A container image.

    Parameters
    ----------
    size
        Compressed size in the registry: what is pulled.
    zstd
        Whether its layers are compressed with zstd.
    soci
        Whether it has a Seekable OCI index.
    """

    size: Bytes
    zstd: bool = False
    soci: bool = False


class ContainerBehaviour(Own):
    """What one container does.

    Parameters
    ----------
    image
        Its image.
    boot
        From the start of the container until it serves requests and passes health checks.
    run
        From the start of the container until it exits by itself; ``None`` runs until stopped.
    exit_code
        The code it exits with when `run` ends.
    stop
        From SIGTERM until it has exited; the agent kills it when its ``stopTimeout`` is shorter.
    stop_exit_code
        The code it exits with after SIGTERM: 0 for an application that shuts down, 143 for one that lets the signal end it.
    boot_exit_code
        A revision that crashes at boot: when `boot` is over it exits with this code instead of getting ready.
    health
        What health checks find, those of the container and those of a load balancer; ``None``: they pass from the end of `boot` on.
    memory
        Memory in use from its start on, while no request is in the task.
    memory_leak_per_hour
        Memory that it takes and never gives back, each hour.
    disk_writes_per_hour
        What it writes to the task's ephemeral storage and leaves there, each hour; on Fargate.
    """

    image: Image | None = None
    boot: Distribution | None = None
    run: Distribution | None = None
    exit_code: int = Field(default=0, ge=0, le=255)
    stop: Distribution | None = None
    stop_exit_code: int = Field(default=0, ge=0, le=255)
    boot_exit_code: int | None = Field(default=None, ge=0, le=255)
    health: HealthBehaviour | None = None
    memory: Bytes = 0
    memory_leak_per_hour: Bytes = 0
    disk_writes_per_hour: Bytes = 0


class RequestBehaviour(Own):
    """What one request asks of a task: a station of queueing theory.

    A task serves up to `workers` requests at once; the others wait in a queue of at most `queue`. A request first holds its worker for
    `wait` without using CPU, then needs `cpu` core-time, shared equally with the task's other requests in that phase. While it is in the
    task, waiting or served, it holds `memory`; when it is done it leaves `disk_writes` in the task's ephemeral storage (Fargate).

    Parameters
    ----------
    error_rate
        Share of the requests that the application answers with 5xx: errors.
    redirect_rate, client_error_rate
        Shares of its other answers that are 3xx and 4xx. They count in HTTPCode_Target_3XX_Count and HTTPCode_Target_4XX_Count, which an
        alarm may watch, and are served requests otherwise: what the user asked for is not the target's fault.
    """

    cpu: Distribution
    wait: Distribution | None = None
    workers: int | None = Field(default=None, ge=1, le=1_000_000)
    queue: int = Field(default=1024, ge=0, le=10_000_000)
    memory: Bytes = 0
    disk_writes: Bytes = 0
    error_rate: Share = 0.0
    redirect_rate: Share = 0.0
    client_error_rate: Share = 0.0
    cancel_on_timeout: bool = False

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if self.redirect_rate + self.client_error_rate > 1:
            raise ValueError(
                "redirect_rate and client_error_rate are shares of the same answers: together at most 100 %"
            )
        return self


class MessageBehaviour(Own):
    """How a task works through the messages of a queue.

    Each of its `workers` takes a message (long polling: as soon as there is one), holds it for `wait` without using CPU, then needs `cpu`
    core-time, shared equally with the task's other messages in that phase, and deletes it.

    Parameters
    ----------
    queue
        Name of the queue.
    memory
        What a message holds while a worker has it.
    error_rate
        Share of the receives that fail by chance; the message comes back when its visibility time-out has passed.
    poison_rate
        Share of the messages that fail at every receive.
    heartbeat
        How often a worker extends the visibility time-out of its message (ChangeMessageVisibility); ``None`` never does.
    finish_on_stop
        Whether the task, told to stop, works on what it holds until it is done or killed. Otherwise it exits as `stop` says.
    """

    queue: str = Field(min_length=1)
    cpu: Distribution
    wait: Distribution | None = None
    workers: int = Field(default=1, ge=1, le=10_000)
    memory: Bytes = 0
    error_rate: Share = 0.0
    poison_rate: Share = 0.0
    heartbeat: DurationUs | None = Field(default=None, gt=0)
    finish_on_stop: bool = False


class Listen(Own):
    """Where the application listens and what it answers.

    Parameters
    ----------
    address
        ``127.0.0.1`` answers nobody but the task itself; ``0.0.0.0`` everybody.
    ports
        Ports it listens on; without any, those of its ``portMappings``.
    paths
        HTTP status by path, where a health check may ask; other paths answer 404. Without any, every path answers 200.
    protocol
        ``HTTP`` or ``HTTPS``; ``None``: what it is asked in.
    """

    address: str = "0.0.0.0"
    ports: tuple[int, ...] = ()
    paths: dict[str, int] = Field(default_factory=dict)
    protocol: Literal["HTTP", "HTTPS"] | None = None

    def speaks(self, protocol: str) -> bool:
        """Whether it understands what is sent in a protocol of target groups or health checks; TCP and UDP only carry it.

        >>> Listen(protocol="HTTP").speaks("HTTPS"), Listen(protocol="HTTPS").speaks("TLS"), Listen().speaks("HTTPS")
        (False, True, True)
        """
        if self.protocol is None or protocol not in ("HTTP", "HTTPS", "TLS"):
            return True
        return (protocol == "HTTP") == (self.protocol == "HTTP")

    @property
    def local(self) -> bool:
        """Whether only the task itself reaches it."""
        return self.address.startswith("127.") or self.address in ("localhost", "::1")


class Calls(Own):
    """What the application asks of AWS with its task role.

    Parameters
    ----------
    actions
        IAM actions, like ``dynamodb:GetItem``.
    error_rate
        Share of the requests that fail when the task role lacks one of them, or there is none.
    """

    actions: tuple[str, ...] = Field(min_length=1)
    error_rate: Share = 1.0


class Behaviour(ContainerBehaviour):
    """How the tasks of a task definition behave.

    The container keys describe the task's first essential container; `containers` holds those that differ.

    Parameters
    ----------
    request
        What a request costs; only for services with traffic.
    message
        Which queue its tasks take messages from, and what one costs.
    utilization
        What its tasks use over time, as it was measured.
    idle_cpu
        CPU in use while no request is in the task.
    crash
        Time between crashes of a running task; ``None`` never crashes.
    speed
        Work per second relative to the reference processor. 1.0 unless measured.
    listen
        Where it listens and what it answers to health checks; ``None``: as its target group expects.
    calls
        What it needs its task role for.
    """

    listen: Listen | None = None
    calls: Calls | None = None
    request: RequestBehaviour | None = None
    message: MessageBehaviour | None = None
    utilization: UtilizationBehaviour | None = None
    idle_cpu: VCpu = 0.0
    crash: Distribution | None = None
    speed: float = Field(default=1.0, gt=0, le=100)
    containers: dict[str, ContainerBehaviour] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind_of_work(self) -> Self:
        kinds = {
            "serves requests (request)": self.request,
            "works on messages (message)": self.message,
            "follows a trace (utilization)": self.utilization,
            "runs to its end (run)": self.run,
        }
        given = [words for words, value in kinds.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"a task either {' or '.join(given)}, not both")
        return self
