"""What all tests share: how Hypothesis searches, and the installed command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from installed import COMMAND, SMALL, Finished

# A change is judged by the same examples on every machine; HYPOTHESIS_PROFILE=fresh looks for new ones.
# Time limits per example would judge the machine, and how busy it is.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("fresh", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A scenario that runs in a second, in a folder of its own."""
    shutil.copytree(SMALL, tmp_path / "in")
    return tmp_path / "in" / "small.yaml"


@pytest.fixture
def fargsim_command(tmp_path: Path) -> Callable[..., Finished]:
    """Run the installed command in an empty folder and return what it printed and its exit status."""
    folder = tmp_path / "here"
    folder.mkdir()

    def call(*arguments: object) -> Finished:
        words = [str(COMMAND), *map(str, arguments)]
        return subprocess.run(
            words, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False
        )

    return call
