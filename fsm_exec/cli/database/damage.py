"""Damaged rows of a database are reported after everything else has been shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say


def say_damage(damage: Sequence[str]) -> None:
    """Print a line on stderr for each damaged row, once, and exit with 1; do nothing if there is none."""
    if not damage:
        return
    for line in dict.fromkeys(damage):
        say(f"fsm-exec: {line}; it is left out, see: fsm-exec db check", err=True)
    sys.exit(EXIT_FAILED)
