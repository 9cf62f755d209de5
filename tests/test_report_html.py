"""The one-file report: whole, self-contained, safe against any name, the same bytes every time."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_factory import Story, add_task, day

from fargsim.report.html import render_report

HOSTILE = "<script>alert('x')</script>\"&amp;</style><!--"


class Page(HTMLParser):
    """What a browser would see: tags in balance, text, attributes."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def small(variant: str = "", **scenario: object) -> Story:
    story = Story(variant=variant, scenario=scenario)
    add_task(story, "a", [0, 1, 2, 3])
    return story.add(
        "costs", item="fargate vCPU", usd=2.0, usd_per_unit=0.04048, unit="vCPU-hour", price_basis="listed"
    )


def test_the_report_says_verdict_comparison_and_draws_every_variant():
    page = Page(render_report([day("fargate"), day("ec2", price=0.02)]))
    assert "None of the 2 variants meets the SLO (p99 latency at most 400 ms, at most 0.1 % errors)." in page.text
    assert "24 h from 2026-03-02 00:00 UTC · us-east-1 · p99 latency at most 400 ms, at most 0.1 % errors" in page.text
    assert "variant cost USD USD per million p50 ms p95 ms p99 ms errors % tasks mean tasks max SLO met" in page.text
    assert "fargate 14.66 1.52 40.5 101 252 0.33 10.2 26 no" in page.text
    pictures = page.all("img")
    assert len(pictures) == 1 + 2 * 4
    for picture in pictures:
        assert picture["alt"]
        head, data = str(picture["src"]).split(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")
    links = [link["href"] for link in page.all("a")]
    assert links == [f"#{section['id']}" for section in page.all("section") if "id" in section]


def test_the_report_asks_the_network_for_nothing():
    text = render_report([day()])
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form"}
    assert {"http-equiv", "content"} <= set(page.all("meta")[1])
    assert "default-src 'none'" in str(page.all("meta")[1]["content"])
    without_pictures = re.sub(r'src="data:image/png;base64,[^"]*"', "", text)
    assert not re.search(r"https?://|url\(|@import|src=", without_pictures)


def test_the_best_variant_is_marked():
    page = Page(render_report([small("a").result(), small("b").add("costs", usd=1.0).result()]))
    assert [row.get("class") for row in page.all("tr")][1:3] == ["best", None]
    assert "* a 2.00" in page.text
    assert "a is the cheapest of 2 variants: 2.00 USD, 33 % less than b." in page.text


def test_a_run_without_variants_has_no_list_of_variants():
    page = Page(render_report([small().result()]))
    assert "The run" in page.text
    assert page.all("nav") == []


def test_replications_show_their_interval_and_which_is_drawn():
    results = [small("a").result(), small("a").add("costs", usd=1.0).result()]
    results[1] = type(results[1])(results[1].tables, {**results[1].provenance, "replication": 1})
    page = Page(render_report(results))
    assert "2.50 ±6.35" in page.text
    assert "The first replication is drawn." in page.text
    assert len(page.all("img")) == 1 + 4


def test_assumptions_are_said_once_and_prices_without_a_source_are_listed():
    story = small("a", assumptions={"service_reaction_s": 5})
    story.provenance["notes"] = ["The size of the image httpd is assumed.", "The root volume is assumed to be 30 GiB."]
    story.add("costs", item="load balancer LCU", usd=1.0, usd_per_unit=0.008, unit="LCU-hour", price_basis="assumed")
    page = Page(render_report([story.result(), story.result()]))
    assert page.text.count("The size of the image httpd is assumed.") == 2  # in the list, and in the full provenance
    assert "service_reaction_s is set to 5 by the scenario." in page.text
    assert "Prices that no source lists load balancer LCU assumed 0.008 USD per LCU-hour" in page.text
    assert "fargate vCPU" not in page.text


def test_no_assumption_is_said_too():
    assert "Nothing beyond the catalogue's documented facts was noted." in Page(render_report([small().result()])).text


def test_the_provenance_is_there_in_full():
    story = small("a")
    story.provenance |= {"version": "0.1.0", "catalogue_date": "2026-09-20", "dependencies": {"numpy": "2.4.6"}}
    page = Page(render_report([story.result()]))
    assert "catalogue_date 2026-09-20" in page.text
    assert "version 0.1.0" in page.text
    assert '"numpy": "2.4.6"' in page.text
    assert "variant replication seed a 0 7" in page.text


def test_no_name_is_taken_for_markup():
    story = Story(
        variant=HOSTILE,
        scenario={"name": HOSTILE, "region": HOSTILE, "assumptions": {HOSTILE: HOSTILE}},
        version=HOSTILE,
    )
    story.provenance["notes"] = [HOSTILE]
    add_task(story, HOSTILE, [0, 1, 2, 3], group=f"service:{HOSTILE}", service=HOSTILE)
    story.add(
        "services", service=HOSTILE, requests_arrived=1, requests_served=1, latency_mean_ms=1.0, latency_p99_ms=1.0
    )
    story.add("costs", item=HOSTILE, unit=HOSTILE, usd=1.0, price_basis=f"assumed {HOSTILE}", service=HOSTILE)
    text = render_report([story.result(), small("b").result()])
    plain = Page(render_report([small("a").result(), small("b").result()]))
    page = Page(text)
    assert "<script" not in text.lower()
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"li", "ul", "h3"}
    assert page.text.count(HOSTILE) >= 8  # shown as it is written
    known = {"alt", "src", "class", "id", "href", "lang", "charset", "name", "content", "http-equiv"}
    assert {name for _, attributes in page.tags for name in attributes} <= known


def test_the_same_results_give_the_same_bytes_in_another_process(tmp_path: Path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from test_report_html import small; from fargsim.report.html import render_report\n"
        "Path('report.html').write_text(render_report([small('a').result(), small('b').result()]), encoding='utf-8')"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=tmp_path)
    here = render_report([small("a").result(), small("b").result()])
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == here


def test_pictures_drawn_already_are_not_drawn_again():
    pictures = {"cost.png": b"1", "a-traffic.png": b"2"}
    page = Page(render_report([small("a").result()], pictures))
    assert [str(image["src"]).split(",")[1] for image in page.all("img")] == ["MQ==", "Mg=="]


def test_there_must_be_a_result():
    with pytest.raises(ValueError, match="nothing to compare"):
        render_report([])
