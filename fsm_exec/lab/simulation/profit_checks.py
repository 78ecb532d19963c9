"""Invariant 15, at the end of a history: what our books say was held and won is what the exchange's own books say."""

from __future__ import annotations

import sqlite3

from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.account.rows import holding_of
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.store.reads.account_reads import load_all_books

ALIKE_E6 = 100  # a ten-thousandth of a dollar
HELD = ("contracts", "cost", "fees")


def profit_differences(connection: sqlite3.Connection, account: Account, witness: Witness) -> list[str]:
    """Return what differs, by market. Markets in which something was traded that no execution did are left out: an
    engine that looks at no account does not hear of it, one that does needs some looks."""
    books = {each.ticker: holding_of(each) for each in load_all_books(connection)}
    by_others = {fill.order.ticker for fill in account.fills if fill.order.client_order_id in witness.foreign}
    traded = {fill.order.ticker for fill in account.fills}
    found = []
    for ticker in sorted((traded | books.keys()) - by_others):
        ours = books.get(ticker)
        here = _figures(NOTHING if ours is None else ours.holding)
        there = _exchange_figures(account, ticker, ended=ours is not None and ours.settlement is not None)
        for name, mine in here.items():
            if name in there and abs(mine - there[name]) > (0 if name == "contracts" else ALIKE_E6):
                found.append(f"15: {name} of {ticker}: {mine} by our books, {there[name]} by the exchange's")
    return found


def ledger_differences(connection: sqlite3.Connection, ledger: Ledger) -> list[str]:
    """Return in which markets the books of a running engine are not those of its database."""
    found = []
    for each in load_all_books(connection):
        stored, here = holding_of(each), ledger.markets.get(each.ticker)
        if here is None or (here.holding, here.by_hand_e2) != (stored.holding, stored.by_hand_e2):
            found.append(f"15: the engine has {here} of {each.ticker}, its database {stored}")
    return found


def positions_by_hand_differences(connection: sqlite3.Connection, account: Account, witness: Witness) -> list[str]:
    """Return in which of the markets that `profit_differences` leaves out another count is held than by our books."""
    books = {each.ticker: holding_of(each).holding.count_e2 for each in load_all_books(connection)}
    by_others = sorted({fill.order.ticker for fill in account.fills if fill.order.client_order_id in witness.foreign})
    return [
        f"15: contracts of {ticker}: {books.get(ticker, 0)} by our books, {there} by the exchange's"
        for ticker in by_others
        if books.get(ticker, 0) != (there := account.position(ticker).count_e2)
    ]


def _figures(holding: Holding) -> dict[str, int]:
    return {
        "contracts": holding.count_e2,
        "cost": holding.cost_e6,
        "fees": holding.fees_e6,
        "realized profit": holding.realized_e6,
    }


def _exchange_figures(account: Account, ticker: str, *, ended: bool) -> dict[str, int]:
    """As of now; or, where the market has settled and our books do not have it yet (`ended`), as of just before, of
    which the realised profit is not kept."""
    for settled in account.settlements:
        if settled.ticker == ticker and not ended:
            return dict(zip(HELD, (settled.count_e2, settled.cost_e6, settled.fees_e6), strict=True))
    position = account.position(ticker)
    figures = dict(zip(HELD, (position.count_e2, position.cost_e6, position.fees_e6), strict=True))
    return {**figures, "realized profit": position.realized_e6}
