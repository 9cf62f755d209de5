"""Plots: what they show is what the tables say, with units and names, in the same bytes every time."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from report_factory import HOUR, MINUTE, SECOND, Story, add_task, day

from fargsim.report.plot_cost import ITEMS, plot_cost
from fargsim.report.plot_gantt import MOST_TASKS, STATES, plot_gantt
from fargsim.report.plot_time import plot_cpu, plot_latency, plot_traffic
from fargsim.report.plots import PLOTS, draw_all, plot
from fargsim.report.style import SERIES, Picture


def legend(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def title(made: Picture) -> str:
    return made.get_suptitle()


def two_periods(**second: object) -> Story:
    story = Story(3 * MINUTE, scenario={"name": "small"})
    story.add(
        "services",
        requests_arrived=120,
        running=2,
        desired=2,
        latency_p50_ms=10.0,
        latency_p95_ms=20.0,
        latency_p99_ms=30.0,
    )
    return story.add("services", period_start_at=MINUTE, requests_arrived=600, running=3, desired=4, **second)


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLOTS)
def test_every_plot_of_a_day_is_a_png_of_150_dpi(kind: str):
    png = plot(day(), kind).png()
    width, height = struct.unpack(">II", png[16:24])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert width == 9 * 150
    assert 300 <= height <= 1500
    for word in (b"Software", b"Matplotlib", b"tIME", b"Creation"):
        assert word not in png


@pytest.mark.parametrize("kind", PLOTS)
def test_every_plot_of_an_empty_run_says_that_there_is_nothing(kind: str):
    made = plot(Story().result(), kind)
    made.png()
    words = " ".join(text.get_text() for axes in made.axes for text in axes.texts)
    assert words.startswith(("No ", "Nothing "))


@pytest.mark.parametrize("kind", PLOTS)
def test_every_plot_names_scenario_and_variant(kind: str):
    assert title(plot(day("ec2-asg"), kind)).endswith(" · fargate-vs-ec2, ec2-asg")


@pytest.mark.parametrize("kind", [kind for kind in PLOTS if kind not in ("queues", "credits")])  # which the day has not
def test_every_axis_has_a_label_with_its_unit(kind: str):
    made = plot(day(), kind)
    made.png()
    axes = made.axes
    units = ("second", "tasks", "(ms)", "(%)", "USD", "h:min")
    assert any(unit in axes[-1].get_xlabel() for unit in units)
    if kind not in ("gantt", "cost"):  # whose rows are named
        assert all(any(unit in panel.get_ylabel() for unit in units) for panel in axes)


def test_the_same_result_gives_the_same_bytes_whatever_the_users_settings(tmp_path: Path):
    before = draw_all([day(), day("ec2")])
    settings = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "savefig.dpi": 40, "figure.facecolor": "red"}):
        assert draw_all([day(), day("ec2")]) == before
    assert dict(matplotlib.rcParams) == settings
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from report_factory import day; from fargsim.report.plots import draw_all\n"
        "for name, png in draw_all([day(), day('ec2')]).items(): Path(name).write_bytes(png)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    env = {**os.environ, "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo", "MPLBACKEND": "svg"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_report_has_one_bill_and_four_plots_a_variant():
    names = list(draw_all([day(), day("ec2"), day("ec2", replication=1)]))
    each = ["traffic", "latency", "cpu", "gantt"]
    assert names == ["cost.png", *(f"fargate-{kind}.png" for kind in each), *(f"ec2-{kind}.png" for kind in each)]


def test_an_unknown_plot_is_named():
    with pytest.raises(ValueError, match="no plot is called 'pie'; the plots are traffic, latency, cpu, cost, gantt"):
        plot(Story().result(), "pie")


def test_dollar_signs_in_names_are_not_mathematics():
    made = plot_traffic(Story(scenario={"name": r"a$b_{c}$ \frac"}).result())
    made.png()
    assert title(made) == r"Tasks · a$b_{c}$ \frac"


def test_a_picture_shows_itself_in_a_notebook():
    made = plot_traffic(Story().result())
    assert made._repr_png_() == made.png()


# -- time axes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration_us", "start", "shown"),
    [
        (
            24 * HOUR,
            "2026-03-02T00:00:00Z",
            ["0:00", "3:00", "6:00", "9:00", "12:00", "15:00", "18:00", "21:00", "0:00"],
        ),
        (3 * HOUR, "2026-03-02T22:10:00Z", ["22:30", "23:00", "23:30", "0:00", "0:30", "1:00"]),
        (1 * HOUR, "2026-03-02T22:10:00Z", ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"]),
        (20 * SECOND, "2026-03-02T22:10:00Z", ["0:00:00", "0:00:05", "0:00:10", "0:00:15", "0:00:20"]),
        (
            48 * HOUR,
            "2026-03-02T00:00:00Z",
            ["0:00\nMar 2", "6:00", "12:00", "18:00", "0:00\nMar 3", "6:00", "12:00", "18:00", "0:00\nMar 4"],
        ),
        (
            96 * 24 * HOUR,
            "2026-03-02T00:00:00Z",
            ["Mar 2", "Mar 13", "Mar 24", "Apr 4", "Apr 15", "Apr 26", "May 7", "May 18", "May 29"],
        ),
    ],
)
def test_ticks_are_round_and_read_by_clock_or_since_the_start(duration_us: int, start: str, shown: list[str]):
    story = Story(duration_us, scenario={"start": start})
    story.add("clusters", running_tasks=1)
    axes = plot_traffic(story.result()).axes[0]
    assert ticks(axes) == shown
    assert axes.get_xlim() == (0.0, duration_us / 1e6)
    clock = "time of day, UTC (h:min), from 2026-03-02" if duration_us >= 2 * HOUR else "time since the start (h:min"
    assert axes.get_xlabel().startswith(clock)


# -- traffic ----------------------------------------------------------------------------------------------------------


def test_traffic_is_requests_per_second_and_counts_at_the_end_of_their_periods():
    made = plot_traffic(two_periods(requests_failed=30, requests_cut_502=30).result())
    upper, lower = made.axes
    assert line(upper, "requests") == ([0, 60, 120], [2.0, 10.0, 10.0])
    assert line(lower, "running") == ([60, 120, 120], [2, 3, 3])
    assert line(lower, "desired") == ([60, 120, 120], [2, 4, 4])
    assert legend(upper) == ["requests", "errors"]
    errors = upper.collections[-1].get_paths()[0].vertices
    assert errors[:, 1].max() == 1.0  # 60 errors in a minute
    assert upper.get_ylabel() == "requests per second"


def test_no_error_no_mention_of_errors():
    assert legend(plot_traffic(two_periods().result()).axes[0]) == ["requests"]


def test_services_are_told_apart_and_too_many_are_said_to_be():
    story = Story(2 * MINUTE)
    for k in range(8):
        story.add("services", service=f"s{k}", requests_arrived=60 * (k + 1), running=1)
    upper, lower = plot_traffic(story.result()).axes
    assert legend(upper) == ["s7", "s6", "s5", "s4", "s3", "s2"]
    assert len({to_hex(line.get_color()) for line in upper.lines}) == 6
    assert upper.get_ylabel().endswith("6 busiest of 8 services")
    assert line(lower, "running")[1] == [8, 8]


def test_jobs_without_a_service_show_tasks_by_state():
    story = Story(2 * MINUTE)
    story.add("clusters", running_tasks=2, pending_tasks=1, provisioning_tasks=3)
    made = plot_traffic(story.result())
    (panel,) = made.axes
    assert title(made).startswith("Tasks ")
    assert legend(panel) == ["running", "pending", "provisioning"]
    tops = [collection.get_paths()[0].vertices[:, 1].max() for collection in panel.collections]
    assert tops == [2, 3, 6]


# -- latency and CPU --------------------------------------------------------------------------------------------------


def test_latency_shows_three_percentiles_the_promise_and_gaps():
    story = two_periods()  # nothing served in the second minute
    story.provenance["scenario"]["slo"] = {"latency_p99": 25_000}
    (axes,) = plot_latency(story.result()).axes
    assert legend(axes) == ["p99", "p95", "p50"]
    at, p99 = line(axes, "p99")
    assert at == [0, 60, 120]
    assert p99[0] == 30.0
    assert np.isnan(p99[1:]).all()
    assert [text.get_text() for text in axes.texts] == ["SLO: p99 of the run at most 25 ms"]
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0


def test_latency_over_powers_of_ten_is_drawn_on_a_logarithmic_scale():
    story = two_periods(latency_p50_ms=15.0, latency_p95_ms=900.0, latency_p99_ms=5000.0)
    (axes,) = plot_latency(story.result()).axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 10 < 5000 < high


def test_a_long_run_gets_a_running_median_over_the_single_periods():
    (axes,) = plot_latency(day()).axes
    assert legend(axes) == ["p99", "p95", "p50", "(bold: running median of 15 min)"]
    raw = np.asarray(axes.lines[0].get_ydata(), dtype=float)
    calm = np.asarray(line(axes, "p99")[1])
    assert raw.max() == pytest.approx(day().tables["services"]["latency_p99_ms"].max())  # no peak is hidden
    assert calm[700] == np.median(raw[693:708])


def test_each_service_has_its_panel_busiest_first():
    story = Story(2 * MINUTE)
    for name, requests in (("api", 60), ("web", 600)):
        story.add(
            "services",
            service=name,
            requests_arrived=requests,
            latency_p50_ms=1.0,
            latency_p95_ms=2.0,
            latency_p99_ms=3.0,
        )
    assert [axes.get_title(loc="left") for axes in plot_latency(story.result()).axes] == ["web", "api"]


def test_cpu_shows_mean_band_and_scaling_target():
    story = Story(2 * MINUTE)
    story.add("services", cpu_utilization=50.0, cpu_utilization_min=40.0, cpu_utilization_max=120.0)
    story.add(
        "scaling", resource_id="service/default/web", metric_name="ECSServiceAverageCPUUtilization", target_value=60.0
    )
    story.add(
        "scaling", resource_id="service/default/api", metric_name="ECSServiceAverageCPUUtilization", target_value=70.0
    )
    story.add("scaling", resource_id="service/default/web", metric_name="ALBRequestCountPerTarget", target_value=1000.0)
    (axes,) = plot_cpu(story.result()).axes
    assert legend(axes) == ["lowest to highest task", "mean"]
    assert [text.get_text() for text in axes.texts] == ["scaling target 60 %"]
    assert line(axes, "mean") == ([0, 60], [50.0, 50.0])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (40.0, 120.0)
    assert axes.get_ylim() == (0.0, 126.0)  # a burst on EC2 goes beyond what is reserved


# -- cost -------------------------------------------------------------------------------------------------------------


def billed(variant: str, *lines: tuple[str, float, str], replication: int = 0) -> object:
    story = Story(2 * HOUR, variant=variant, replication=replication, scenario={"name": "shop"})
    for item, usd, basis in lines:
        story.add("costs", item=item, usd=usd, price_basis=basis)
    return story.result()


def test_bars_are_variants_and_segments_line_items():
    results = [
        billed(
            "fargate",
            ("fargate memory", 1.0, "listed"),
            ("fargate vCPU", 2.0, "listed"),
            ("fargate vCPU", 3.0, "listed"),
        ),
        billed(
            "ec2",
            ("ec2 instance (used)", 4.0, "listed"),
            ("load balancer LCU", 0.5, "assumed"),
            ("zeppelin", 1.5, "listed"),
        ),
        billed("ec2", ("ec2 instance (used)", 2.0, "listed"), replication=1),
    ]
    made = plot_cost(results)  # type: ignore[arg-type]
    made.png()
    (axes,) = made.axes
    assert title(made) == "Cost by line item and variant · shop"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fargate", "ec2"]
    assert [text.get_text() for text in axes.texts] == ["6.00 USD", "4.00 USD"]
    segments = {bars.get_label(): [(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers}
    assert segments == {
        "fargate vCPU": [(0, 5), (0, 0)],
        "fargate memory": [(5, 1), (0, 0)],
        "ec2 instance (used)": [(6, 0), (0, 3)],
        "load balancer LCU (assumed price)": [(6, 0), (3, 0.25)],
        "zeppelin": [(6, 0), (3.25, 0.75)],
    }
    assert axes.get_xlabel() == "USD for 2 h, mean of 2 replications"
    assert [text.get_text() for text in made.legends[0].get_texts()] == list(segments)


def test_spot_is_told_from_on_demand_by_hatching_not_by_colour_alone():
    looks = list(ITEMS.values())
    assert len(set(looks)) == len(looks)
    for item, look in ITEMS.items():
        assert ("spot" in item) == bool(look[1])


def test_costs_need_a_result():
    with pytest.raises(ValueError, match="nothing to plot"):
        plot_cost([])


# -- Gantt ------------------------------------------------------------------------------------------------------------


def segments(axes: Axes) -> dict[str, list[tuple[float, float, float]]]:
    """Return (row, from, to) by state."""
    found = {}
    for collection in axes.collections:
        boxes = [path.get_extents() for path in collection.get_paths()]
        found[str(collection.get_label())] = [((box.y0 + box.y1) / 2, box.x0, box.x1) for box in boxes]
    return {state: spans for state, spans in found.items() if spans}


def test_segments_are_the_visits_of_the_states():
    story = Story(10 * MINUTE)
    add_task(
        story, "a" * 32, [0, 13 * SECOND, 14 * SECOND, 30 * SECOND, 90 * SECOND, 91 * SECOND, 95 * SECOND, 100 * SECOND]
    )
    add_task(story, "b" * 32, [20 * SECOND, 33 * SECOND, 33 * SECOND, 50 * SECOND])
    (axes,) = plot_gantt(story.result()).axes
    assert segments(axes) == {
        "PROVISIONING": [(0, 0, 13), (1, 20, 33)],
        "PENDING": [(0, 13, 14)],  # the other passed through it in no time
        "ACTIVATING": [(0, 14, 30), (1, 33, 50)],
        "RUNNING": [(0, 30, 90), (1, 50, 600)],  # alive to the end of the run
        "DEACTIVATING": [(0, 90, 91)],
        "STOPPING": [(0, 91, 95)],
        "DEPROVISIONING": [(0, 95, 100)],
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a" * 8, "b" * 8]
    assert axes.get_xlim() == (0, 600)
    assert axes.yaxis_inverted()


def test_the_axis_ends_soon_after_the_last_task():
    story = Story(HOUR)
    add_task(story, "a", [0, 1 * SECOND, 2 * SECOND, 3 * SECOND, 50 * SECOND, 60 * SECOND, 70 * SECOND, 100 * SECOND])
    assert plot_gantt(story.result()).axes[0].get_xlim() == (0, 102)


def test_tasks_are_grouped_and_in_order_of_creation():
    story = Story(10 * MINUTE)
    for k, group in enumerate(["service:web", "service:api", "service:web", "family:job"]):
        add_task(story, f"{9 - k}" * 32, [k * SECOND], group=group)
    (axes,) = plot_gantt(story.result()).axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == ["job 66666666", "api 88888888", "web 99999999", "web 77777777"]


@pytest.mark.parametrize(
    ("count", "groups", "labels"),
    [
        (60, 1, ["1", "25", "50"]),
        (60, 2, ["g0\n30 tasks", "g1\n30 tasks"]),
        (60, 30, ["1", "25", "50"]),
        (250, 1, ["1", "25", "50", "75", "100", "125", "150", "175", "200"]),
    ],
)
def test_many_tasks_stay_readable(count: int, groups: int, labels: list[str]):
    story = Story(HOUR)
    for k in range(count):
        add_task(story, f"{k:032x}", [k * SECOND, (k + 1) * SECOND], group=f"service:g{k % groups}")
    made = plot_gantt(story.result())
    made.png()
    (axes,) = made.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    assert made.get_figheight() <= 10
    if count > MOST_TASKS:
        assert title(made).startswith("Task states (the first 200 of 250)")
        assert axes.get_ylim()[0] < MOST_TASKS


# -- colour -----------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color Vision Deficiency, severity 1.0.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(colour: str, blindness: str) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as somebody with that deficiency sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(BLINDNESS[blindness] @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(np.maximum(to_xyz @ seen / [0.9505, 1.0, 1.089], 216 / 24389))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_neighbouring_colours_differ_whatever_the_eye(blindness: str):
    """States that follow each other and lines that share a panel differ by at least 15 in CIE76 (2.3 is just noticeable)."""
    states = list(STATES.values())
    pairs = list(itertools.pairwise(states))
    pairs += [(SERIES[i], SERIES[j]) for i in range(3) for j in range(i)]
    pairs += [("#d55e00", "#e69f00"), ("#e69f00", "#0072b2"), ("#009e73", "#5f6b7a")]
    for one, other in pairs:
        assert np.linalg.norm(lab(one, blindness) - lab(other, blindness)) >= 15, (one, other)
