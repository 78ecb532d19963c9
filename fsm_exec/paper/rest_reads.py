"""The GET endpoints: path, what is shown, and whether one must be a member to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from fsm_exec.paper import errors, grouping, market_reading, reading
from fsm_exec.paper.asking import Asked
from fsm_exec.paper.budget import COSTS, DEFAULT_COST, LOOKUP_COST, Budget
from fsm_exec.paper.desk import Desk
from fsm_exec.paper.times import rfc3339
from fsm_exec.wire import rest as wire

Look: TypeAlias = Callable[[Asked], object]
DEPTH_MAX = 100
BOOKS_MAX = 100
EVENTS_MAX = 200


class Read(NamedTuple):
    """`operation` names the endpoint in the messages about a wrong query."""

    path: str
    operation: str
    look: Look
    cost: int = DEFAULT_COST


class Reads:
    """Every look runs at one moment of the exchange, after everything that was due."""

    def __init__(self, desk: Desk, budget: Budget) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._budget = budget

    def public(self) -> list[Read]:
        """In the order in which paths are tried: words before names."""
        exchange = self._exchange
        return [
            Read("/exchange/schedule", "GetExchangeSchedule", lambda _: market_reading.schedule_body(exchange)),
            Read("/exchange/user_data_timestamp", "GetUserDataTimestamp", self._user_data_timestamp),
            Read("/historical/cutoff", "GetHistoricalCutoff", lambda _: market_reading.cutoff_body(exchange)),
            Read("/account/endpoint_costs", "GetAccountEndpointCosts", self._endpoint_costs),
            Read("/markets", "GetMarkets", self._markets),
            Read("/markets/orderbooks", "GetMarketOrderbooks", self._order_books),
            Read("/markets/trades", "GetTrades", self._trades),
            Read("/markets/{ticker}", "GetMarket", self._market),
            Read("/markets/{ticker}/orderbook", "GetMarketOrderbook", self._order_book),
            Read("/events", "GetEvents", self._events),
            Read("/events/fee_changes", "GetEventFeeChanges", lambda _: {"event_fee_change_arr": []}),
            Read("/events/{event}", "GetEvent", lambda a: market_reading.event_body(exchange, a.named("event"))),
            Read("/series", "GetSeriesList", lambda a: market_reading.series_list(exchange, a.text("category"))),
            Read("/series/fee_changes", "GetSeriesFeeChanges", lambda _: {"series_fee_change_arr": []}),
            Read("/series/{series}", "GetSeries", lambda a: market_reading.series_body(exchange, a.named("series"))),
        ]

    def private(self) -> list[Read]:
        return [
            Read("/account/limits", "GetAccountApiLimits", self._limits),
            Read("/portfolio/balance", "GetBalance", lambda a: reading.balance(self._exchange, a.account)),
            Read("/portfolio/positions", "GetPositions", self._positions),
            Read("/portfolio/fills", "GetFills", lambda a: reading.fills_page(self._desk.seen(a.account), a.page())),
            Read("/portfolio/settlements", "GetSettlements", self._settlements),
            Read("/portfolio/orders", "GetOrders", self._orders),
            Read("/portfolio/orders/queue_positions", "GetOrderQueuePositions", self._queue_positions),
            Read("/portfolio/orders/{order_id}", "GetOrder", self._order, LOOKUP_COST),
            Read("/portfolio/orders/{order_id}/queue_position", "GetOrderQueuePosition", self._queue_position),
            Read("/portfolio/order_groups", "GetOrderGroups", self._groups),
            Read("/portfolio/order_groups/{group_id}", "GetOrderGroup", self._group),
        ]

    # Public

    def _user_data_timestamp(self, _: Asked) -> wire.UserDataTimestamp:
        return wire.UserDataTimestamp(as_of_time=rfc3339(self._desk.as_of_us()))

    def _endpoint_costs(self, _: Asked) -> dict[str, object]:
        return {"default_cost": DEFAULT_COST, "endpoint_costs": [cost._asdict() for cost in COSTS]}

    def _markets(self, asked: Asked) -> object:
        page = asked.page(*market_reading.STATUS_WORDS, limit_min=0)
        if asked.choice("mve_filter", "MveFilter", "only", "exclude") == "only":  # there are no combos here
            return market_reading.MarketsPage(markets=[], cursor="")
        return market_reading.markets_page(self._exchange, page)

    def _market(self, asked: Asked) -> object:
        market = market_reading.market_of(self._exchange, asked.named("ticker"))
        return wire.MarketBody(market=market_reading.market_body(market))

    def _order_book(self, asked: Asked) -> object:
        depth = asked.bounded("depth", "Depth", default=0, low=0, high=DEPTH_MAX)
        return market_reading.order_book(market_reading.market_of(self._exchange, asked.named("ticker")), depth)

    def _order_books(self, asked: Asked) -> object:
        tickers = asked.words("tickers")
        if not 1 <= len(tickers) <= BOOKS_MAX:
            raise errors.invalid_query(asked.operation, "Tickers", "min" if not tickers else "max")
        return market_reading.order_books(self._exchange, tickers)

    def _trades(self, asked: Asked) -> object:
        block = asked.choice("is_block_trade", "IsBlockTrade", "true", "false") == "true"
        return market_reading.trades_page(self._exchange, asked.page(limit_min=0), block_trades=block)

    def _events(self, asked: Asked) -> object:
        return market_reading.events_page(self._exchange, asked.page(limit_max=EVENTS_MAX))

    # The member's own

    def _limits(self, _: Asked) -> dict[str, object]:
        tier = self._budget.tier
        read, write = (
            {"refill_rate": rate.refill, "bucket_capacity": rate.capacity} for rate in (tier.read, tier.write)
        )
        return {"usage_tier": tier.name, "read": read, "write": write, "grants": []}

    def _positions(self, asked: Asked) -> object:
        settlement = asked.choice("settlement_status", "SettlementStatus", "unsettled", "settled", "all")
        return reading.positions_page(
            self._exchange,
            asked.account,
            asked.page(),
            settlement=settlement or "unsettled",
            nonzero=asked.words("count_filter"),
        )

    def _settlements(self, asked: Asked) -> object:
        return reading.settlements_page(self._exchange, asked.account, asked.page())

    def _orders(self, asked: Asked) -> object:
        page = asked.page("resting", "canceled", "executed")
        return reading.orders_page(self._exchange, self._desk.seen(asked.account), page)

    def _order(self, asked: Asked) -> object:
        return reading.order_of(self._exchange, asked.account, asked.uuid("order_id"))

    def _queue_position(self, asked: Asked) -> object:
        return reading.queue_position(self._exchange, asked.account, asked.uuid("order_id"))

    def _queue_positions(self, asked: Asked) -> object:
        page = reading.Page(tickers=asked.words("market_tickers"), event=asked.text("event_ticker"))
        return reading.queue_positions(self._exchange, asked.account, page)

    def _groups(self, asked: Asked) -> object:
        return grouping.groups_of(self._exchange, asked.account)

    def _group(self, asked: Asked) -> object:
        return grouping.group_of(self._exchange, asked.account, asked.named("group_id"))
