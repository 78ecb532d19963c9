"""The page's parts as fragments by the id of their element: the page is made of them, a stream sends what changed."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from fsm_exec.web.execution.looking import Looked
from fsm_exec.web.templates import Templates

PARTS = "execution_parts.html"


def fragments(templates: Templates, looked: Looked) -> Iterator[tuple[str, Markup]]:
    """Yield each part with its element's id; only the head if nothing of the journal can be read."""

    def made(macro: str, *values: object) -> Markup:
        return templates.macro(PARTS, macro)(*values).strip()

    yield "x-head", made("head", looked.header)
    row = looked.row
    if row is None:
        return
    yield "x-row", made("step", row)
    yield "x-machine", made("machine", row)
    yield "x-picture", made("picture", looked.picture)
    yield "x-ladder", made("ladder", row)
    yield "x-costs", made("costs", row)
    yield "x-fills", made("fills", row)
    yield "x-orders", made("orders", row)
    yield "x-journal", made("journal", row, looked.journal)
    yield "x-snapshot", made("snapshot", row)
