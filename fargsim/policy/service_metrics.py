"""Formulas of a service's CloudWatch metrics.

Source: Amazon ECS Developer Guide, service_utilization.html.
"""

from __future__ import annotations


def utilization_percent(used: float, reserved_per_task: float, tasks: float) -> float | None:
    """Return ``CPUUtilization`` or ``MemoryUtilization``: what all tasks used over what their definitions reserve.

    Parameters
    ----------
    used
        CPU units (or MiB) in use by all tasks together.
    reserved_per_task
        CPU units (or MiB) in the task definition; for memory the reservation where there is one.
    tasks
        Running tasks; a mean over a period may be fractional.

    Returns
    -------
    float or None
        Percent; above 100 where tasks burst. None without tasks or without a reservation.

    Examples
    --------
    >>> utilization_percent(2048, 512, 1), utilization_percent(128, 512, 1)
    (400.0, 25.0)
    """
    reserved = reserved_per_task * tasks
    return 100.0 * used / reserved if reserved else None
