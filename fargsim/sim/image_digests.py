"""Version consistency: the first task of a deployment establishes the digests of the images, the others use them.

Source: Amazon ECS Developer Guide, deployment-type-ecs.html: the first task started by the scheduler establishes the digests before any
other one is started; after three failed attempts the deployment goes on without them, or fails where the circuit breaker is enabled. That a
digest is known when the pull begins is an assumption: the agent asks for the image's manifest then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.sim.deployment_watch import Verdict
from fargsim.sim.kit import Kit
from fargsim.sim.state import Revision, TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun


def needs_digests(kit: Kit, revision: Revision) -> bool:
    """Whether a deployment of a task definition begins with one task: some image is named by a tag and is to be consistent."""
    containers = revision.definition.container_definitions
    return kit.parameters.flag("digest_first_task") and any(
        c.version_consistency == "enabled" and "@sha256:" not in c.image for c in containers
    )


def resolved(kit: Kit, service: ServiceRun, task: TaskRun) -> None:
    """Take note that a task has begun to pull: the digests are known, and the other tasks may start."""
    deployment = service.deployment_of(task)
    if deployment is not None and deployment.resolving:
        deployment.resolving = False
        service.attend(kit.now)


def resolution_failed(kit: Kit, deployment: DeploymentRun) -> None:
    """Count an attempt that has ended without digests."""
    deployment.digest_failures += 1
    if deployment.digest_failures < kit.parameters.number("digest_resolution_attempts"):
        return
    deployment.resolving = False
    watch = deployment.watch
    if watch is not None and watch.breaker is not None:
        reason = "ECS deployment circuit breaker: tasks failed to start."
        watch.fail(Verdict("tasks failed to start", reason, watch.breaker.rollback))
