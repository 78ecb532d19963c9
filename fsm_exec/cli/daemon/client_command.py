"""The commands that talk to the daemon share how they find it and how they print."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click
import msgspec

from fsm_exec.cli.output import say_json
from fsm_exec.control.client import Client


def daemon_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options --url, --token-file and --json to a command."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."),
        click.option(
            "--token-file",
            envvar="FSM_EXEC_TOKEN_FILE",
            type=click.Path(path_type=Path),
            help="The daemon's token file.  [default: the one the daemon uses]",
        ),
        click.option("--url", envvar="FSM_EXEC_URL", help="The daemon's address.  [default: the one that runs]"),
    ):
        command = option(command)
    return command


def daemon_command(command: Callable[..., None]) -> Callable[..., None]:
    """Add the same options; hand the command a client and whether JSON is wanted."""

    @daemon_options
    @wraps(command)
    def with_daemon(url: str | None, token_file: Path | None, *args: object, **kwargs: object) -> None:
        with open_client(url, token_file) as daemon:
            command(daemon, *args, **kwargs)

    return with_daemon


def open_client(url: str | None, token_file: Path | None) -> Client:
    """Return a client that asks once: a person decides whether to ask again."""
    return Client(url, token_file, patience_s=0)


def print_json(document: msgspec.Struct) -> None:
    say_json(document, indent=2)


__all__ = ["Client", "daemon_command", "daemon_options", "open_client", "print_json"]
