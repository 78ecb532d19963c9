"""One seed, one order of tasks; time that jumps and never waits."""

from __future__ import annotations

import inspect
import random
import time

import pytest
import trio
from trio._core import _run as trio_run

from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual

TASKS, ROUNDS = 12, 6


def test_trio_still_has_the_two_private_names() -> None:
    """What `run_virtual` switches and seeds, and what reads the switch. If this fails, trio has moved them."""
    assert type(trio_run._ALLOW_DETERMINISTIC_SCHEDULING) is bool
    assert "_ALLOW_DETERMINISTIC_SCHEDULING" in inspect.getsource(trio_run.unrolled_run)
    assert isinstance(trio_run._r, random.Random)


async def _interleaved() -> list[int]:
    """The order in which a dozen tasks that are always ready take their turns."""
    order: list[int] = []

    async def turn(number: int) -> None:
        for _ in range(ROUNDS):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(TASKS):
            nursery.start_soon(turn, number)
    return order


def test_the_same_seed_gives_the_same_order() -> None:
    """Ten runs, one order, whatever was drawn before."""
    orders = set()
    for n in range(10):
        random.seed(n)
        orders.add(tuple(run_virtual(_interleaved, seed=7)))
    assert len(orders) == 1


def test_another_seed_gives_another_order() -> None:
    """So the tasks are shuffled indeed: ten seeds, ten orders of 72 turns."""
    assert len({tuple(run_virtual(_interleaved, seed=seed)) for seed in range(10)}) == 10


def test_afterwards_trio_is_as_it_was() -> None:
    """Switch and generator are put back, also after an error."""
    allowed, state = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()

    async def fails() -> None:
        raise KeyError("main")

    run_virtual(_interleaved, seed=1)
    with pytest.raises(KeyError):
        run_virtual(fails, seed=1)
    assert trio_run._r.getstate() == state
    assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING is allowed


def test_virtual_time_jumps_and_the_wall_goes_with_it() -> None:
    """A day passes in no time, exactly."""

    async def a_day() -> int:
        wall = WallClock(1_000)
        await wall.sleep_until_us(1_000 + 86_400_000_000)
        return wall.now_us()

    began = time.monotonic()
    assert run_virtual(a_day, seed=0) == 1_000 + 86_400_000_000
    assert time.monotonic() - began < 5
