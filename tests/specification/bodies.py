"""The bodies of REST, as the exchange's specification 3.34.0 has them: which fields, of which type, needed or not.

Each shape bears the name it has there, so that a test can lay both side by side. Only what this exchange serves.
"""

from __future__ import annotations

from tests.specification.shapes import named, shape

shape("ErrorResponse", may="text: code message details")

# Markets, events, series

named("FeeType", "quadratic|quadratic_with_maker_fees|quadratic_with_combo_maker_fees|flat")

shape("PriceRange", "text: start end step")
shape(
    "Market",
    """
    text: ticker event_ticker yes_sub_title no_sub_title expiration_value rules_primary rules_secondary
    text: price_level_structure
    binary|scalar: market_type
    time: created_time updated_time open_time close_time latest_expiration_time
    int: settlement_timer_seconds
    initialized|inactive|active|closed|determined|disputed|amended|finalized: status
    price: yes_bid_dollars yes_ask_dollars no_bid_dollars no_ask_dollars last_price_dollars notional_value_dollars
    price: previous_yes_bid_dollars previous_yes_ask_dollars previous_price_dollars
    count: yes_bid_size_fp yes_ask_size_fp volume_fp volume_24h_fp open_interest_fp
    yes|no|scalar|: result
    flag: can_close_early
    default|floor: settlement_bounds_type
    [PriceRange]: price_ranges
    """,
    """
    price?: settlement_value_dollars
    time?: settlement_ts expected_expiration_time fee_waiver_expiration_time
    int: exchange_index
    """,
    beyond="price: liquidity_dollars",
)
shape("GetMarketResponse", "Market: market")
shape("GetMarketsResponse", "[Market]: markets\n text: cursor")
shape("OrderbookCountFp", "[Level]: yes_dollars no_dollars")
shape("GetMarketOrderbookResponse", "OrderbookCountFp: orderbook_fp")
shape("MarketOrderbookFp", "text: ticker\n OrderbookCountFp: orderbook_fp")
shape("GetMarketOrderbooksResponse", "[MarketOrderbookFp]: orderbooks")
shape(
    "Trade",
    """
    text: trade_id ticker
    count: count_fp
    price: yes_price_dollars no_price_dollars
    yes|no: taker_outcome_side
    bid|ask: taker_book_side
    time: created_time
    flag: is_block_trade
    """,
    "yes|no: taker_side",
)
shape("GetTradesResponse", "[Trade]: trades\n text: cursor")
shape("SettlementSource", may="text: name url")
shape(
    "EventData",
    """
    text: event_ticker series_ticker sub_title title collateral_return_type
    flag: mutually_exclusive
    [SettlementSource]?: settlement_sources
    """,
    """
    text: category
    [Market]: markets
    time: last_updated_ts
    int: exchange_index
    text?: fee_type_override
    number?: fee_multiplier_override
    """,
)
shape("GetEventResponse", "EventData: event\n [Market]: markets")
shape("GetEventsResponse", "[EventData]: events\n text: cursor", "[object]: milestones")
shape("GetMultivariateEventsResponse", "[EventData]: events\n text: cursor")
shape("MarketMetadata", "text: market_ticker image_url color_code")
shape(
    "GetEventMetadataResponse",
    "text: image_url\n [MarketMetadata]: market_details\n [SettlementSource]: settlement_sources",
)
shape(
    "EventFeeChange",
    """
    text: id event_ticker series_ticker
    FeeType?: fee_type_override
    number?: fee_multiplier_override
    time: scheduled_ts
    """,
)
shape("GetEventFeeChangesResponse", "[EventFeeChange]: event_fee_changes\n text: cursor")
shape(
    "Series",
    """
    text: ticker frequency title category contract_url contract_terms_url
    [text]: categories
    [text]?: tags additional_prohibitions
    [SettlementSource]?: settlement_sources
    FeeType: fee_type
    number: fee_multiplier
    """,
    """
    count: volume_fp
    time: last_updated_ts
    int: exchange_index
    """,
)
shape("GetSeriesResponse", "Series: series")
shape("GetSeriesListResponse", "[Series]: series")
shape("SeriesFeeChange", "text: id series_ticker\n FeeType: fee_type\n number: fee_multiplier\n time: scheduled_ts")
shape("GetSeriesFeeChangesResponse", "[SeriesFeeChange]: series_fee_change_arr")

# Candlesticks

