"""One self-contained page: facts, and sections of a figure, a table, or both.

Everything is in the file: the plotting library once, no font, no picture and no script from elsewhere, and a policy
that forbids the browser to connect anywhere. Whatever comes from a database is escaped. The same sections give the same
bytes: ids are counted, and no moment of making is written down. Tables need no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from plotly.graph_objects import Figure
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from fsm_exec.lab.report.escaping import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
FIGURE_CONFIG = {"displayModeBar": False, "responsive": True}  # its buttons would lie over the legend: dragging zooms


class Table(NamedTuple):
    """`numbers`: the columns that are set to the right. Each row has a text for each column, "" where nothing is known
    or nothing applies."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()


class Section(NamedTuple):
    """`note` says in a sentence or two what one sees: units, and which sign is good. Long tables are folded away."""

    title: str
    note: str
    figure: Figure | None = None
    table: Table | None = None
    folded: bool = False


STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem; font: 15px/1.45 system-ui, sans-serif; color: #1c2733;
  background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
section { margin-top: 2.25rem; break-inside: avoid-page; }
.note { margin: 0 0 .6rem; color: #52606d; max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
dt { color: #52606d; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.figure { min-width: 0; overflow: hidden; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #e4e9ee; text-align: left; white-space: nowrap;
  vertical-align: top; }
th { border-bottom: 2px solid #9fb0c0; position: sticky; top: 0; background: #fff; }
.n { text-align: right; }
summary { cursor: pointer; color: #1f5f99; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; } table { font-size: 8px; } }
@media (max-width: 640px) { body { padding: .75rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .3rem; } }
"""


def render_page(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole document."""
    stated = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    body = "".join(_section(number, section) for number, section in enumerate(sections, 1))
    library = f"<script>{get_plotlyjs()}</script>" if any(s.figure is not None for s in sections) else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{library}</head>"
        f"<body><main><h1>{escape(title)}</h1><dl>{stated}</dl>{body}</main></body></html>\n"
    )


def _section(number: int, section: Section) -> str:
    parts = [
        f'<section id="section-{number}"><h2>{escape(section.title)}</h2><p class="note">{escape(section.note)}</p>'
    ]
    if section.figure is not None:
        parts.append(f'<div class="figure">{_figure(number, section.figure)}</div>')
    if section.table is not None:
        table = f'<div class="scroll">{_table(section.table)}</div>'
        rows = len(section.table.rows)
        parts.append(f"<details><summary>{rows} rows</summary>{table}</details>" if section.folded else table)
    return "".join([*parts, "</section>\n"])


def _figure(number: int, figure: Figure) -> str:
    drawn: str = to_html(
        figure, include_plotlyjs=False, full_html=False, div_id=f"figure-{number}", config=FIGURE_CONFIG
    )
    return drawn


def _table(table: Table) -> str:
    marks = [' class="n"' if column in table.numbers else "" for column in table.columns]
    head = "".join(f"<th{mark}>{escape(name)}</th>" for name, mark in zip(table.columns, marks, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{mark}>{escape(text)}</td>" for text, mark in zip(row, marks, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
