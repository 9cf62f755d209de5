"""What the README shows is what the program does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import fargsim
from fargsim.report.compare import Run, compare_runs
from fargsim.study.output import comparison_text

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_comparison_is_that_of_the_expected_summaries() -> None:
    # `make readme-picture` writes it; the expected summaries themselves are held against a run elsewhere
    expected = json.loads((ROOT / "scenarios" / "expected" / "fargate-vs-ec2.json").read_text(encoding="utf-8"))
    scenario = fargsim.load(ROOT / "scenarios" / "fargate-vs-ec2.yaml")
    runs = [Run(variant, 0, scenario.seed, summary) for variant, summary in expected.items()]
    slo = {name: float(value) for name, value in scenario.slo.model_dump(exclude_none=True).items()}
    assert blocks("text")[0] == comparison_text(compare_runs(runs, slo), "fargate-vs-ec2")


def test_the_example_scenario_runs(tmp_path: Path) -> None:
    [example] = blocks("yaml")
    assert len(example.splitlines()) <= 22
    shutil.copy(ROOT / "scenarios" / "web.taskdef.json", tmp_path)
    file = tmp_path / "shop.yaml"
    file.write_text(example, encoding="utf-8")
    variants = fargsim.load_variants(file)
    met = {name: fargsim.run(variant).summary["slo_met"] for name, variant in variants.items()}
    assert met == {"three": False, "five": True}, "the README says so"


def test_the_mistake_is_told_as_shown(tmp_path: Path) -> None:
    [example] = blocks("yaml")
    shown = blocks("text")[1].strip().removesuffix(" ...")
    shutil.copy(ROOT / "scenarios" / "web.taskdef.json", tmp_path)
    (tmp_path / "shop.yaml").write_text(example.replace("desiredCount: 3", "desiredcount: 3"), encoding="utf-8")
    with pytest.raises(fargsim.ScenarioError) as raised:
        fargsim.load_variants(tmp_path / "shop.yaml")
    told = str(raised.value).replace(str(tmp_path), "scenarios")
    assert told.startswith(shown)


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = blocks("python")
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "fargate vCPU" in capsys.readouterr().out
    assert (tmp_path / "traffic.png").read_bytes().startswith(b"\x89PNG")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []
