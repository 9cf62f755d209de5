"""Images: what a registry still gives to an address, and what an instance keeps on its disk.

Source: github.com/aws/amazon-ecs-agent, README.md (``ECS_IMAGE_PULL_BEHAVIOR``, ``ECS_IMAGE_CLEANUP_INTERVAL``,
``ECS_IMAGE_MINIMUM_CLEANUP_AGE``, ``ECS_NUM_IMAGES_DELETE_PER_CYCLE``, ``ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION``); Amazon ECS Developer
Guide, automated_image_cleanup.html.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fargsim.model.access import ImageName, ImageRegistry
from fargsim.model.behaviour import Behaviour
from fargsim.model.capacity import ContainerAgent
from fargsim.model.quantity import parse_agent_duration_us
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.start_up import ImageView
from fargsim.sim.kit import Kit
from fargsim.sim.state import ImageFacts

BYTES_PER_MIB = 2**20


def images_of(definition: TaskDefinition, behaviour: Behaviour, default_mib: float) -> tuple[ImageFacts, ...]:
    """Return the images of a task, each once however many of its containers share it.

    Parameters
    ----------
    default_mib
        Size of an image of which the behaviour says none.
    """
    found: dict[str, ImageFacts] = {}
    for container in definition.container_definitions:
        image = (behaviour.containers.get(container.name) or behaviour).image
        if image is None and len(definition.container_definitions) == 1:
            image = behaviour.image
        name = ImageName.of(container.image)
        mib = default_mib if image is None else image.size / BYTES_PER_MIB
        view = ImageView(name, mib, image is not None and image.zstd, image is not None and image.soci)
        found.setdefault(str(name), ImageFacts(str(name), view, container.repository_credentials is not None))
    return tuple(found.values())


class PullLimit:
    """Pulls without an account from one registry, by the address that they come from."""

    def __init__(self, spec: ImageRegistry) -> None:
        self._spec = spec
        self._pulls: dict[str, deque[int]] = {}

    def take(self, address: str, now_us: int) -> bool:
        """Count a pull; false when the address has used its pulls up."""
        pulls = self._pulls.setdefault(address, deque())
        while pulls and pulls[0] <= now_us - self._spec.per:
            pulls.popleft()
        if len(pulls) >= self._spec.anonymous_pulls:
            return False
        pulls.append(now_us)
        return True


@dataclass(slots=True)
class _Kept:
    pulled_at: int
    used_at: int
    users: int = 0
    free_at: int = 0
    """When the last container that used it is gone from the disk, too."""


@dataclass(frozen=True, slots=True)
class Cleanup:
    """The agent's automated cleanup, in microseconds and images."""

    interval_us: int
    minimum_age_us: int
    per_cycle: int
    task_wait_us: int
    enabled: bool = True


def cleanup_of(kit: Kit, agent: ContainerAgent) -> Cleanup:
    """Return an agent's settings; the catalogue's where it says nothing. ``prefer-cached`` turns cleanup off."""
    per_cycle = agent.ecs_num_images_delete_per_cycle

    def us(said: str | None, parameter: str) -> int:
        return kit.us(parameter) if said is None else parse_agent_duration_us(said)

    return Cleanup(
        us(agent.ecs_image_cleanup_interval, "image_cleanup_interval_s"),
        us(agent.ecs_image_minimum_cleanup_age, "image_minimum_cleanup_age_s"),
        int(kit.parameters.number("images_deleted_per_cycle")) if per_cycle is None else per_cycle,
        us(agent.ecs_engine_task_cleanup_wait_duration, "task_cleanup_wait_s"),
        enabled=not agent.ecs_disable_image_cleanup and agent.ecs_image_pull_behavior != "prefer-cached",
    )


class ImageCache:
    """The images on the disk of one instance.

    Cleanup happens every interval from the start of the agent: the least recently used images go, as many as a cycle takes, that are old
    enough and of which no container is left; a container is left for a while after its task has stopped. Nothing polls: what cycles have
    done since the last look is worked out at the next look.

    Examples
    --------
    >>> cache = ImageCache(0, Cleanup(interval_us=30, minimum_age_us=60, per_cycle=1, task_wait_us=0))
    >>> cache.hold("app:1", 5)
    >>> cache.release("app:1", 10)
    >>> cache.has("app:1", 80), cache.has("app:1", 90)
    (True, False)
    """

    def __init__(self, since_us: int, cleanup: Cleanup) -> None:
        self._since = since_us
        self._rules = cleanup
        self._kept: dict[str, _Kept] = {}
        self._idle = 0
        """How many images no container holds."""
        self._cycle = 0
        """Number of the last cycle that has been worked out."""

    def has(self, image: str, now_us: int) -> bool:
        """Whether an image is on the disk."""
        self._clean(now_us)
        return image in self._kept

    def hold(self, image: str, now_us: int) -> None:
        """Keep an image that has been pulled, or is there, for a container."""
        self._clean(now_us)
        kept = self._kept.get(image)
        if kept is None:
            kept = self._kept[image] = _Kept(now_us, now_us)
        elif not kept.users:
            self._idle -= 1
        kept.users += 1
        kept.used_at = now_us

    def pulled(self, image: str, now_us: int) -> None:
        """Take note that an image which is there has been pulled anew."""
        if image in self._kept:
            self._kept[image].pulled_at = now_us

    def release(self, image: str, now_us: int) -> None:
        """Let an image go that a container of a stopped task used."""
        self._clean(now_us)
        kept = self._kept[image]
        kept.users -= 1
        if kept.users == 0:
            self._idle += 1
            self._cycle = max(self._cycle, (now_us - self._since) // self._rules.interval_us)
            kept.free_at = now_us + self._rules.task_wait_us

    def _clean(self, now_us: int) -> None:
        rules = self._rules
        if not self._idle or not rules.enabled:
            return
        while True:
            ready = [
                (max(k.free_at, k.pulled_at + rules.minimum_age_us), k.used_at, n)
                for n, k in self._kept.items()
                if not k.users
            ]
            if not ready:
                return
            # the next cycle that finds one to delete
            cycle = max(self._cycle + 1, -(-(min(ready)[0] - self._since) // rules.interval_us))
            at = self._since + cycle * rules.interval_us
            if at > now_us:
                return
            self._cycle = cycle
            due = sorted((used, name) for from_us, used, name in ready if from_us <= at)
            for _, name in due[: rules.per_cycle]:
                del self._kept[name]
                self._idle -= 1
