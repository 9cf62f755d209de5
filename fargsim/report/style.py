"""How every plot looks: palette, fonts, time axes, and bytes that do not change from run to run.

Nothing here touches pyplot or leaves a trace in Matplotlib's global settings: a plot made in a notebook neither
changes that notebook's plots nor is changed by them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fargsim.report.facts import Facts

Floats = npt.NDArray[np.float64]

DPI = 150
INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e3e7ec"

# Okabe and Ito's palette, which people with any kind of colour blindness can tell apart; yellow is left out, being too light for lines.
BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, MUTED)
"""Colours of services, in the order of their names."""

SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollar signs
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.8,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


class Picture(Figure):
    """A Matplotlib figure that shows itself in a notebook and knows its PNG."""

    def png(self) -> bytes:
        """Return the picture as PNG at :data:`DPI`; the same picture gives the same bytes."""
        buffer = io.BytesIO()
        with settings():
            # Software names the version of Matplotlib; without it nothing but the pixels is in the file.
            self.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()


@contextmanager
def settings() -> Iterator[None]:
    """Use fargsim's settings, whatever the user's own are, for the time of a block."""
    with matplotlib.style.context(["default", SETTINGS]):
        yield


def picture(width: float, height: float, title: str) -> Picture:
    """Return an empty picture with its title at the upper left; call it inside :func:`settings`."""
    made = Picture(figsize=(width, height))
    FigureCanvasAgg(made)
    made.suptitle(title, x=0.012, ha="left")
    return made


def titled(what: str, facts: Facts) -> str:
    """Return a plot's title: what it shows, of which scenario and variant.

    >>> from types import SimpleNamespace
    >>> titled("Latency", SimpleNamespace(name="day", variant="ec2"))
    'Latency · day, ec2'
    """
    return f"{what} · {facts.name}" + (f", {facts.variant}" if facts.variant else "")


def no_data(axes: Axes, words: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def seconds(instants: pd.Series, facts: Facts) -> Floats:
    """Return instants as seconds since the start of the run, ``NaN`` where absent."""
    return np.asarray((instants - facts.start).dt.total_seconds(), dtype=np.float64)


STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400)
DAY_S = 86_400
CLOCK_FROM_S = 7200
"""Runs at least this long are read by the clock, shorter ones by the time since their start."""


def time_axis(axes: Axes, facts: Facts, first_s: float, last_s: float, most: int = 9) -> None:
    """Give an axis in seconds since the start of the run readable ticks.

    Runs of two hours and more show the time of day (UTC, hours:minutes, the date at midnight if there are several),
    shorter ones the time since the start, as hours:minutes or minutes:seconds.

    Parameters
    ----------
    axes
        The panel; its x values are seconds since the start.
    facts
        The run.
    first_s, last_s
        Limits of the axis, in seconds since the start.
    most
        Most ticks.
    """
    span = max(last_s - first_s, 1e-6)
    clock = facts.duration_s >= CLOCK_FROM_S
    zero = (facts.start - facts.start.normalize()).total_seconds() if clock else 0.0
    step = next((s for s in STEPS_S if span / s <= most), DAY_S * max(int(np.ceil(span / DAY_S / most)), 1))
    ticks = np.arange(np.ceil((first_s + zero) / step), np.floor((last_s + zero) / step) + 1) * step
    axes.set_xlim(first_s, last_s)
    axes.set_xticks(ticks - zero, [_tick(facts, float(tick), step, clock) for tick in ticks])
    if clock:
        axes.set_xlabel(f"time of day, UTC (h:min), from {facts.start:%Y-%m-%d}")
    else:
        axes.set_xlabel(f"time since the start (h:min{':s' if step < 60 else ''})")


def _tick(facts: Facts, tick_s: float, step: float, clock: bool) -> str:
    whole = round(tick_s)
    text = f"{whole // 3600 % 24 if clock else whole // 3600}:{whole // 60 % 60:02d}"
    if step < 60:
        text += f":{whole % 60:02d}"
    if clock and whole % DAY_S == 0 and facts.duration_s > 1.5 * DAY_S:
        day = facts.start.normalize() + pd.Timedelta(whole, unit="s")
        return f"{day:%b} {day.day}" if step >= DAY_S else f"{text}\n{day:%b} {day.day}"
    return text
