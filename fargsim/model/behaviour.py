"""How containers behave: what AWS cannot know and a scenario must say."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fargsim.model.base import Own
from fargsim.model.distribution import Distribution
from fargsim.model.quantity import Bytes, Share, VCpu


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
    """

    image: Image | None = None
    boot: Distribution | None = None
    run: Distribution | None = None
    exit_code: int = Field(default=0, ge=0, le=255)
    stop: Distribution | None = None


class RequestBehaviour(Own):
    """What one request asks of a task: a station of queueing theory.

    A task serves up to `workers` requests at once; the others wait in a queue of at most `queue`. A request first holds its worker for
    `wait` without using CPU, then needs `cpu` core-time, shared equally with the task's other requests in that phase.
    """

    cpu: Distribution
    wait: Distribution | None = None
    workers: int | None = Field(default=None, ge=1, le=1_000_000)
    queue: int = Field(default=1024, ge=0, le=10_000_000)
    memory: Bytes = 0
    error_rate: Share = 0.0
    cancel_on_timeout: bool = False


class Behaviour(ContainerBehaviour):
    """How the tasks of a task definition behave.

    The container keys describe the task's first essential container; `containers` holds those that differ.

    Parameters
    ----------
    request
        What a request costs; only for services with traffic.
    memory
        Memory in use while no request is in the task.
    idle_cpu
        CPU in use while no request is in the task.
    crash
        Time between crashes of a running task; ``None`` never crashes.
    speed
        Work per second relative to the reference processor. 1.0 unless measured.
    """

    request: RequestBehaviour | None = None
    memory: Bytes = 0
    idle_cpu: VCpu = 0.0
    crash: Distribution | None = None
    speed: float = Field(default=1.0, gt=0, le=100)
    containers: dict[str, ContainerBehaviour] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _jobs_have_no_requests(self) -> Self:
        if self.request is not None and self.run is not None:
            raise ValueError("a task either serves requests (request) or runs to its end (run), not both")
        return self
