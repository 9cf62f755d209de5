"""Tasks and container instances: the request shapes of StartTask, overrides and the verbs of instances.

A scenario's timeline knows no ids of instances: where a verb takes `containerInstances`, it may name an Auto Scaling group and a
count instead, oldest instances first.

Source: Amazon ECS API Reference, API_StartTask.html, API_TaskOverride.html, API_ContainerOverride.html,
API_UpdateContainerInstancesState.html, API_DeregisterContainerInstance.html, API_PutAttributes.html, API_Attribute.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from fargsim.model.base import EcsShape, Json
from fargsim.model.taskdef import EphemeralStorage, _cpu_units, _memory_mib

OVERRIDES_MAX = 8192
"""Characters that the overrides of a task may have, as JSON."""
INSTANCES_MAX = 10
"""Container instances that one call may name."""
ATTRIBUTES_MAX = 10
"""Custom attributes of one resource."""

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_./\\-]+$")]
AttributeValue = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\w.@:/\\-]([\w .@:/\\-]*[\w.@:/\\-])?$")
]


class ContainerOverride(EcsShape):
    """What one container gets instead of what its definition says."""

    name: str
    cpu: int | None = Field(default=None, ge=0)
    memory: int | None = Field(default=None, ge=6)
    memory_reservation: int | None = Field(default=None, ge=6)
    # not read by the simulation
    command: tuple[str, ...] | None = None
    environment: tuple[Json, ...] = ()
    environment_files: tuple[Json, ...] = ()
    resource_requirements: tuple[Json, ...] = ()


class TaskOverride(EcsShape):
    """What a task gets instead of what its task definition says."""

    container_overrides: tuple[ContainerOverride, ...] = ()
    cpu: Annotated[int, BeforeValidator(_cpu_units), Field(ge=128, le=196608)] | None = None
    memory: Annotated[int, BeforeValidator(_memory_mib), Field(ge=6)] | None = None
    ephemeral_storage: EphemeralStorage | None = None
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    # not read by the simulation
    inference_accelerator_overrides: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        length = len(self.model_dump_json(by_alias=True, exclude_unset=True))
        if length > OVERRIDES_MAX:
            raise ValueError(f"overrides may have {OVERRIDES_MAX} characters, not {length}")
        return self


class SomeInstances(EcsShape):
    """Container instances: named, or so many of an Auto Scaling group, oldest first."""

    cluster: str = "default"
    container_instances: tuple[str, ...] = Field(default=(), max_length=INSTANCES_MAX)
    auto_scaling_group: str | None = Field(default=None, alias="auto_scaling_group")
    count: int = Field(default=1, ge=1, le=INSTANCES_MAX)

    @model_validator(mode="after")
    def _which(self) -> Self:
        if bool(self.container_instances) == (self.auto_scaling_group is not None):
            raise ValueError("give either containerInstances or auto_scaling_group")
        return self


class StartTask(SomeInstances):
    """What ``aws ecs start-task --cli-input-json`` takes: the caller chooses the instances."""

    task_definition: str
    group: str | None = Field(default=None, max_length=255)
    network_configuration: Json = None
    overrides: TaskOverride | None = None
    started_by: str | None = Field(default=None, max_length=128)
    # not read by the simulation
    reference_id: str | None = None
    tags: tuple[Json, ...] = ()
    enable_ecs_managed_tags: bool = Field(default=False, alias="enableECSManagedTags")
    enable_execute_command: bool = False
    propagate_tags: str | None = None
    volume_configurations: tuple[Json, ...] = ()


class UpdateContainerInstancesState(SomeInstances):
    """What ``aws ecs update-container-instances-state`` takes."""

    status: Literal["ACTIVE", "DRAINING"]


class DeregisterContainerInstance(SomeInstances):
    """DeregisterContainerInstance, for one instance or several."""

    force: bool = False


class Attribute(EcsShape):
    """A custom attribute of a container instance."""

    name: AttributeName
    value: AttributeValue | None = None
    target_type: Literal["container-instance"] = "container-instance"
    target_id: str | None = None


class PutAttributes(EcsShape):
    """PutAttributes.

    In a timeline instances have no id yet: `auto_scaling_group` and `count` say whose instances get the attributes, oldest first.
    """

    cluster: str = "default"
    attributes: tuple[Attribute, ...] = Field(min_length=1, max_length=ATTRIBUTES_MAX)
    auto_scaling_group: str | None = Field(default=None, alias="auto_scaling_group")
    count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _which(self) -> Self:
        for attribute in self.attributes:
            if (attribute.target_id is None) == (self.auto_scaling_group is None):
                raise ValueError("give either targetId in each attribute or auto_scaling_group")
        if self.count is not None and self.auto_scaling_group is None:
            raise ValueError("count is of an auto_scaling_group")
        return self


class DeleteAttributes(EcsShape):
    """DeleteAttributes."""

    cluster: str = "default"
    attributes: tuple[Attribute, ...] = Field(min_length=1, max_length=ATTRIBUTES_MAX)
