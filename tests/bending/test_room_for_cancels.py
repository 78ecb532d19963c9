"""Answers that do not come never take the last connection: a cancel goes out however many are waited for."""

from __future__ import annotations

from contextlib import suppress

import trio

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.market.orders import Cancelled, CancelOrder, Placed
from tests.bending import requests
from tests.bending.test_bending import TICKER, a_scene


async def test_a_cancel_while_every_read_is_waited_for() -> None:
    """More reads than there are connections, none of them answered; the cancel is, within the time of one request."""
    async with a_scene("sockets") as scene, trio.open_nursery() as nursery:
        placed = await scene.client.place(scene.order())
        assert isinstance(placed, Placed)
        scene.bends.on_request(requests.drop(), "GET")

        async def read() -> None:
            with suppress(VenueUnavailable):
                await scene.client.fetch_fills()

        for _ in range(80):
            nursery.start_soon(read)
        await trio.sleep(3)  # for the tokens of all of them
        cancel = CancelOrder(
            effect_id="e1:2:0", client_order_id="fxaaaaaaaaaa-e1-1-1", order_id=placed.order_id, ticker=TICKER
        )
        with trio.fail_after(3):
            assert isinstance(await scene.client.cancel(cancel), Cancelled)
        nursery.cancel_scope.cancel()
