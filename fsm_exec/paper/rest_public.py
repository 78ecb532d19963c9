"""The GET endpoints that need no key: markets, books, trades, candlesticks, events, series, the exchange's state."""

from __future__ import annotations

from fsm_exec.paper import candle_reading, errors, event_reading, market_reading
from fsm_exec.paper.asking import Asked
from fsm_exec.paper.budget import COSTS, DEFAULT_COST
from fsm_exec.paper.desk import Desk
from fsm_exec.paper.rest_reads import Read
from fsm_exec.paper.times import rfc3339
from fsm_exec.wire import rest as wire

DEPTH_MAX = 100
BOOKS_MAX = 100
EVENTS_MAX = 200
INCENTIVES_MAX = 10_000
PERIODS_MINUTES = (1, 60, 1_440)  # of candlesticks of one market or event; of several markets any whole number
PERIOD_MAX = 2**31 - 1
INCENTIVE_STATUSES = ("all", "active", "upcoming", "closed", "paid_out")
INCENTIVE_TYPES = ("all", "liquidity", "volume", "margin_maker_volume", "margin_taker_volume")


class PublicReads:
    """Every look runs at one moment of the exchange, after everything that was due."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._exchange = desk.exchange

    def all(self) -> list[Read]:
        """In the order in which paths are tried: words before names."""
        exchange = self._exchange
        return [
            Read("/exchange/schedule", "GetExchangeSchedule", lambda _: market_reading.schedule_body(exchange)),
            Read("/exchange/user_data_timestamp", "GetUserDataTimestamp", self._user_data_timestamp),
            Read("/account/endpoint_costs", "GetAccountEndpointCosts", self._endpoint_costs),
            Read("/incentive_programs", "GetIncentivePrograms", self._incentives),
            Read("/markets", "GetMarkets", self._markets),
            Read("/markets/orderbooks", "GetMarketOrderbooks", self._order_books),
            Read("/markets/trades", "GetTrades", self._trades),
            Read("/markets/candlesticks", "BatchGetMarketCandlesticks", self._candles_of_markets),
            Read("/markets/{ticker}", "GetMarket", self._market),
            Read("/markets/{ticker}/orderbook", "GetMarketOrderbook", self._order_book),
            Read("/events", "GetEvents", self._events),
            Read("/events/fee_changes", "GetEventFeeChanges", self._event_fee_changes),
            Read("/events/multivariate", "GetMultivariateEvents", self._combos),
            Read("/events/{event}", "GetEvent", self._event),
            Read("/events/{event}/metadata", "GetEventMetadata", self._event_metadata),
            Read("/series", "GetSeriesList", self._series_list),
            Read("/series/fee_changes", "GetSeriesFeeChanges", self._series_fee_changes),
            Read("/series/{series}", "GetSeries", self._series),
            Read("/series/{series}/markets/{ticker}/candlesticks", "GetMarketCandlesticks", self._candles_of_market),
            Read("/series/{series}/events/{event}/candlesticks", "GetMarketCandlesticksByEvent", self._event_candles),
            Read("/historical/cutoff", "GetHistoricalCutoff", lambda _: market_reading.cutoff_body(exchange)),
            Read("/historical/trades", "GetTradesHistorical", self._old_trades),
            Read("/historical/markets", "GetHistoricalMarkets", self._old_markets),
            Read("/historical/markets/{ticker}", "GetHistoricalMarket", self._old_market),
            Read("/historical/markets/{ticker}/candlesticks", "GetMarketCandlesticksHistorical", self._old_candles),
        ]

    # The exchange

    def _user_data_timestamp(self, _: Asked) -> wire.UserDataTimestamp:
        return wire.UserDataTimestamp(as_of_time=rfc3339(self._desk.as_of_us()))

    def _endpoint_costs(self, _: Asked) -> dict[str, object]:
        return {"default_cost": DEFAULT_COST, "endpoint_costs": [cost._asdict() for cost in COSTS]}

    def _incentives(self, asked: Asked) -> object:
        """No programme runs here."""
        asked.choice("status", "Status", *INCENTIVE_STATUSES)
        asked.choice("type", "Type", *INCENTIVE_TYPES)
        asked.page(limit_max=INCENTIVES_MAX)
        return {"incentive_programs": [], "next_cursor": ""}

    # Markets

    def _markets(self, asked: Asked) -> object:
        page = asked.page(*market_reading.STATUS_WORDS, limit_min=0)
        combos = asked.choice("mve_filter", "MveFilter", "only", "exclude")
        times = market_reading.MarketTimes(
            created=asked.span("created", "Created"),
            updated=asked.span("updated", "Updated", up_to=True),
            close=asked.span("close", "Close"),
            settled=asked.span("settled", "Settled"),
        )
        times.check(page, without_combos=combos == "exclude")
        if combos == "only":  # there are none here
            return market_reading.MarketsPage(markets=[], cursor="")
        return market_reading.markets_page(self._exchange, page, times)

    def _market(self, asked: Asked) -> object:
        market = market_reading.market_of(self._exchange, asked.named("ticker"))
        return wire.MarketBody(market=market_reading.market_body(market))

    def _order_book(self, asked: Asked) -> object:
        depth = asked.bounded("depth", "Depth", default=0, low=0, high=DEPTH_MAX)
        return market_reading.order_book(market_reading.market_of(self._exchange, asked.named("ticker")), depth)

    def _order_books(self, asked: Asked) -> object:
        return market_reading.order_books(self._exchange, asked.several("tickers", "Tickers", BOOKS_MAX))

    def _trades(self, asked: Asked) -> object:
        block = asked.flag("is_block_trade", "IsBlockTrade")
        return market_reading.trades_page(self._exchange, asked.page(limit_min=0), block_trades=block)

    # Candlesticks

    def _candles_of_market(self, asked: Asked) -> object:
        wanted = _candles(asked)
        return candle_reading.of_market(self._exchange, asked.named("series"), asked.named("ticker"), wanted)

    def _candles_of_markets(self, asked: Asked) -> object:
        tickers = asked.several("market_tickers", "MarketTickers", candle_reading.MARKETS_MAX)
        minutes = asked.required("period_interval", "PeriodInterval")
        if not 1 <= minutes <= PERIOD_MAX:
            raise errors.invalid_query(asked.operation, "PeriodInterval", "gte")
        return candle_reading.of_markets(self._exchange, tickers, _span(asked, minutes))

    def _event_candles(self, asked: Asked) -> object:
        wanted = _candles(asked)
        return candle_reading.of_event(self._exchange, asked.named("series"), asked.named("event"), wanted)

    # Events and series

    def _events(self, asked: Asked) -> object:
        page = asked.page(*event_reading.EVENT_STATUSES, limit_max=EVENTS_MAX, limit_default=EVENTS_MAX)
        wanted = event_reading.EventsAsked(
            close=asked.since("close", "Close"),
            updated=asked.since("updated", "Updated"),
            nested=asked.flag("with_nested_markets", "WithNestedMarkets"),
            milestones=asked.flag("with_milestones", "WithMilestones"),
        )
        return event_reading.events_page(self._exchange, page, wanted)

    def _combos(self, asked: Asked) -> object:
        asked.page(limit_max=EVENTS_MAX)
        asked.flag("with_nested_markets", "WithNestedMarkets")
        if asked.text("collection_ticker") and asked.text("series_ticker"):
            raise errors.invalid_parameters("collection_ticker cannot be used together with series_ticker")
        return event_reading.combos_page()

    def _event(self, asked: Asked) -> object:
        nested = asked.flag("with_nested_markets", "WithNestedMarkets")
        without = asked.flag("exclude_markets", "ExcludeMarkets")
        if nested and without:
            raise errors.invalid_parameters("exclude_markets cannot be combined with with_nested_markets")
        return event_reading.event_body(self._exchange, asked.named("event"), nested=nested, without_markets=without)

    def _event_metadata(self, asked: Asked) -> object:
        return event_reading.event_metadata(self._exchange, asked.named("event"))

    def _event_fee_changes(self, asked: Asked) -> object:
        asked.page()
        return {"event_fee_changes": [], "cursor": ""}

    def _series_list(self, asked: Asked) -> object:
        asked.flag("include_product_metadata", "IncludeProductMetadata")  # a series has none here
        wanted = event_reading.SeriesAsked(
            category=asked.text("category"),
            tags=asked.words("tags"),
            updated=asked.since("updated", "Updated"),
            volume=asked.flag("include_volume", "IncludeVolume"),
        )
        return event_reading.series_list(self._exchange, wanted)

    def _series(self, asked: Asked) -> object:
        volume = asked.flag("include_volume", "IncludeVolume")
        return event_reading.series_body(self._exchange, asked.named("series"), volume=volume)

    def _series_fee_changes(self, asked: Asked) -> object:
        asked.flag("show_historical", "ShowHistorical")
        return {"series_fee_change_arr": []}

    # History: nothing is ever moved there

    def _old_trades(self, asked: Asked) -> object:
        asked.page(limit_min=0)
        asked.flag("is_block_trade", "IsBlockTrade")
        return {"trades": [], "cursor": ""}

    def _old_markets(self, asked: Asked) -> object:
        asked.page(limit_min=0)
        asked.choice("mve_filter", "MveFilter", "exclude")
        return market_reading.MarketsPage(markets=[], cursor="")

    def _old_market(self, asked: Asked) -> object:
        raise errors.market_not_found(asked.named("ticker"))

    def _old_candles(self, asked: Asked) -> object:
        _candles(asked)
        raise errors.market_not_found(asked.named("ticker"))


def _candles(asked: Asked) -> candle_reading.CandlesAsked:
    minutes = asked.required("period_interval", "PeriodInterval")
    if minutes not in PERIODS_MINUTES:
        raise errors.invalid_query(asked.operation, "PeriodInterval", "oneof")
    return _span(asked, minutes)


def _span(asked: Asked, minutes: int) -> candle_reading.CandlesAsked:
    asked.flag("include_latest_before_start", "IncludeLatestBeforeStart")
    return candle_reading.CandlesAsked(
        asked.required("start_ts", "StartTs"), asked.required("end_ts", "EndTs"), minutes
    )
