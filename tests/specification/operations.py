"""Every call this exchange serves, as the exchange's specification names it: path, query, body sent and received.

A query's types are those of the shapes; a `!` before one says that it must be given.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.specification.shapes import fields

_LIMIT, _CURSOR = "1..1000: limit", "text: cursor"
_PAGE = f"{_LIMIT}\n {_CURSOR}"
_MARKET_PAGE = f"0..1000: limit\n {_CURSOR}"
_SUBACCOUNT = "0..: subaccount"
_SHARD = "int: exchange_index"
_TIMES = "int: min_ts max_ts"
_CANDLES = "!int: start_ts end_ts\n !1|60|1440: period_interval"
_BEFORE = "flag: include_latest_before_start"


class Operation(NamedTuple):
    """`answer` is the shape of a success, None if it has no body. A member's own needs a signature."""

    name: str
    method: str
    path: str
    answer: str | None
    own: bool
    query: dict[str, str]
    sends: str | None = None
    status: int = 200

    @property
    def required(self) -> dict[str, str]:
        return {name: kind[1:] for name, kind in self.query.items() if kind.startswith("!")}

    @property
    def optional(self) -> dict[str, str]:
        return {name: kind for name, kind in self.query.items() if not kind.startswith("!")}


def _public(name: str, path: str, answer: str, query: str = "") -> Operation:
    return Operation(name, "GET", path, answer, own=False, query=fields(query))


def _own(name: str, path: str, answer: str, query: str = "") -> Operation:
    return Operation(name, "GET", path, answer, own=True, query=fields(query))


def _write(
    name: str,
    method: str,
    path: str,
    answer: str | None,
    query: str = "",
    *,
    sends: str | None = None,
    status: int = 200,
) -> Operation:
    return Operation(name, method, path, answer, own=True, query=fields(query), sends=sends, status=status)


_EVENTS = "/portfolio/events/orders"
_GROUP = "/portfolio/order_groups/{order_group_id}"
_GROUP_QUERY = f"{_SUBACCOUNT}\n {_SHARD}"

