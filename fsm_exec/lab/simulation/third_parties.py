"""What other people do to our orders: another member trades with them, their owner takes them in hand, and an order of
ours turns up that no execution has.

The owner's account is ours: what it does is published on the same stream, or, `silent`, is learned from listings only.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from fsm_exec.core.values.units import (
    ONE_DOLLAR_E4,
    US_PER_MS,
    CountE2,
    MoneyE6,
    PriceE4,
    format_count,
    format_price,
    in_outcome,
    opposite,
)
from fsm_exec.lab.simulation.actions import Deposit, Hand, HandTrade, Hit, Orphan, Settle
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.tapes.tape import Trade
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.wire import rest

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

TICK_E4 = 100
HASTE_E4 = 500  # beyond the best offer: who trades by hand takes what there is
PARTS = 2  # fills of one order at one price
ORPHAN_LIFE_S = 3_600


def perform_action(world: World, action: Hit | Hand | Orphan | HandTrade | Deposit | Settle, number: int) -> None:
    """Have it done by the exchange, in its own order of things. `number` is the action's."""

    def done() -> None:
        match action:
            case Hit():
                _hit(world, action)
            case Hand():
                _hand(world, action)
            case Orphan():
                _orphan(world, action)
            case HandTrade():
                _buy_by_hand(world, action, number)
            case Deposit():
                world.exchange.transfer(world.account, MoneyE6(action.dollars * 1_000_000))
            case Settle():
                _settle(world, action)

    world.exchange.timeline.at(world.now_us(), Rank.TAPE, f"others:{action.at_ms}:{number:04d}", done)


def _ours(world: World, nth: int) -> Order | None:
    """The `nth` of our orders that rest, counted on from the first again."""
    resting = [
        order
        for orders in world.account.resting.values()
        for order in orders.values()
        if world.witness.owner(order.client_order_id) is not None and order.client_order_id not in world.witness.orphans
    ]
    return min(resting, key=lambda order: (order.number + nth) % len(resting), default=None)


def _hit(world: World, action: Hit) -> None:
    """Another member sells to one of our orders, in a few trades at its price."""
    order = _ours(world, action.nth)
    if order is None or order.price_e4 <= TICK_E4:
        return
    yes_price = in_outcome(PriceE4(order.price_e4 - TICK_E4), order.outcome)
    with world.silence() if action.silent else nullcontext():
        for _ in range(PARTS):
            count = CountE2(max(1, order.remaining_e2 * action.per_mille // 1_000))
            if order.status == "resting" and order.remaining_e2 > count:
                world.history.add("hit", order.client_order_id, count)
                world.exchange.apply(order.ticker, Trade(opposite(order.outcome), yes_price, count))


def _hand(world: World, action: Hand) -> None:
    """The account's owner cancels one of our orders."""
    order = _ours(world, action.nth)
    if order is None or not world.exchange.exchange_active:
        return
    world.history.add("hand", order.client_order_id)
    world.witness.handled.add(order.client_order_id)
    with world.silence() if action.silent else nullcontext():
        world.exchange.cancel(order, None)


def _buy_by_hand(world: World, action: HandTrade, number: int) -> None:
    """The account's owner buys, if the exchange lets it."""
    market = world.exchange.markets[world.tickers[action.market]]
    grid = market.header.grid
    if market.status != "active" or not _was_looked_at(world):
        return
    best = market.book.best(action.outcome if action.rests_ms else opposite(action.outcome))
    if best is None:
        return
    own = best[0] if action.rests_ms else min(PriceE4(ONE_DOLLAR_E4 - best[0] + HASTE_E4), PriceE4(9_900))
    price = grid.floor(in_outcome(PriceE4(own), action.outcome))
    if price is None:
        return
    world.history.add("by hand", action)
    name = f"by-hand-{number}"
    world.witness.by_hand.add(name)
    expires_s = (world.now_us() + action.rests_ms * US_PER_MS) // 1_000_000 + 1
    order = rest.CreateOrder(
        ticker=market.ticker,
        side="bid" if action.outcome == "yes" else "ask",
        count=format_count(action.count_e2),
        price=format_price(price),
        time_in_force="good_till_canceled" if action.rests_ms else "immediate_or_cancel",
        self_trade_prevention_type="taker_at_cross",
        client_order_id=name,
        expiration_time=expires_s if action.rests_ms else None,
    )
    with world.silence() if action.silent else nullcontext(), suppress(ApiError):  # a pause, or no money
        world.exchange.create_order(world.account, order)


def _was_looked_at(world: World) -> bool:
    """Whether any engine has read the account. What is held before counts with the exchange's own cost of it, without
    what it had lost by then: books of which nothing can be reckoned exactly."""
    connection = world.disk.connection
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'account_look'").fetchone()
    return known is not None and connection.execute("SELECT 1 FROM account_look").fetchone() is not None


def _settle(world: World, action: Settle) -> None:
    """The market ends, unless something else has ended it."""
    exchange, ticker = world.exchange, world.tickers[action.market]
    if exchange.markets[ticker].status == "active":
        exchange.close_market(ticker)
    if exchange.markets[ticker].status == "closed":
        exchange.determine_market(ticker, action.result, settle_after_s=action.after_ms // 1_000)


def _orphan(world: World, action: Orphan) -> None:
    """What a step that was lost has left: an order under a name of ours, and no execution that knows of it."""
    market = world.exchange.markets[world.tickers[action.market]]
    price = market.header.grid.floor(TICK_E4)
    name = f"fx{world.instance}-e{900_000 + action.number:06d}-1-1"
    if market.status != "active" or price is None:
        return
    try:
        world.witness.orphans.add(name)
        world.exchange.create_order(
            world.account,
            rest.CreateOrder(
                ticker=market.ticker,
                side="bid",
                count=format_count(CountE2(1_000)),
                price=format_price(price),
                time_in_force="good_till_canceled",
                self_trade_prevention_type="taker_at_cross",
                client_order_id=name,
                expiration_time=world.now_us() // 1_000_000 + ORPHAN_LIFE_S,
            ),
        )
    except ApiError:  # a pause
        world.witness.orphans.discard(name)
