"""The book at arrival as columns, and what fills paid against it. In the execution's own outcome."""

from __future__ import annotations

from typing import TypedDict

from fsm_exec.core.algorithm.market_view import VIEW_DEPTH_LEVELS, MarketView
from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.market.liquidity import depth_within
from fsm_exec.core.values.units import CountE2, format_count, format_fixed, format_price, rounded_ratio

CENT_E4 = 100


class ArrivalColumns(TypedDict):
    arrival_bid: str | None
    arrival_ask: str | None
    arrival_bid_size: str | None
    arrival_ask_size: str | None
    arrival_bid_depth_1c: str | None
    arrival_bid_depth_3c: str | None
    arrival_bid_depth_5c: str | None
    arrival_ask_depth_1c: str | None
    arrival_ask_depth_3c: str | None
    arrival_ask_depth_5c: str | None
    arrival_micro_price: str | None


class PaidColumns(TypedDict):
    arrival_slippage: str | None
    half_spread_ratio: str | None
    price_improvement: str | None
    maker_share: str | None


def arrival_columns(arrival: MarketView) -> ArrivalColumns:
    """All None where the feed was not live. Depth within n cents is what stands at the best price and less than n
    cents behind it; None where the ten levels of a view do not reach so far."""
    live = arrival.feed == "live"
    bids, asks = (arrival.bids, arrival.asks) if live else ((), ())
    (bid, bid_size), (ask, ask_size) = (ladder[0] if ladder else (None, None) for ladder in (bids, asks))
    micro = None
    if bid is not None and ask is not None and bid_size is not None and ask_size is not None:
        micro = format_fixed(10 * (bid * ask_size + ask * bid_size) // (bid_size + ask_size), 5)

    def depth(side: str, cents: int) -> str | None:
        ladder = bids if side == "bid" else asks
        found = depth_within(ladder, cents * CENT_E4, cut_at=VIEW_DEPTH_LEVELS) if live else None
        return None if found is None else format_count(found)

    return ArrivalColumns(
        arrival_bid=None if bid is None else format_price(bid),
        arrival_ask=None if ask is None else format_price(ask),
        arrival_bid_size=None if bid_size is None else format_count(bid_size),
        arrival_ask_size=None if ask_size is None else format_count(ask_size),
        arrival_bid_depth_1c=depth("bid", 1),
        arrival_bid_depth_3c=depth("bid", 3),
        arrival_bid_depth_5c=depth("bid", 5),
        arrival_ask_depth_1c=depth("ask", 1),
        arrival_ask_depth_3c=depth("ask", 3),
        arrival_ask_depth_5c=depth("ask", 5),
        arrival_micro_price=micro,
    )


def paid_columns(fills: tuple[Fill, ...], arrival: MarketView) -> PaidColumns:
    """Compare what was filled with the arrival: a figure beside the shortfall, never alone. The ratio is 1 for who paid
    the touch, below 0 for who earned; the improvement is a gain."""
    filled = CountE2(sum(fill.count_e2 for fill in fills))
    columns = PaidColumns(arrival_slippage=None, half_spread_ratio=None, price_improvement=None, maker_share=None)
    if not filled:
        return columns
    value_e6 = sum(fill.count_e2 * fill.price_e4 for fill in fills)
    rested = sum(fill.count_e2 for fill in fills if not fill.is_taker)
    columns["maker_share"] = str(rounded_ratio(rested, filled, 6))
    mid = arrival.trusted_mid_e5
    if mid is not None:
        above_e7 = value_e6 * 10 - filled * mid
        spread = arrival.asks[0][0] - arrival.bids[0][0]
        columns["arrival_slippage"] = str(rounded_ratio(above_e7, filled * 10**5, 6))
        if spread > 0:
            columns["half_spread_ratio"] = str(rounded_ratio(above_e7, filled * spread * 5, 6))
    if arrival.feed == "live" and arrival.asks:
        columns["price_improvement"] = str(rounded_ratio(filled * arrival.asks[0][0] - value_e6, filled * 10**4, 6))
    return columns
