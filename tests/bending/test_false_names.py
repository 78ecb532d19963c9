"""An answer gives an order that comes to nothing another id than the exchange lists it under: the id is corrected."""

from __future__ import annotations

import io

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.values.units import PriceE4
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef
from tests.bending import frames, requests
from tests.bending.drill import Cell, Result
from tests.bending.lies import NOBODY, ORDERS
from tests.bending.test_false_fills import COUNT_E2, SOON_S, Case, Lied

LOOK_S = 31.0  # until a listing is held against it, from when on it is in doubt


class Misnamed(Lied):
    """An order that takes nothing, for it asks far below the market. `told`: a frame tells of it, too."""

    def __init__(self, result: Result, log: io.StringIO, *, horizon_s: int, told: bool, killed: bool) -> None:
        super().__init__(Case("", "", "true", 0), result, log)
        self._horizon_s, self._told, self._killed = horizon_s, told, killed

    async def _lives(self) -> None:
        if self._killed:
            await self.one_life(self._take_nothing)
            await self.last_life(_look_first)
        else:

            async def use(engine: Engine) -> None:
                await self._take_nothing(engine)
                await _look_first(engine)

            await self.last_life(use)

    async def _take_nothing(self, engine: Engine) -> None:
        await self._mid_known(engine)
        if not self._told:
            self._bends.on_frame(frames.drop(), "user_order")
        rule = self._bends.on_request(requests.changed("order_id", NOBODY), "POST", ORDERS, times=1)
        market = MethodRef(method("market").full_name, method("market"))
        await self._submit_one(
            engine, "yes", PriceE4(self._mid_e4 // 2 // 100 * 100), market, self._horizon_s, COUNT_E2
        )
        await rule.until_bent()
        await trio.sleep(SOON_S)
        assert [order.filled_e2 for order in self._account.orders] == [0]


async def _look_first(_: Engine) -> None:
    await trio.sleep(LOOK_S)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("horizon_s", [4, 900])
def test_an_order_that_came_to_nothing_has_the_id_it_is_listed_under(horizon_s: int, told: bool, killed: bool) -> None:
    """Whether or not a frame tells of it, its process dies at once, and its deadline is near: a fill is joined by the
    id, so a false one would lose it."""
    log = io.StringIO()
    result = Result(Cell("a create with another order id", "running", "deadline", "no answer"))
    run_virtual(lambda: Misnamed(result, log, horizon_s=horizon_s, told=told, killed=killed).play(), seed=1)
    assert result.wrong == [], log.getvalue()[-3_000:]
    assert NOBODY in log.getvalue()
