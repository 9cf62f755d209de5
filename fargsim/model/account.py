"""Settings of the account that change how tasks run.

Source: Amazon ECS API Reference, API_PutAccountSettingDefault.html, API_Setting.html.
"""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from fargsim.model.base import EcsShape

RETIREMENT_WAIT = "fargateTaskRetirementWaitPeriod"


class PutAccountSettingDefault(EcsShape):
    """PutAccountSettingDefault: of the settings, how long Fargate waits before it retires tasks, in days."""

    name: Literal["fargateTaskRetirementWaitPeriod"]
    value: str

    @field_validator("value")
    @classmethod
    def _days(cls, value: str) -> str:
        if value not in ("0", "7", "14"):
            raise ValueError(f"{RETIREMENT_WAIT} is 0, 7 or 14 days, not {value}")
        return value
