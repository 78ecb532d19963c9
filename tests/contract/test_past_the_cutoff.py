"""Orders and fills past the exchange's cutoff: the normal listings have them no more, and the client's have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsm_exec.core.values.units import US_PER_S
from tests.contract.test_client_and_paper import cancel_of, placed

if TYPE_CHECKING:
    from tests.contract.conftest import Stage

DAY_US = 86_400 * US_PER_S


async def test_what_is_past_the_cutoff_is_listed_all_the_same(stage: Stage) -> None:
    """By a time before the cutoff, of one order, and without any; what rests is never put away; a listing of the last
    hours has nothing of it."""
    async with stage.client() as client:
        filled = await placed(client, stage.now_or_never("yes", "0.5200", "2.00"))
        order = stage.order("yes", "0.4000", "1.00")
        ended = await placed(client, order)
        await client.cancel(cancel_of(order, ended.order_id))
        forever = stage.order("yes", "0.3900", "1.00", expiration_s=None)
        rests = await placed(client, forever)
        stage.clock.origin_us += 100 * DAY_US
        stage.exchange.archived_until_us = stage.clock.now_us() - 90 * DAY_US
        since_us = stage.clock.now_us() - 120 * DAY_US
        old = await client.fetch_orders(stage.ticker, since_us=since_us)
        assert {row.order_id: row.status for row in old.orders} == {
            filled.order_id: "executed",
            ended.order_id: "canceled",
            rests.order_id: "resting",
        }
        every = await client.fetch_orders()
        assert {row.order_id for row in every.orders} == {row.order_id for row in old.orders}
        (resting,) = (await client.fetch_orders(resting=True)).orders
        assert resting.order_id == rests.order_id
        for listing in (
            await client.fetch_fills(stage.ticker, since_us=since_us),
            await client.fetch_fills(stage.ticker, filled.order_id),
            await client.fetch_fills(),
        ):
            assert [(fill.order_id, fill.count_e2) for fill in listing.fills] == [(filled.order_id, 200)]
        assert (await client.fetch_fills(stage.ticker, ended.order_id)).fills == ()
        lately_us = stage.clock.now_us() - DAY_US // 2
        assert (await client.fetch_orders(stage.ticker, since_us=lately_us)).orders == ()
        new = await placed(client, stage.now_or_never("yes", "0.5200", "1.00"))
        lately = await client.fetch_fills(stage.ticker, since_us=lately_us)
        assert [fill.order_id for fill in lately.fills] == [new.order_id]
        assert len((await client.fetch_fills(stage.ticker, since_us=since_us)).fills) == 2
