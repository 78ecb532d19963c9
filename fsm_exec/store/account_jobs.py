"""The jobs of the writer that are about the account, and their rows. Each may be done again: its key is its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.rows import AccountFill, AccountLook, Adjustment, Difference, Opening, RiskLogRow
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import MoneyE6, format_count, format_money, format_price
from fsm_exec.store.statements import Row, insert_into, put_into

_FILL = ("order_id", "fill_id", "ticker", "outcome", "price", "quantity", "fee", "is_taker", "traded_at")
_SETTLEMENT = (
    "ticker",
    "event",
    "result",
    "value",
    "yes_count",
    "no_count",
    "yes_cost",
    "no_cost",
    "revenue",
    "fee",
    "settled_at",
)
_OPENING = ("ticker", "quantity", "cost", "realized", "fees", "opened_at")
_ADJUSTMENT = ("ticker", "adjusted_at", "quantity", "cost", "why")
_DIFFERENCE = ("kind", "ticker", "found_at", "ours", "theirs", "cause", "gone_at")
_LOOK = ("id", "looked_at", "first_at", "balance", "explained")
_RISK = ("id", "state", "why", "since_at", "day", "day_start", "peak", "equity")
_LOG = ("at", "moved_from", "moved_by", "moved_to", "who", "why", "figures")
_SHAPE = ("event", "series", "mutually_exclusive", "tickers", "read_at")

PUT_FILL: Final = put_into("account_fills", ("order_id", "fill_id"), _FILL)
PUT_SETTLEMENT: Final = put_into("settlements", ("ticker",), _SETTLEMENT)
PUT_OPENING: Final = put_into("account_openings", ("ticker",), _OPENING)
PUT_ADJUSTMENT: Final = put_into("account_adjustments", ("ticker", "adjusted_at"), _ADJUSTMENT)
PUT_DIFFERENCE: Final = put_into("account_differences", ("kind", "ticker", "found_at"), _DIFFERENCE)
PUT_LOOK: Final = put_into("account_look", ("id",), _LOOK)
PUT_RISK: Final = put_into("risk_state", ("id",), _RISK)
ADD_LOG: Final = insert_into("risk_log", _LOG)
PUT_SHAPE: Final = put_into("event_shapes", ("event",), _SHAPE)

ACCOUNT_ORDER: Final = (
    PUT_FILL,
    PUT_SETTLEMENT,
    PUT_OPENING,
    PUT_ADJUSTMENT,
    PUT_DIFFERENCE,
    PUT_LOOK,
    PUT_RISK,
    ADD_LOG,
    PUT_SHAPE,
)


class AccountFillsSave(msgspec.Struct, frozen=True):
    fills: tuple[AccountFill, ...]


class SettlementsSave(msgspec.Struct, frozen=True):
    settlements: tuple[Settlement, ...]


class LookSave(msgspec.Struct, frozen=True):
    """A look at the account and all that came of it, at once."""

    look: AccountLook
    openings: tuple[Opening, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    differences: tuple[Difference, ...] = ()


class RiskSave(msgspec.Struct, frozen=True):
    """The brake, and (None: it did not move) how it came there."""

    state: RiskState
    log: RiskLogRow | None


class ShapeSave(msgspec.Struct, frozen=True):
    shape: EventShape
    at_us: int


AccountJob: TypeAlias = AccountFillsSave | SettlementsSave | LookSave | RiskSave | ShapeSave


def account_rows(job: AccountJob) -> Iterator[Row]:
    """Yield the rows of one job about the account."""
    match job:
        case AccountFillsSave(fills):
            for fill in fills:
                yield PUT_FILL, _fill_row(fill)
        case SettlementsSave(settlements):
            for one in settlements:
                yield PUT_SETTLEMENT, _settlement_row(one)
        case LookSave(look, openings, adjustments, differences):
            yield (
                PUT_LOOK,
                (1, to_iso(look.at_us), to_iso(look.first_at_us), *_dollars(look.balance_e6, look.explained_e6)),
            )
            for opening in openings:
                yield PUT_OPENING, _opening_row(opening)
            for change in adjustments:
                row = format_count(change.count_e2), format_money(change.cost_e6), change.why
                yield PUT_ADJUSTMENT, (change.ticker, to_iso(change.at_us), *row)
            for found in differences:
                yield PUT_DIFFERENCE, _difference_row(found)
        case RiskSave(state, log):
            figures = _dollars(state.day_start_e6, state.peak_e6, state.equity_e6)
            yield PUT_RISK, (1, state.state, state.why, to_iso(state.since_us), state.day, *figures)
            if log is not None:
                moved = log.moved_from, log.moved_by, log.moved_to, log.who, log.why
                yield ADD_LOG, (to_iso(log.at_us), *moved, log.figures.decode())
        case ShapeSave(shape, at_us):
            tickers = msgspec.json.encode(shape.tickers).decode()
            yield PUT_SHAPE, (shape.event, shape.series, shape.mutually_exclusive, tickers, to_iso(at_us))


def _dollars(*amounts: MoneyE6 | int | None) -> tuple[str | None, ...]:
    return tuple(None if amount is None else format_money(MoneyE6(amount)) for amount in amounts)


def _fill_row(fill: AccountFill) -> tuple[Any, ...]:
    terms = format_price(fill.price_e4), format_count(fill.count_e2), format_money(fill.fee_e6)
    return (fill.order_id, fill.fill_id, fill.ticker, fill.outcome, *terms, fill.is_taker, to_iso(fill.traded_at_us))


def _settlement_row(one: Settlement) -> tuple[Any, ...]:
    value = None if one.value_e4 is None else format_price(one.value_e4)
    counts = format_count(one.yes_count_e2), format_count(one.no_count_e2)
    money = _dollars(one.yes_cost_e6, one.no_cost_e6, one.revenue_e6, one.fee_e6)
    return (one.ticker, one.event, one.result, value, *counts, *money, to_iso(one.at_us))


def _opening_row(one: Opening) -> tuple[Any, ...]:
    stated = _dollars(one.cost_e6, one.realized_e6, one.fees_e6)
    return (one.ticker, format_count(one.count_e2), *stated, to_iso(one.at_us))


def _difference_row(one: Difference) -> tuple[Any, ...]:
    gone_at = None if one.gone_at_us is None else to_iso(one.gone_at_us)
    return (one.kind, one.ticker, to_iso(one.found_at_us), one.ours, one.theirs, one.cause, gone_at)
