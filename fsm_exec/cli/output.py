"""The output of commands, and the only place that prints: nothing foreign reaches the terminal as it came.

Lines and tables are cleaned (`core.text`); JSON keeps everything, by escapes. Nothing is ever taken for markup: a name
may have brackets in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fsm_exec.core.text import clean_lines, escaped_json


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text, on stdout or stderr."""
    click.echo(clean_lines(text), err=err)


def say_json(document: object, *, indent: int | None = None) -> None:
    """Print one JSON document: on one line, or indented."""
    try:
        text = msgspec.json.encode(document).decode()
    except UnicodeEncodeError:  # a lone surrogate, as a path may have
        text = json.dumps(msgspec.to_builtins(document))
    click.echo(escaped_json(text if indent is None else msgspec.json.format(text, indent=indent)))


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
