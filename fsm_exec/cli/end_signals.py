"""These signals end a command that runs until it is stopped: Ctrl-C, a shutdown of the machine, the closed terminal."""

from __future__ import annotations

import signal

_hangups_end: bool | None = None  # None: not asked yet


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to listen to. A command started under `nohup` is to outlive the terminal.

    A terminal that goes hangs up twice, on the session and on its foreground. The first is listened to; a second that
    nobody waits for any more is ignored, as it would kill what the first is ending.
    """
    global _hangups_end
    if _hangups_end is None:
        _hangups_end = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        if _hangups_end:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _hangups_end else (signal.SIGINT, signal.SIGTERM)
