"""Errors of the verbs, under AWS's exception names."""

from __future__ import annotations


class AwsError(Exception):
    """An error answer of an AWS API.

    Its class has AWS's name for it; the message says what a person can do about it.

    Attributes
    ----------
    verb
        The call that was refused, like ``ecs.create_service``, where a scenario made it; empty elsewhere.
    """

    verb: str = ""

    @property
    def code(self) -> str:
        """AWS's name for the error."""
        return type(self).__name__


class ClientException(AwsError):
    """A client action the service refuses."""


class InvalidParameterException(AwsError):
    """A parameter that is not valid."""


class NoContainerInstances(InvalidParameterException):
    """The cluster has no container instance that could run the tasks; AWS's name for it is InvalidParameterException."""

    @property
    def code(self) -> str:
        """AWS's name for the error."""
        return "InvalidParameterException"


class ClusterNotFoundException(AwsError):
    """No such cluster."""


class ClusterContainsServicesException(AwsError):
    """The cluster has services that have not been deleted."""


class ClusterContainsTasksException(AwsError):
    """The cluster has tasks that have not stopped."""


class ClusterContainsContainerInstancesException(AwsError):
    """The cluster has registered container instances."""


class ClusterContainsCapacityProviderException(AwsError):
    """The cluster has a capacity provider of its own: one of Managed Instances."""


class ServiceNotFoundException(AwsError):
    """No such service in the cluster."""


class ServiceNotActiveException(AwsError):
    """The service has been deleted."""


class ConflictException(AwsError):
    """The request conflicts with what is under way, or with an earlier one of the same token."""


class ServiceDeploymentNotFoundException(AwsError):
    """No such service deployment."""


class UnsupportedFeatureException(AwsError):
    """The feature is not supported here."""


class PlatformUnknownException(AwsError):
    """No such platform version of Fargate."""


class PlatformTaskDefinitionIncompatibilityException(AwsError):
    """The platform version cannot run the task definition."""


class AttributeLimitExceededException(AwsError):
    """More than 10 custom attributes on one resource."""


class TargetNotFoundException(AwsError):
    """No such target of an attribute."""


class ResourceNotFoundException(AwsError):
    """No such resource."""


class ResourceInUseException(AwsError):
    """The resource exists or is in use."""


class ThrottlingException(AwsError):
    """The rate of calls or launches is over its limit."""


class LimitExceededException(AwsError):
    """A quota is reached."""


class ValidationException(AwsError):
    """Application Auto Scaling: a parameter that is not valid."""


class ValidationError(AwsError):
    """EC2 Auto Scaling, CloudWatch and Elastic Load Balancing: a parameter that is not valid."""


class ObjectNotFoundException(AwsError):
    """Application Auto Scaling: no such scalable target."""


class TargetGroupNotFoundException(AwsError):
    """Elastic Load Balancing: no such target group."""


class LoadBalancerNotFoundException(AwsError):
    """Elastic Load Balancing: no such load balancer."""


class ResourceNotFound(AwsError):
    """CloudWatch: no such alarm."""


class QueueDoesNotExist(AwsError):
    """SQS: no such queue."""


class QueueNameExists(AwsError):
    """SQS: a queue of that name has other attributes."""


class InvalidAttributeValue(AwsError):
    """SQS: an attribute of a queue that is not valid."""


class ListenerNotFoundException(AwsError):
    """Elastic Load Balancing: no such listener."""


class RuleNotFoundException(AwsError):
    """Elastic Load Balancing: no such rule of a listener."""


class DuplicateListenerException(AwsError):
    """Elastic Load Balancing: the load balancer has a listener on that port."""


class PriorityInUseException(AwsError):
    """Elastic Load Balancing: the listener has a rule of that priority."""


class InvalidConfigurationRequestException(AwsError):
    """Elastic Load Balancing: settings that do not go together."""


class DuplicateTargetGroupNameException(AwsError):
    """Elastic Load Balancing: a target group of that name exists."""


class DuplicateLoadBalancerNameException(AwsError):
    """Elastic Load Balancing: a load balancer of that name exists."""


class TargetGroupAssociationLimitException(AwsError):
    """Elastic Load Balancing: the target group belongs to another load balancer."""


class UnsupportedProtocolException(AwsError):
    """Elastic Load Balancing: a protocol that this kind of load balancer does not have."""


class InvalidLoadBalancerActionException(AwsError):
    """Elastic Load Balancing: actions that are not possible."""


class InvalidRequestException(AwsError):
    """CodeDeploy: a parameter that is not valid, whichever it is."""


class DeploymentGroupDoesNotExistException(AwsError):
    """CodeDeploy: no such deployment group."""


class DeploymentGroupAlreadyExistsException(AwsError):
    """CodeDeploy: a deployment group of that name exists."""


class DeploymentDoesNotExistException(AwsError):
    """CodeDeploy: no such deployment."""


class DeploymentAlreadyCompletedException(AwsError):
    """CodeDeploy: the deployment is over."""


class DeploymentLimitExceededException(AwsError):
    """CodeDeploy: the deployment group has a deployment under way."""


class InvalidDeploymentConfigNameException(AwsError):
    """CodeDeploy: a deployment configuration that is not possible here."""


class InvalidECSServiceException(AwsError):
    """CodeDeploy: a service that it cannot deploy."""


class ECSServiceMappingLimitExceededException(AwsError):
    """CodeDeploy: the service belongs to another deployment group."""


class InvalidTargetGroupPairException(AwsError):
    """CodeDeploy: target groups that the service is not behind."""


class ScalingActivityInProgress(AwsError):
    """EC2 Auto Scaling: the group is in the middle of a scaling activity, or in its cooldown."""


class InstanceRefreshInProgress(AwsError):
    """EC2 Auto Scaling: the group has a refresh under way."""
