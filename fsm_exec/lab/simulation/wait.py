"""Waiting in virtual time for what the books say."""

from __future__ import annotations

from collections.abc import Callable

import trio

LOOK_AGAIN_S = 0.25


async def wait_until(condition: Callable[[], object]) -> None:
    """Poll until `condition` holds: nothing signals their changes."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(LOOK_AGAIN_S)
