"""The comparison that the kill tests rest on sees whatever it is there to see."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from fsm_exec.cli.demo.crash_audit import load_saved
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.values.units import CountE2
from tests.chaos.books import Books, compared
from tests.cli.invoking import invoke
from tests.cli.mirror import mirrored

DEMO = ("demo", "--speed", "max", "--executions", "4", "--db", "d.sqlite", "--json")
replace = msgspec.structs.replace


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    """Orders doubled, orphaned, lost and invented; fills lost, invented, told otherwise and counted twice; too much
    bought; an execution quarantined or not ended; rows that are not their journal's. And nothing where all agree."""
    assert invoke(tmp_path, *DEMO).returncode == 0
    database = tmp_path / "d.sqlite"
    orders, fills = mirrored(load_saved(database))

    def kinds(orders: tuple[OrderReport, ...], fills: tuple[FillReport, ...], tampered: str = "") -> set[str]:
        copy = tmp_path / "copy.sqlite"
        shutil.copy(database, copy)
        with closing(sqlite3.connect(copy)) as connection:
            connection.executescript(f"PRAGMA foreign_keys = OFF; {tampered}")
        books = Books(OrderListing(as_of_us=0, orders=orders), FillListing(as_of_us=0, fills=fills))
        return {line.partition(":")[0] for line in compared(copy, books).wrong}

    filled = next(order for order in orders if order.filled_e2)
    rest = tuple(order for order in orders if order is not filled)
    stranger = replace(filled, client_order_id=filled.client_order_id.rpartition("-")[0] + "-99", order_id="x")
    more = replace(fills[0], fill_id="more", count_e2=CountE2(10**9))
    assert kinds(orders, fills) == set()
    assert "doubled" in kinds((*orders, replace(filled, order_id="another")), fills)
    assert "orphan" in kinds((*orders, stranger), fills)
    assert "orphan" in kinds((*rest, replace(filled, status="resting")), fills)
    assert "lost order" in kinds((*rest, replace(filled, order_id="another")), fills)
    assert "invented" in kinds(rest, fills)
    assert "filled" in kinds((*rest, replace(filled, filled_e2=CountE2(1))), fills)
    assert {"lost fill", "over-bought", "lost"} <= kinds(orders, (*fills, more))
    assert {"invented fill", "double-counted"} <= kinds(orders, fills[1:])
    assert "fill" in kinds(orders, (replace(fills[0], count_e2=CountE2(fills[0].count_e2 + 1)), *fills[1:]))
    assert {"lost fill", "6"} <= kinds(orders, fills, "DELETE FROM fills WHERE rowid = (SELECT min(rowid) FROM fills)")
    assert "quarantined" in kinds(orders, fills, "UPDATE execution_state SET quarantine = 'why'")
    shorter = "DELETE FROM execution_events WHERE seq = (SELECT max(seq) FROM execution_events)"
    assert "6" in kinds(orders, fills, shorter)
