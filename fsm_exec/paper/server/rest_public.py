"""The GET endpoints that need no key: markets, books, trades, candlesticks, events, series, the exchange's state."""

from __future__ import annotations

from fsm_exec.paper import errors
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import COSTS, DEFAULT_COST
from fsm_exec.paper.server.request_params import RequestParams
from fsm_exec.paper.server.rest_reads import Read
from fsm_exec.paper.venue import candle_reads, event_reads, fee_reads, incentive_reads, public_reads
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
    """The public reads. Each runs at one moment of the exchange, after everything that was due."""

    def __init__(self, gateway: LatencyGateway) -> None:
        self._gateway = gateway
        self._exchange = gateway.exchange

    def all(self) -> list[Read]:
        """Return the endpoints in the order in which paths are matched: literal parts before parameters."""
        exchange = self._exchange
        return [
            Read("/exchange/schedule", "GetExchangeSchedule", lambda _: public_reads.schedule_body(exchange)),
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
            Read("/historical/cutoff", "GetHistoricalCutoff", lambda _: public_reads.cutoff_body(exchange)),
            Read("/historical/trades", "GetTradesHistorical", self._old_trades),
            Read("/historical/markets", "GetHistoricalMarkets", self._old_markets),
            Read("/historical/markets/{ticker}", "GetHistoricalMarket", self._old_market),
            Read("/historical/markets/{ticker}/candlesticks", "GetMarketCandlesticksHistorical", self._old_candles),
        ]

    # The exchange

    def _user_data_timestamp(self, _: RequestParams) -> wire.UserDataTimestamp:
        return wire.UserDataTimestamp(as_of_time=rfc3339(self._gateway.as_of_us()))

    def _endpoint_costs(self, _: RequestParams) -> dict[str, object]:
        return {"default_cost": DEFAULT_COST, "endpoint_costs": [cost._asdict() for cost in COSTS]}

    def _incentives(self, params: RequestParams) -> object:
        wanted = incentive_reads.IncentiveQuery(
            status=params.choice("status", "Status", *INCENTIVE_STATUSES) or "all",
            kind=params.choice("type", "Type", *INCENTIVE_TYPES) or "all",
            description=params.text("incentive_description"),
        )
        return incentive_reads.incentives_page(self._exchange, params.page(limit_max=INCENTIVES_MAX), wanted)

    # Markets

    def _markets(self, params: RequestParams) -> object:
        page = params.page(*public_reads.STATUS_WORDS, limit_min=0)
        combos = params.choice("mve_filter", "MveFilter", "only", "exclude")
        times = public_reads.MarketTimes(
            created=params.span("created", "Created"),
            updated=params.span("updated", "Updated", up_to=True),
            close=params.span("close", "Close"),
            settled=params.span("settled", "Settled"),
        )
        times.check(page, without_combos=combos == "exclude")
        if combos == "only":  # there are none here
            return public_reads.MarketsPage(markets=[], cursor="")
        return public_reads.markets_page(self._exchange, page, times)

    def _market(self, params: RequestParams) -> object:
        market = public_reads.market_of(self._exchange, params.named("ticker"))
        return wire.MarketBody(market=public_reads.market_body(market))

    def _order_book(self, params: RequestParams) -> object:
        depth = params.bounded("depth", "Depth", default=0, low=0, high=DEPTH_MAX)
        return public_reads.order_book(public_reads.market_of(self._exchange, params.named("ticker")), depth)

    def _order_books(self, params: RequestParams) -> object:
        return public_reads.order_books(self._exchange, params.several("tickers", "Tickers", BOOKS_MAX))

    def _trades(self, params: RequestParams) -> object:
        block = params.flag("is_block_trade", "IsBlockTrade")
        return public_reads.trades_page(self._exchange, params.page(limit_min=0), block_trades=block)

    # Candlesticks

    def _candles_of_market(self, params: RequestParams) -> object:
        wanted = _candles(params)
        return candle_reads.of_market(self._exchange, params.named("series"), params.named("ticker"), wanted)

    def _candles_of_markets(self, params: RequestParams) -> object:
        tickers = params.several("market_tickers", "MarketTickers", candle_reads.MARKETS_MAX)
        minutes = params.required("period_interval", "PeriodInterval")
        if not 1 <= minutes <= PERIOD_MAX:
            raise errors.invalid_query(params.operation, "PeriodInterval", "gte")
        return candle_reads.of_markets(self._exchange, tickers, _span(params, minutes))

    def _event_candles(self, params: RequestParams) -> object:
        wanted = _candles(params)
        return candle_reads.of_event(self._exchange, params.named("series"), params.named("event"), wanted)

    # Events and series

    def _events(self, params: RequestParams) -> object:
        page = params.page(*event_reads.EVENT_STATUSES, limit_max=EVENTS_MAX, limit_default=EVENTS_MAX)
        wanted = event_reads.EventQuery(
            close=params.since("close", "Close"),
            updated=params.since("updated", "Updated"),
            nested=params.flag("with_nested_markets", "WithNestedMarkets"),
            milestones=params.flag("with_milestones", "WithMilestones"),
        )
        return event_reads.events_page(self._exchange, page, wanted)

    def _combos(self, params: RequestParams) -> object:
        params.page(limit_max=EVENTS_MAX)
        params.flag("with_nested_markets", "WithNestedMarkets")
        if params.text("collection_ticker") and params.text("series_ticker"):
            raise errors.invalid_parameters("collection_ticker cannot be used together with series_ticker")
        return event_reads.combos_page()

    def _event(self, params: RequestParams) -> object:
        nested = params.flag("with_nested_markets", "WithNestedMarkets")
        without = params.flag("exclude_markets", "ExcludeMarkets")
        if nested and without:
            raise errors.invalid_parameters("exclude_markets cannot be combined with with_nested_markets")
        return event_reads.event_body(self._exchange, params.named("event"), nested=nested, without_markets=without)

    def _event_metadata(self, params: RequestParams) -> object:
        return event_reads.event_metadata(self._exchange, params.named("event"))

    def _event_fee_changes(self, params: RequestParams) -> object:
        return fee_reads.event_fee_changes(self._exchange, params.page(), params.text("event_ticker"))

    def _series_list(self, params: RequestParams) -> object:
        params.flag("include_product_metadata", "IncludeProductMetadata")  # a series has none here
        wanted = event_reads.SeriesQuery(
            category=params.text("category"),
            tags=params.words("tags"),
            updated=params.since("updated", "Updated"),
            volume=params.flag("include_volume", "IncludeVolume"),
        )
        return event_reads.series_list(self._exchange, wanted)

    def _series(self, params: RequestParams) -> object:
        volume = params.flag("include_volume", "IncludeVolume")
        return event_reads.series_body(self._exchange, params.named("series"), volume=volume)

    def _series_fee_changes(self, params: RequestParams) -> object:
        past_too = params.flag("show_historical", "ShowHistorical")
        return fee_reads.series_fee_changes(self._exchange, params.text("series_ticker"), past_too=past_too)

    # History: nothing is ever moved there

    def _old_trades(self, params: RequestParams) -> object:
        params.page(limit_min=0)
        params.flag("is_block_trade", "IsBlockTrade")
        return {"trades": [], "cursor": ""}

    def _old_markets(self, params: RequestParams) -> object:
        params.page(limit_min=0)
        params.choice("mve_filter", "MveFilter", "exclude")
        return public_reads.MarketsPage(markets=[], cursor="")

    def _old_market(self, params: RequestParams) -> object:
        raise errors.market_not_found(params.named("ticker"))

    def _old_candles(self, params: RequestParams) -> object:
        _candles(params)
        raise errors.market_not_found(params.named("ticker"))


def _candles(params: RequestParams) -> candle_reads.CandleQuery:
    minutes = params.required("period_interval", "PeriodInterval")
    if minutes not in PERIODS_MINUTES:
        raise errors.invalid_query(params.operation, "PeriodInterval", "oneof")
    return _span(params, minutes)


def _span(params: RequestParams, minutes: int) -> candle_reads.CandleQuery:
    params.flag("include_latest_before_start", "IncludeLatestBeforeStart")
    return candle_reads.CandleQuery(params.required("start_ts", "StartTs"), params.required("end_ts", "EndTs"), minutes)
