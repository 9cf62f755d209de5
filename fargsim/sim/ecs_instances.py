"""The verbs of Amazon ECS about container instances.

Source: Amazon ECS API Reference, API_ContainerInstance.html, API_ListContainerInstances.html, API_UpdateContainerInstancesState.html,
API_DeregisterContainerInstance.html, API_PutAttributes.html, API_DeleteAttributes.html, API_ListAttributes.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargsim.model.task_verbs import (
    ATTRIBUTES_MAX,
    Attribute,
    DeleteAttributes,
    DeregisterContainerInstance,
    PutAttributes,
    SomeInstances,
    UpdateContainerInstancesState,
)
from fargsim.policy.capabilities import BUILT_IN
from fargsim.policy.cluster_query import QueryError, parse
from fargsim.policy.views import GROUP_ATTRIBUTE, HostPort
from fargsim.sim.api_rates import counted
from fargsim.sim.ecs_base import EcsVerbs
from fargsim.sim.errors import AttributeLimitExceededException, InvalidParameterException, TargetNotFoundException
from fargsim.sim.instance_states import activate, deregister, drain
from fargsim.sim.registry import tail
from fargsim.sim.shapes import instant, read
from fargsim.sim.state import ClusterRun

if TYPE_CHECKING:
    from fargsim.sim.groups import InstanceRun


class InstanceVerbs(EcsVerbs):
    """Verbs that list, describe and change container instances and their attributes."""

    @counted
    def list_container_instances(
        self, *, cluster: str = "default", filter: str | None = None, status: str | None = None
    ) -> dict[str, Any]:
        """List the ARNs of a cluster's container instances, in the order of their registration.

        Parameters
        ----------
        filter
            An expression of the cluster query language.
        status
            ``ACTIVE`` or ``DRAINING``; both by default.
        """
        found = self._registry.cluster(cluster)
        mask = None
        if filter is not None:
            try:
                mask = parse(filter).mask(found.fleet.view())
            except QueryError as fault:
                raise InvalidParameterException(f"Invalid filter: {fault}") from None
        return {
            "containerInstanceArns": [
                self._instance_arn(i)
                for row, i in found.instances_by_row.items()
                if (status is None or i.status == status) and (mask is None or mask[row])
            ]
        }

    @counted
    def describe_container_instances(
        self, *, containerInstances: list[str], cluster: str = "default"
    ) -> dict[str, Any]:
        """Describe container instances: status, agent, registered and remaining resources, attributes."""
        found = self._registry.cluster(cluster)
        answer: dict[str, Any] = {"containerInstances": [], "failures": []}
        for name in containerInstances:
            instance = self._instance(found, name)
            if instance is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
            else:
                answer["containerInstances"].append(self._describe_instance(found, instance))
        return answer

    @counted
    def update_container_instances_state(self, **arguments: Any) -> dict[str, Any]:
        """Set container instances to DRAINING, or back to ACTIVE; an unknown one is in `failures`.

        A draining instance takes no tasks; its pending service tasks stop at once, its running ones are replaced within the bounds of
        their deployments, standalone ones are left alone. It stays DRAINING until somebody sets it to ACTIVE.
        """
        spec = read(UpdateContainerInstancesState, arguments)
        cluster = self._registry.cluster(spec.cluster)
        answer: dict[str, Any] = {"containerInstances": [], "failures": []}
        for name in self._instance_names(cluster, spec):
            instance = self._instance(cluster, name)
            if instance is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
                continue
            (drain if spec.status == "DRAINING" else activate)(self._kit, instance)
            answer["containerInstances"].append(self._describe_instance(cluster, instance))
        return answer

    @counted
    def deregister_container_instance(
        self,
        *,
        containerInstance: str | None = None,
        cluster: str = "default",
        force: bool = False,
        **ours: Any,
    ) -> dict[str, Any]:
        """Take a container instance out of its cluster; with tasks on it only by force, and then ECS forgets them.

        Raises
        ------
        InvalidParameterException
            Where tasks run on it and `force` is not given, or there is no such instance.
        """
        names = {} if containerInstance is None else {"containerInstances": [containerInstance]}
        spec = read(DeregisterContainerInstance, {"cluster": cluster, "force": force, **names, **ours})
        found = self._registry.cluster(cluster)
        instances = []
        for name in self._instance_names(found, spec):
            instance = self._instance(found, name)
            if instance is None:
                raise InvalidParameterException(f"Container instance not found: '{name}'.")
            if instance.tasks and not force:
                raise InvalidParameterException(
                    f"Found running tasks on the instance {instance.instance_id}: stop them, drain it first, or use force."
                )
            instances.append(instance)
        last = {}
        for instance in instances:
            last = self._describe_instance(found, instance) | {"status": "INACTIVE"}
            deregister(self._kit, instance)
        return {"containerInstance": last}

    @counted
    def put_attributes(self, **arguments: Any) -> dict[str, Any]:
        """Give container instances custom attributes; an existing one gets the new value.

        Raises
        ------
        AttributeLimitExceededException
            When an instance would have more than 10 of them.
        TargetNotFoundException
            Where there is no such instance.
        """
        spec = read(PutAttributes, arguments)
        cluster = self._registry.cluster(spec.cluster)
        if spec.auto_scaling_group is None:
            wanted = [(self._target(cluster, attribute), attribute) for attribute in spec.attributes]
        else:
            group = self._registry.group(spec.auto_scaling_group)
            rows = [row for row, i in cluster.instances_by_row.items() if i.group is group][: spec.count]
            wanted = [(row, attribute) for row in rows for attribute in spec.attributes]
        after = {row: set(_custom(cluster, row)) for row, _ in wanted}
        for row, attribute in wanted:
            _not_built_in(attribute)
            after[row].add(attribute.name)
            if len(after[row]) > ATTRIBUTES_MAX:
                raise AttributeLimitExceededException(
                    f"A container instance may have {ATTRIBUTES_MAX} custom attributes: "
                    f"{cluster.instances_by_row[row].instance_id} would have {len(after[row])}."
                )
        for row, attribute in wanted:
            cluster.fleet.set_attributes(row, {attribute.name: attribute.value or ""})
        cluster.capacity_changed()
        return {"attributes": [a.model_dump(by_alias=True, exclude_none=True) for a in spec.attributes]}

    @counted
    def delete_attributes(self, **arguments: Any) -> dict[str, Any]:
        """Take custom attributes from container instances; one that is not there is passed over."""
        spec = read(DeleteAttributes, arguments)
        cluster = self._registry.cluster(spec.cluster)
        wanted = [(self._target(cluster, attribute), attribute) for attribute in spec.attributes]
        for _, attribute in wanted:
            _not_built_in(attribute)
        for row, attribute in wanted:
            cluster.fleet.remove_attributes(row, [attribute.name])
        cluster.capacity_changed()
        return {"attributes": [a.model_dump(by_alias=True, exclude_none=True) for a in spec.attributes]}

    @counted
    def list_attributes(
        self,
        *,
        targetType: str = "container-instance",
        cluster: str = "default",
        attributeName: str | None = None,
        attributeValue: str | None = None,
    ) -> dict[str, Any]:
        """List the attributes of a cluster's container instances, built-in ones included."""
        if targetType != "container-instance":
            raise InvalidParameterException(f"targetType must be container-instance, not '{targetType}'.")
        if attributeValue is not None and attributeName is None:
            raise InvalidParameterException("attributeValue needs attributeName.")
        found = self._registry.cluster(cluster)
        return {
            "attributes": [
                {"name": name, "value": value, "targetType": targetType, "targetId": self._instance_arn(instance)}
                for row, instance in found.instances_by_row.items()
                for name, value in _shown(found, row).items()
                if attributeName in (None, name) and attributeValue in (None, value)
            ]
        }

    # what these verbs share

    def _instance(self, cluster: ClusterRun, name: str) -> InstanceRun | None:
        """Return a registered instance by its id or ARN."""
        wanted = tail(name)
        return next((i for i in cluster.instances_by_row.values() if i.instance_id == wanted), None)

    def _instance_names(self, cluster: ClusterRun, spec: SomeInstances) -> tuple[str, ...]:
        """Return the instances a request means: those it names, or the oldest registered ones of an Auto Scaling group."""
        if spec.auto_scaling_group is None:
            return spec.container_instances
        group = self._registry.group(spec.auto_scaling_group)
        there = [i for i in cluster.instances_by_row.values() if i.group is group and i.status == "ACTIVE"]
        return tuple(i.instance_id for i in there[: spec.count])

    def _target(self, cluster: ClusterRun, attribute: Attribute) -> int:
        instance = None if attribute.target_id is None else self._instance(cluster, attribute.target_id)
        if instance is None or instance.row is None:
            raise TargetNotFoundException(f"There is no container instance '{attribute.target_id}' in {cluster.name}.")
        return instance.row

    def _instance_arn(self, instance: InstanceRun) -> str:
        return self._kit.arn("container-instance", f"{instance.cluster.name}/{instance.instance_id}")

    def _describe_instance(self, cluster: ClusterRun, instance: InstanceRun) -> dict[str, Any]:
        row = instance.row
        assert row is not None
        view = cluster.fleet.view()
        ports = cluster.fleet.ports_of(row)
        own = {p for t in instance.tasks.values() if t.reserved for p in t.revision.needs.host_ports}
        of_agent = tuple(p for p in ports if p not in own)
        provider = instance.group.provider
        answer = {
            "containerInstanceArn": self._instance_arn(instance),
            "ec2InstanceId": instance.instance_id,
            "capacityProviderName": None if provider is None else provider.spec.name,
            "status": instance.status,
            "statusReason": instance.status_reason,
            "agentConnected": bool(view.agent_connected[row]),
            "versionInfo": {"agentVersion": view.agent_versions[row]},
            "runningTasksCount": sum(1 for t in instance.tasks.values() if t.last_status == "RUNNING"),
            "pendingTasksCount": sum(1 for t in instance.tasks.values() if t.started_at is None),
            "registeredAt": instant(self._registry.start, instance.registered_at),
            "registeredResources": _resources(instance.cpu_units, instance.memory_mib, of_agent, instance.gpus),
            "remainingResources": _resources(
                int(view.free_cpu_units[row]), int(view.free_memory_mib[row]), ports, int(view.free_gpus[row])
            ),
            "attributes": [{"name": n, "value": v} if v else {"name": n} for n, v in _shown(cluster, row).items()],
        }
        return {key: value for key, value in answer.items() if value is not None}


def _shown(cluster: ClusterRun, row: int) -> dict[str, str]:
    return {n: v for n, v in cluster.fleet.attributes_of(row).items() if n != GROUP_ATTRIBUTE}


def _custom(cluster: ClusterRun, row: int) -> list[str]:
    return [name for name in cluster.fleet.attributes_of(row) if not name.startswith(BUILT_IN)]


def _not_built_in(attribute: Attribute) -> None:
    if attribute.name.startswith(BUILT_IN):
        raise InvalidParameterException(f"The attribute '{attribute.name}' is built in: ECS sets it itself.")


def _resources(cpu_units: int, memory_mib: int, ports: tuple[HostPort, ...], gpus: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu_units},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": [str(p) for p, kind in ports if kind == "tcp"]},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": [str(p) for p, kind in ports if kind == "udp"]},
    ]
    if gpus:
        found.append({"name": "GPU", "type": "STRINGSET", "stringSetValue": [f"gpu-{n}" for n in range(gpus)]})
    return found
