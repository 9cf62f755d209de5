"""Published target control plane Z11: the memory that an m4.large registers.

The byte rule; the factor for types without a published figure is an assumption and not tested by this.
Source: Amazon ECS Developer Guide, memory-management.html.
"""

from __future__ import annotations

from fargsim.catalog import registered_memory_from_bytes, registered_memory_mib


def test_control_z11_registered_memory():
    assert registered_memory_from_bytes(8_373_026_816) == 7985
    assert registered_memory_mib("m4.large") == 7985


def test_control_z11_with_ecs_reserved_memory():
    assert registered_memory_from_bytes(8_373_026_816, reserved_mib=256) == 7729
    assert registered_memory_mib("m4.large", reserved_mib=256) == 7729
