"""How a command finds the daemon: told by address, or the one that runs."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.control.client import ControlClient, DaemonAbsent, checked_url
from fsm_exec.control.places import token_path
from fsm_exec.control.presence import running_daemons
from fsm_exec.control.token import read_token
from fsm_exec.core.errors import UserError


def open_client(url: str | None, token_file: Path | None, database: str | None = None) -> ControlClient:
    """A client of the daemon at `url`, or of the only one of this user that runs (on `database`, if that is told).
    Raises DaemonAbsent if none does, UserError if several do or the token cannot be read."""
    running = [one for one in running_daemons() if database in (None, one.database)]
    if url is None:
        if not running:
            raise DaemonAbsent("no daemon of this user runs; start one with: fsm-exec serve, or give --url")
        if len(running) > 1:
            shown = ", ".join(f"{daemon.url} ({daemon.database})" for daemon in running)
            raise UserError(f"several daemons run, give one with --url: {shown}")
        url = running[0].url
    address = checked_url(url)
    if token_file is None:
        token_file = next((Path(daemon.token_file) for daemon in running if daemon.url == address), token_path())
    return ControlClient(address, read_token(token_file))
