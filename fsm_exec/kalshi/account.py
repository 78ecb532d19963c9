"""Read what the account has and may do: balance, positions, settlements, queue positions, keys, rate limits
(wire/README.md 4.2, 11).

Reads only; each raises VenueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from fsm_exec.core.errors import VenueError
from fsm_exec.core.market.account import Balance, Position, QueuePosition, Settlement
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import ONE_DOLLAR_E4, US_PER_S, MoneyE6, PriceE4, parse_change, parse_count, parse_money
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, log_left_out, readable_rows
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.rate_budget import RateBudget
from fsm_exec.kalshi.translate import Malformed, malformed_as
from fsm_exec.wire import account as wire
from fsm_exec.wire.client_bodies import Balance as WireBalance
from fsm_exec.wire.client_bodies import Order as WireOrder
from fsm_exec.wire.field_values import missing_field, required_text
from fsm_exec.wire.raw_listings import RawOrdersPage, RawPositionsPage, RawSettlementsPage

PAGE_ROWS: Final = 1_000
NEWEST_ORDERS: Final = 100
E6_PER_CENT: Final = 10_000
E4_PER_CENT: Final = 100
RESULT_MAX: Final = 40  # characters of a result's word
VALUES_E4: Final = {"yes": ONE_DOLLAR_E4, "no": PriceE4(0)}


class KalshiAccount:
    """`wall_us` is the wall time in unix microseconds: an answer without a time has that of its receipt."""

    def __init__(self, endpoints: Endpoints, budget: RateBudget, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints = endpoints
        self._wall_us = wall_us
        self._budget = budget
        self._log = log

    async def fetch_balance(self) -> Balance:
        row = decode(await self._endpoints.fetch("/portfolio/balance"), WireBalance)
        with malformed_as("balance"):
            if row.balance_dollars is not None:
                available = parse_money(row.balance_dollars)
            elif row.balance is not None:
                available = MoneyE6(row.balance * E6_PER_CENT)
            else:
                raise missing_field("balance_dollars")
            at_ms = None if row.updated_ts is None else row.updated_ts * 1_000
            if row.balance is not None and available // E6_PER_CENT != row.balance:
                raise Malformed(f"{str(row.balance_dollars)[:20]} dollars and {str(row.balance)[:20]} cents")
            return Balance(
                available_e6=available,
                portfolio_e6=None if row.portfolio_value is None else MoneyE6(row.portfolio_value * E6_PER_CENT),
                at_us=translate.moment_us(self._wall_us(), at_ms),
            )

    async def fetch_positions(self, ticker: str | None = None) -> tuple[Position, ...]:
        """Fetch the positions in all unsettled markets that were ever traded, flat ones included, or in `ticker` alone.
        A row that cannot be read is left out, with a line in the log."""
        query: dict[str, str] = {}
        if ticker is not None:
            translate.check_ticker(ticker)
            query["ticker"] = ticker
        rows: dict[str, Position] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, RawPositionsPage)
            for raw in page.market_positions:
                try:
                    row = _position(decode(raw, wire.MarketPositionRow))
                except Malformed as error:
                    log_left_out(self._log, raw, error)
                else:
                    rows[row.ticker] = row
            return page.cursor

        await self._endpoints.fetch_pages("/portfolio/positions", query, take, rows=PAGE_ROWS)
        return tuple(rows.values())

    async def fetch_settlements(self, since_us: int | None = None) -> tuple[Settlement, ...]:
        """Fetch what has settled (at or after `since_us`), newest first; of a market that settled twice, since its
        result was amended, the later. A row that cannot be read is left out, with a line in the log."""
        # Whole seconds, rounded down: a second too early repeats a row, a second too late loses one.
        query = {} if since_us is None else {"min_ts": str(max(0, since_us // US_PER_S))}
        rows: dict[str, Settlement] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, RawSettlementsPage)
            for raw in page.settlements:
                try:
                    row = _settlement(decode(raw, wire.SettlementRow))
                except Malformed as error:
                    log_left_out(self._log, raw, error)
                else:
                    known = rows.get(row.ticker)
                    if known is None or known.at_us < row.at_us:
                        rows[row.ticker] = row
            return page.cursor

        await self._endpoints.fetch_pages("/portfolio/settlements", query, take, rows=PAGE_ROWS)
        return tuple(rows.values())

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        """Fetch the queue positions of all resting orders in these markets."""
        for ticker in tickers:
            translate.check_ticker(ticker)
        content = await self._endpoints.fetch(
            "/portfolio/orders/queue_positions", {"market_tickers": ",".join(tickers)}
        )
        rows = decode(content, wire.QueuePositionRows).queue_positions or []
        with malformed_as("queue position"):
            return tuple(
                QueuePosition(row.order_id, row.market_ticker or "", parse_count(row.queue_position_fp)) for row in rows
            )

    async def fetch_newest_order_names(self) -> tuple[str, ...]:
        """Fetch the client order ids of the newest hundred orders, "" for one without."""
        content = await self._endpoints.fetch("/portfolio/orders", {"limit": str(NEWEST_ORDERS)})
        rows = readable_rows(decode(content, RawOrdersPage).orders[:NEWEST_ORDERS], WireOrder, self._log)
        return tuple(row.client_order_id or "" for row in rows)

    async def fetch_limits(self) -> wire.AccountLimits:
        return decode(await self._endpoints.fetch("/account/limits"), wire.AccountLimits)

    async def fetch_endpoint_costs(self) -> wire.EndpointCosts:
        return decode(await self._endpoints.fetch("/account/endpoint_costs"), wire.EndpointCosts)

    async def fetch_api_keys(self) -> tuple[wire.ApiKeyRow, ...]:
        return tuple(decode(await self._endpoints.fetch("/api_keys"), wire.ApiKeyRows).api_keys)

    async def refresh_budget(self) -> None:
        """Set the rate budget to the limits and costs the exchange publishes; what it leaves out stays as it was. A
        VenueError is logged, not raised."""
        try:
            self._budget.set_limits(await self.fetch_limits())
        except VenueError as error:
            self._log.warning("limits_unknown", error=str(error))
        try:
            self._budget.set_costs(await self.fetch_endpoint_costs())
        except VenueError as error:
            self._log.warning("costs_unknown", error=str(error))


def _position(row: wire.MarketPositionRow) -> Position:
    with malformed_as(f"position in {row.ticker[:40]}"):
        return Position(
            ticker=row.ticker,
            count_e2=parse_change(row.position_fp),
            traded_e6=_money(row.total_traded_dollars),
            exposure_e6=_money(row.market_exposure_dollars),
            realized_e6=_money(row.realized_pnl_dollars),
            fees_e6=_money(row.fees_paid_dollars),
            changed_at_us=translate.time_us(row.last_updated_ts) if row.last_updated_ts else None,
        )


def _settlement(row: wire.SettlementRow) -> Settlement:
    with malformed_as(f"settlement of {row.ticker[:40]}"):
        found = Settlement(
            ticker=one_line(required_text(row.ticker, "ticker")),
            event=one_line(required_text(row.event_ticker, "event_ticker")),
            result=one_line(required_text(row.market_result, "market_result")[:RESULT_MAX]),
            value_e4=_value(row),
            yes_count_e2=parse_count(required_text(row.yes_count_fp, "yes_count_fp")),
            no_count_e2=parse_count(required_text(row.no_count_fp, "no_count_fp")),
            yes_cost_e6=parse_money(required_text(row.yes_total_cost_dollars, "yes_total_cost_dollars")),
            no_cost_e6=parse_money(required_text(row.no_total_cost_dollars, "no_total_cost_dollars")),
            revenue_e6=MoneyE6(row.revenue * E6_PER_CENT),
            fee_e6=parse_money(required_text(row.fee_cost, "fee_cost")),
            at_us=translate.time_us(row.settled_time),
        )
    return with_value(found, found.value_e4)


def with_value(settled: Settlement, value: PriceE4 | None) -> Settlement:
    """Return the settlement with another value of a YES contract, or with none if what it paid contradicts that: by a
    cent or more, since it is stated in whole cents."""
    told = replace(settled, value_e4=value)
    payout = told.payout_e6()
    if payout is None or abs(payout - told.revenue_e6) < E6_PER_CENT:
        return told
    return replace(settled, value_e4=None)


def _value(row: wire.SettlementRow) -> PriceE4 | None:
    """Return what one YES contract paid. The row's own `value` has whole cents, which a value between 0 and 1 dollar
    need not be: only 0 and 1 dollar are exact there."""
    if row.market_result not in ("yes", "no"):
        return None
    value = VALUES_E4[row.market_result]
    return value if row.value is None or row.value * E4_PER_CENT == value else None


def _money(text: str | None) -> MoneyE6 | None:
    return None if text is None else parse_money(text)
