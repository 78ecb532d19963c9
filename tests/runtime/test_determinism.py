"""One seed, one order of tasks; time that jumps and never waits."""

from __future__ import annotations

import inspect
import random
import time
from functools import partial

import pytest
import trio
import trio.testing
from trio._core import _run as trio_run

from fsm_exec.runtime import determinism
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual, wait_settled

TASKS, ROUNDS = 12, 6


def test_trio_still_has_the_private_names() -> None:
    """What `run_virtual` switches and seeds, and what reads the switch; what its clock sets, and what calls it. If this
    fails, trio has moved them."""
    assert "runner.clock._autojump()" in inspect.getsource(trio_run.unrolled_run)
    assert "_virtual_base" in vars(trio.testing.MockClock())
    assert "seconds_to_next_deadline" in inspect.getsource(trio.testing.MockClock._autojump)
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


def test_time_jumps_as_with_the_clock_of_trio() -> None:
    """Sleeps, time-outs and deciders of drawn lengths end at the same times, to the last bit, on trio's own clock."""

    async def ends() -> list[tuple[str, int, float]]:
        rng = random.Random(20_261_130)
        seen: list[tuple[str, int, float]] = []

        async def sleep_often(number: int) -> None:
            for _ in range(ROUNDS):
                with trio.move_on_after(rng.choice([0.1, 1 / 3, 2])):
                    await trio.sleep(rng.choice([0, 1e-6, 0.1, 0.3, 1 / 3, 7]))
                if rng.random() < 0.3:
                    await wait_settled(f"decider {number}")
                    seen.append(("settled", number, trio.current_time()))
                seen.append(("slept", number, trio.current_time()))

        async with trio.open_nursery() as nursery:
            for number in range(TASKS):
                nursery.start_soon(sleep_often, number)
        return seen

    ours = run_virtual(ends, seed=3)
    assert len(ours) > TASKS * ROUNDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(determinism, "_jumping_clock", partial(trio.testing.MockClock, autojump_threshold=0))
        assert run_virtual(ends, seed=3) == ours


def test_deciders_of_one_instant_go_on_in_the_order_of_their_names() -> None:
    """Each when the one before has come to rest, whichever task runs first and whoever comes while they wait; one that
    is cancelled is no longer waited for."""

    async def gone_on() -> list[str]:
        order: list[str] = []

        async def decide(name: str) -> None:
            await wait_settled(name)
            order.append(name)
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            order.append(f"{name} rests")
            if name == "b":
                nursery.start_soon(decide, "a")

        async with trio.open_nursery() as nursery:
            for name in ("d", "b", "c"):
                nursery.start_soon(decide, name)
            with trio.CancelScope() as scope:
                nursery.start_soon(wait_settled, "0")
                scope.cancel()
                await wait_settled("00")
        return order

    for seed in range(6):
        order = run_virtual(gone_on, seed=seed)
        assert order == [text for name in ("b", "a", "c", "d") for text in (name, f"{name} rests")], f"seed {seed}"
