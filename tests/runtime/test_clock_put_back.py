"""A machine whose clock was an hour ahead, and is put right while executions are at work."""

from __future__ import annotations

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.orders import OrderListing, PlaceAnswer, PlaceOrder, Refused
from fsm_exec.runtime.clock import Wall
from tests.runtime.lives import World, a_world, ended
from tests.runtime.support import T0_US, WAY_S, Stage

HOUR_US = 3_600_000_000
HORIZON_S = 7_200


def put_right(stage: Stage, world: World) -> None:
    stage.engine.clock_jumped(world.wall.set_us(world.wall.now_us() - HOUR_US))


async def test_orders_made_after_it_are_listed_though_the_acceptance_lies_in_the_future(
    autojump_clock: MockClock,
) -> None:
    """The answer of the first order is lost. A listing from the acceptance on would show nothing, and prove the order
    absent while it rests."""
    async with a_world() as world:
        true, exchange = Wall(T0_US), world.exchange
        made_us: dict[str, int] = {}
        place = exchange.place

        async def dated(order: PlaceOrder) -> PlaceAnswer:
            made_us.setdefault(order.client_order_id, true.now_us())
            return await place(order)

        async def since(ticker: str | None = None, *, since_us: int = 0, resting: bool = False) -> OrderListing:
            await trio.sleep(WAY_S)
            rows = [replace(order, reason=None) for order in exchange.all()]
            shown = [row for row in rows if made_us[row.client_order_id] >= since_us]
            return OrderListing(as_of_us=true.now_us(), orders=tuple(shown))

        exchange.place, exchange.orders, exchange.mute = dated, since, True  # type: ignore[method-assign, assignment]
        async with world.life() as stage:
            world.wall.set_us(true.now_us() + HOUR_US)
            exchange.place_fates.append("lost back")
            name = await stage.submit(horizon_s=HORIZON_S)
            put_right(stage, world)
            await trio.sleep(100)
            assert "OrderAbsent" not in await world.events(name)
            assert await stage.history(name) == ["intended", "unknown", "resting"]
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_an_order_refused_for_the_wrong_time_is_placed_when_the_time_is_right(autojump_clock: MockClock) -> None:
    """Neither the last decision nor the pause after a refusal lies an hour ahead."""
    async with a_world() as world:
        place = world.exchange.place

        async def too_early(order: PlaceOrder) -> PlaceAnswer:
            return Refused(code="header_timestamp_expired", message="no")

        world.exchange.place = too_early  # type: ignore[method-assign]
        async with world.life() as stage:
            world.wall.set_us(world.wall.now_us() + HOUR_US)
            await stage.submit(horizon_s=HORIZON_S)
            await trio.sleep(20)
            world.exchange.place = place  # type: ignore[method-assign]
            put_right(stage, world)
            await trio.sleep(2)
            assert len(world.exchange.resting) == 1
            stage.engine.stop("user")
            await ended(stage.engine)
