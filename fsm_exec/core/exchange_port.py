"""What core and the runtime need of an exchange, as protocols: the runtime knows these words and no adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fsm_exec.core.market.account import (
    Balance,
    BudgetFacts,
    EventShape,
    MarketFacts,
    MarketSearch,
    Position,
    QueuePosition,
    Settlement,
)
from fsm_exec.core.market.book import Book, Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    CancelOrder,
    FillListing,
    FillReport,
    OrderListing,
    OrderReport,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.market.terms import FeeChange, MarketStatus, MarketTerms
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid


class AccountReads(Protocol):
    """What the account holds and owes, and what is known of the markets it may be in. Each raises VenueError, and
    UserError for an invalid ticker. Reads lag behind what has happened by a second or more."""

    async def fetch_positions(self) -> tuple[Position, ...]:
        """The positions in all unsettled markets that were ever traded, flat ones included."""
        ...

    async def fetch_balance(self) -> Balance: ...

    async def fetch_settlements(self, since_us: int | None = None) -> tuple[Settlement, ...]:
        """What has settled (at or after `since_us`), to the end of the listing, newest first."""
        ...

    async def fetch_event_shape(self, event: str) -> EventShape: ...

    async def fetch_market_facts(self, tickers: Sequence[str]) -> dict[str, MarketFacts]:
        """The facts of many markets in few calls, by ticker. A market that the exchange does not list, or whose facts
        cannot be read, is left out."""
        ...

    async def search_markets(self, text: str = "", *, only_open: bool = True, limit: int = 50) -> MarketSearch:
        """Markets whose ticker begins with `text` (a market's, an event's or a series'), else those of open events in
        whose titles all of its words occur. Reads a few pages at most, never the whole exchange."""
        ...

    async def fetch_order_book(self, ticker: str) -> Book:
        """A market's book over REST: up to 15 s old."""
        ...

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        """How many contracts must be matched before each of the account's resting orders in these markets."""
        ...

    async def fetch_incentives(self) -> IncentiveListing:
        """The programmes that pay for resting orders or volume now, of all markets."""
        ...


class Exchange(AccountReads, Protocol):
    """The account at the exchange. Writes never raise for what the exchange or the network does: their outcome is
    data, and each call sends at most one request. Reads raise VenueError. All are cancellable."""

    async def fetch_market_terms(self, ticker: str) -> MarketTerms: ...

    async def fetch_markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        """The terms of many markets in few calls, by ticker. A market the exchange does not know is not in the answer,
        nor is one whose terms cannot be read: `fetch_market_terms` raises what is wrong with it."""
        ...

    async def place(self, order: PlaceOrder) -> PlaceAnswer: ...
    async def amend(self, order: AmendOrder) -> AmendAnswer: ...
    async def cancel(self, order: CancelOrder) -> CancelAnswer: ...

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        """One answer for each order, in their order, in as few requests as the budget allows; none named twice."""
        ...

    def budget(self) -> BudgetFacts:
        """What may still be written, as it stands now."""
        ...

    def volume_24h(self, ticker: str) -> CountE2 | None:
        """Contracts traded in a watched market in 24 hours, as the exchange said a few minutes ago at most; None: it
        did not. Asks nothing."""
        ...

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        """Every order of the account (of one market; placed at or after `since_us`; only those that rest), to the end
        of the listing."""
        ...

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        """Every fill of the account (of one market or one order; made at or after `since_us`), to the end of the
        listing."""
        ...

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        """Keep one stream of these markets and of the account's own orders and fills up, for ever, reconnecting as
        needed; call `listener`. Ends only by cancellation. `tickers` are watched from the start."""
        ...

    def watch(self, ticker: str) -> None:
        """Have the stream carry one more market, now and after every reconnection; a snapshot comes first. Without a
        stream at the moment it holds for the next. Twice is once."""
        ...

    def stream_trouble(self) -> str | None:
        """Why there is no stream at the moment, in the words of the last connection or dial; None: there is one, or
        none was begun."""
        ...

    def unwatch(self, ticker: str) -> None:
        """Have the stream drop a market; the listener hears no more of it. A market that is not watched is ignored."""
        ...


class StreamListener(Protocol):
    """The stream's reader calls it synchronously; it never blocks. Times are the exchange's."""

    def connected(self) -> None:
        """A new connection: subscriptions were sent, nothing has arrived yet."""

    def disconnected(self, why: str) -> None: ...
    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None: ...
    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None: ...

    def book_gap(self, tickers: Sequence[str]) -> None:
        """A sequence number is missing: these books are suspect until their next snapshot, which was asked for."""

    def book_broken(self, ticker: str) -> None:
        """A frame about this book could not be read; treated like a gap."""

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None: ...
    def market_status(self, ticker: str, status: MarketStatus) -> None:
        """A watched market stands so, as far as is known: reported when it changes, and again and again."""

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        """A watched market takes these YES prices: reported as its status is."""

    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None:
        """A watched market bills so from now on, and so later, as far as is announced: reported again and again."""

    def fill(self, report: FillReport) -> None: ...
    def order(self, report: OrderReport) -> None: ...

    def order_group(self, group_id: str, change: str) -> None:
        """What became of an order group of the account, in the exchange's word: `created`, `triggered`, `reset`,
        `deleted`, `limit_updated`, or a new one. What it did to the group's orders is told before it or after it."""

    def heard(self) -> None:
        """Anything at all arrived, pings included: the connection lives."""
