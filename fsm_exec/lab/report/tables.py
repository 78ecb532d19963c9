"""Tables of a page: texts in rows, and how they become HTML. No figure is needed here, and no plotting library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fsm_exec.lab.report.escaping import escape

Link = Callable[[str], str | None]
"""Where the name of an execution leads to; None: nowhere."""


class Table(NamedTuple):
    """`numbers`: the columns that are set to the right; `executions`: the one with their names, which lead to their
    pictures. Each row has a text for each column, "" where nothing is known or nothing applies."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()
    executions: str | None = None


def render_table(table: Table, name: str, link: Link) -> str:
    """A table in a box of its own, which scrolls where the page is narrower; a screen reader calls it `name`."""
    marks = [' class="n"' if column in table.numbers else "" for column in table.columns]
    head = "".join(
        f'<th scope="col"{mark}>{escape(text)}</th>' for text, mark in zip(table.columns, marks, strict=True)
    )
    linked = [column == table.executions for column in table.columns]
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{mark}>{_linked(text, link(text) if is_linked else None)}</td>"
            for text, mark, is_linked in zip(row, marks, linked, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _linked(text: str, address: str | None) -> str:
    return escape(text) if address is None else f'<a href="{escape(address)}">{escape(text)}</a>'
