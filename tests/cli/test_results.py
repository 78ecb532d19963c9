"""What the demo reports of an execution that has no metrics, because it was given up."""

from __future__ import annotations

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.cli.demo.results import result_of
from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.values.units import MoneyE6
from tests.runtime.support import staged


async def test_what_a_quarantined_execution_bought_is_not_reported_as_nothing(autojump_clock: MockClock) -> None:
    """Its fills and fees are known and told; what was never reckoned is null."""
    async with staged() as stage:
        name = await stage.submit(contracts=10)
        await trio.sleep(2)
        order = stage.order_of(name)
        assert stage.exchange.listener is not None
        free = stage.exchange.fill(3, order)
        stage.exchange.listener.fill(
            replace(free, fill_id="taken", trade_id="taken", fee_e6=MoneyE6(1_700), is_taker=True)
        )
        await trio.sleep(1)
        stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))
        await stage.engine.wait_idle()
        ended = stage.engine.ended[name]
        assert ended.quarantine is not None
        said = result_of(ended)
        assert (said.filled_quantity, said.fill_rate, said.fees) == ("6.00", "0.600000", "0.001700")
        assert (said.shortfall, said.average_fill_price, said.time_to_first_fill) == (None, None, None)
