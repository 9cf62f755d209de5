"""The catalogue as a whole: every fact has a source, files agree with each other and with rules."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fargsim import catalog
from fargsim.catalog.store import table

DATA = Path(catalog.__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
SOURCED = sorted(p.stem for p in DATA.glob("*.csv") if p.stem not in ("sources", "assumptions"))


@pytest.mark.parametrize("name", SOURCED)
def test_every_row_of_every_table_names_a_source_that_exists(name):
    assert table(name)
    assert {r["source"] for r in table(name)} <= set(catalog.sources())


def test_every_source_is_used_has_a_known_basis_and_a_date_not_after_the_catalogue():
    used = {r["source"] for name in SOURCED for r in table(name)}
    assert used == set(catalog.sources())
    for source in catalog.sources().values():
        assert source.basis in catalog.BASES
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", source.as_of)
        assert source.as_of <= catalog.AS_OF
        assert source.reference


def test_every_parameter_has_unit_basis_source_and_meaning_and_lies_in_its_own_range():
    for name, parameter in ((n, catalog.parameters().parameter(n)) for n in catalog.parameters()):
        assert parameter.basis in catalog.BASES
        assert parameter.source, name
        assert parameter.meaning, name
        assert parameter.as_of <= catalog.AS_OF
        assert isinstance(parameter.value, bool) or parameter.unit, name
        assert catalog.parameter_fault(name, parameter.value) is None


def test_importing_the_catalogue_reads_no_file_and_no_heavy_package():
    code = (
        "import sys; import fargsim.catalog; from fargsim.catalog import store; "
        "assert store.table.cache_info().currsize == 0; "
        "print([m for m in ('pandas', 'numpy', 'pydantic', 'simpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_handed_out_cannot_be_changed():
    row = table("regions")[0]
    with pytest.raises(TypeError):
        row["zones"] = "9"  # type: ignore[index]
    with pytest.raises(TypeError):
        catalog.instance_types()["m5.large"] = None  # type: ignore[index]
    with pytest.raises(AttributeError, match=r"frozen|cannot assign"):
        catalog.fargate_price("x86_vcpu", "us-east-1").value = 0.0
    with pytest.raises(AttributeError, match="with_overrides"):
        catalog.parameters().service_reaction_s = 1


@pytest.mark.parametrize("name", catalog.TABLES)
def test_every_table_to_print_has_unit_source_basis_and_date(name):
    for row in catalog.rows(name, region="eu-north-1"):
        assert {"basis", "as_of", "source"} <= set(row)
        assert all(isinstance(v, str) for v in row.values())


def test_unknown_table_region_and_type_name_what_there_is():
    with pytest.raises(catalog.CatalogError, match="sizes, instances, prices, quotas, assumptions"):
        catalog.rows("weather")
    with pytest.raises(catalog.CatalogError, match="did you mean us-east-1"):
        catalog.region("us-east1")
    with pytest.raises(catalog.CatalogError, match=r"did you mean m5\.large"):
        catalog.instance_type("m5.larg")


def test_regions_cover_fargate_and_ec2_prices():
    priced = {r["region"] for r in table("fargate_prices")}
    assert priced == set(catalog.regions())
    assert set(catalog.ec2_regions()) <= priced
    assert len(catalog.ec2_regions()) == 13
    assert sum(r.launch_class == "established" for r in catalog.regions().values()) == 16


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder the data files were written from is not here")
@pytest.mark.parametrize(
    ("ours", "theirs", "rows", "columns"),
    [
        (
            "instance_types",
            "ec2_instance_types",
            493,
            {"architecture": "arch", "trunk_task_limit": "ecs_trunk_task_enis"},
        ),
        ("ec2_on_demand", "ec2_ondemand_prices", 5405, {}),
        ("ec2_spot", "ec2_spot", 4568, {}),
    ],
)
def test_data_files_hold_what_they_were_written_from(ours, theirs, rows, columns):
    with (SHARED / f"{theirs}.csv").open(newline="") as handle:
        original = list(csv.DictReader(handle))
    assert len(table(ours)) == len(original) == rows
    shared = [(c, columns.get(c, c)) for c in table(ours)[0] if c != "source"]
    for mine, other in zip(table(ours), original, strict=True):
        assert [mine[a] for a, _ in shared] == [other[b] for _, b in shared]


def _read_by_somebody() -> list[str]:
    """Every text of the code that may name a parameter, with what it fills in as a pattern."""
    found: list[str] = []
    for path in sorted(Path(catalog.__file__).parents[1].rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else ".+" for v in node.values]
                # f"spot_{name}_band_percent" names parameters, f"{one}_{other}" says nothing
                found += ["".join(parts)] if any("_" in part and len(part) > 4 for part in parts) else []
    return found


def test_every_parameter_that_a_scenario_can_set_is_read_by_somebody() -> None:
    known = re.compile("|".join(f"(?:{pattern})" for pattern in dict.fromkeys(_read_by_somebody())))
    assert [name for name in catalog.parameters() if known.fullmatch(name) is None] == []
