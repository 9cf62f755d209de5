"""Facts: Fargate sizes, EC2 instance types, prices, quotas, timings. Value, unit, basis, source and date of each.

The data files are read when first asked for and kept for the life of the process; importing this package reads none.
"""

from fargsim.catalog.commitments import (
    ec2_reserved_price,
    ec2_typical_savings_percent,
    fargate_savings_plan_price,
    fargate_savings_plans,
)
from fargsim.catalog.instances import (
    CpuCredits,
    InstanceType,
    awsvpc_task_limit,
    instance_type,
    instance_types,
    registered_cpu_units,
    registered_memory_from_bytes,
    registered_memory_mib,
)
from fargsim.catalog.listing import TABLES, rows
from fargsim.catalog.parameters import Parameter, Parameters, parameter_fault, parameters
from fargsim.catalog.prices import (
    FARGATE_ITEMS,
    FARGATE_TABLES,
    SPOT_TABLES,
    Price,
    SpotMarket,
    ec2_on_demand_price,
    ec2_regions,
    ec2_spot_market,
    ec2_spot_price,
    fargate_price,
    fargate_spot_price,
    surrounding_items,
    surrounding_price,
)
from fargsim.catalog.quotas import API_GROUPS, Quota, Quotas, TokenBucket, api_buckets, quotas
from fargsim.catalog.regions import RegionFacts, availability_zones, region, regions
from fargsim.catalog.sizes import (
    FargateSize,
    PodRequest,
    eks_pod_size,
    ephemeral_storage_fault,
    ephemeral_storage_gib,
    fargate_size_fault,
    fargate_sizes,
    require_fargate_size,
)
from fargsim.catalog.store import AS_OF, BASES, CatalogError, Source, sources

__all__ = [
    "API_GROUPS",
    "AS_OF",
    "BASES",
    "FARGATE_ITEMS",
    "FARGATE_TABLES",
    "SPOT_TABLES",
    "TABLES",
    "CatalogError",
    "CpuCredits",
    "FargateSize",
    "InstanceType",
    "Parameter",
    "Parameters",
    "PodRequest",
    "Price",
    "Quota",
    "Quotas",
    "RegionFacts",
    "Source",
    "SpotMarket",
    "TokenBucket",
    "api_buckets",
    "availability_zones",
    "awsvpc_task_limit",
    "ec2_on_demand_price",
    "ec2_regions",
    "ec2_reserved_price",
    "ec2_spot_market",
    "ec2_spot_price",
    "ec2_typical_savings_percent",
    "eks_pod_size",
    "ephemeral_storage_fault",
    "ephemeral_storage_gib",
    "fargate_price",
    "fargate_savings_plan_price",
    "fargate_savings_plans",
    "fargate_size_fault",
    "fargate_sizes",
    "fargate_spot_price",
    "instance_type",
    "instance_types",
    "parameter_fault",
    "parameters",
    "quotas",
    "region",
    "regions",
    "registered_cpu_units",
    "registered_memory_from_bytes",
    "registered_memory_mib",
    "require_fargate_size",
    "rows",
    "sources",
    "surrounding_items",
    "surrounding_price",
]
