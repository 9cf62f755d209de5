"""How every table in the terminal looks, and every small table of words in the report."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rich import box
from rich.table import Table
from rich.text import Text


def plain_table(title: str = "", caption: str = "") -> Table:
    """Return a table without columns yet: a line under its heading and no frame, the title above and what it means below."""
    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        caption=Text(caption) if caption else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def words_html(kind: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table for the report whose cells are words, escaped; `kind` is its class."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
