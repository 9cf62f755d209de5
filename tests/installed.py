"""The installed command, for tests that run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

Finished = subprocess.CompletedProcess[str]
COMMAND = Path(sys.executable).parent / "fargsim"
SMALL = Path(__file__).parent / "data" / "small"
"""A folder with a scenario that runs in a second."""
