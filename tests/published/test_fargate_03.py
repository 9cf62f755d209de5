"""Published target Fargate 3: ephemeral storage.

Source: Amazon ECS API Reference, API_EphemeralStorage.html.
"""

from __future__ import annotations

import pytest

from fargsim.catalog import CatalogError, ephemeral_storage_gib


def test_fargate_03_twenty_gib_when_absent():
    assert ephemeral_storage_gib(None) == 20


@pytest.mark.parametrize("gib", [21, 200])
def test_fargate_03_both_ends_of_the_range_are_legal(gib):
    assert ephemeral_storage_gib(gib) == gib


@pytest.mark.parametrize("gib", [201, 0, -1])
def test_fargate_03_outside_the_range_is_refused(gib):
    with pytest.raises(CatalogError, match="21 to 200 GiB"):
        ephemeral_storage_gib(gib)
