"""A client finds the daemon at a given address, or the one that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from fsm_exec.control.client_errors import DaemonAbsent
from fsm_exec.control.daemon_registry import load_running_daemons
from fsm_exec.control.paths import token_path
from fsm_exec.control.token import read_token
from fsm_exec.core.errors import UserError

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Address(NamedTuple):
    """Where a daemon answers, and the token that opens it. Its text does not show the token."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


Find: TypeAlias = Callable[[str | None], Address]
"""Finds the daemon: any (None), or again the one of the given database."""


def finder(url: str | None, token_file: Path | str | None) -> Find:
    """Return a function that finds the daemon at `url`, or without one the daemon that runs. Raises UserError for an
    address that is none."""
    file = None if token_file is None else Path(token_file)
    if url is None:
        return lambda database: find_daemon(None, file, database)
    address = parse_url(url)
    return lambda _: find_daemon(address, file)


def find_daemon(url: str | None, token_file: Path | None, database: str | None = None) -> Address:
    """Find the daemon at `url`, or the only one of this user that runs (on `database`, if given). Raises DaemonAbsent
    if none does, UserError if several do or the token cannot be read."""
    running = [one for one in load_running_daemons() if database in (None, one.database)]
    if url is None:
        if not running:
            raise DaemonAbsent("no daemon of this user runs; start one with: fsm-exec serve, or give --url")
        if len(running) > 1:
            shown = ", ".join(f"{daemon.url} ({daemon.database})" for daemon in running)
            raise UserError(f"several daemons run, give one with --url: {shown}")
        url = running[0].url
    address = parse_url(url)
    if token_file is None:
        token_file = next((Path(daemon.token_file) for daemon in running if daemon.url == address), token_path())
    return Address(address, read_token(token_file))


def parse_url(url: str) -> str:
    """Parse a base address. Raises UserError unless it is on this machine: the token is sent there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme != "http" or host not in LOOPBACK_HOSTS or parts.path not in ("", "/"):
        raise UserError(f"{url[:100]!r} is not a daemon's address; it looks like http://127.0.0.1:PORT")
    return url.rstrip("/")
