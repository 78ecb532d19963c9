"""Recordings that commands play or measure: what is wrong with one that can be read is said once, on stderr."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.cli.output import say
from fsm_exec.core.values.times import to_iso
from fsm_exec.lab.experiment.tapes import count_trades
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import Tape


def load_tape(path: Path) -> Tape:
    """Load a recording; say if it was cut off. Raises UserError."""
    tape = read_tape(path)
    say_cut_off(path, tape)
    return tape


def say_without_trades(name: str | Path, tape: Tape) -> None:
    """Say of a recording that holds no trades what that means, before anybody measures fills on it."""
    if not count_trades(tape):
        text = f"recording {name} holds no trades: that anybody fills a resting order on it is all assumed"
        say(f"fsm-exec: {text}", err=True)


def say_cut_off(name: str | Path, tape: Tape) -> None:
    """Say of a recording that a crash cut off how far it was read."""
    if tape.cut_off:
        until = to_iso(tape.first_us + tape.length_us)
        say(f"fsm-exec: recording {name} was cut off; read to its last whole line, of {until}", err=True)
