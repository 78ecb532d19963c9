"""What core and the runtime need of the outside, as protocols: the runtime knows these words and no adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from fsm_exec.core.account import BudgetFacts
from fsm_exec.core.book import Level
from fsm_exec.core.forecasts import Forecast
from fsm_exec.core.liquidity import Liquidity
from fsm_exec.core.market import MarketStatus, MarketTerms
from fsm_exec.core.orders import (
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
from fsm_exec.core.units import CountE2, Outcome, PriceE4, PriceGrid


class Exchange(Protocol):
    """The account at the exchange. Writes never raise for what the exchange or the network does: their outcome is
    data, and each call sends at most one request. Reads raise VenueError. All are cancellable."""

    async def market_terms(self, ticker: str) -> MarketTerms: ...

    async def markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        """The terms of many markets in few calls, by ticker. A market the exchange does not know is not in the answer,
        nor is one whose terms cannot be read: `market_terms` raises what is wrong with it."""
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

    async def orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        """Every order of the account (of one market; placed at or after `since_us`; only those that rest), to the end
        of the listing."""
        ...

    async def fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        """Every fill of the account (of one market or one order; made at or after `since_us`), to the end of the
        listing."""
        ...

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        """Keep one stream of these markets and of the account's own orders and fills up, for ever, reconnecting as
        needed; tell `listener`. Ends only by cancellation. `tickers` are watched from the start."""
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
        """Have the stream drop a market; nothing more is told of it. Not watched: nothing happens."""
        ...


class StreamListener(Protocol):
    """Told synchronously by the stream's reader; never blocks it. Times are the exchange's."""

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
        """A watched market stands so, as far as is known: told when it changes, and again and again."""

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        """A watched market takes these YES prices: told as its status is."""

    def fill(self, report: FillReport) -> None: ...
    def order(self, report: OrderReport) -> None: ...

    def heard(self) -> None:
        """Anything at all arrived, pings included: the connection lives."""


class JournalRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One step of one execution. `event` and `intents` are JSON; `steps` is one line of state changes for people.
    `version` is that of `core.upcasting` under which it was written."""

    seq: int
    at_us: int
    event_type: str
    event: bytes
    intents: bytes
    steps: str
    version: int


class ChildRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `split_orders`, replaced whole. Text as people and SQL read it (decimal strings)."""

    client_order_id: str
    level: int
    attempt: int
    state: str
    status: str
    order_id: str | None
    price: str
    quantity: str
    filled_quantity: str
    time_in_force: str
    walks: int


class FillRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `fills`: one by (order_id, fill_id), the name it was first counted by; `late` marks one after its
    order's end. `trade_id` and `listed_id` are its trade's name and the listing's own, where they are known and, of the
    latter, where it is another than `fill_id`."""

    order_id: str
    fill_id: str
    client_order_id: str
    price: str
    quantity: str
    fee: str
    is_taker: bool
    late: bool
    traded_at_us: int
    trade_id: str | None = None
    listed_id: str | None = None


class FillGone(msgspec.Struct, frozen=True, gc=False):
    """The key of a row of `fills` that is there no more: it was taken back."""

    order_id: str
    fill_id: str


class SubmissionRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `submissions`: the caller's own key, and the request as JSON with numbers in their full form."""

    key: str
    request: bytes


class EdgeFigures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a row of `edges` says beside the order: the model's figures, if there was an edge, and the contracts traded
    in 24 hours as the exchange last said. Decimal strings; None is unknown."""

    model_probability: str | None = None
    expected_value: str | None = None
    volume_24h: str | None = None


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `edges` for what was refused before anything was sent; `refusal` is the word the caller was told. A
    second one under the same key takes the place of the first."""

    at_us: int
    key: str
    ticker: str
    outcome: Outcome
    method: str
    quantity: str
    target_price: str | None
    edge: EdgeFigures
    refusal: str


