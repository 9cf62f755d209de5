"""The state machine's rules about revisions, services and their deployments."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from machine_choices import (
    CONSTRAINTS,
    PROVIDER_STRATEGIES,
    STRATEGIES,
    configurations,
    counts,
    families,
    names,
    shifting,
    step,
)
from machine_world import FAMILIES, KINDS, World


class ServiceRules(RuleBasedStateMachine):
    """What is done to services."""

    world: World

    @step(family=families, kind=st.sampled_from(sorted(KINDS)))
    def register(self, family: str, kind: str) -> None:
        self.world.register(family, kind)

    @step(
        name=names,
        family=families,
        back=st.integers(0, 2),
        desired=counts,
        configuration=configurations(),
        balanced=st.booleans(),
        grace=st.sampled_from([0, 0, 60]),
        strategy=st.sampled_from(STRATEGIES),
        constraint=st.sampled_from(CONSTRAINTS),
        provider=st.sampled_from([None, 0, 1, 2]),
    )
    def create_service(
        self,
        name: str,
        family: str,
        back: int,
        desired: int,
        configuration: dict[str, Any],
        balanced: bool,
        grace: int,
        strategy: list[dict[str, str]],
        constraint: list[dict[str, str]],
        provider: int | None,
    ) -> None:
        name = self.world.free(name)
        world, launch = self.world, FAMILIES[family][0]
        more: dict[str, Any] = {"desiredCount": desired, "deploymentConfiguration": configuration}
        if launch == "EC2":
            more |= {"placementStrategy": strategy, "placementConstraints": constraint}
        if provider is not None:
            known = PROVIDER_STRATEGIES[launch]
            more["capacityProviderStrategy"] = known[provider % len(known)]
        if balanced:
            more |= {"loadBalancers": world.balanced(name, family), "healthCheckGracePeriodSeconds": grace}
        world.create(name, family, back, **more)

    @step(name=names, family=families, back=st.integers(0, 1), desired=counts, configuration=shifting())
    def create_shifted(self, name: str, family: str, back: int, desired: int, configuration: dict[str, Any]) -> None:
        """Create a service whose deployments shift traffic."""
        name = self.world.free(name)
        self.world.create(
            name,
            family,
            back,
            desiredCount=desired,
            deploymentConfiguration=configuration,
            loadBalancers=self.world.balanced(name, family, shifts=True),
        )

    @step(
        name=names,
        configuration=st.one_of(shifting(), st.just({"strategy": "ROLLING"})),
        action=st.sampled_from([None, None, "CONTINUE", "ROLLBACK"]),
    )
    def steer(self, name: str, configuration: dict[str, Any], action: str | None) -> None:
        """Change how traffic shifts, or end a pause."""
        name = self.world.some(name)
        if action is not None:
            self.world.ecs("continue_service_deployment", service=name, action=action)
            return
        service = self.world.cluster.services.get(name)
        family = "fg" if service is None else service.revision.definition.family
        balancers = self.world.balanced(name, family, shifts=True)
        self.world.ecs("update_service", service=name, deploymentConfiguration=configuration, loadBalancers=balancers)

    @step(
        name=names,
        family=st.sampled_from(["br", "ni", "bo", "pt"]),
        low=st.sampled_from([0, 50]),
        constraint=st.sampled_from(CONSTRAINTS),
        balanced=st.booleans(),
    )
    def create_daemon(self, name: str, family: str, low: int, constraint: list[dict[str, str]], balanced: bool) -> None:
        name = self.world.free(name)
        more: dict[str, Any] = {"loadBalancers": self.world.balanced(name, family)} if balanced else {}
        self.world.create(
            name,
            family,
            0,
            schedulingStrategy="DAEMON",
            deploymentConfiguration={"minimumHealthyPercent": low, "maximumPercent": 100},
            placementConstraints=[c for c in constraint if c["type"] == "memberOf"],
            **more,
        )

    @step(name=names, desired=counts)
    def scale(self, name: str, desired: int) -> None:
        name = self.world.some(name)
        self.world.ecs("update_service", service=name, desiredCount=desired)

    @step(name=names, family=families, back=st.integers(0, 3), force=st.booleans())
    def deploy(self, name: str, family: str, back: int, force: bool) -> None:
        """Deploy a revision, mostly one of the service's own family."""
        name = self.world.some(name)
        service = self.world.cluster.services.get(name)
        own = family if service is None else service.revision.definition.family
        revision = self.world.revision(own, back)
        self.world.ecs("update_service", service=name, taskDefinition=revision, forceNewDeployment=force)

    @step(name=names, kind=st.sampled_from(sorted(KINDS)))
    def roll_out(self, name: str, kind: str) -> None:
        """Register a revision for a service and deploy it."""
        name = self.world.some(name)
        service = self.world.cluster.services.get(name)
        if service is not None:
            family = service.revision.definition.family
            if self.world.register(family, kind):
                self.world.ecs("update_service", service=name, taskDefinition=family)

    @step(
        name=names,
        configuration=configurations(),
        grace=st.sampled_from([None, 0, 45]),
        constraint=st.sampled_from([None, *CONSTRAINTS]),
        strategy=st.sampled_from([None, *STRATEGIES]),
        provider=st.sampled_from([None, None, 0, 1, 2]),
    )
    def configure(
        self,
        name: str,
        configuration: dict[str, Any],
        grace: int | None,
        constraint: list[dict[str, str]] | None,
        strategy: list[dict[str, str]] | None,
        provider: int | None,
    ) -> None:
        name = self.world.some(name)
        more: dict[str, Any] = {"deploymentConfiguration": configuration, "healthCheckGracePeriodSeconds": grace}
        service = self.world.cluster.services.get(name)
        if service is not None:
            launch = FAMILIES[service.revision.definition.family][0]
            if launch == "EC2":
                more |= {"placementConstraints": constraint, "placementStrategy": strategy}
            if provider is not None:
                known = PROVIDER_STRATEGIES[launch]
                more |= {"capacityProviderStrategy": known[provider % len(known)], "forceNewDeployment": True}
        self.world.ecs("update_service", service=name, **more)

    @step(name=names, force=st.booleans())
    def delete_service(self, name: str, force: bool) -> None:
        name = self.world.some(name)
        self.world.ecs("delete_service", service=name, force=force)

    @step(name=names)
    def stop_deployment(self, name: str) -> None:
        name = self.world.some(name)
        self.world.ecs("stop_service_deployment", service=name)

    @step(name=names, count=st.integers(1, 4), minutes=st.sampled_from([1, 7, None]), on=st.booleans())
    def protect(self, name: str, count: int, minutes: int | None, on: bool) -> None:
        name = self.world.some(name)
        more = {"expiresInMinutes": minutes} if on and minutes else {}
        self.world.ecs("update_task_protection", service=name, count=count, protectionEnabled=on, **more)
