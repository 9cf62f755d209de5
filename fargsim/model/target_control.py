"""The agent beside an application that tells an Application Load Balancer when its target is ready (target optimizer).

Sources: Application Load Balancers User Guide, target-group-register-targets.html (target optimizer): the agent is a container of the
task, set up by environment variables; AWS Load Balancer Controller, guide/ingress/alb-target-agent-spec (0 to 1000 requests at once, 1 by
default).
"""

from __future__ import annotations

from fargsim.model.taskdef import TaskDefinition

PREFIX = "TARGET_CONTROL_"
MAX_CONCURRENCY = "TARGET_CONTROL_MAX_CONCURRENCY"
MOST = 1000


def _variables(definition: TaskDefinition) -> dict[str, str]:
    """Return the environment variables of the agent."""
    given = [v for c in definition.container_definitions for v in c.environment if isinstance(v, dict)]
    return {str(v["name"]): str(v.get("value")) for v in given if str(v.get("name", "")).startswith(PREFIX)}


def lacks_agent(definition: TaskDefinition) -> str | None:
    """Say why no agent tells that a task is ready; None when one does."""
    variables = _variables(definition)
    if not variables:
        return f"no container of it has the environment variables of an agent ({PREFIX}...)"
    stated = variables.get(MAX_CONCURRENCY, "1")
    if stated.isascii() and stated.isdigit() and int(stated) <= MOST:
        return None
    return f"{MAX_CONCURRENCY} is a whole number from 0 to {MOST}, not '{stated}'"


def max_concurrency(definition: TaskDefinition) -> int:
    """Return how many requests an agent lets in at once; 0 where none tells that the task is ready."""
    return 0 if lacks_agent(definition) else int(_variables(definition).get(MAX_CONCURRENCY, "1"))
