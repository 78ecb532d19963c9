"""One self-contained page: facts, and sections of a figure, a table, or both.

Everything is in the file: the plotting library once, no font, no picture and no script from elsewhere, and a policy
that forbids the browser to connect anywhere. Whatever comes from a database is escaped. The same sections give the same
bytes: ids are counted, and no moment of making is written down. Tables need no script. Light or dark is the reader's
choice; figures follow it by `figures.js`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from fsm_exec.lab.report.escaping import escape
from fsm_exec.lab.report.tables import Link, Table, render_table
from fsm_exec.lab.report.theme import DARK

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


class Section(NamedTuple):
    """`note` says in a sentence or two what one sees: units, and which sign is good. Long tables are folded away."""

    title: str
    note: str
    figure: Figure | None = None
    table: Table | None = None
    folded: bool = False


class Picture(NamedTuple):
    """The sections of one execution, folded away below all others; its name leads to it."""

    execution_id: str
    title: str
    sections: Sequence[Section]


STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1c2733; --dim: #52606d; --line: #e4e9ee; --edge: #9fb0c0;
  --link: #1f5f99; --shade: rgba(28,39,51,.22); }
@media (prefers-color-scheme: dark) { :root { --ground: #151a21; --text: #dde3ea; --dim: #9fb0c0; --line: #2a323d;
  --edge: #4a5564; --link: #7fb6ff; --shade: rgba(0,0,0,.75); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem; font: 15px/1.45 system-ui, sans-serif; color: var(--text);
  background: var(--ground); }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
section { margin-top: 2.25rem; break-inside: avoid-page; }
.note { margin: 0 0 .6rem; color: var(--dim); max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a, summary { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
.scroll { width: fit-content; max-width: 100%; overflow-x: auto; border: 1px solid var(--edge); border-radius: 4px;
  background: linear-gradient(90deg, var(--ground) 40%, transparent) left / 2.5rem 100% no-repeat local,
    linear-gradient(270deg, var(--ground) 40%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(90deg, var(--shade), transparent) left / .8rem 100% no-repeat scroll,
    linear-gradient(270deg, var(--shade), transparent) right / .8rem 100% no-repeat scroll; }
.figure { min-width: 0; overflow-x: auto; }
.figure > div { min-width: 560px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap;
  vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { border-bottom: 2px solid var(--edge); }
.n { text-align: right; }
summary { cursor: pointer; }
.picture { margin-top: .5rem; }
.picture section { margin-top: 1rem; }
@media print { :root { color-scheme: light; --ground: #fff; --text: #000; --dim: #444; --line: #ddd; --edge: #888; }
  body { max-width: none; padding: 0; } .scroll { overflow: visible; border: 0; } table { font-size: 8px; } }
@media (max-width: 640px) { body { padding: .75rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .3rem; } }
"""


def render_page(
    title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section], pictures: Sequence[Picture] = ()
) -> str:
    """The whole document."""
    named = {picture.execution_id for picture in pictures}

    def link(execution_id: str) -> str | None:
        return f"#{execution_id}" if execution_id in named else None

    stated = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    body = "".join(_section(str(number), section, link) for number, section in enumerate(sections, 1))
    if pictures:
        drawings = "".join(map(_picture, pictures))
        body += f'<section id="pictures"><h2>Pictures of executions</h2>{drawings}</section>'
    drawn = [*sections, *(section for picture in pictures for section in picture.sections)]
    library = scripts = ""
    if any(section.figure is not None for section in drawn):
        library = f"<script>{get_plotlyjs()}</script>"
        scripts = f"{dark_colours()}<script>{figure_script()}</script>"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{library}</head>"
        f"<body><main><h1>{escape(title)}</h1><dl>{stated}</dl>{body}</main>{scripts}</body></html>\n"
    )


def dark_colours() -> str:
    """The block of data by which figures follow a dark scheme."""
    return f'<script type="application/json" id="dark-colours">{json.dumps(DARK)}</script>'


def figure_script() -> str:
    """The script that draws the figures of a page."""
    return resources.files("fsm_exec.lab.report").joinpath("figures.js").read_text(encoding="utf-8")


def render_figure(name: str, figure: Figure) -> str:
    """The place of a figure and its data, which `figures.js` draws there."""
    data = str(figure.to_json()).replace("<", "\\u003c")
    return (
        f'<div class="figure"><div id="figure-{name}"></div></div>'
        f'<script type="application/json" data-figure="figure-{name}">{data}</script>'
    )


def _section(name: str, section: Section, link: Link) -> str:
    parts = [f'<section id="section-{name}"><h2>{escape(section.title)}</h2><p class="note">{escape(section.note)}</p>']
    if section.figure is not None:
        parts.append(render_figure(name, section.figure))
    if section.table is not None:
        table = render_table(section.table, section.title, link)
        rows = len(section.table.rows)
        parts.append(f"<details><summary>{rows} rows</summary>{table}</details>" if section.folded else table)
    return "".join([*parts, "</section>\n"])


def _picture(picture: Picture) -> str:
    sections = "".join(
        _section(f"{picture.execution_id}-{number}", section, lambda _: None)
        for number, section in enumerate(picture.sections, 1)
    )
    return (
        f'<details class="picture" id="{escape(picture.execution_id)}">'
        f"<summary>{escape(picture.title)}</summary>{sections}</details>\n"
    )
