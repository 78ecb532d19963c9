"""Telling the stream's listener: its errors are its own, and never pass for the exchange's."""

from __future__ import annotations

from collections.abc import Callable

from fsm_exec.kalshi.log import Log


class StreamLost(Exception):
    """This connection can no longer be relied on: dial again."""


def call_listener(log: Log, call: Callable[[], None]) -> None:
    """Tell the listener something. Raises StreamLost if it fails at that, whatever the error, and reports it: what it
    holds is not known any more, and a new connection gives it everything anew."""
    try:
        call()
    except Exception as error:  # of any kind: it must neither be taken for the exchange's nor end the reader unseen
        raise log_listener_failure(log, error) from error


def log_listener_failure(log: Log, error: Exception) -> StreamLost:
    """Report it; the error to raise."""
    log.exception("listener_failed", error=f"{type(error).__name__}: {error}"[:300])
    return StreamLost(f"the listener failed: {type(error).__name__}")