class ExecutionSave(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One durable transition: the snapshot, its journal row and the rows that changed, in one transaction. `fills` are
    new, `corrected` were there, `gone` were taken back. `refusal` is what the exchange last refused with.
    `submission` goes with the first save of an execution that was submitted under a key; `edge` with every first save,
    whose row of `edges` it completes."""

    execution_id: str
    ticker: str
    outcome: Outcome
    method: str
    state: str
    reason: str | None
    target_quantity: str
    target_price: str | None
    accepted_at_us: int
    deadline_us: int
    snapshot_version: int
    snapshot: bytes
    journal: JournalRow
    children: tuple[ChildRow, ...]
    fills: tuple[FillRow, ...]
    corrected: tuple[FillRow, ...] = ()
    gone: tuple[FillGone, ...] = ()
    refusal: str | None = None
    submission: SubmissionRow | None = None
    edge: EdgeFigures | None = None


class BookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `order_book_snapshots`: own sizes removed, in YES terms; depth as JSON arrays of decimal strings.
    `volume_e2`: contracts traded since the engine began to hear of them."""

    ticker: str
    execution_id: str | None
    taken_at_us: int
    why: str
    yes_depth: bytes
    no_depth: bytes
    liquidity: Liquidity | None = None
    volume_e2: CountE2 | None = None
    category: str | None = None


class MetricsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `execution_metrics`. Decimal strings, whole seconds, exact 10^-7 dollar totals; None = unknown.
    Positive = cost, but for `price_improvement`."""

    execution_id: str
    target_quantity: str
    filled_quantity: str
    fill_rate: str
    target_price: str | None
    average_fill_price: str | None
    slippage: str | None
    time_to_first_fill: int | None
    time_to_full_fill: int | None
    walks_executed: int
    splits_used: int
    arrival_mid: str | None
    fees: str
    shortfall: str | None
    delay_e7: int | None
    spread_e7: int | None
    drift_e7: int | None
    fees_e7: int
    opportunity_e7: int | None
    over_fill_e7: int | None
    shortfall_e7: int | None
    flags: str
    arrival_bid: str | None = None
    arrival_ask: str | None = None
    arrival_bid_size: str | None = None
    arrival_ask_size: str | None = None
    arrival_bid_depth_1c: str | None = None
    arrival_bid_depth_3c: str | None = None
    arrival_bid_depth_5c: str | None = None
    arrival_ask_depth_1c: str | None = None
    arrival_ask_depth_3c: str | None = None
    arrival_ask_depth_5c: str | None = None
    arrival_micro_price: str | None = None
    arrival_slippage: str | None = None
    half_spread_ratio: str | None = None
    price_improvement: str | None = None
    maker_share: str | None = None
    maker_fees: str | None = None
    taker_fees: str | None = None
    market_volume: str | None = None
    participation: str | None = None
    perold_e7: int | None = None
    edge_opportunity_e7: int | None = None
    creates: int | None = None
    amends: int | None = None
    cancels: int | None = None
    write_tokens: int | None = None
    writes_per_contract: str | None = None
    tokens_per_contract: str | None = None
    cancels_per_fill: str | None = None
    unresolved: int | None = None
    rejected: str | None = None


class ChildMetricsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `child_metrics`: the same of one order, times from when it was sent."""

    execution_id: str
    client_order_id: str
    quantity: str
    filled_quantity: str
    fill_rate: str
    average_fill_price: str | None
    arrival_slippage: str | None
    price_improvement: str | None
    fees: str
    maker_share: str | None
    spread_e7: int | None
    time_to_first_fill: int | None
    time_to_full_fill: int | None
    walks: int


class MarkoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `markouts`: the mid `horizon_s` after a fill, in its outcome; None with the reason `why`."""

    order_id: str
    fill_id: str
    horizon_s: int
    mid: str | None
    why: str | None


class MethodRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `methods`: written once, never changed. `config` is JSON. `distribution` is the package its algorithm
    came with when it was written, and its version; None: the algorithm ships with fsm-exec."""

    name: str
    version: int
    algorithm: str
    config: str
    distribution: str | None = None
    distribution_version: str | None = None


class MarkoutDue(msgspec.Struct, frozen=True):
    """A fill whose markouts are not all stored; `known` are the horizons that are."""

    ticker: str
    outcome: Outcome
    order_id: str
    fill_id: str
    traded_at_us: int
    known: frozenset[int]


class OpenForecast(msgspec.Struct, frozen=True):
    """A stored forecast that waits for what comes."""

    number: int
    execution_id: str
    ticker: str
    forecast: Forecast


class StoredExecution(msgspec.Struct, frozen=True, kw_only=True):
    """`damage`: its row cannot be read, and why; then the rest is only what could be."""

    execution_id: str
    state: str
    quarantine: str | None
    snapshot_version: int
    snapshot: bytes
    damage: str | None = None


class Started(msgspec.Struct, frozen=True):
    """The highest number an execution of this database was ever given, and when one of them last moved; if none ever
    did, when the database got its instance."""

    number: int
    last_saved_us: int


class OrderOwner(msgspec.Struct, frozen=True):
    """Whose an order is, and which of its fills are stored."""

    execution_id: str
    client_order_id: str
    fills: tuple[FillRow, ...]


class Store(Protocol):
    """The database. Each call returns when it is durable; a failed save raises StoreFailed and the engine halts."""

    @property
    def instance(self) -> str: ...

    @property
    def epoch(self) -> str:
        """That of this opening, in the names of all orders that are new in it; see core.ownership."""
        ...

    @property
    def lost(self) -> str | None:
        """What the database had acknowledged and does not have, in one line; None: nothing says so."""
        ...

    async def save(self, save: ExecutionSave) -> None: ...
    async def save_market(self, terms: MarketTerms, at_us: int) -> None: ...
    async def save_book(self, row: BookRow) -> None: ...
    async def save_metrics(self, row: MetricsRow, at_us: int, children: Sequence[ChildMetricsRow] = ()) -> None: ...
    async def save_note(self, execution_id: str, note: str) -> None:
        """Keep what is to be said of an execution beside its reason."""
        ...

    async def quarantine(self, execution_id: str, why: str | None) -> None:
        """Mark an execution as quarantined; None: it is not any more."""
        ...

    async def watch(self) -> None:
        """Raise DatabaseLost once the database is not where it was opened; return at once if it cannot be lost."""
        ...

    async def started(self) -> Started: ...
    async def unfinished(self) -> list[StoredExecution]: ...
    async def unscored(self) -> list[StoredExecution]:
        """Those that have ended, and whose cost was not reckoned before the process did."""
        ...

    async def lately_filled(self) -> list[StoredExecution]:
        """Those that have ended and have one of the newest thousand fills."""
        ...

    async def execution(self, execution_id: str) -> StoredExecution | None: ...
    async def owners(self, order_ids: Sequence[str]) -> dict[str, OrderOwner]:
        """By the exchange's order id; orders of nobody here are not in the answer."""
        ...

    async def unknown_orders(self, names: Sequence[str]) -> list[str]:
        """Those of these client order ids under which no order was ever saved here."""
        ...

    async def deadline_book(self, execution_id: str) -> BookRow | None:
        """The newest book an execution was priced by."""
        ...

    async def executions(self) -> list[StoredExecution]: ...
    async def journal(self, execution_id: str) -> list[JournalRow]: ...
    async def metrics(self, execution_id: str) -> MetricsRow | None: ...