OPERATIONS: Final = (
    _public("GetExchangeStatus", "/exchange/status", "ExchangeStatus"),
    _public("GetExchangeSchedule", "/exchange/schedule", "GetExchangeScheduleResponse"),
    _public("GetUserDataTimestamp", "/exchange/user_data_timestamp", "GetUserDataTimestampResponse"),
    _public("GetAccountEndpointCosts", "/account/endpoint_costs", "GetAccountEndpointCostsResponse"),
    _public(
        "GetIncentivePrograms",
        "/incentive_programs",
        "GetIncentiveProgramsResponse",
        f"""
        all|active|upcoming|closed|paid_out: status
        all|liquidity|volume|margin_maker_volume|margin_taker_volume: type
        text: incentive_description
        1..10000: limit
        {_CURSOR}
        """,
    ),
    _public(
        "GetMarkets",
        "/markets",
        "GetMarketsResponse",
        f"""
        {_MARKET_PAGE}
        text: event_ticker series_ticker tickers
        int: min_created_ts max_created_ts min_updated_ts max_updated_ts
        int: min_close_ts max_close_ts min_settled_ts max_settled_ts
        unopened|open|paused|closed|settled: status
        only|exclude: mve_filter
        """,
    ),
    _public("GetMarketOrderbooks", "/markets/orderbooks", "GetMarketOrderbooksResponse", "![text]: tickers"),
    _public(
        "GetTrades",
        "/markets/trades",
        "GetTradesResponse",
        f"{_MARKET_PAGE}\n text: ticker\n {_TIMES}\n flag: is_block_trade",
    ),
    _public(
        "BatchGetMarketCandlesticks",
        "/markets/candlesticks",
        "BatchGetMarketCandlesticksResponse",
        f"!text: market_tickers\n !int: start_ts end_ts\n !1..: period_interval\n {_BEFORE}",
    ),
    _public("GetMarket", "/markets/{ticker}", "GetMarketResponse"),
    _public("GetMarketOrderbook", "/markets/{ticker}/orderbook", "GetMarketOrderbookResponse", "0..100: depth"),
    _public(
        "GetEvents",
        "/events",
        "GetEventsResponse",
        f"""
        1..200: limit
        {_CURSOR}
        flag: with_nested_markets with_milestones
        unopened|open|closed|settled: status
        text: series_ticker tickers
        int: min_close_ts min_updated_ts
        """,
    ),
    _public("GetEventFeeChanges", "/events/fee_changes", "GetEventFeeChangesResponse", f"text: event_ticker\n {_PAGE}"),
    _public(
        "GetMultivariateEvents",
        "/events/multivariate",
        "GetMultivariateEventsResponse",
        f"""
        1..200: limit
        {_CURSOR}
        text: series_ticker collection_ticker tickers
        flag: with_nested_markets
        """,
    ),
    _public("GetEvent", "/events/{event_ticker}", "GetEventResponse", "flag: exclude_markets with_nested_markets"),
    _public("GetEventMetadata", "/events/{event_ticker}/metadata", "GetEventMetadataResponse"),
    _public(
        "GetSeriesList",
        "/series",
        "GetSeriesListResponse",
        "text: category tags\n flag: include_product_metadata include_volume\n int: min_updated_ts",
    ),
    _public(
        "GetSeriesFeeChanges",
        "/series/fee_changes",
        "GetSeriesFeeChangesResponse",
        "text: series_ticker\n flag: show_historical",
    ),
    _public("GetSeries", "/series/{series_ticker}", "GetSeriesResponse", "flag: include_volume"),
    _public(
        "GetMarketCandlesticks",
        "/series/{series_ticker}/markets/{ticker}/candlesticks",
        "GetMarketCandlesticksResponse",
        f"{_CANDLES}\n {_BEFORE}",
    ),
    _public(
        "GetMarketCandlesticksByEvent",
        "/series/{series_ticker}/events/{ticker}/candlesticks",
        "GetEventCandlesticksResponse",
        _CANDLES,
    ),
    _public("GetHistoricalCutoff", "/historical/cutoff", "GetHistoricalCutoffResponse"),
    _public(
        "GetTradesHistorical",
        "/historical/trades",
        "GetTradesResponse",
        f"text: ticker\n {_TIMES}\n {_MARKET_PAGE}\n flag: is_block_trade",
    ),
    _public(
        "GetHistoricalMarkets",
        "/historical/markets",
        "GetMarketsResponse",
        f"{_MARKET_PAGE}\n text: tickers event_ticker series_ticker\n =exclude: mve_filter",
    ),
    _public("GetHistoricalMarket", "/historical/markets/{ticker}", "GetMarketResponse"),
    _public("GetMarketCandlesticksHistorical", "/historical/markets/{ticker}/candlesticks", "object", _CANDLES),
    # A member's own
    _own("GetApiKeys", "/api_keys", "GetApiKeysResponse", "text: fcm_subtrader_id"),
    _own("GetAccountApiLimits", "/account/limits", "GetAccountApiLimitsResponse"),
    _own(
        "GetAccountApiUsageLevelVolumeProgress",
        "/account/api_usage_level/volume_progress",
        "GetAccountApiUsageLevelVolumeProgressResponse",
    ),
    _own("GetBalance", "/portfolio/balance", "GetBalanceResponse", f"{_SUBACCOUNT}\n {_SHARD}"),
    _own(
        "GetPortfolioRestingOrderTotalValue",
        "/portfolio/summary/total_resting_order_value",
        "GetPortfolioRestingOrderTotalValueResponse",
    ),
    _own(
        "GetPositions",
        "/portfolio/positions",
        "GetPositionsResponse",
        f"""
        {_PAGE}
        text: count_filter ticker event_ticker
        unsettled|settled|all: settlement_status
        {_SUBACCOUNT}
        {_SHARD}
        """,
    ),
    _own(
        "GetFills",
        "/portfolio/fills",
        "GetFillsResponse",
        f"text: ticker order_id\n {_TIMES}\n {_PAGE}\n {_SUBACCOUNT}\n {_SHARD}",
    ),
    _own(
        "GetSettlements",
        "/portfolio/settlements",
        "GetSettlementsResponse",
        f"{_PAGE}\n text: ticker event_ticker\n {_TIMES}\n {_SUBACCOUNT}",
    ),
    _own("GetDeposits", "/portfolio/deposits", "GetDepositsResponse", f"1..500: limit\n {_CURSOR}"),
    _own("GetWithdrawals", "/portfolio/withdrawals", "GetWithdrawalsResponse", f"1..500: limit\n {_CURSOR}"),
    _own(
        "GetOrders",
        "/portfolio/orders",
        "GetOrdersResponse",
        f"text: ticker event_ticker status\n {_TIMES}\n {_PAGE}\n {_SUBACCOUNT}\n {_SHARD}",
    ),
    _own(
        "GetOrderQueuePositions",
        "/portfolio/orders/queue_positions",
        "GetOrderQueuePositionsResponse",
        f"text: market_tickers event_ticker\n {_SUBACCOUNT}",
    ),
    _own("GetOrder", "/portfolio/orders/{order_id}", "GetOrderResponse"),
    _own("GetOrderQueuePosition", "/portfolio/orders/{order_id}/queue_position", "GetOrderQueuePositionResponse"),
    _own("GetOrderGroups", "/portfolio/order_groups", "GetOrderGroupsResponse", _SUBACCOUNT),
    _own("GetOrderGroup", _GROUP, "GetOrderGroupResponse", _SUBACCOUNT),
    _own(
        "GetFillsHistorical",
        "/historical/fills",
        "GetFillsResponse",
        f"text: ticker\n {_TIMES}\n {_PAGE}\n {_SUBACCOUNT}",
    ),
    _own(
        "GetHistoricalOrders",
        "/historical/orders",
        "GetOrdersResponse",
        f"text: ticker\n {_TIMES}\n {_PAGE}\n {_SUBACCOUNT}",
    ),
    _own(
        "GetHistoricalPositions",
        "/historical/positions",
        "GetPositionsResponse",
        f"text: ticker event_ticker\n {_SUBACCOUNT}\n {_PAGE}",
    ),
    # What changes something
    _write("CreateOrderV2", "POST", _EVENTS, "CreateOrderV2Response", sends="CreateOrderV2Request", status=201),
    _write("CancelAllOrders", "DELETE", _EVENTS, None, _SUBACCOUNT, status=204),
    _write(
        "BatchCreateOrdersV2",
        "POST",
        f"{_EVENTS}/batched",
        "BatchCreateOrdersV2Response",
        sends="BatchCreateOrdersV2Request",
        status=201,
    ),
    _write(
        "BatchCancelOrdersV2",
        "DELETE",
        f"{_EVENTS}/batched",
        "BatchCancelOrdersV2Response",
        sends="BatchCancelOrdersV2Request",
    ),
    _write(
        "CancelOrderV2",
        "DELETE",
        f"{_EVENTS}/{{order_id}}",
        "CancelOrderV2Response",
        f"{_SUBACCOUNT}\n {_SHARD}\n text: market_ticker",
    ),
    _write(
        "AmendOrderV2",
        "POST",
        f"{_EVENTS}/{{order_id}}/amend",
        "AmendOrderV2Response",
        _SUBACCOUNT,
        sends="AmendOrderV2Request",
    ),
    _write(
        "DecreaseOrderV2",
        "POST",
        f"{_EVENTS}/{{order_id}}/decrease",
        "DecreaseOrderV2Response",
        _SUBACCOUNT,
        sends="DecreaseOrderV2Request",
    ),
    _write(
        "CreateOrderGroup",
        "POST",
        "/portfolio/order_groups/create",
        "CreateOrderGroupResponse",
        sends="CreateOrderGroupRequest",
        status=201,
    ),
    _write(
        "UpdateOrderGroupLimit",
        "PUT",
        f"{_GROUP}/limit",
        "EmptyResponse",
        _GROUP_QUERY,
        sends="UpdateOrderGroupLimitRequest",
    ),
    _write("ResetOrderGroup", "PUT", f"{_GROUP}/reset", "EmptyResponse", _GROUP_QUERY),
    _write("TriggerOrderGroup", "PUT", f"{_GROUP}/trigger", "EmptyResponse", _GROUP_QUERY),
    _write("DeleteOrderGroup", "DELETE", _GROUP, "EmptyResponse", _GROUP_QUERY),
    _write("UpgradeAccountApiUsageLevel", "POST", "/account/api_usage_level/upgrade", None, status=201),
)
BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
