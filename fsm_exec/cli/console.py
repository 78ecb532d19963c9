"""The console that prints the tables of commands: what it shows is cleaned, as lines are (`output`). Nothing is ever
taken for markup: a name may have brackets in it.

It is apart from `output`: a command that prints lines alone does not wait for rich to load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fsm_exec.core.text import clean_lines


class Page(Console):
    """A console for tables and lines."""

    def __init__(self, *, width: int | None = None, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(width=width, stderr=stderr, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **style: Any) -> Text:  # noqa: ANN401  # handed on as it comes
        # Before it is measured: what is put in the place of a character is as wide as it looks.
        return super().render_str(clean_lines(text), **style)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean_lines(segment.text))
