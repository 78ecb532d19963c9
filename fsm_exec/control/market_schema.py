"""The structs of the market's part of the control API: what there is to trade, a book, and what an order would cost.

Prices, quantities and money are decimal strings in dollars and contracts, times ISO 8601 UTC; null is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from fsm_exec.control.schema import DEFAULT_METHOD, EdgeGiven, Number
from fsm_exec.core.values.units import Outcome

MARKETS_MAX = 200
LEVELS_MAX = 100
METHODS_MAX = 20
WITHOUT_BASIS: Final[Mapping[str, str]] = {
    "method": "this method was not fitted",
    "book": "the book has no two sides, or is not live",
    "observation": "the market has not been watched for a minute yet: ask again",
    "horizon": "the horizon is outside of what was fitted",
    "quantity": "the quantity is outside of what was fitted",
    "spread": "the spread is wider than any that was fitted",
    "price": "the price is outside of what was fitted",
    "limit": "the limit leaves less or more room than any that was fitted",
}
"""What the word of an estimate that is none means."""
Ticker = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class MarketsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`search` is the beginning of a ticker (a market's, an event's or a series'), or words of a title. `closed`:
    markets that do not trade are found too."""

    search: Annotated[str, msgspec.Meta(max_length=200)] = ""
    closed: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=MARKETS_MAX)] = 50


class MarketLine(msgspec.Struct, frozen=True, kw_only=True):
    """One market as a listing of the exchange shows it: up to 15 s old. Prices are of YES."""

    ticker: str
    title: str
    event: str
    status: str
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    last: str | None
    volume_24h: str | None
    closes_at: str | None


class MarketList(msgspec.Struct, frozen=True, kw_only=True):
    """`has_more`: not everything that may fit was read, or fits in here."""

    markets: list[MarketLine]
    has_more: bool


class BookQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The book in the terms of `outcome`, so many levels of each side."""

    outcome: Outcome = "yes"
    levels: Annotated[int, msgspec.Meta(ge=1, le=LEVELS_MAX)] = 10


class BookLevel(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` is all that rests there, `own` what of it is this account's."""

    price: str
    quantity: str
    own: str


class FeesFrom(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract is charged from `at` on: the rates times price x (1 - price), in dollars. Null both: fees without
    a published formula."""

    at: str
    taker: str | None
    maker: str | None


class MarketBook(msgspec.Struct, frozen=True, kw_only=True):
    """Best level first. An offer of one outcome at p is somebody's bid for the other at 1 - p. `source`: `stream` is
    now, `listing` up to 15 s old. `market` has what the exchange says of the market besides, `fee_changes` what it has
    announced of its fees, as far as the market is watched."""

    ticker: str
    outcome: Outcome
    at: str
    source: Literal["stream", "listing"]
    bids: list[BookLevel]
    asks: list[BookLevel]
    spread: str | None
    mid: str | None
    market: MarketLine | None
    fee_changes: list[FeesFrom] = []


class EstimateWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a submission would say, without a key, and `methods` to compare. Without any price the limit is the one at
    which the book of now has the whole quantity; without a quantity either, an `edge` gives quantity and cap. Nothing
    is sent or stored."""

    ticker: Ticker
    outcome: Outcome
    quantity: Number | None = None
    methods: Annotated[list[str], msgspec.Meta(min_length=1, max_length=METHODS_MAX)] = msgspec.field(
        default_factory=lambda: [DEFAULT_METHOD]
    )
    limit: Number | None = None
    cap: Number | None = None
    target_price: Number | None = None
    max_slippage: Number | None = None
    deadline: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    horizon_s: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    edge: EdgeGiven | None = None


class TakingNow(msgspec.Struct, frozen=True, kw_only=True):
    """What taking at once would buy of it, within the limit: `quantity` contracts for `cost` dollars, `fees` of them
    included; `above_mid` is what a contract then costs above the mid."""

    quantity: str
    cost: str
    fees: str
    above_mid: str | None


class MethodForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What one method is likely to make of it. `no_basis` says why nothing is known. `cost` is expected per contract,
    in dollars above the mid of now, fees and the price of an unfilled rest included; four of five come between
    `cost_low` and `cost_high`. `fill_share` is the share that is likely to be filled, `all_filled` the chance that all
    is. `executions`: how many it rests on."""

    method: str
    no_basis: str | None = None
    cost: str | None = None
    cost_low: str | None = None
    cost_high: str | None = None
    fill_share: str | None = None
    all_filled: str | None = None
    executions: int = 0


class WritesNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """In tokens of the account's budget: what a first order takes, what is kept to cancel all that a method may have at
    once, and what there is now."""

    to_place: int
    to_cancel: int
    left: int
    capacity: int


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the account's risk: what it allows, what is used, and what is used if this is accepted."""

    limit: str
    allowed: str
    used: str
    after: str


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` and `cap` are those the execution would have, `at_most` what it could cost in all, in dollars;
    `limit_from` says where the limit is from, `sized` how an edge gave the quantity. `refusals` are the reasons for
    which a submission of this would be refused now. `fitted_on` is the day of the table that the forecasts rest on,
    `fitted_to` what it was fitted to. `fee_changes` are those announced until its deadline: the cap is made by the
    dearest."""

    ticker: str
    outcome: Outcome
    quantity: str
    seconds: int
    limit: str
    cap: str
    limit_from: Literal["given", "book", "edge"]
    at_most: str
    bid: str | None
    ask: str | None
    mid: str | None
    taking_now: TakingNow
    methods: list[MethodForecast]
    writes: WritesNeeded
    limits: list[LimitUse]
    refusals: list[str]
    fitted_on: str | None
    fitted_to: list[str]
    sized: str | None = None
    fee_changes: list[FeesFrom] = []
