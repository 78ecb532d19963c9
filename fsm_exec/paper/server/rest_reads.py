"""The GET endpoints of a member: path, what it shows, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from fsm_exec.paper.matching_engine.accounts import Account, joined
from fsm_exec.paper.server import account_reads
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import DEFAULT_COST, LOOKUP_COST
from fsm_exec.paper.server.request_params import RequestParams
from fsm_exec.paper.venue import member_reads, order_group_requests

Look: TypeAlias = Callable[[RequestParams], object]
TRANSFERS_MAX = 500


class Read(NamedTuple):
    """`operation` names the endpoint in the messages about a wrong query."""

    path: str
    operation: str
    look: Look
    cost: int = DEFAULT_COST


class MemberReads:
    """The reads of a member. Each runs at one moment of the exchange, after everything that was due."""

    def __init__(self, gateway: LatencyGateway, gate: Authenticator) -> None:
        self._gateway = gateway
        self._exchange = gateway.exchange
        self._gate = gate

    def all(self) -> list[Read]:
        """Return the endpoints in the order in which paths are matched: literal parts before parameters."""
        return [
            Read("/api_keys", "GetApiKeys", self._keys),
            Read("/account/limits", "GetAccountApiLimits", lambda a: account_reads.limits(self._gate, a.user)),
            Read("/account/api_usage_level/volume_progress", "GetAccountApiUsageLevelVolumeProgress", self._progress),
            Read("/portfolio/balance", "GetBalance", self._balance),
            Read("/portfolio/summary/total_resting_order_value", "GetPortfolioRestingOrderTotalValue", self._resting),
            Read("/portfolio/positions", "GetPositions", self._positions),
            Read("/portfolio/fills", "GetFills", self._fills),
            Read("/portfolio/settlements", "GetSettlements", self._settlements),
            Read("/portfolio/deposits", "GetDeposits", partial(self._transfers, "deposits")),
            Read("/portfolio/withdrawals", "GetWithdrawals", partial(self._transfers, "withdrawals")),
            Read("/portfolio/orders", "GetOrders", self._orders),
            Read("/portfolio/orders/queue_positions", "GetOrderQueuePositions", self._queue_positions),
            Read("/portfolio/orders/{order_id}", "GetOrder", self._order, LOOKUP_COST),
            Read("/portfolio/orders/{order_id}/queue_position", "GetOrderQueuePosition", self._queue_position),
            Read("/portfolio/order_groups", "GetOrderGroups", self._groups),
            Read("/portfolio/order_groups/{group_id}", "GetOrderGroup", self._group),
            Read("/historical/fills", "GetFillsHistorical", partial(self._fills, past=True)),
            Read("/historical/orders", "GetHistoricalOrders", partial(self._orders, past=True)),
            Read("/historical/positions", "GetHistoricalPositions", self._old_positions),
        ]

    def _listed_view(self, params: RequestParams) -> Account:
        return joined([self._gateway.account_view(account) for account in params.accounts])

    def _settled_view(self, params: RequestParams) -> Account:
        return joined([self._gateway.holdings_view(account) for account in params.accounts])

    def _keys(self, params: RequestParams) -> object:
        """List the keys; none of them belongs to a subtrader."""
        of_subtrader = params.text("fcm_subtrader_id") is not None
        return account_reads.api_keys([] if of_subtrader else self._gate.keys_of(params.user), params.user)

    def _progress(self, params: RequestParams) -> object:
        return account_reads.volume_progress(self._exchange, joined(params.accounts))

    def _resting(self, params: RequestParams) -> object:
        return account_reads.resting_value(self._exchange.subaccounts(params.user))

    def _transfers(self, kind: str, params: RequestParams) -> object:
        return member_reads.transfers_page(params.user, params.page(limit_max=TRANSFERS_MAX), kind)

    def _old_positions(self, params: RequestParams) -> object:
        params.page()
        return {"market_positions": [], "event_positions": [], "cursor": ""}

    def _balance(self, params: RequestParams) -> object:
        found = member_reads.balance(self._exchange, self._gateway.holdings_view(params.account))
        return self._gateway.falsify_account("balance", found)

    def _positions(self, params: RequestParams) -> object:
        settlement = params.choice("settlement_status", "SettlementStatus", "unsettled", "settled", "all")
        found = member_reads.positions_page(
            self._exchange,
            self._gateway.holdings_view(params.account),
            params.page(),
            settlement=settlement or "unsettled",
            nonzero=params.words("count_filter"),
        )
        return self._gateway.falsify_account("positions", found)

    def _settlements(self, params: RequestParams) -> object:
        account, until_us = self._settled_view(params), self._gateway.settled_before_us()
        found = member_reads.settlements_page(self._exchange, account, params.page(), until_us)
        return self._gateway.falsify_account("settlements", found)

    def _orders(self, params: RequestParams, *, past: bool = False) -> object:
        page = params.page() if past else params.page("resting", "canceled", "executed")
        found = member_reads.orders_page(self._exchange, self._listed_view(params), page, past=past)
        return self._gateway.falsify_listing("orders", found)

    def _fills(self, params: RequestParams, *, past: bool = False) -> object:
        page = replace(params.page(), order_id=None) if past else params.page()  # which knows no such filter
        found = member_reads.fills_page(self._exchange, self._listed_view(params), page, past=past)
        return self._gateway.falsify_listing("fills", found)

    def _order(self, params: RequestParams) -> object:
        return member_reads.order_of(self._exchange, params.user, params.uuid("order_id"), params.text("market_ticker"))

    def _queue_position(self, params: RequestParams) -> object:
        return member_reads.queue_position(self._exchange, params.user, params.uuid("order_id"))

    def _queue_positions(self, params: RequestParams) -> object:
        page = member_reads.Page(tickers=params.words("market_tickers"), events=params.words("event_ticker"))
        return member_reads.queue_positions(self._exchange, params.account, page)

    def _groups(self, params: RequestParams) -> object:
        return order_group_requests.groups_of(self._exchange, params.accounts)

    def _group(self, params: RequestParams) -> object:
        return order_group_requests.group_of(self._exchange, params.accounts, params.named("group_id"))
