"""`serve` says on its terminal what happens to it.

What is said is written by a thread: a terminal that is stopped, or a pipe that nobody empties, must not hold up an
engine with orders at an exchange. What cannot be written in time is dropped; the log has everything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import trio

from fsm_exec.cli.console import Page
from fsm_exec.cli.daemon.narration import SECONDS, Line, Standing, describe_changes
from fsm_exec.core.text import clean_lines
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.engine import Engine

LOOK_EVERY_S: Final = 0.5
WAITING_MAX: Final = 256
FINISH_WITHIN_S: Final = 1.0
STYLES: Final = {"bad": "bold red", "good": "green", "plain": ""}


class Narrator:
    """Lines with the time. With `is_silent` nothing is ever written."""

    def __init__(self, now_us: Callable[[], int], *, is_silent: bool) -> None:
        self._now_us, self._is_silent = now_us, is_silent
        self._send, self._receive = trio.open_memory_channel[tuple[str, Line]](WAITING_MAX)
        self._done = trio.Event()

    def say(self, *lines: Line) -> None:
        """Queue lines. Never waits."""
        at = f"{to_iso(self._now_us())[SECONDS]}Z"
        for line in () if self._is_silent else lines:
            with suppress(trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                self._send.send_nowait((at, line))

    async def write(self) -> None:
        """Write what is queued, until `finish` or until nobody reads it any more."""
        try:
            async with self._receive:
                async for at, line in self._receive:
                    await trio.to_thread.run_sync(_write, at, line, abandon_on_cancel=True)
        except (OSError, ValueError):
            pass  # the reader has gone, which is no reason to stop working orders
        finally:
            self._done.set()

    async def finish(self) -> None:
        """Wait until all is written, for a moment at most."""
        self._send.close()
        with trio.move_on_after(FINISH_WITHIN_S):
            await self._done.wait()

    async def watch(self, look: Callable[[], Standing]) -> NoReturn:
        """Look twice a second and say what has changed, forever: from the start on, which may take long without an
        exchange."""
        before = Standing(state="starting")
        while True:
            after = look()
            self.say(*describe_changes(before, after))
            before = after
            await trio.sleep(LOOK_EVERY_S)


def standing_of(engine: Engine) -> Standing:
    """Return how the engine stands now. It is asked twice a second: nothing here goes through the orders, of which
    there may be thousands."""
    account = engine.account
    return Standing(
        state=engine.state,
        why_halted=engine.why_halted,
        why_degraded=engine.health.why_degraded(),
        quarantined=engine.quarantined(),
        risk=None if account is None else account.risk.state,
        why_risk="" if account is None else account.risk.why,
    )


def _write(at: str, line: Line) -> None:
    """Write to the descriptor itself: a thread that is stuck in a buffered writer holds its lock, and a process cannot
    end while it does."""
    text = clean_lines(f"{at}  {line.text}")
    if sys.stdout.isatty():
        console = Page(soft_wrap=True)
        with console.capture() as captured:
            console.print(text, style=STYLES[line.weight])
        text = captured.get().rstrip("\n")
    left = f"{text}\n".encode(errors="replace")
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]
