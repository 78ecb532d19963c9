"""Bends for the frames of the stream; see `bends`. Each function here makes one."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from tests.bending.bends import Cut, Deliver, Frame, FrameBend, wait
from tests.bending.editing import GONE, edited


def drop() -> FrameBend:
    """Never deliver it. (Of a numbered channel the client sees a gap.)"""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        return

    return bend


def hold(until: float | trio.Event) -> FrameBend:
    """Let it wait, and everything behind it."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        await wait(until)
        await deliver(frame.text)

    return bend


def late(seconds: float) -> FrameBend:
    """Deliver it later; what comes behind overtakes it."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        async def by_and_by() -> None:
            await trio.sleep(seconds)
            await deliver(frame.text)

        frame.aside(by_and_by)

    return bend


def repeat(copies: int = 2) -> FrameBend:
    """Deliver it several times."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        for _ in range(copies):
            await deliver(frame.text)

    return bend


def changed(path: str, to: Any) -> FrameBend:  # noqa: ANN401 - whatever JSON holds
    """Change one field, as `editing.edited` does; the message itself is at `msg`."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        await deliver(edited(frame.text, path, to).decode())

    return bend


def removed(path: str) -> FrameBend:
    """Take one field out."""
    return changed(path, GONE)


def replaced(other: object) -> FrameBend:
    """Deliver another frame instead."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        await deliver(other if isinstance(other, str | bytes) else msgspec.json.encode(other).decode())

    return bend


def cut() -> FrameBend:
    """End the connection instead of delivering it."""

    async def bend(frame: Frame, deliver: Deliver) -> None:
        raise Cut

    return bend
