"""The signals by which a command that runs until it is told to stop is told to: Ctrl-C, the machine that shuts down,
the terminal that is closed."""

from __future__ import annotations

import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Those to listen to. Whoever starts a command under `nohup` wants it to outlive the terminal."""
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if outlives else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
