"""The virtual lane's own: no virtual time passes while the database works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.store import open_virtual_store

if TYPE_CHECKING:
    from tests.store.conftest import Samples


@pytest.mark.parametrize("in_memory", [True, False])
async def test_saving_takes_no_virtual_time(
    in_memory: bool, samples: Samples, database: Path, draw_instance: Callable[[], str], autojump_clock: MockClock
) -> None:
    """With a clock that jumps to the next deadline whenever all wait, a thousand saves end at the time they began,
    although a deadline is always near."""
    path = None if in_memory else database
    async with open_virtual_store(path, draw_instance=draw_instance, at_us=samples.at_us) as store:

        async def save(number: int) -> None:
            for seq in range(1, 11):
                before = trio.current_time()
                await store.save(samples.save(f"e{number}", seq))
                assert trio.current_time() == before
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(save, number)
    assert trio.current_time() == 10
