"""The exchange's listings against a database file, read with nothing of ours but the wire and SQL.

What must not be comes back by kind: doubled, orphaned, lost, counted twice, over target, over cap, unfinished, wrong.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.values.units import format_count, format_money, format_price
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import Access, connect

KINDS: Final = ("doubled", "orphaned", "lost", "counted twice", "over target", "over cap", "unfinished", "wrong")

MISNAMED: Final = "misnamed"
"""Said and not held against the engine: an order that ended without a fill, under the id of an answer that lied."""


class Finding(NamedTuple):
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


class Held(msgspec.Struct, kw_only=True):
    """An execution as the database has it."""

    name: str
    state: str
    quarantine: str | None
    target: Decimal
    filled: Decimal
    worst: Decimal | None
    cap: Decimal | None


class Books(NamedTuple):
    orders: tuple[OrderReport, ...]
    fills: tuple[FillReport, ...]


async def listed(paper: PaperReady) -> Books:
    """What the exchange itself says, asked without the proxy. Raises VenueError."""
    async with connect(
        Access.by_urls(paper.rest_url, paper.ws_url, paper.api_key_id, SigningKey.load(Path(paper.private_key_path))),
        WallClock(system_us()),
        seed=1,
    ) as client:
        return Books((await client.fetch_orders()).orders, (await client.fetch_fills()).fills)


def compared(database: Path, books: Books) -> list[Finding]:
    """One look; everything is expected to have ended."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        held = [_held(connection, *row) for row in connection.execute(_EXECUTIONS)]
        children = {row[0]: row[1:] for row in connection.execute(_CHILDREN)}
        fills = connection.execute(_FILLS).fetchall()
    found = [Finding("unfinished", f"{one.name} is {one.state}") for one in held if not _has_ended(one)]
    found += _of_orders(books, children)
    found += _of_fills(books, fills)
    found += _of_executions(books, {one.name: one for one in held})
    return found


_EXECUTIONS: Final = "SELECT execution_id, state, quarantine, target_quantity, snapshot FROM execution_state"
_CHILDREN: Final = "SELECT client_order_id, order_id, state, filled_quantity FROM split_orders"
_FILLS: Final = "SELECT execution_id, order_id, fill_id, price, quantity, fee FROM fills"


def _held(
    connection: sqlite3.Connection, name: str, state: str, quarantine: str | None, target: str, snapshot: bytes
) -> Held:
    rows = connection.execute("SELECT filled_quantity FROM split_orders WHERE execution_id = ?", (name,))
    filled = sum((Decimal(row[0]) for row in rows), Decimal(0))
    limits = _limits(msgspec.json.decode(snapshot))
    worst = None if limits is None else Decimal(limits["worst_e4"]) / 10_000
    cap = None if limits is None else Decimal(limits["cap_e6"]) / 1_000_000
    return Held(
        name=name, state=state, quarantine=quarantine, target=Decimal(target), filled=filled, worst=worst, cap=cap
    )


def _limits(node: object) -> dict[str, int] | None:
    """Wherever they lie in a snapshot."""
    if isinstance(node, dict):
        if "worst_e4" in node and "cap_e6" in node:
            return node
        return next((found for value in node.values() if (found := _limits(value)) is not None), None)
    return None


def _has_ended(one: Held) -> bool:
    return one.state in ("filled", "cancelled") or one.quarantine is not None


def _of_orders(books: Books, children: dict[str, tuple[str | None, str, str]]) -> list[Finding]:
    often = Counter(order.client_order_id for order in books.orders)
    found = [Finding("doubled", f"{count} orders are called {name}") for name, count in often.items() if count > 1]
    for order in books.orders:
        name = order.client_order_id
        if name not in children:
            found.append(Finding("orphaned", f"{name} is at the exchange and not in the database"))
            continue
        order_id, state, filled = children[name]
        if order.status == "resting":
            found.append(Finding("orphaned", f"{name} rests at the exchange, it is {state} in the database"))
        if order_id != order.order_id and order_id is not None and not order.filled_e2 and order.status != "resting":
            found.append(Finding(MISNAMED, f"{name} came to nothing as {order.order_id}, and is {order_id} here"))
        elif order_id != order.order_id:
            found.append(Finding("lost", f"{name} is order {order.order_id} there and {order_id} here"))
        there = format_count(order.filled_e2)
        if Decimal(filled) != Decimal(there):
            kind = "lost" if Decimal(filled) < Decimal(there) else "counted twice"
            found.append(Finding(kind, f"{name} is filled {there} there and {filled} here"))
    return found


def _of_fills(books: Books, rows: list[tuple[str, str, str, str, str, str]]) -> list[Finding]:
    """By order: the fills of one may have two names, but not two sizes."""
    ours: dict[str, Counter[tuple[str, str, str]]] = {}
    for _, order_id, _, price, quantity, fee in rows:
        ours.setdefault(order_id, Counter())[(price, quantity, fee)] += 1
    theirs: dict[str, Counter[tuple[str, str, str]]] = {}
    for fill in books.fills:
        values = (format_price(fill.price_e4), format_count(fill.count_e2), format_money(fill.fee_e6))
        theirs.setdefault(fill.order_id, Counter())[values] += 1
    found = []
    for order_id in theirs.keys() | ours.keys():
        here, there = ours.get(order_id, Counter()), theirs.get(order_id, Counter())
        found += [Finding("lost", f"fill {fill} of order {order_id} is in no table") for fill in there - here]
        found += [Finding("counted twice", f"fill {fill} of order {order_id} was never made") for fill in here - there]
    return found


def _of_executions(books: Books, held: dict[str, Held]) -> list[Finding]:
    bought: Counter[str] = Counter()
    names = {order.order_id: order.client_order_id.split("-")[1] for order in books.orders}
    found = []
    for fill in books.fills:
        one = held.get(names.get(fill.order_id, ""))
        if one is None:
            continue
        bought[one.name] += fill.count_e2
        if one.worst is not None and one.cap is not None:
            count = Decimal(fill.count_e2) / 100
            price = Decimal(fill.price_e4) / 10_000
            # A fill's fee is rounded up to a ten-thousandth of a dollar as a whole.
            all_in = price + (Decimal(fill.fee_e6) / 1_000_000 - Decimal("0.0001")) / count
            if price > one.worst or all_in > one.cap:
                found.append(Finding("over cap", f"{one.name} paid {price} + {fill.fee_e6} of {count}"))
    for name, one in held.items():
        there = Decimal(bought[name]) / 100
        if there > one.target:
            found.append(Finding("over target", f"{name} bought {there} of {one.target}"))
        if there != one.filled:
            kind = "lost" if one.filled < there else "counted twice"
            found.append(Finding(kind, f"{name} counts {one.filled}, the exchange executed {there}"))
    return found
