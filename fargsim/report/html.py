"""The report in one HTML file: the verdict, the comparison, the plots, and everything that was assumed.

The file carries its own style and pictures and asks the network for nothing (its content security policy forbids
it), so it can be mailed, archived and opened years later. The same results give the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fargsim.model.scenario import Scenario
from fargsim.record.result import Result
from fargsim.report.columns import columns, judged, notes
from fargsim.report.compare import Comparison, compare
from fargsim.report.facts import Facts, facts_of, firsts, slo_words
from fargsim.report.failed_requests import failed_requests_html
from fargsim.report.plots import draw_all
from fargsim.report.rollouts import rollouts_html
from fargsim.report.stops import stops_html
from fargsim.report.use_table import use_html

CAPTIONS: dict[str, str] = {
    "traffic": "Requests and errors per second, and the tasks that served them.",
    "latency": "Latency percentiles of the requests served in each period, arrival at the balancer to the last byte.",
    "cpu": "CPU used, in percent of what the tasks reserve.",
    "credits": "CPU credits of burstable instances: held, owed, and the vCPUs that they allow.",
    "queues": "Messages that wait and are worked on, and the age of the oldest.",
    "gantt": "What state each task was in, and for how long.",
}
"""What each plot of a variant shows, in the order of the report."""

STYLE = """
:root { --ink: #1f2933; --muted: #5f6b7a; --line: #d9dee5; --soft: #f5f7fa; --good: #00664a; --bad: #a63c00; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; color: var(--ink); background: #fff;
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul { margin: .5rem 0; }
.muted, figcaption { color: var(--muted); font-size: .9rem; }
.verdict { margin: 1.25rem 0; padding: .9rem 1.1rem; background: var(--soft); border-left: 4px solid var(--ink);
  font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .7rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; padding-left: .4rem; }
.words th:nth-child(n+5), .words td:nth-child(n+5) { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
.words td:nth-child(5), .words td:nth-child(6) { overflow-wrap: normal; min-width: 0; }
.words th:last-child, .words td:last-child { width: 45%; }
.counts td:first-child { white-space: normal; min-width: 9rem; }
.ends { font-size: .85rem; } .ends th, .ends td { text-align: left; padding: .35rem .5rem; }
.ends td:last-child { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
tr.best { background: #eef7f3; font-weight: 600; }
td small { display: block; color: var(--muted); font-weight: 400; }
.yes { color: var(--good); } .no { color: var(--bad); }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; display: block; }
nav a { margin-right: 1rem; } a { color: #00558a; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .92rem; }
dt { color: var(--muted); } dd { margin: 0; }
pre { overflow-x: auto; padding: .8rem; background: var(--soft); font-size: .8rem; line-height: 1.4; }
@media print { body { max-width: none; padding: 0; } nav { display: none; } figure { break-inside: avoid; } }
"""


def render_report(results: Sequence[Result], pictures: Mapping[str, bytes] | None = None) -> str:
    """Return the report on one scenario's runs as HTML.

    Parameters
    ----------
    results
        Billed results, all variants and replications, in the order of the comparison.
    pictures
        PNG by file name as :func:`fargsim.report.plots.draw_all` returns them, if they have been drawn already.

    Returns
    -------
    str
        A whole HTML document. ``provenance["notes"]``, a list of sentences, is shown among the assumptions.

    Raises
    ------
    ValueError
        If there is no result.
    """
    comparison = compare(results)
    drawn = draw_all(results) if pictures is None else pictures
    shown = firsts(results)
    facts = facts_of(results[0])
    title = f"{facts.name}: {'what each variant costs and how it feels' if len(shown) > 1 else 'what a run costs and how it feels'}"
    body = [
        _head(facts, comparison, shown),
        _comparison(comparison),
        rollouts_html(shown.values()),
        _figure("cost.png", drawn, "What each line item of the bill comes to." + _assumed_hint(results)),
        use_html(comparison),
        *(_variant(name, result, drawn, len(results) > len(shown)) for name, result in shown.items()),
        _assumptions(results, facts),
        _provenance(results),
    ]
    return _page(title, "\n".join(body))


def _page(title: str, body: str) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(facts: Facts, comparison: Comparison, shown: Mapping[str, Result]) -> str:
    hours = facts.duration_s / 3600
    span = f"{hours:,.4g} h" if hours >= 1 else f"{hours * 60:,.4g} min"
    region = str(
        (shown[facts.variant].provenance.get("scenario") or {}).get("region") or Scenario.model_fields["region"].default
    )
    lead = [f"{span} from {facts.start:%Y-%m-%d %H:%M} UTC", region, slo_words(facts.slo)]
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a> ' for name in shown if name)
    return (
        f"<header>\n<h1>{escape(facts.name)}</h1>\n"
        f'<p class="muted">{escape(" · ".join(part for part in lead if part))}</p>\n'
        f'<p class="verdict">{escape(comparison.verdict)}</p>\n'
        + (f"<nav>{links}</nav>\n" if links else "")
        + "</header>"
    )


def _comparison(comparison: Comparison) -> str:
    shown = columns(comparison)
    verdicts = judged(comparison)
    heads = "".join(f"<th>{escape(' '.join(column.heading.split()))}</th>" for column in shown)
    heads += "<th>SLO met</th>" if verdicts else ""
    rows = []
    for k, variant in enumerate(comparison.variants):
        best = variant.name == comparison.best and len(comparison.variants) > 1
        cells = "".join(_cell(*column.cells[k]) for column in shown)
        if verdicts:
            cells += _verdict(variant.slo_met)
        name = f"{'* ' if best else ''}{variant.name}"
        opening = '<tr class="best">' if best else "<tr>"
        rows.append(f"{opening}<td>{escape(name)}</td>{cells}</tr>")
    below = "".join(f'<p class="muted">{escape(note)}</p>\n' for note in notes(comparison))
    return (
        "<section>\n<h2>Comparison</h2>\n"
        f'<div class="wide"><table>\n<thead><tr><th>variant</th>{heads}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table></div>\n{below}</section>"
    )


def _cell(figure: str, half_width: str) -> str:
    below = f"<small>{escape(half_width)}</small>" if half_width else ""
    return f"<td>{escape(figure) or '&ndash;'}{below}</td>"


def _verdict(slo_met: bool | None) -> str:
    if slo_met is None:
        return "<td>&ndash;</td>"
    return '<td class="yes">yes</td>' if slo_met else '<td class="no">no</td>'


def _figure(name: str, pictures: Mapping[str, bytes], caption: str) -> str:
    if name not in pictures:
        return ""
    data = base64.b64encode(pictures[name]).decode("ascii")
    return (
        f'<figure>\n<img alt="{escape(caption)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def _anchor(name: str) -> str:
    """Return an anchor that any name gives safely and no two names share."""
    return "v-" + name.encode("utf-8").hex()


def _variant(name: str, result: Result, pictures: Mapping[str, bytes], replicated: bool) -> str:
    prefix = f"{name}-" if name else ""
    figures = "\n".join(_figure(f"{prefix}{kind}.png", pictures, caption) for kind, caption in CAPTIONS.items())
    heading = f"Variant {name}" if name else "The run"
    which = '<p class="muted">The first replication is drawn.</p>\n' if replicated else ""
    wrong = f"{stops_html(result)}{failed_requests_html(result)}"
    return f'<section id="{_anchor(name)}">\n<h2>{escape(heading)}</h2>\n{which}{wrong}\n{figures}\n</section>'


def _assumed_hint(results: Sequence[Result]) -> str:
    return " Items with an assumed price are marked." if any(_unlisted(result) for result in results) else ""


def _unlisted(result: Result) -> set[tuple[str, str, float, str]]:
    """Return (item, basis, price, unit) of every price that no source lists."""
    costs = result.tables["costs"]
    some = costs[costs["price_basis"].str.contains("assumed|estimated|model", regex=True)]
    rows = some[["item", "price_basis", "usd_per_unit", "unit"]].drop_duplicates()
    return {
        (str(item), str(basis), float(price), str(unit)) for item, basis, price, unit in rows.itertuples(index=False)
    }


def _assumptions(results: Sequence[Result], facts: Facts) -> str:
    sentences: list[str] = []
    for result in results:
        sentences += [str(note) for note in result.provenance.get("notes") or [] if str(note) not in sentences]
    chosen = (results[0].provenance.get("scenario") or {}).get("assumptions") or {}
    sentences += [f"{name} is set to {_plain(value)} by the scenario." for name, value in sorted(chosen.items())]
    prices = sorted(set().union(*(_unlisted(result) for result in results)))
    parts = ["<section>\n<h2>What was assumed</h2>"]
    if sentences:
        parts.append(_list(sentences))
    if prices:
        rows = "".join(
            f"<tr><td>{escape(item)}</td><td>{escape(basis)}</td><td>{price:.6g} USD per {escape(unit)}</td></tr>\n"
            for item, basis, price, unit in prices
        )
        parts.append(f"<h3>Prices that no source lists</h3>\n<table><tbody>\n{rows}</tbody></table>")
    if not sentences and not prices:
        parts.append("<p>Nothing beyond the catalogue's documented facts was noted.</p>")
    parts.append(
        f'<p class="muted">{escape(facts.name)} is a simulation: it predicts, it does not measure.</p>\n</section>'
    )
    return "\n".join(parts)


def _provenance(results: Sequence[Result]) -> str:
    """Write what the runs have in common as a list, the seeds, and the whole certificate of the first run."""
    first = dict(results[0].provenance)
    plain = {
        key: value
        for key, value in first.items()
        if key not in ("scenario", "notes") and not isinstance(value, dict | list)
    }
    plain = {key: value for key, value in plain.items() if all(r.provenance.get(key) == value for r in results)}
    rows = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(_plain(plain[key]))}</dd>\n" for key in sorted(plain))
    runs = "".join(f"<tr>{''.join(f'<td>{escape(part)}</td>' for part in run)}</tr>\n" for run in _runs(results))
    certificate = json.dumps(first, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return (
        f"<section>\n<h2>Where this comes from</h2>\n<dl>\n{rows}</dl>\n"
        '<div class="wide"><table>\n<thead><tr><th>variant</th><th>replication</th><th>seed</th></tr></thead>\n'
        f"<tbody>\n{runs}</tbody>\n</table></div>\n"
        f"<details>\n<summary>Provenance of the first run, in full</summary>\n<pre>{escape(certificate)}</pre>\n</details>\n</section>"
    )


def _runs(results: Sequence[Result]) -> Iterable[tuple[str, str, str]]:
    for result in results:
        facts = facts_of(result)
        yield facts.variant or "default", str(facts.replication), "" if facts.seed is None else str(facts.seed)


def _list(sentences: Iterable[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(sentence)}</li>\n" for sentence in sentences) + "</ul>"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
