"""Calls the stream's listener so that its exceptions are never taken for protocol errors."""

from __future__ import annotations

from collections.abc import Callable

from fsm_exec.kalshi.log import Log


class StreamLost(Exception):
    """The connection can no longer be relied on: the stream dials again."""


def call_listener(log: Log, call: Callable[[], None]) -> None:
    """Call the listener. Whatever it raises is logged and becomes StreamLost: its state is not known any more, and a
    new connection starts it from snapshots."""
    try:
        call()
    # Any kind: it must neither pass for an error of the exchange's nor end the reader unseen.
    except Exception as error:
        raise log_listener_failure(log, error) from error


def log_listener_failure(log: Log, error: Exception) -> StreamLost:
    """Log the failure. Returns the error to raise."""
    log.exception("listener_failed", error=f"{type(error).__name__}: {error}"[:300])
    return StreamLost(f"the listener failed: {type(error).__name__}")
