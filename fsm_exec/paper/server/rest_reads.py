"""The GET endpoints of a member's own: path, what is shown, and what it costs to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from fsm_exec.paper.server import account_reads
from fsm_exec.paper.server.auth import Gate
from fsm_exec.paper.server.latency_gateway import Desk
from fsm_exec.paper.server.rate_limit import DEFAULT_COST, LOOKUP_COST
from fsm_exec.paper.server.request_params import LIMIT_MAX, Asked
from fsm_exec.paper.venue import member_reads, order_group_requests

Look: TypeAlias = Callable[[Asked], object]
TRANSFERS_MAX = 500


class Read(NamedTuple):
    """`operation` names the endpoint in the messages about a wrong query."""

    path: str
    operation: str
    look: Look
    cost: int = DEFAULT_COST


class MemberReads:
    """Every look runs at one moment of the exchange, after everything that was due."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._gate = gate

    def all(self) -> list[Read]:
        """In the order in which paths are tried: words before names."""
        return [
            Read("/api_keys", "GetApiKeys", self._keys),
            Read("/account/limits", "GetAccountApiLimits", lambda a: account_reads.limits(self._gate, a.account)),
            Read("/account/api_usage_level/volume_progress", "GetAccountApiUsageLevelVolumeProgress", self._progress),
            Read("/portfolio/balance", "GetBalance", lambda a: member_reads.balance(self._exchange, a.account)),
            Read("/portfolio/summary/total_resting_order_value", "GetPortfolioRestingOrderTotalValue", self._resting),
            Read("/portfolio/positions", "GetPositions", self._positions),
            Read("/portfolio/fills", "GetFills", self._fills),
            Read("/portfolio/settlements", "GetSettlements", self._settlements),
            Read("/portfolio/deposits", "GetDeposits", lambda a: self._nothing(a, "deposits", TRANSFERS_MAX)),
            Read("/portfolio/withdrawals", "GetWithdrawals", lambda a: self._nothing(a, "withdrawals", TRANSFERS_MAX)),
            Read("/portfolio/orders", "GetOrders", self._orders),
            Read("/portfolio/orders/queue_positions", "GetOrderQueuePositions", self._queue_positions),
            Read("/portfolio/orders/{order_id}", "GetOrder", self._order, LOOKUP_COST),
            Read("/portfolio/orders/{order_id}/queue_position", "GetOrderQueuePosition", self._queue_position),
            Read("/portfolio/order_groups", "GetOrderGroups", self._groups),
            Read("/portfolio/order_groups/{group_id}", "GetOrderGroup", self._group),
            Read("/historical/fills", "GetFillsHistorical", lambda a: self._nothing(a, "fills")),
            Read("/historical/orders", "GetHistoricalOrders", lambda a: self._nothing(a, "orders")),
            Read("/historical/positions", "GetHistoricalPositions", self._old_positions),
        ]

    def _keys(self, asked: Asked) -> object:
        """None here is bound to anybody's subtrader."""
        nobodys = asked.text("fcm_subtrader_id") is not None
        return account_reads.api_keys([] if nobodys else self._gate.keys_of(asked.account))

    def _progress(self, asked: Asked) -> object:
        return account_reads.volume_progress(self._exchange, asked.account)

    def _resting(self, asked: Asked) -> object:
        return account_reads.resting_value(asked.account)

    def _nothing(self, asked: Asked, name: str, limit_max: int = LIMIT_MAX) -> object:
        """Cash is given when an account is opened, and nothing is ever moved to history."""
        asked.page(limit_max=limit_max)
        return {name: [], "cursor": ""}

    def _old_positions(self, asked: Asked) -> object:
        asked.page()
        return {"market_positions": [], "event_positions": [], "cursor": ""}

    def _positions(self, asked: Asked) -> object:
        settlement = asked.choice("settlement_status", "SettlementStatus", "unsettled", "settled", "all")
        return member_reads.positions_page(
            self._exchange,
            asked.account,
            asked.page(),
            settlement=settlement or "unsettled",
            nonzero=asked.words("count_filter"),
        )

    def _settlements(self, asked: Asked) -> object:
        return member_reads.settlements_page(self._exchange, asked.account, asked.page())

    def _orders(self, asked: Asked) -> object:
        page = asked.page("resting", "canceled", "executed")
        found = member_reads.orders_page(self._exchange, self._desk.seen(asked.account), page)
        return self._desk.listed("orders", found)

    def _fills(self, asked: Asked) -> object:
        return self._desk.listed("fills", member_reads.fills_page(self._desk.seen(asked.account), asked.page()))

    def _order(self, asked: Asked) -> object:
        return member_reads.order_of(self._exchange, asked.account, asked.uuid("order_id"))

    def _queue_position(self, asked: Asked) -> object:
        return member_reads.queue_position(self._exchange, asked.account, asked.uuid("order_id"))

    def _queue_positions(self, asked: Asked) -> object:
        page = member_reads.Page(tickers=asked.words("market_tickers"), events=asked.words("event_ticker"))
        return member_reads.queue_positions(self._exchange, asked.account, page)

    def _groups(self, asked: Asked) -> object:
        return order_group_requests.groups_of(self._exchange, asked.account)

    def _group(self, asked: Asked) -> object:
        return order_group_requests.group_of(self._exchange, asked.account, asked.named("group_id"))
