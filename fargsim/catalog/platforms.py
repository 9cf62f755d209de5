"""Platform versions of AWS Fargate."""

from __future__ import annotations

from fargsim.catalog.sizes import fargate_sizes

LATEST = "LATEST"
LINUX = ("1.4.0", "1.3.0")
WINDOWS = ("1.0.0",)


def platform_versions(*, windows: bool) -> tuple[str, ...]:
    """Return the platform versions that a request may name.

    1.0.0 to 1.2.0 for Linux were deprecated on 2020-12-14 and cannot be chosen any more.

    Source: Amazon ECS Developer Guide, platform-fargate.html, platform-versions-retired.html.

    Examples
    --------
    >>> platform_versions(windows=False)
    ('LATEST', '1.4.0', '1.3.0')
    """
    return (LATEST, *(WINDOWS if windows else LINUX))


def platform_unknown(version: str, *, windows: bool) -> str | None:
    """Say that there is no such platform version; None when there is."""
    legal = platform_versions(windows=windows)
    if version in legal:
        return None
    system = "Windows" if windows else "Linux"
    return f"there is no platform version {version} for {system}: legal are {', '.join(legal[:-1])} and {legal[-1]}"


def platform_fault(version: str, cpu_units: int, *, storage_gib: int | None, windows: bool) -> str | None:
    """Say what of a task a platform version cannot run; None when it can.

    Tasks of 8 vCPU and more, and a size of the ephemeral storage, need Linux platform version 1.4.0.

    Source: Amazon ECS Developer Guide, task-cpu-memory-error.html, fargate-task-storage.html.
    """
    if windows or version in (LATEST, "1.4.0"):
        return None
    if any(s.cpu_units == cpu_units and s.min_platform_version == "1.4.0" for s in fargate_sizes(windows=windows)):
        return f"a task of {cpu_units} CPU units needs platform version 1.4.0, not {version}"
    if storage_gib is not None:
        return f"ephemeralStorage needs platform version 1.4.0, not {version}"
    return None


def spot_fault(operating_system: str, architecture: str, version: str | None) -> str | None:
    """Say why a task cannot run on Fargate Spot; None where it can.

    Linux only; on ARM64 from platform version 1.4.0 on.

    Source: Amazon ECS Developer Guide, fargate-capacity-providers.html; Amazon ECS API Reference, API_CapacityProviderStrategyItem.html.

    >>> spot_fault("WINDOWS_SERVER_2022_CORE", "X86_64", None)
    'FARGATE_SPOT runs Linux tasks only, not WINDOWS_SERVER_2022_CORE'
    >>> spot_fault("LINUX", "ARM64", "LATEST") is None
    True
    """
    if operating_system != "LINUX":
        return f"FARGATE_SPOT runs Linux tasks only, not {operating_system}"
    if architecture == "ARM64" and version not in (None, LATEST, "1.4.0"):
        return f"FARGATE_SPOT runs ARM64 tasks from platform version 1.4.0 on, not on {version}"
    return None
