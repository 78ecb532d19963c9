"""These signals end a command that runs until it is stopped: Ctrl-C, a shutdown of the machine, the closed terminal."""

from __future__ import annotations

import atexit
import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to listen to. A command started under `nohup` is to outlive the terminal.

    A terminal that goes hangs up twice, on the session and on its foreground. The first is listened to; a second that
    nobody waits for any more does nothing, as it would kill what the first is ending. It is a handler that does
    nothing and not the system's ignoring, which programs started from here would inherit. Only at the very end is it
    the system's: an interpreter that ends takes its handlers away and lives for a moment longer, in which the signal
    would kill.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    signal.signal(signal.SIGHUP, _do_nothing)
    atexit.register(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def _do_nothing(*_: object) -> None:
    """Let a hangup pass."""
