"""Draw the pictures of the README, and write its comparison, from a real run of the scenario that it shows.

usage: python docs/make_pictures.py
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fargsim import Result, load_variants
from fargsim.report.compare import compare
from fargsim.report.plots import draw_all
from fargsim.study.many import cores, jobs, run_all
from fargsim.study.output import comparison_text

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = ROOT / "scenarios" / "fargate-vs-ec2.yaml"
IMAGES = ROOT / "docs" / "images"
PICTURES = {"comparison.png": "cost.png", "day.png": "fargate-traffic.png"}
"""Picture of the README, and picture of a report folder that it is."""
BLOCK = re.compile(r"(?<=<!-- comparison -->\n```text\n).*?(?=```)", re.DOTALL)
"""Where the README shows the comparison."""


def main() -> None:
    """Run, draw, write."""
    results = run_all(jobs(load_variants(SCENARIO).values()), workers=cores())
    drawn = draw_all([result.record for result in results])
    IMAGES.mkdir(exist_ok=True)
    for name, source in PICTURES.items():
        (IMAGES / name).write_bytes(drawn[source])
    write_comparison(results)


def write_comparison(results: Sequence[Result]) -> None:
    """Put the comparison of some runs into the README."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    table = comparison_text(compare([result.record for result in results]), SCENARIO.stem)
    readme.write_text(BLOCK.sub(lambda _: table, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
