"""The exchange's own books against the database, and the database against itself, when everything is at rest.

The exchange is asked by a client of its own, as its owner would ask: all orders and all fills of the account. Whatever
disagrees comes back as a line that begins with the kind of the fault.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.core.errors import VenueError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.core.values.units import format_count, format_money, format_price
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.lab.simulation.audit import stored_differences
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import Access, connect
from fsm_exec.store.reads.execution_reads import load_executions

OVER_BOUGHT = "over-bought: "
PAUSE_S = 1.0  # between two looks at an exchange that misbehaves


class Books(NamedTuple):
    """What the exchange holds."""

    orders: OrderListing
    fills: FillListing


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`wrong` has a line for each thing that must not be."""

    executions: int
    orders: int
    fills: int
    wrong: list[str]


def verdict(database: Path, paper: PaperReady, patience_s: float, *, lies: bool = False) -> Verdict:
    """Compare, again and again until all agree or `patience_s` are over: a listing of an exchange that misbehaves may
    be behind. `lies`: it may also have said that less was bought than was, so that more was bought."""
    return trio.run(_verdict, database, paper, patience_s, lies)


async def _verdict(database: Path, paper: PaperReady, patience_s: float, lies: bool) -> Verdict:
    found = Verdict(executions=0, orders=0, fills=0, wrong=["the exchange could not be asked"])
    with trio.move_on_after(patience_s):
        while found.wrong:
            try:
                books = await load_books(paper)
            except VenueError:
                await trio.sleep(PAUSE_S)
                continue
            found = compared(database, books, lies=lies)
            if found.wrong:
                await trio.sleep(PAUSE_S)
    return found


async def load_books(paper: PaperReady) -> Books:
    """All orders and fills of the account. Raises VenueError."""
    async with connect(
        Access.by_urls(paper.rest_url, paper.ws_url, paper.api_key_id, SigningKey.load(Path(paper.private_key_path))),
        WallClock(system_us()),
        seed=1,
    ) as client:
        return Books(await client.fetch_orders(), await client.fetch_fills())


def compared(database: Path, books: Books, *, lies: bool = False) -> Verdict:
    """One look. Everything in the database must have ended."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        wrong = stored_differences(connection)
        held = {s.execution_id: (decode_stored(s), s.quarantine) for s in load_executions(connection)}
        wrong += _orders(connection, books.orders) + _fills(connection, books)
    wrong += [line for line in _executions(held, books) if not (lies and line.startswith(OVER_BOUGHT))]
    return Verdict(executions=len(held), orders=len(books.orders.orders), fills=len(books.fills.fills), wrong=wrong)


def _orders(connection: sqlite3.Connection, listing: OrderListing) -> list[str]:
    """Every order at the exchange is known under its name and id, has ended, and there is one of a name."""
    rows = connection.execute("SELECT client_order_id, order_id, state, filled_quantity FROM split_orders")
    known = {name: rest for name, *rest in rows}
    names = Counter(order.client_order_id for order in listing.orders)
    wrong = [f"doubled: {count} orders are called {name}" for name, count in names.items() if count > 1]
    for order in listing.orders:
        name = order.client_order_id
        if name not in known:
            wrong.append(f"orphan: {name} is at the exchange and not in the database")
            continue
        order_id, state, filled = known[name]
        if order.status == "resting":
            wrong.append(f"orphan: {name} rests at the exchange, it is {state} in the database")
        if order_id != order.order_id:
            wrong.append(f"lost order: {name} is {order.order_id} at the exchange and {order_id} in the database")
        if filled != format_count(order.filled_e2):
            wrong.append(f"filled: {name} is filled {format_count(order.filled_e2)} there and {filled} here")
    there = {order.client_order_id for order in listing.orders}
    wrong += [
        f"invented: {name} was accepted as {row[0]}, the exchange has no such order"
        for name, row in known.items()
        if row[0] is not None and name not in there
    ]
    return wrong


def _fills(connection: sqlite3.Connection, books: Books) -> list[str]:
    """Every fill is in the database once, as it was, and nothing else is."""
    rows = connection.execute("SELECT order_id, fill_id, price, quantity, fee FROM fills").fetchall()
    ours = {(order_id, fill_id): tuple(values) for order_id, fill_id, *values in rows}
    theirs = {
        (f.order_id, f.fill_id): (format_price(f.price_e4), format_count(f.count_e2), format_money(f.fee_e6))
        for f in books.fills.fills
    }
    wrong = [] if len(rows) == len(ours) else [f"double-counted: {len(rows) - len(ours)} fills are stored twice"]
    for key in theirs.keys() | ours.keys():
        if key not in ours:
            wrong.append(f"lost fill: {key} is at the exchange and not in the database")
        elif key not in theirs:
            wrong.append(f"invented fill: {key} is in the database and not at the exchange")
        elif ours[key] != theirs[key]:
            wrong.append(f"fill: {key} is {theirs[key]} there and {ours[key]} here")
    return wrong


def _executions(held: dict[str, tuple[Execution, str | None]], books: Books) -> list[str]:
    """Each has ended, counts what the exchange executed for it, and did not buy too much."""
    names = {order.order_id: parse_order_name(order.client_order_id) for order in books.orders.orders}
    bought: Counter[str] = Counter()
    for fill in books.fills.fills:
        named = names.get(fill.order_id)
        if named is not None:
            bought[named.execution_id] += fill.count_e2
    wrong = []
    for name, (execution, quarantine) in held.items():
        if quarantine is not None:
            wrong.append(f"quarantined: {name}: {quarantine}")
        elif not execution.is_ended:
            wrong.append(f"unfinished: {name} is {execution.state}")
        if bought[name] > execution.target_e2:
            wrong.append(f"{OVER_BOUGHT}{name}: {bought[name]} of {execution.target_e2}")
        if execution.filled_e2 != bought[name]:
            kind = "double-counted" if execution.filled_e2 > bought[name] else "lost"
            wrong.append(f"{kind}: {name} counts {execution.filled_e2}, the exchange executed {bought[name]}")
    return wrong
