"""Reading the account: the books of its markets, and what the engine goes on from at a start.

The books of a market are the fills of our executions, the fills of the account that no execution made, and what was
taken over from the exchange, in the order of `place_in_books`; its settlement ends them. A fill that was stored as
nobody's and whose order an execution turned out to have is that execution's, and counted once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.account.rows import (
    AccountLook,
    Bought,
    Difference,
    MarketBooks,
    Opening,
    RiskLogRow,
    StoredAccount,
    TakenOver,
    holding_of,
    place_in_books,
)
from fsm_exec.core.errors import DamagedRow
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import CountE2, MoneyE6, parse_change, parse_count, parse_money, parse_price
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of, text_of

_TICKERS: Final = msgspec.json.Decoder(tuple[str, ...])
_PARTS: Final = {  # by table: its entries as (ticker, at, table, key, outcome, price, quantity, fee or cost, ...)
    "fills": (
        "SELECT s.ticker AS ticker, f.traded_at AS at, 'fills', f.order_id || ' ' || f.fill_id, s.outcome, "
        "f.price, f.quantity, f.fee, f.is_taker, s.execution_id, s.method "
        "FROM {fills} JOIN {executions} {on}"
    ),
    "account_fills": (
        "SELECT ticker, traded_at, 'account_fills', order_id || ' ' || fill_id, outcome, price, quantity, fee, "
        "is_taker, NULL, NULL FROM account_fills a {where} "
        "NOT EXISTS (SELECT 1 FROM split_orders o WHERE o.order_id = a.order_id)"
    ),
    "account_openings": (
        "SELECT ticker, opened_at, 'account_openings', ticker, NULL, NULL, quantity, cost, NULL, NULL, NULL "
        "FROM account_openings {where} 1"
    ),
    "account_adjustments": (
        "SELECT ticker, adjusted_at, 'account_adjustments', ticker || ' ' || adjusted_at, NULL, NULL, quantity, cost, "
        "NULL, NULL, NULL FROM account_adjustments {where} 1"
    ),
}


def _entries(*, one: bool) -> str:
    """The query of all entries, or of those of one market."""
    holes = {
        # One market: by the executions of it, each by its fills. All: the whole table once.
        "fills": "execution_state s" if one else "fills f",
        "executions": "fills f" if one else "execution_state s",
        "on": "USING (execution_id) WHERE s.ticker = :ticker" if one else "USING (execution_id)",
        "where": "WHERE ticker = :ticker AND" if one else "WHERE",
    }
    union = " UNION ALL ".join(part.format(**holes) for part in _PARTS.values())
    return f"SELECT * FROM ({union}) ORDER BY ticker, at"


_ALL: Final = _entries(one=False)
OF_ONE: Final = _entries(one=True)
_SETTLEMENT: Final = (
    "SELECT ticker, event, result, value, yes_count, no_count, yes_cost, no_cost, revenue, fee, settled_at "
    "FROM settlements"
)
_OPENING: Final = "SELECT ticker, quantity, cost, realized, fees, opened_at FROM account_openings ORDER BY ticker"
_DIFFERENCE: Final = "SELECT kind, ticker, found_at, ours, theirs, cause, gone_at FROM account_differences"
_LOOK: Final = "SELECT looked_at, first_at, balance, explained FROM account_look"
_RISK: Final = "SELECT state, why, since_at, day, day_start, peak, equity FROM risk_state"
_LOG: Final = (
    "SELECT id, at, moved_from, moved_by, moved_to, who, why, figures FROM risk_log "
    "WHERE id <= (SELECT max(id) FROM risk_log) ORDER BY id DESC LIMIT ?"
)
_SHAPE: Final = "SELECT event, series, mutually_exclusive, tickers FROM event_shapes ORDER BY event"
_MARKETS: Final = "SELECT ticker, event, series FROM markets"


def load_account(connection: sqlite3.Connection) -> StoredAccount:
    """Load everything that is known of the account, in one read that takes the longer the more fills there are. What is
    damaged is left out and named."""
    damage: list[str] = []
    markets = tuple(holding_of(books) for books in load_all_books(connection, damage))
    return replace(found := load_all_but_books(connection), markets=markets, damage=(*found.damage, *damage))


def load_all_but_books(connection: sqlite3.Connection) -> StoredAccount:
    """Load what is known of the account but for its markets. What is damaged is left out and named."""
    damage: list[str] = []
    return StoredAccount(
        look=next(decode_rows(connection.execute(_LOOK), _look, damage), None),
        markets=(),
        openings=tuple(decode_rows(connection.execute(_OPENING), _opening, damage)),
        differences=tuple(load_differences(connection, damage, standing=True)),
        shapes=tuple(decode_rows(connection.execute(_SHAPE), _shape, damage)),
        risk=next(decode_rows(connection.execute(_RISK), _risk, damage), None),
        archived=load_archived_holding(connection),
        damage=tuple(damage),
    )


def load_all_books(connection: sqlite3.Connection, damage: list[str] | None = None) -> Iterator[MarketBooks]:
    """Yield the books of every market that has any, by ticker. Damaged rows are named in `damage`; without it the
    first of them raises DamagedRow."""
    settlements = {one.ticker: one for one in load_settlements(connection, damage)}
    places = {ticker: (event, series) for ticker, event, series in connection.execute(_MARKETS).fetchall()}
    for ticker, rows in groupby(connection.execute(_ALL), key=lambda row: str(row[0])):
        yield _books(
            ticker, places.get(ticker), tuple(decode_rows(rows, _entry, damage)), settlements.pop(ticker, None)
        )
    for ticker, settlement in sorted(settlements.items()):  # of what was settled before anything of it was known
        yield _books(ticker, places.get(ticker), (), settlement)


def load_books(connection: sqlite3.Connection, ticker: str, damage: list[str] | None = None) -> MarketBooks:
    """Load the books of one market; of an unknown one they are empty. Damaged rows are named in `damage`; without it
    the first of them raises DamagedRow."""
    entries = tuple(decode_rows(connection.execute(OF_ONE, {"ticker": ticker}), _entry, damage))
    settlement = None
    for statement in (_SETTLEMENT, _SETTLEMENT.replace("FROM settlements", "FROM archived_settlements")):
        settled = connection.execute(f"{statement} WHERE ticker = ?", (ticker,))
        settlement = settlement or next(decode_rows(settled, _settlement, damage), None)
    place = connection.execute(f"{_MARKETS} WHERE ticker = ?", (ticker,)).fetchone()
    return _books(ticker, None if place is None else place[1:], entries, settlement)


def load_archived_holding(connection: sqlite3.Connection) -> Holding:
    """Load what all fills that have moved came to: their markets have settled, nothing of them is held."""
    row = connection.execute("SELECT traded_e2, traded_e6, realized_e6, fees_e6 FROM archived_books").fetchone()
    if row is None:
        return NOTHING
    traded_e2, *amounts = row
    traded_e6, realized_e6, fees_e6 = map(MoneyE6, amounts)
    return Holding(traded_e2=CountE2(traded_e2), traded_e6=traded_e6, realized_e6=realized_e6, fees_e6=fees_e6)


def _books(
    ticker: str, place: Sequence[object] | None, entries: tuple[Bought | TakenOver, ...], settlement: Settlement | None
) -> MarketBooks:
    event, series = ("", "") if place is None else (str(place[0]), str(place[1]))
    if not event and settlement is not None:
        event = settlement.event
    in_order = tuple(sorted(entries, key=place_in_books))
    return MarketBooks(ticker=ticker, event=event, series=series, entries=in_order, settlement=settlement)


def _entry(row: tuple[Any, ...]) -> Bought | TakenOver:
    _, at, table, key, outcome, price, quantity, amount, is_taker, execution_id, method = row
    if table in ("account_openings", "account_adjustments"):
        return TakenOver(
            at_us=decode_column(table, key, "at", from_iso, at),
            count_e2=decode_column(table, key, "quantity", parse_change, quantity),
            cost_e6=decode_column(table, key, "cost", parse_money, amount),
        )
    found = {
        "at_us": decode_column(table, key, "traded_at", from_iso, at),
        "outcome": outcome,
        "price_e4": decode_column(table, key, "price", parse_price, price),
        "count_e2": decode_column(table, key, "quantity", parse_count, quantity),
        "fee_e6": decode_column(table, key, "fee", parse_money, amount),
        "is_taker": is_taker,
        "execution_id": execution_id,
        "method": method,
    }
    return struct_of(Bought, table, key, tuple(found), tuple(found.values()))


def load_settlements(connection: sqlite3.Connection, damage: list[str] | None = None) -> list[Settlement]:
    """Load all settlements, by ticker. Damaged ones are named in `damage`; without it the first raises DamagedRow."""
    return list(decode_rows(connection.execute(f"{_SETTLEMENT} ORDER BY ticker"), _settlement, damage))


def _settlement(row: tuple[Any, ...]) -> Settlement:
    key, event, result, value, yes_count, no_count, yes_cost, no_cost, revenue, fee, settled_at = row
    table = "settlements"
    return Settlement(
        ticker=text_of(table, key, "ticker", key),
        event=text_of(table, key, "event", event),
        result=text_of(table, key, "result", result),
        value_e4=None if value is None else decode_column(table, key, "value", parse_price, value),
        yes_count_e2=decode_column(table, key, "yes_count", parse_count, yes_count),
        no_count_e2=decode_column(table, key, "no_count", parse_count, no_count),
        yes_cost_e6=decode_column(table, key, "yes_cost", parse_money, yes_cost),
        no_cost_e6=decode_column(table, key, "no_cost", parse_money, no_cost),
        revenue_e6=decode_column(table, key, "revenue", parse_money, revenue),
        fee_e6=decode_column(table, key, "fee", parse_money, fee),
        at_us=decode_column(table, key, "settled_at", from_iso, settled_at),
    )


def load_differences(
    connection: sqlite3.Connection, damage: list[str] | None = None, *, standing: bool = False
) -> list[Difference]:
    """Load the differences that were found, the oldest first; `standing`: only those that are not gone."""
    where = " WHERE gone_at IS NULL" if standing else ""
    rows = connection.execute(f"{_DIFFERENCE}{where} ORDER BY found_at, kind, ticker")
    return list(decode_rows(rows, _difference, damage))


def _difference(row: tuple[Any, ...]) -> Difference:
    kind, ticker, found_at, ours, theirs, cause, gone_at = row
    table, key = "account_differences", f"{kind} {ticker} {found_at}"
    found = {
        "kind": kind,
        "ticker": ticker,
        "found_at_us": decode_column(table, key, "found_at", from_iso, found_at),
        "ours": ours,
        "theirs": theirs,
        "cause": cause,
        "gone_at_us": None if gone_at is None else decode_column(table, key, "gone_at", from_iso, gone_at),
    }
    return struct_of(Difference, table, key, tuple(found), tuple(found.values()))


def _opening(row: tuple[Any, ...]) -> Opening:
    key, quantity, cost, realized, fees, opened_at = row
    table = "account_openings"
    return Opening(
        ticker=text_of(table, key, "ticker", key),
        count_e2=decode_column(table, key, "quantity", parse_change, quantity),
        cost_e6=decode_column(table, key, "cost", parse_money, cost),
        realized_e6=None if realized is None else decode_column(table, key, "realized", parse_money, realized),
        fees_e6=None if fees is None else decode_column(table, key, "fees", parse_money, fees),
        at_us=decode_column(table, key, "opened_at", from_iso, opened_at),
    )


def _look(row: tuple[Any, ...]) -> AccountLook:
    looked_at, first_at, balance, explained = row
    table = "account_look"
    return AccountLook(
        at_us=decode_column(table, 1, "looked_at", from_iso, looked_at),
        first_at_us=decode_column(table, 1, "first_at", from_iso, first_at),
        balance_e6=None if balance is None else decode_column(table, 1, "balance", parse_money, balance),
        explained_e6=None if explained is None else decode_column(table, 1, "explained", parse_money, explained),
    )


def _risk(row: tuple[Any, ...]) -> RiskState:
    state, why, since_at, day, *amounts = row
    table = "risk_state"
    found: dict[str, object] = {
        "state": state,
        "why": why,
        "since_us": decode_column(table, 1, "since_at", from_iso, since_at),
        "day": day,
    }
    for name, amount in zip(("day_start", "peak", "equity"), amounts, strict=True):
        found[f"{name}_e6"] = None if amount is None else decode_column(table, 1, name, parse_money, amount)
    return struct_of(RiskState, table, 1, tuple(found), tuple(found.values()))


def load_risk_log(
    connection: sqlite3.Connection, at_most: int | None, damage: list[str] | None = None
) -> list[RiskLogRow]:
    """Load the newest moves of the brake (None: all), the newest first. Damaged ones are named in `damage`; without it
    the first raises DamagedRow."""
    rows = connection.execute(_LOG, (-1 if at_most is None else at_most,))
    return list(decode_rows(rows, _log_row, damage))


def _log_row(row: tuple[Any, ...]) -> RiskLogRow:
    number, at, *words, figures = row
    at_us = decode_column("risk_log", number, "at", from_iso, at)
    values = (at_us, *words, text_of("risk_log", number, "figures", figures).encode())
    return struct_of(RiskLogRow, "risk_log", number, RiskLogRow.__struct_fields__, values)


def _shape(row: tuple[Any, ...]) -> EventShape:
    key, series, mutually_exclusive, tickers = row
    table = "event_shapes"
    if mutually_exclusive not in (0, 1):
        raise DamagedRow(table, key, "mutually_exclusive", f"is {mutually_exclusive}")
    return EventShape(
        event=text_of(table, key, "event", key),
        series=text_of(table, key, "series", series),
        mutually_exclusive=bool(mutually_exclusive),
        tickers=decode_column(table, key, "tickers", _TICKERS.decode, tickers),
    )
