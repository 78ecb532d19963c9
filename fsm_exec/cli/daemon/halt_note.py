"""A halt that no daemon took is noted beside the lease record of a pair: its own module, since it loads a loop."""

from __future__ import annotations

import socket
from pathlib import Path

import trio

from fsm_exec.cli.config import load_config
from fsm_exec.control.client_errors import DaemonAbsent
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.runtime.clock import system_us
from fsm_exec.standby.command_notes import save_halt_without_engine
from fsm_exec.standby.settings import open_place


class HaltOnlyNoted(ExecError):
    """No daemon took the halt; the text says who will hear of it."""


def note_halt(absent: DaemonAbsent, config: Path | None, lease: str | None) -> ExecError:
    """Note a halt that no daemon takes, where there is a lease record; return what is to be said."""
    where = lease
    if where is None:
        try:
            where = load_config(config).config.standby.lease
        except UserError:
            if config is not None:
                raise
    if not where:
        return absent
    why = f"fsm-exec halt on {socket.gethostname()}, where no daemon answered"
    try:
        place = open_place(where)
        trio.run(save_halt_without_engine, place, why, system_us())
    except UserError:
        raise
    except ExecError as error:
        return HaltOnlyNoted(f"{absent}; nor can the halt be noted beside the lease record: {error}")
    return HaltOnlyNoted(
        f"{absent}; the halt is noted at {place.url}: an engine that leads elsewhere halts within a third of its "
        "lease, one that takes over begins halted"
    )
