"""What must be true when a simulated history is at rest: every book against every other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.journal.consistency import row_differences, snapshot_differences
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION, decode_entry
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_MS, format_count, format_money, format_price
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.store.reads.execution_reads import load_children, load_executions, load_fills, load_journal

NOBODY: frozenset[str] = frozenset()
DRAWN = "a contradiction that was drawn"  # a reason for quarantine that is no finding


def stored_differences(connection: sqlite3.Connection) -> list[str]:
    """Invariant 6: every snapshot is the fold of its journal, byte for byte, and so are the rows beside it."""
    found: list[str] = []
    for stored in load_executions(connection):
        name = stored.execution_id
        try:
            rows = load_journal(connection, name)
            folded = fold(decode_entry(row.event, row.intents, row.version) for row in rows)
            differences = snapshot_differences(stored.snapshot, folded, SNAPSHOT_VERSION, parts=stored.parts)
        except LocalError as error:
            found.append(f"6: {name}: {error}")
            continue
        differences += row_differences(folded, load_children(connection, name), load_fills(connection, name))
        found += [f"6: {name}: {line}" for line in differences]
    return found


def fill_differences(connection: sqlite3.Connection, account: Account, orphans: AbstractSet[str] = NOBODY) -> list[str]:
    """Invariant 3: every fill at the exchange is in the database once, as it was (price, count, fee, role, time), and
    nothing else is."""
    ours = {
        (order_id, trade_id): (*values, bool(is_taker), from_iso(traded_at) // US_PER_MS)
        for order_id, trade_id, *values, is_taker, traded_at in connection.execute(
            "SELECT order_id, COALESCE(trade_id, fill_id), client_order_id, price, quantity, fee, is_taker, traded_at "
            "FROM fills"
        )
    }
    theirs = {
        (fill.order.order_id, fill.trade_id): (
            fill.order.client_order_id,
            format_price(fill.price_e4),
            format_count(fill.count_e2),
            format_money(fill.fee_e6),
            fill.is_taker,
            fill.at_us // US_PER_MS,  # the stream carries no finer time
        )
        for fill in account.fills
        if fill.order.client_order_id not in orphans
    }
    found = []
    for key in dict.fromkeys((*theirs, *ours)):
        if key not in ours:
            found.append(f"3: fill {key[1]} of {theirs[key][0]} is at the exchange and not in the database")
        elif key not in theirs:
            found.append(f"3: fill {key[1]} of {ours[key][0]} is in the database and not at the exchange")
        elif ours[key] != theirs[key]:
            found.append(f"3: fill {key[1]} is {theirs[key]} at the exchange and {ours[key]} in the database")
    return found


def order_differences(
    connection: sqlite3.Connection, account: Account, instance: str, orphans: AbstractSet[str] = NOBODY
) -> list[str]:
    """Invariant 4, and nothing lost: when all executions have ended no order of this instance rests, and every order at
    the exchange is known as ended, with the same count filled. Nobody has to know `orphans`."""
    known = {
        name: (state, filled)
        for name, state, filled in connection.execute(
            "SELECT client_order_id, state, filled_quantity FROM split_orders"
        )
    }
    found = []
    for order in account.orders:
        name = order.client_order_id
        if not name.startswith(f"fx{instance}-"):
            continue
        if order.status == "resting":
            found.append(f"4: order {name} rests although everything has ended")
        if name not in known:
            if name not in orphans:
                found.append(f"4: order {name} is at the exchange and not in the database")
            continue
        state, filled = known[name]
        if filled != format_count(order.filled_e2):
            found.append(f"3: order {name} is filled {format_count(order.filled_e2)} there and {filled} here")
        if state == "rejected":
            found.append(f"4: order {name} is rejected here and was accepted there")
    return found


def late_fills(connection: sqlite3.Connection, booked_late: AbstractSet[str]) -> list[str]:
    """Invariant 3: a fill counts as late only if its order's end had been published before it was made, as of the
    orders `booked_late`."""
    rows = connection.execute("SELECT fill_id, order_id, client_order_id FROM fills WHERE late")
    return [
        f"3: fill {fill_id} of {name} came too late for its order, which ended with it"
        for fill_id, order_id, name in rows
        if order_id not in booked_late
    ]


def known_late(
    connection: sqlite3.Connection, account: Account, before_us: int, ignored: AbstractSet[str]
) -> list[str]:
    """What happened at the exchange before `before_us` and is not known: fills, and the ends of orders."""
    fills = {tuple(row) for row in connection.execute("SELECT order_id, fill_id FROM fills")}
    states = dict(connection.execute("SELECT client_order_id, state FROM split_orders").fetchall())
    found = [
        f"3: fill {fill.trade_id} of {fill.order.client_order_id} is not known"
        for fill in account.fills
        if fill.at_us < before_us
        and (fill.order.order_id, fill.trade_id) not in fills
        and fill.order.client_order_id not in ignored
    ]
    found += [
        f"4: order {order.client_order_id} has ended at the exchange and is {state} here"
        for order in account.orders
        if order.status != "resting"
        and order.updated_us < before_us
        and order.client_order_id not in ignored
        and (state := states.get(order.client_order_id)) in ("resting", "partial", "unknown")
    ]
    return found


def not_taken_in(
    connection: sqlite3.Connection,
    account: Account,
    executions: Sequence[str],
    before_us: int,
    owner: Callable[[str], str | None],
) -> list[str]:
    """An engine runs when each of its `executions` has taken in what it missed: every fill made before `before_us`."""
    fills = {tuple(row) for row in connection.execute("SELECT order_id, fill_id FROM fills")}
    given_up = orders_given_up(connection)
    return [
        f"3: the engine runs, and fill {fill.trade_id} of {fill.order.client_order_id} from before is not known"
        for fill in account.fills
        if fill.at_us < before_us
        and (fill.order.order_id, fill.trade_id) not in fills
        and owner(fill.order.client_order_id) in executions
        and fill.order.client_order_id not in given_up
    ]


def reasons(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """(execution, reason) of all that have ended."""
    rows = connection.execute(
        "SELECT execution_id, reason FROM execution_state WHERE reason IS NOT NULL ORDER BY execution_id"
    )
    return [(name, reason) for name, reason in rows]


def worth_e6(exchange: Exchange) -> int:
    """Invariant 12: the cash of all accounts, a dollar for each pair of contracts, and the fees are constant, but for
    what came from outside."""
    accounts = [exchange.settlement.crowd, *exchange.accounts.values()]
    total = sum(account.cash_e6 for account in accounts) + exchange.settlement.fees_e6
    total -= exchange.settlement.transferred_e6
    for ticker in exchange.markets:
        held = [account.position(ticker).count_e2 for account in accounts]
        total += sum(count for count in held if count > 0) * 10_000
    return total


def unbalanced(exchange: Exchange) -> list[str]:
    """Invariant 12: for every YES contract an account holds the NO."""
    accounts = [exchange.settlement.crowd, *exchange.accounts.values()]
    sums = {ticker: sum(account.position(ticker).count_e2 for account in accounts) for ticker in exchange.markets}
    return [f"12: the contracts of {ticker} add up to {total}" for ticker, total in sums.items() if total]


def quarantined(connection: sqlite3.Connection) -> list[str]:
    """No truthful exchange and no death of ours may bring an execution to where only a person can help:
    only a contradiction that was drawn does."""
    return [f"{name} was quarantined: {why}" for name, why in given_up(connection)]


def given_up(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """(execution, why) of those that are quarantined for anything but a contradiction that was drawn."""
    rows = connection.execute("SELECT execution_id, quarantine FROM execution_state WHERE quarantine IS NOT NULL")
    return [(name, why) for name, why in rows if DRAWN not in why]


def was_contradicted(connection: sqlite3.Connection, execution_id: str) -> bool:
    """Whether it is quarantined for a contradiction that was drawn."""
    row = connection.execute(
        "SELECT 1 FROM execution_state WHERE execution_id = ? AND instr(quarantine, ?)", (execution_id, DRAWN)
    ).fetchone()
    return row is not None


def orders_given_up(connection: sqlite3.Connection) -> set[str]:
    """Those of executions that wait for a person."""
    rows = connection.execute(
        "SELECT client_order_id FROM split_orders WHERE execution_id IN "
        "(SELECT execution_id FROM execution_state WHERE quarantine IS NOT NULL)"
    )
    return {name for (name,) in rows}


def unfinished(connection: sqlite3.Connection, *, quarantined_too: bool = False) -> list[tuple[str, int]]:
    """(execution, deadline in microseconds) of those that have not ended and that only the engine can bring to it, or
    all of them."""
    rows = connection.execute(
        "SELECT execution_id, deadline FROM execution_state WHERE state NOT IN ('filled', 'cancelled') "
        "AND (quarantine IS NULL OR instr(quarantine, ?) OR ?) ORDER BY execution_id",
        (DRAWN, quarantined_too),
    )
    return [(name, from_iso(deadline)) for name, deadline in rows]