shape("BidAskDistribution", "price: open_dollars low_dollars high_dollars close_dollars")
shape(
    "PriceDistribution",
    may="price?: open_dollars low_dollars high_dollars close_dollars mean_dollars previous_dollars",
)
shape(
    "MarketCandlestick",
    """
    int: end_period_ts
    BidAskDistribution: yes_bid yes_ask
    PriceDistribution: price
    count: volume_fp open_interest_fp
    """,
)
shape("GetMarketCandlesticksResponse", "text: ticker\n [MarketCandlestick]: candlesticks")
shape("MarketCandlesticksResponse", "text: market_ticker\n [MarketCandlestick]: candlesticks")
shape("BatchGetMarketCandlesticksResponse", "[MarketCandlesticksResponse]: markets")
shape(
    "GetEventCandlesticksResponse",
    "[text]: market_tickers\n [[MarketCandlestick]]: market_candlesticks\n int: adjusted_end_ts",
)

# The exchange

shape(
    "ExchangeIndexStatus",
    """
    int: exchange_index
    text: description
    flag: exchange_active trading_active intra_exchange_transfers_active
    """,
)
shape(
    "ExchangeStatus",
    "flag: exchange_active trading_active",
    """
    flag: intra_exchange_transfers_active
    time?: exchange_estimated_resume_time
    [ExchangeIndexStatus]: exchange_index_statuses
    """,
)
shape("DailySchedule", "text: open_time close_time")
shape(
    "WeeklySchedule",
    "time: start_time end_time\n [DailySchedule]: monday tuesday wednesday thursday friday saturday sunday",
)
shape("Schedule", "[WeeklySchedule]: standard_hours\n [object]: maintenance_windows")
shape("GetExchangeScheduleResponse", "Schedule: schedule")
shape("GetUserDataTimestampResponse", "time: as_of_time")
shape("GetHistoricalCutoffResponse", "time: market_settled_ts trades_created_ts orders_updated_ts")
shape(
    "IncentiveProgram",
    """
    text: id market_id market_ticker incentive_description
    liquidity|volume|margin_maker_volume|margin_taker_volume: incentive_type
    time: start_date end_date
    int: period_reward
    flag: paid_out
    """,
    """
    int?: discount_factor_bps max_reward_per_account
    count?: target_size_fp
    """,
)
shape("GetIncentiveProgramsResponse", "[IncentiveProgram]: incentive_programs", "text: next_cursor")

# Orders and what came of them

shape(
    "Order",
    """
    text: order_id user_id client_order_id ticker
    yes|no: outcome_side
    bid|ask: book_side
    limit|market: type
    resting|canceled|executed: status
    price: yes_price_dollars no_price_dollars
    count: fill_count_fp remaining_count_fp initial_count_fp
    price: taker_fill_cost_dollars maker_fill_cost_dollars taker_fees_dollars maker_fees_dollars
    """,
    """
    yes|no: side
    buy|sell: action
    time?: expiration_time created_time last_update_time
    taker_at_cross|maker?: self_trade_prevention_type
    text?: order_group_id
    flag: cancel_order_on_pause
    int?: subaccount_number
    int: exchange_index
    """,
)
shape("GetOrderResponse", "Order: order")
shape("GetOrdersResponse", "[Order]: orders\n text: cursor")
shape(
    "Fill",
    """
    text: fill_id trade_id order_id ticker market_ticker
    int: exchange_index
    yes|no: outcome_side
    bid|ask: book_side
    count: count_fp
    price: yes_price_dollars no_price_dollars fee_cost
    flag: is_taker
    """,
    """
    yes|no: side
    buy|sell: action
    time: created_time
    int?: subaccount_number
    int: ts
    """,
)
shape("GetFillsResponse", "[Fill]: fills\n text: cursor")
shape("GetOrderQueuePositionResponse", "count: queue_position_fp")
shape("OrderQueuePosition", "text: order_id market_ticker\n count: queue_position_fp")
shape("GetOrderQueuePositionsResponse", "[OrderQueuePosition]: queue_positions")
shape(
    "CreateOrderV2Response",
    "text: order_id\n count: fill_count remaining_count\n int: ts_ms",
    "text: client_order_id\n price: average_fill_price average_fee_paid",
)
shape("CancelOrderV2Response", "text: order_id\n count: reduced_by\n int: ts_ms", "text: client_order_id")
shape(
    "AmendOrderV2Response",
    "text: order_id\n int: ts_ms",
    "text: client_order_id\n count?: remaining_count fill_count\n price?: average_fill_price average_fee_paid",
)
shape("DecreaseOrderV2Response", "text: order_id\n count: remaining_count\n int: ts_ms", "text: client_order_id")
shape(
    "BatchCreated",
    may="""
    text: order_id
    text?: client_order_id
    count?: fill_count remaining_count
    price?: average_fill_price average_fee_paid
    int?: ts_ms
    ErrorResponse?: error
    """,
)
shape("BatchCreateOrdersV2Response", "[BatchCreated]: orders")
shape(
    "BatchCancelled",
    "text: order_id\n count: reduced_by",
    "text?: client_order_id\n int?: ts_ms\n ErrorResponse?: error",
)
shape("BatchCancelOrdersV2Response", "[BatchCancelled]: orders")

