"""The lines and documents that commands print: nothing foreign reaches the terminal as it came.

Lines are cleaned (`core.text`); JSON keeps everything, by escapes. Tables are printed by `console`.
"""

from __future__ import annotations

import click

from fsm_exec.core.text import clean_lines, escaped_json


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text, on stdout or stderr."""
    click.echo(clean_lines(text), err=err)


def say_json(document: object, *, indent: int | None = None) -> None:
    """Print one JSON document: on one line, or indented."""
    import msgspec  # most commands have it loaded; the list of commands needs none

    try:
        text = msgspec.json.encode(document).decode()
    except UnicodeEncodeError:  # a lone surrogate, as a path may have
        import json

        text = json.dumps(msgspec.to_builtins(document))
    click.echo(escaped_json(text if indent is None else msgspec.json.format(text, indent=indent)))
