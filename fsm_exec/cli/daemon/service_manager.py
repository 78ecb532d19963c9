"""Tells the service manager how the daemon fares: that it is ready, alive, stopping, and in a line how it stands.

That is systemd's protocol: one datagram of lines to the socket that NOTIFY_SOCKET names. Without that variable nothing
is said. The watchdog is fed by the engine's own work and not by a timer: each time only after the thread that saves has
come round, in the one loop in which every execution runs. A loop that stands still, or a disk that does not answer,
lets it starve, and the manager starts the daemon anew: the next start goes on with what is durable.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, NoReturn

import trio

from fsm_exec.core.text import clean_lines
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.status import reported_state

LOOK_EVERY_S: Final = 20.0  # where no watchdog asks for more
FEEDS_A_PERIOD: Final = 3
LONGER_US: Final = 120_000_000  # what a start that lives asks for, each time it is looked at
WORDS_MAX: Final = 200


class ServiceManager:
    """Whoever started this process and wants to hear of it, if anybody does."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._address = variables.get("NOTIFY_SOCKET", "")
        self._is_ready = False
        period_us = variables.get("WATCHDOG_USEC", "")
        is_ours = variables.get("WATCHDOG_PID") in (None, str(os.getpid()))
        self._watches = bool(period_us.isdecimal() and int(period_us) and is_ours)
        self.look_every_s = int(period_us) / 1_000_000 / FEEDS_A_PERIOD if self._watches else LOOK_EVERY_S

    @property
    def is_there(self) -> bool:
        """Whether anybody wants to hear."""
        return bool(self._address)

    def say_ready(self) -> None:
        """Say that executions are accepted."""
        self._is_ready = True
        self._send("READY=1")

    def say_stopping(self) -> None:
        """Say that it is coming to rest."""
        self._send("STOPPING=1")

    def say_alive(self, standing: str) -> None:
        """Say that it lives, and how it stands; a start that lives is given more time."""
        lines = [f"STATUS={clean_lines(standing)[:WORDS_MAX]}"]
        if not self._is_ready:
            lines.append(f"EXTEND_TIMEOUT_USEC={LONGER_US}")
        if self._watches:
            lines.append("WATCHDOG=1")
        self._send(*lines)

    def _send(self, *lines: str) -> None:
        """Send a datagram. A manager that does not read is no reason to stop, or to wait."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(lines).encode(), address)


async def say_alive_for_ever(
    manager: ServiceManager, wait_for_turn: Callable[[], Awaitable[None]], describe: Callable[[], str]
) -> NoReturn:
    """Say that the daemon lives, each time after `wait_for_turn` has returned; for ever. Raises StoreFailed."""
    while True:
        await wait_for_turn()
        manager.say_alive(describe())
        await trio.sleep(manager.look_every_s)


def standing_line(engine: Engine) -> str:
    """Return how the engine stands. Nothing here goes through the orders, of which there may be thousands."""
    why = engine.health.why_degraded()
    state = reported_state(engine.state, why)
    reason = engine.why_halted if state == "halted" else "; ".join(why)
    at_work = f"{len(engine.actors)} at work"
    return f"{state}, {at_work}: {reason}" if reason else f"{state}, {at_work}"
