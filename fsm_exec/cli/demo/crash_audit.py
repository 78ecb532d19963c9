"""The audit reads the database of a killed engine from outside and compares it with the exchange's books."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.cli.demo.results import differences
from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingAmend
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.runtime.engine import EndedExecution
from fsm_exec.store.reads.execution_reads import load_executions, load_metrics

KINDS: Final = ("live", "unknown", "amending", "cancelling", "settling")
"""The kinds of orders that have not ended. unknown: sent and unconfirmed, so that a restart must look them up;
amending: live, with an amendment sent."""


class UnfinishedWork(msgspec.Struct, frozen=True, kw_only=True):
    """The unfinished executions of a database, and their orders that have not ended, by client order id."""

    executions: int
    orders: dict[str, str]

    def count(self, kind: str) -> int:
        return sum(each == kind for each in self.orders.values())


class OrderFates(msgspec.Struct, frozen=True, kw_only=True):
    """The fates of the orders that were live at a kill, as the next start knows them when it is ready. `adopted`: live,
    and worked on; `ended`: filled or cancelled since; `asking`: not proven yet, so nothing is done about them."""

    adopted: int
    ended: int
    asking: int


def kind_of(child: ChildOrder) -> str:
    """Return one of KINDS; the child is open."""
    if child.state in ("intended", "unknown"):
        return "unknown"
    if child.state in ("cancelling", "settling"):
        return child.state
    return "amending" if isinstance(child.write, PendingAmend) else "live"


def load_saved(database: Path) -> list[EndedExecution]:
    """Load every execution as its last save says, with its metrics where there are any; none while there is no
    database."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            return [
                EndedExecution(decode_stored(row), load_metrics(connection, row.execution_id), row.quarantine)
                for row in load_executions(connection)
            ]
    except sqlite3.OperationalError:  # not there yet, or its tables are not
        return []


def unfinished_work(found: list[EndedExecution]) -> UnfinishedWork:
    working = [each.execution for each in found if not each.execution.is_ended]
    children = [child for execution in working for child in execution.children if child.is_open]
    return UnfinishedWork(
        executions=len(working),
        orders={child.client_order_id: kind_of(child) for child in children},
    )


def order_fates(before: UnfinishedWork, found: list[EndedExecution]) -> OrderFates:
    now = unfinished_work(found).orders
    kinds = [now.get(name) for name in before.orders]
    return OrderFates(
        adopted=sum(kind not in (None, "unknown") for kind in kinds),
        ended=kinds.count(None),
        asking=kinds.count("unknown"),
    )


def disagreements(found: list[EndedExecution], orders: OrderListing, fills: FillListing, instance: str) -> list[str]:
    """Return where the database and the exchange's own listings differ, one line each: orders doubled, orphaned or not
    known, fills lost, invented or counted twice, too much bought, executions that did not end."""
    wrong = differences(found, orders, fills, instance)
    known = {child.client_order_id: child for each in found for child in each.execution.children}
    names = Counter(order.client_order_id for order in orders.orders)
    wrong += [f"{count} orders at the exchange are called {name}" for name, count in names.items() if count > 1]
    for order in orders.orders:
        child = known.get(order.client_order_id)
        if child is None:
            wrong.append(f"order {order.client_order_id} is at the exchange and not in the database")
        elif (child.order_id, child.filled_e2) != (order.order_id, order.filled_e2):
            wrong.append(
                f"order {order.client_order_id} is {order.order_id}, filled {order.filled_e2}, at the exchange and "
                f"{child.order_id}, filled {child.filled_e2}, in the database"
            )
    bought = _bought_by_execution(orders, fills)
    for each in found:
        wrong += _execution_differences(each.execution, each.quarantine, bought[each.execution.execution_id])
    return wrong


def _bought_by_execution(orders: OrderListing, fills: FillListing) -> Counter[str]:
    """Count hundredths of contracts by execution, as the exchange says."""
    owners = {order.order_id: parse_order_name(order.client_order_id) for order in orders.orders}
    bought: Counter[str] = Counter()
    for fill in fills.fills:
        owner = owners.get(fill.order_id)
        if owner is not None:
            bought[owner.execution_id] += fill.count_e2
    return bought


def _execution_differences(execution: Execution, quarantine: str | None, bought_e2: int) -> list[str]:
    name = execution.execution_id
    wrong = [] if quarantine is None else [f"{name} was quarantined: {quarantine}"]
    if not execution.is_ended:
        wrong.append(f"{name} has not ended, it is {execution.state}")
    if bought_e2 > execution.target_e2:
        wrong.append(f"{name} bought {bought_e2} of {execution.target_e2} hundredths of contracts")
    if bought_e2 != execution.filled_e2:
        wrong.append(f"{name} counts {execution.filled_e2} hundredths of contracts, the exchange {bought_e2}")
    return wrong
