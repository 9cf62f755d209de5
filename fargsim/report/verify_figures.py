"""Pictures of what ``fargsim verify`` finds: the published curve and the simulated ones in one figure for each experiment."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, ScalarFormatter

from fargsim.report.style import BLUE, GREEN, INK, ORANGE, Picture, picture, settings
from fargsim.report.verify_facts import Experiment, Panel, Role

LINES: dict[Role, dict[str, Any]] = {
    "published": {"color": INK, "linestyle": "none", "marker": "o", "markersize": 3.2, "zorder": 3},
    "calibrated": {"color": BLUE},
    "uncalibrated": {"color": ORANGE, "linestyle": (0, (5, 2))},
    "other": {"color": GREEN, "linestyle": (0, (1.2, 2.4)), "linewidth": 2.2, "zorder": 2.6},
}
"""How each role looks: what is published as points, what is simulated as lines; told apart without colour, too.

Dots lie over the lines, so that lines that fall together are both seen.
"""


def draw_experiment(experiment: Experiment) -> Picture:
    """Draw every panel of an experiment."""
    columns = 1 if len(experiment.panels) == 1 else 2
    rows = math.ceil(len(experiment.panels) / columns)
    with settings():
        made = picture(8.2 if columns == 1 else 10, 4.2 if rows == 1 else 3.1 * rows + 0.6, experiment.title)
        axes = made.subplots(rows, columns, squeeze=False)
        for place, panel in zip(axes.flat, experiment.panels, strict=False):
            _panel(place, panel, single=columns == 1)
        for place in axes.flat[len(experiment.panels) :]:
            place.set_axis_off()
    return made


def _panel(axes: Axes, panel: Panel, *, single: bool) -> None:
    if not single:
        axes.set_title(panel.title)
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    for curve in panel.curves:
        axes.plot(curve.x, curve.y, label=curve.label, **LINES[curve.role])
    highest = max((max(c.y, default=0.0) for c in panel.curves), default=0.0)
    if panel.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif highest:
        axes.set_ylim(0, 1.06 * highest)
    axes.set_xlim(left=0)
    axes.legend(loc="best")
