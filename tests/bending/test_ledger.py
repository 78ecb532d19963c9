"""The comparison that the harness rests on sees whatever it is there to see."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from fsm_exec.cli.demo.crash_audit import load_saved
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.values.units import CountE2, PriceE4
from tests.bending.ledger import MISNAMED, Books, compared
from tests.cli.invoking import invoke
from tests.cli.mirror import mirrored

DEMO = ("demo", "--speed", "max", "--executions", "4", "--db", "d.sqlite", "--json")
replace = msgspec.structs.replace


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    """Doubled, orphaned, lost, counted twice, over target, over cap, unfinished; and nothing where all agree."""
    assert invoke(tmp_path, *DEMO).returncode == 0
    database = tmp_path / "d.sqlite"
    orders, fills = mirrored(load_saved(database))

    def kinds(orders: tuple[OrderReport, ...], fills: tuple[FillReport, ...], tampered: str = "") -> set[str]:
        copy = tmp_path / "copy.sqlite"
        shutil.copy(database, copy)
        if tampered:
            with closing(sqlite3.connect(copy)) as connection, connection:
                connection.execute(tampered)
        return {finding.kind for finding in compared(copy, Books(orders, fills))}

    filled = next(order for order in orders if order.filled_e2)
    rest = tuple(order for order in orders if order is not filled)
    stranger = replace(filled, client_order_id=filled.client_order_id.rpartition("-")[0] + "-99", order_id="x")
    more = replace(fills[0], fill_id="more", count_e2=CountE2(10**9))
    dear = replace(fills[0], price_e4=PriceE4(9_900))
    assert kinds(orders, fills) == set()
    assert "doubled" in kinds((*orders, replace(filled, order_id="another")), fills)
    assert "orphaned" in kinds((*orders, stranger), fills)
    assert "orphaned" in kinds((*rest, replace(filled, status="resting")), fills)
    assert "lost" in kinds((*rest, replace(filled, order_id="another")), fills)
    assert MISNAMED in kinds((*rest, replace(filled, order_id="another", filled_e2=CountE2(0))), fills)
    assert "counted twice" in kinds((*rest, replace(filled, filled_e2=CountE2(1))), fills)
    assert {"lost", "over target"} <= kinds(orders, (*fills, more))
    assert "counted twice" in kinds(orders, fills[1:])
    assert "over cap" in kinds(orders, (dear, *fills[1:]))
    assert kinds(orders, fills, "DELETE FROM fills WHERE rowid = (SELECT min(rowid) FROM fills)") == {"lost"}
    assert kinds(orders, fills, "UPDATE execution_state SET state = 'walking', reason = NULL") == {"unfinished"}
