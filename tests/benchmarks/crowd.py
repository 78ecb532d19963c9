"""A crowd in flight: many executions, each with one order that rests, as a killed engine leaves them.

The database has what the engine itself would have written (accepted, placed, answered), and the exchange holds the
orders: nothing is short-cut but the waiting. The books never move, so an execution that was taken up idles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from fsm_exec.algorithms import method
from fsm_exec.cli.database.instance import draw_instance
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import DecisionDue, OrderAccepted, Submitted
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import PlaceOrder
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, parse_count, parse_price
from fsm_exec.kalshi.translate import create_order
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.store import SqliteStore, open_virtual_store

MARKETS = 20
GRACE_US = 5_000_000
HORIZON_US = 3_600_000_000
SAVES_AT_ONCE = 1_000
ENVIRONMENT = "paper"  # as a daemon's configuration calls the exchange
METHOD = method("simple_limit")
TICKERS = tuple(f"KXCROWD-26OCT01-{n:02}" for n in range(MARKETS))
LEVELS = tuple((parse_price(f"0.{cents:02}"), parse_count("40")) for cents in range(49, 39, -1))
OFFERS = tuple((parse_price(f"0.{cents}"), parse_count("40")) for cents in range(51, 61))
TARGET = parse_price("0.3000")  # below every offer: nothing is filled
QUANTITY = parse_count("10")


def open_markets(exchange: Exchange) -> None:
    """Twenty markets with ten levels a side, 0.49 against 0.51."""
    for ticker in TICKERS:
        exchange.add_market(tape_header(ticker, "linear_cent", category="Testing"))
        exchange.apply(ticker, BookSnapshot(LEVELS, LEVELS))


async def leave_in_flight(path: Path, exchange: Exchange, account: Account, count: int, now_us: int) -> str:
    """Write `count` executions to a new database at `path`, and have `account` hold their orders; its instance."""
    async with open_virtual_store(path, draw_instance=draw_instance, at_us=now_us) as store:
        await store.bind(ENVIRONMENT)
        histories = [_history(exchange, account, store.instance, n, now_us) for n in range(1, count + 1)]
        for saves in zip(*histories, strict=True):  # the first step of each, then the second, then the third
            for first in range(0, count, SAVES_AT_ONCE):
                await _save(store, saves[first : first + SAVES_AT_ONCE])
        return store.instance


async def _save(store: SqliteStore, saves: Sequence[ExecutionSave]) -> None:
    async with trio.open_nursery() as nursery:
        for save in saves:
            nursery.start_soon(store.save, save)


def _history(
    exchange: Exchange, account: Account, instance: str, number: int, now_us: int
) -> tuple[ExecutionSave, ExecutionSave, ExecutionSave]:
    """Accepted; planned and placed; answered."""
    ticker = TICKERS[number % MARKETS]
    market = exchange.markets[ticker]
    grid = market.header.grid
    arrival = MarketView(
        at_us=now_us,
        book_seq=1,
        feed="live",
        feed_age_us=0,
        status="open",
        grid=grid,
        bids=LEVELS,
        asks=OFFERS,
        mid_e5=50_000,
        spread_e4=200,
        own_other_best_e4=None,
    )
    submitted = Submitted(
        at_us=now_us,
        execution_id=f"e{number:06d}",
        instance=instance,
        outcome="yes",
        method=METHOD.full_name,
        target_e2=QUANTITY,
        limits=resolve_limits(TARGET, grid, market.fees),
        deadline_us=now_us + HORIZON_US,
        grace_us=GRACE_US,
        terms=MarketTerms(
            ticker=ticker,
            series="KXCROWD",
            event=market.header.event,
            category="Testing",
            status="open",
            grid=grid,
            fees=market.fees,
        ),
        arrival=arrival,
    )
    pending = advance(None, submitted, METHOD)
    assert pending is not None
    due = DecisionDue(at_us=now_us, view=arrival)
    placed = advance(pending.execution, due, METHOD)
    assert placed is not None
    (request,) = placed.effects
    assert isinstance(request, PlaceOrder)
    answer = exchange.create_order(account, create_order(request))
    accepted = OrderAccepted(
        at_us=now_us,
        client_order_id=request.client_order_id,
        order_id=answer.order_id,
        filled_e2=CountE2(0),
        remaining_e2=QUANTITY,
    )
    resting = advance(placed.execution, accepted, METHOD)
    assert resting is not None
    return (
        save_of(None, submitted, pending),
        save_of(pending.execution, due, placed),
        save_of(placed.execution, accepted, resting),
    )
