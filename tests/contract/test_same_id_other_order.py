"""An order id of ours that the exchange already knows proves our order only if what it knows is our order."""

from __future__ import annotations

import msgspec
import pytest

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import PlaceUnconfirmed
from fsm_exec.core.market.orders import Placed, PlaceOrder
from fsm_exec.core.recovery.order_lookup import event_from_listing
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.order_sender import send_write
from tests.contract.conftest import Stage
from tests.core.conftest import Driver, World


def about_to_place(stage: Stage) -> tuple[Driver, PlaceOrder]:
    """An execution of this market that has decided on its first order, and the request it wants sent."""
    terms = msgspec.structs.replace(World.terms(), ticker=stage.ticker)
    driver = World.drive(World.scripted(), World.submitted(terms=terms, target_e4=4_000))
    driver.place()
    (request,) = driver.in_flight
    assert isinstance(request, PlaceOrder)
    return driver, msgspec.structs.replace(
        request, expiration_s=stage.clock.now_us() // 1_000_000 + 600, not_after_us=None
    )


@pytest.mark.parametrize("change", [{"price_e4": 3_900}, {"count_e2": 900}, {"outcome": "no"}])
async def test_another_order_under_our_id_is_never_taken_for_ours(stage: Stage, change: dict[str, object]) -> None:
    """Refused as existing, so in doubt; what the listing then shows has another price, count or side, and core refuses
    to know it: the execution is handed to a person, and nothing of it has changed."""
    driver, request = about_to_place(stage)
    wall = WallClock(stage.clock.now_us())
    async with stage.client() as client:
        assert isinstance(await client.place(msgspec.structs.replace(request, **change)), Placed)
        doubted = await send_write(client, request, wall)
        assert isinstance(doubted, PlaceUnconfirmed)
        assert "order_already_exists" in doubted.why
        driver.tell(msgspec.structs.replace(doubted, at_us=driver.now_us))
        before = driver.execution
        answer = event_from_listing(driver.child, await client.fetch_orders(stage.ticker), driver.now_us, driver.now_us)
        assert answer is not None
        with pytest.raises(IllegalEvent):
            driver.tell(answer)
        assert driver.execution is before
        assert len((await client.fetch_orders()).orders) == 1


async def test_our_own_order_under_our_id_is_adopted(stage: Stage) -> None:
    """Sent twice, since the first answer was lost: it rests once, and the execution knows it."""
    driver, request = about_to_place(stage)
    wall = WallClock(stage.clock.now_us())
    async with stage.client() as client:
        first = await client.place(request)
        assert isinstance(first, Placed)
        doubted = await send_write(client, request, wall)
        driver.tell(msgspec.structs.replace(doubted, at_us=driver.now_us))
        answer = event_from_listing(driver.child, await client.fetch_orders(stage.ticker), driver.now_us, driver.now_us)
        assert answer is not None
        driver.tell(answer)
        assert (driver.child.state, driver.child.order_id) == ("resting", first.order_id)
        assert len((await client.fetch_orders()).orders) == 1
