"""What the verbs of Amazon ECS stand on."""

from __future__ import annotations

from fargsim.sim.launching import Launcher
from fargsim.sim.registry import Registry


class EcsVerbs:
    """The region that the verbs act on; those of one kind of thing are a class of their own."""

    def __init__(self, registry: Registry, launcher: Launcher) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._launcher = launcher
        self.rates = launcher.rates
