"""The verbs of Amazon ECS about settings of the account."""

from __future__ import annotations

from typing import Any

from fargsim.model.account import PutAccountSettingDefault
from fargsim.sim.ecs_base import EcsVerbs
from fargsim.sim.shapes import read


class SettingVerbs(EcsVerbs):
    """Verbs that change settings of the account."""

    def put_account_setting_default(self, **arguments: Any) -> dict[str, Any]:
        """Set how long Fargate waits before it retires tasks: ``fargateTaskRetirementWaitPeriod``, 0, 7 or 14 days.

        Raises
        ------
        InvalidParameterException
            For another setting or value.
        """
        spec = read(PutAccountSettingDefault, arguments)
        self._registry.settings[spec.name] = spec.value
        principal = f"arn:aws:iam::{self._kit.account}:root"
        return {"setting": {"name": spec.name, "value": spec.value, "principalArn": principal}}
