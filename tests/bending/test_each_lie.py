"""Each lie of `lies.LIES`, told to an engine that lives on: what it is told is corrected by what is listed later."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef
from tests.bending import frames
from tests.bending.drill import OUTAGE_S, Cell, Result, Run
from tests.bending.lies import LIES, NOBODY

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


class KilledAtOnce(LiedTo):
    """A frame tells of a trade that is none and so ends an execution; its process dies before a listing was held
    against it."""

    async def _submit(self, engine: Engine) -> None:
        await super()._submit(engine)
        rule = self._bends.on_frame(frames.changed("msg.trade_id", NOBODY), "fill", where=_is_of_seven, times=1)
        market = method("market")
        price = PriceE4(min(9_800, 10_300 - self._mid_e4))
        name = await self._submit_one(engine, "no", price, MethodRef(market.full_name, market), 30, CountE2(700))
        await rule.until_bent()
        await trio.sleep(3)
        assert name in engine.ended

    def _begin_outage(self) -> None:
        self._outage_over.set()

    async def _through(self, engine: Engine) -> bool:
        await engine.wait_running()
        await trio.sleep(CORRECTED_S)
        await self._end(engine)
        return True


def _is_of_seven(frame: Any) -> bool:  # noqa: ANN401 - a decoded frame
    return bool(frame["msg"]["count_fp"] == "7.00")


def test_what_a_frame_alone_has_told_is_held_against_the_listings_by_the_next_process_too() -> None:
    """The fill that no listing has is taken back, although its execution has ended and nobody has it in memory."""
    log = io.StringIO()
    cell = Cell("a fill frame of another trade", "recovering", "deadline", "no answer")
    result = Result(cell)

    async def play() -> None:
        run = KilledAtOnce(cell.down, random.Random(1), result, log)
        run._cell = cell
        await run.play()

    run_virtual(play, seed=1)
    assert "is not listed: it is taken back" in log.getvalue()
    assert result.wrong == [], log.getvalue()[-3_000:]