# Groups

shape("CreateOrderGroupResponse", "text: order_group_id\n 0..: subaccount", "int: exchange_index")
shape("OrderGroup", "text: id\n flag: is_auto_cancel_enabled", "count: contracts_limit_fp\n int: exchange_index")
shape("GetOrderGroupsResponse", may="[OrderGroup]: order_groups")
shape(
    "GetOrderGroupResponse",
    "flag: is_auto_cancel_enabled\n [text]: orders",
    "count: contracts_limit_fp\n int: exchange_index",
)
shape("EmptyResponse")

# The account

shape("IndexedBalance", "int: exchange_index\n price: balance")
shape(
    "GetBalanceResponse",
    "int: balance portfolio_value updated_ts\n price: balance_dollars",
    "[IndexedBalance]: balance_breakdown",
)
shape(
    "GetPortfolioRestingOrderTotalValueResponse",
    "int: total_resting_order_value\n [IndexedBalance]: resting_order_value_breakdown",
)
shape(
    "MarketPosition",
    """
    text: ticker
    int: exchange_index
    price: total_traded_dollars market_exposure_dollars realized_pnl_dollars fees_paid_dollars
    count: position_fp
    time: last_updated_ts
    """,
)
shape(
    "EventPosition",
    """
    text: event_ticker
    price: total_cost_dollars event_exposure_dollars realized_pnl_dollars fees_paid_dollars
    count: total_cost_shares_fp
    """,
)
shape(
    "GetPositionsResponse",
    "[MarketPosition]: market_positions\n [EventPosition]: event_positions",
    "text: cursor",
)
shape(
    "Settlement",
    """
    text: ticker event_ticker
    int: exchange_index revenue
    yes|no|scalar: market_result
    count: yes_count_fp no_count_fp
    price: yes_total_cost_dollars no_total_cost_dollars fee_cost
    time: settled_time
    """,
    "int?: value",
)
shape("GetSettlementsResponse", "[Settlement]: settlements", "text: cursor")
for transfer in ("Deposit", "Withdrawal"):
    shape(
        transfer,
        """
        text: id
        pending|applied|failed|returned: status
        ach|wire|crypto|debit|apm: type
        int: amount_cents fee_cents created_ts
        """,
        "int?: finalized_ts",
    )
shape("GetDepositsResponse", "[Deposit]: deposits", "text: cursor")
shape("GetWithdrawalsResponse", "[Withdrawal]: withdrawals", "text: cursor")
shape("ApiKey", "text: api_key_id name\n [text]: scopes", "int?: subaccount")
shape("GetApiKeysResponse", "[ApiKey]: api_keys")
shape("BucketLimit", "int: refill_rate bucket_capacity")
shape("ApiUsageLevelGrant", "event_contract|margined: exchange_instance\n text: level source")
shape("GetAccountApiLimitsResponse", "text: usage_tier\n BucketLimit: read write\n [ApiUsageLevelGrant]: grants")
shape("EndpointTokenCost", "text: method path\n int: cost")
shape("GetAccountEndpointCostsResponse", "int: default_cost\n [EndpointTokenCost]: endpoint_costs")
shape("AccountApiUsageLevelVolumeProgress", "int: computed_ts\n count: trailing_30d_volume_fp\n [object]: goals")
shape("GetAccountApiUsageLevelVolumeProgressResponse", "[AccountApiUsageLevelVolumeProgress]: volume_progress")

# What is sent

shape(
    "CreateOrderV2Request",
    """
    text: ticker
    bid|ask: side
    count: count
    price: price
    fill_or_kill|good_till_canceled|immediate_or_cancel: time_in_force
    taker_at_cross|maker: self_trade_prevention_type
    """,
    """
    text: client_order_id order_group_id
    int: expiration_time exchange_index
    flag: post_only cancel_order_on_pause reduce_only
    0..: subaccount
    """,
)
shape(
    "AmendOrderV2Request",
    "text: ticker\n bid|ask: side\n price: price\n count: count",
    "text: client_order_id updated_client_order_id\n 0..: expiration_time\n int: exchange_index",
)
shape("DecreaseOrderV2Request", may="count?: reduce_by reduce_to\n int: exchange_index\n text: market_ticker")
shape("BatchCreateOrdersV2Request", "[CreateOrderV2Request]: orders")
shape("CancelWish", "text: order_id", "0..: subaccount\n int: exchange_index\n text: market_ticker")
shape("BatchCancelOrdersV2Request", "[CancelWish]: orders")
shape(
    "CreateOrderGroupRequest",
    may="0..: subaccount\n 1..: contracts_limit\n count?: contracts_limit_fp\n int: exchange_index",
)
shape("UpdateOrderGroupLimitRequest", may="1..: contracts_limit\n count?: contracts_limit_fp")
