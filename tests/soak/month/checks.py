"""What must hold at the end of each day: books, orders, executions, alerts, and how much there is of everything."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import trio

from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S, MoneyE6, format_money
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper_session import PLAY_CASH_E6
from fsm_exec.runtime.engine import Engine
from tests.soak.month.markets import A_DAY
from tests.soak.month.schedule import Day
from tests.soak.month.trading import Order
from tests.soak.sizes import sizes, weights
from tests.soak.soaking import ROLLING

ALIKE_E6 = 100  # a ten-thousandth of a dollar
GRACE_US = 5 * US_PER_S
BOUNDED_TABLES = ("order_book_snapshots", "alerts", "execution_state", "execution_events", "split_orders", "fills")
"""Tables that must not grow for ever: they have a retention, or what is over moves into archives."""
LONG_WINDOWS = (*ROLLING, "Counts._measured", "EndedExecutions.ended", "OrderNames._client_ids")
"""The last thousands of orders and executions: twenty a day do not reach the bounds of these in a month."""
BY_MARKET = (
    "AccountPoller._marks",
    "AccountPoller._terms",
    "Gate._asked_us",
    "Health._periods",
    "Ledger._saves",
    "Ledger.facts",
    "Ledger.markets",
    "Ledger.shapes",
    "MarketPoller._frame_s",
    "OwnOrders._levels",
    "OwnOrders._resting",
    "SharedListings._locks",
    "TermsReader._volumes",
)
"""One for each market that was ever worked since the start, or for each of its sides; periods of trouble, two a day."""
SIDES = 2
ROOM_BYTES, DAY_BYTES = 50_000, 10_000  # of work under way; of what there is by market


@dataclass(frozen=True)
class Sample:
    """What there is of everything at the end of a day. `weight` is of what `held` counts, in bytes; `resident_bytes`
    are the process's, the paper exchange and its memory of every order with it."""

    held: Counter[str]
    weight: Counter[str]
    resident_bytes: int
    tasks: int
    files: int
    rows: dict[str, int]
    database_bytes: int
    cpu_s: float

    def __str__(self) -> str:
        kept = sum(self.held.values()), sum(self.weight.values()) // 1_000, self.resident_bytes // 1_000_000
        return (
            "{} held, {} kB, {} MB resident, ".format(*kept) + f"{self.tasks} tasks, {self.files} files, database "
            f"{self.database_bytes / 1e6:.1f} MB, rows {list(self.rows.values())}"
        )


def sample(engine: Engine, roots: Sequence[object], database: Path, cpu_s: float) -> Sample:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in BOUNDED_TABLES}
    return Sample(
        held=sizes(engine, *roots),
        weight=weights(engine, *roots),
        resident_bytes=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        tasks=trio.lowlevel.current_statistics().tasks_living,
        files=len(os.listdir("/proc/self/fd")),
        rows=rows,
        database_bytes=sum(file.stat().st_size for file in database.parent.glob(f"{database.name}*") if file.is_file()),
        cpu_s=cpu_s,
    )


def book_findings(engine: Engine, account: Account) -> list[str]:
    """Return how profit by our books differs from the exchange's, and what the exchange still has of ours."""
    assert engine.account is not None
    ours, theirs = engine.account.ledger.explained_e6(), account.cash_e6 - PLAY_CASH_E6
    found = []
    if abs(ours - theirs) > ALIKE_E6:
        found.append(f"profit: {format_money(ours)} by our books, {format_money(MoneyE6(theirs))} by the exchange's")
    found += [
        f"position: {held.count_e2} of {ticker} after it settled"
        for ticker, held in account.positions.items()
        if held.count_e2
    ]
    return found + [
        f"order {order.client_order_id} rests after the day"
        for resting in account.resting.values()
        for order in resting.values()
    ]


def execution_findings(database: Path, orders: Sequence[Order], now_us: int) -> list[str]:
    """Return which executions should have ended, or were never accepted, and which fills are not in the database."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        states = dict(
            connection.execute(
                "SELECT execution_id, state FROM execution_state WHERE state NOT IN ('filled', 'cancelled')"
            )
        )
    found = [
        f"{order.key} was never accepted, refused {order.refusals} times" for order in orders if not order.execution_id
    ]
    found += [
        f"{order.key}, {order.execution_id}, is {states[order.execution_id]} after its deadline"
        for order in orders
        if order.execution_id in states and order.deadline_us + GRACE_US < now_us
    ]
    names = [order.execution_id for order in orders if order.execution_id]
    if len(set(names)) != len(names):
        found.append("two keys have one execution")
    return found


def state_of(database: Path, execution_id: str) -> str | None:
    """Return the state of an execution; None: there is none."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT state FROM execution_state WHERE execution_id = ?"
        row = connection.execute(query, (execution_id,)).fetchone()
        return None if row is None else str(row[0])


def alerts_of(database: Path, day: Day) -> list[tuple[str, str]]:
    """Return the alerts of a day, each its kind and text, recoveries left out."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT kind, text FROM alerts WHERE NOT recovery AND at >= ? AND at < ?"
        return connection.execute(query, (to_iso(day.begins_us), to_iso(day.ends_us))).fetchall()


def growth_findings(samples: Sequence[Sample]) -> list[str]:
    """Return what there is more of at the end of the last day than at the end of the second; of two, than at the end of
    the first, but for rows: archives and retention have not yet begun to take away what is over."""
    early, last = samples[min(1, len(samples) - 2)], samples[-1]
    found = [
        f"{name} grew from {early.held[name]} to {held}"
        for name, held in last.held.items()
        if name not in LONG_WINDOWS and held > _most(name, early.held[name], len(samples))
    ]
    light, heavy = _lasting_bytes(early), _lasting_bytes(last)
    if heavy > light * 12 // 10 + ROOM_BYTES + DAY_BYTES * len(samples):
        by_name = (last.weight - early.weight).most_common(5)
        found.append(f"what is held grew from {light} to {heavy} bytes: {by_name}")
    found += [
        f"rows of {name} grew from {early.rows[name]} to {rows}"
        for name, rows in last.rows.items()
        if len(samples) > 2 and rows > early.rows[name] * 12 // 10 + 100
    ]
    if last.tasks > early.tasks + 5:
        found.append(f"tasks grew from {early.tasks} to {last.tasks}")
    if last.files > early.files + 2:
        found.append(f"open files grew from {early.files} to {last.files}")
    return found


def _lasting_bytes(of: Sample) -> int:
    return sum(weight for name, weight in of.weight.items() if name not in LONG_WINDOWS)


def _most(name: str, early: int, days: int) -> int:
    """Return how many there may be at the end of so many days."""
    return SIDES * A_DAY * days if name in BY_MARKET else early * 12 // 10 + 30
