"""Each lie of `lies.LIES`, told to an engine that lives on: what it is told is corrected by what is listed later."""

from __future__ import annotations

import io
import random

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.units import CountE2, PriceE4
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef
from tests.bending.drill import OUTAGE_S, Cell, Result, Run
from tests.bending.lies import LIES

CORRECTED_S = 120  # window, lag, and the looks after an end
TAKERS = 6


class LiedTo(Run):
    """A minute with a lie in it, while orders rest, walk and take; then all end, and what is listed is learned."""

    def __init__(self, lie: str, dice: random.Random, result: Result, log: io.StringIO) -> None:
        super().__init__(Cell(lie, "running", "deadline", "no answer"), result, log)
        self._dice = dice

    def _begin_outage(self) -> None:
        LIES[self._cell.down](self._bends, self._dice)

        async def until_over() -> None:
            await trio.sleep(OUTAGE_S)
            self._bends.calm()
            self._outage_over.set()

        self._nursery.start_soon(until_over)

    async def _through(self, engine: Engine) -> bool:
        mid_e4 = self._mid_e4
        for number in range(TAKERS):
            price = PriceE4(min(9_800, mid_e4 + 300))
            market = method("market")
            await self._submit_one(engine, "yes", price, MethodRef(market.full_name, market), 30, CountE2(500 + number))
            await trio.sleep(OUTAGE_S / TAKERS / 2)
        await self._outage_over.wait()
        await self._end(engine)
        await trio.sleep(CORRECTED_S)
        return True


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_lie_is_corrected_by_what_is_listed(lie: str, seed: int) -> None:
    """Everything has ended, or is quarantined with the contradiction named and ended by its user; every fill is stored
    once, as the exchange made it."""
    log = io.StringIO()
    result = Result(Cell(lie, "running", "deadline", "no answer"))

    async def play() -> None:
        await LiedTo(lie, random.Random(f"{lie}:{seed}"), result, log).play()

    run_virtual(play, seed=1)
    assert [line for line in result.wrong if "is quarantined" not in line] == [], log.getvalue()[-3_000:]
