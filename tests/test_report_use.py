"""Paid for, reserved, used, as people read it: on the terminal and in the report."""

from __future__ import annotations

import io
import re

from report_factory import HOUR, Story
from rich.console import Console

from fargsim.report.compare import Run, compare_runs
from fargsim.report.html import render_report
from fargsim.report.summary import summarize
from fargsim.report.use_table import use_html, use_rows, use_table

USE = {
    "cost_compute_usd": 10.0,
    "cost_reserved_usd": 8.0,
    "cost_used_usd": 2.5,
    "vcpu_hours_paid": 100.0,
    "vcpu_hours_reserved": 80.0,
    "vcpu_hours_used": 33.0,
    "gib_hours_paid": 200.0,
    "gib_hours_reserved": 160.0,
    "gib_hours_used": None,
}


def made(*names: str, **changes: object):
    summary = {**summarize(Story().result()), **USE, **changes}
    return compare_runs([Run(name, 0, 7, summary) for name in names], {})  # type: ignore[arg-type]


def test_one_block_a_variant_and_nothing_where_nothing_is_known():
    assert use_rows(made("a", "b"))[:3] == [
        ("a", "USD", ("10.00", "8.00", "2.50", "2.00", "25 %")),
        ("a", "vCPU-h", ("100.0", "80.0", "33.0", "20.0", "33 %")),
        ("a", "GiB-h", ("200.0", "160.0", "", "40.0", "")),
    ]
    assert len(use_rows(made("a", "b"))) == 6


def test_the_table_fits_eighty_columns_and_names_a_variant_once():
    text = io.StringIO()
    Console(file=text, width=80, color_system=None).print(use_table(made("a-long-variant-name", "b")))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("a-long-variant-name" in line for line in lines) == 1
    assert any(re.fullmatch(r"a-long-variant-name\s+USD\s+10\.00\s+8\.00\s+2\.50\s+2\.00\s+25 %\s*", x) for x in lines)


def test_what_was_not_paid_for_has_no_table():
    nothing = made("a", cost_compute_usd=0.0, vcpu_hours_paid=0.0, gib_hours_paid=0.0)
    assert use_table(nothing) is None
    assert use_html(nothing) == ""


def test_the_report_has_the_section_and_escapes_names():
    section = use_html(made("<b>"))
    assert "&lt;b&gt;" in section
    assert "<b>" not in section
    story = Story(HOUR)
    use = dict.fromkeys(("paid_vcpu_h", "reserved_vcpu_h", "used_vcpu_h", "paid_gib_h", "reserved_gib_h"), 1.0)
    story.add(
        "capacity_use", launch_type="FARGATE", **use, used_gib_h=0.5, paid_usd=2.0, reserved_usd=2.0, used_usd=1.0
    )
    story.add("costs", item="fargate vCPU", usd=2.0)
    report = render_report([story.result()])
    assert "<h2>Paid for, reserved, used</h2>" in report
    assert "<td>50 %</td>" in report
