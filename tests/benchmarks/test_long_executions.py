"""An execution that lives long: what a fact costs after ten fills, and after ten thousand."""

from __future__ import annotations

import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fsm_exec.core.algorithm.algorithm import PlaceAction
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import AnyEvent, DecisionDue, FillReported, OrderAccepted
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import PartsTotal
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4
from fsm_exec.store import open_virtual_store
from fsm_exec.store.batch import write_batch
from fsm_exec.store.jobs import rows_of
from fsm_exec.store.reads.execution_reads import load_execution
from tests.core.conftest import Scripted, World

LENGTHS = (10, 100, 1_000, 10_000)
FILLS_AN_ORDER = {"one order": 10**9, "orders of ten fills each": 10}
A_FILL_E2 = 100
STEP_US = 1_000
BYTES_GROW_AT_MOST = 1.1  # of a fill, each time there are ten times as many, from a hundred on


class Cost(msgspec.Struct):
    """What the facts of one execution cost. `written` are the bytes handed to the database."""

    facts: int = 0
    written: int = 0
    cpu_s: float = 0


class Life:
    """One execution, decided and saved as an actor does it, on a database of its own."""

    def __init__(self, path: Path, fills: int, fills_an_order: int) -> None:
        self.cost = Cost()
        self.now_us = World.t0_us
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.execution: Execution | None = None
        self._total: PartsTotal | None = None
        self._script = Scripted()
        self._order_e2 = min(fills, fills_an_order) * A_FILL_E2
        self.tell(World.submitted(target_e2=fills * A_FILL_E2 + self._order_e2))

    def tell(self, event: AnyEvent) -> None:
        begun = time.thread_time()
        step = advance(self.execution, event, self._script)
        assert step is not None
        save = save_of(self.execution, event, step, self._total)
        assert write_batch(self.connection, [save]) == [None]
        self.cost.cpu_s += time.thread_time() - begun
        self.cost.facts += 1
        self.cost.written += sum(len(str(value)) for _, row in rows_of(save) for value in row)
        self.execution, self._total = step.execution, save.parts_total

    def place(self) -> None:
        """An order rests."""
        assert self.execution is not None
        self.now_us += STEP_US
        order = PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(self._order_e2))
        self._script.counts_e2 = (self.execution.target_e2,)
        self._script.wishes = (order,)
        self.tell(DecisionDue(at_us=self.now_us, view=World.view(self.now_us)))
        self._script.wishes = ()
        child = self.execution.children[-1]
        name = child.client_order_id
        left, nothing = child.count_e2, CountE2(0)
        accepted = OrderAccepted(
            at_us=self.now_us, client_order_id=name, order_id=f"at-{name}", filled_e2=nothing, remaining_e2=left
        )
        self.tell(accepted)

    def fill(self, number: int) -> None:
        """A frame tells of a fill of the newest order."""
        assert self.execution is not None
        self.now_us += STEP_US
        child = self.execution.children[-1]
        event = FillReported(
            at_us=self.now_us,
            client_order_id=child.client_order_id,
            order_id=f"at-{child.client_order_id}",
            fill_id=f"trade-{number:08}",
            trade_id=f"trade-{number:08}",
            outcome="yes",
            count_e2=CountE2(A_FILL_E2),
            price_e4=child.price_e4,
            fee_e6=MoneyE6(0),
            is_taker=False,
            traded_at_us=self.now_us,
            mid_e5=50_500,
        )
        self.tell(event)


async def live(path: Path, fills: int, fills_an_order: int) -> Cost:
    """The whole life of an execution with so many fills. What is stored at its end is what it came to."""
    async with open_virtual_store(path, draw_instance=lambda: "a" * 10, at_us=0):
        pass
    life = Life(path, fills, fills_an_order)
    with closing(life.connection) as connection:
        for number in range(fills):
            if number % fills_an_order == 0:
                life.place()
            life.fill(number)
        stored = load_execution(connection, "e1")
        assert stored is not None
        assert decode_stored(stored) == life.execution
        assert life.execution is not None
        assert len(life.execution.fills) == fills
    return life.cost


@pytest.mark.parametrize("kind", FILLS_AN_ORDER)
async def test_what_a_fill_costs_does_not_grow_with_the_fills_before_it(
    kind: str, tmp_path: Path, figures: list[str]
) -> None:
    """The bytes written grow with the number of fills and not with its square; so does, nearly, the processor time."""
    costs = {fills: await live(tmp_path / f"{fills}.sqlite", fills, FILLS_AN_ORDER[kind]) for fills in LENGTHS}
    told = ", ".join(
        f"{fills:,}: {cost.written / fills:,.0f} B, {cost.cpu_s / fills * 1e6:,.0f} us CPU"
        for fills, cost in costs.items()
    )
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    figures.append(f"an execution with fills in {kind}, a fill at {told} ({rss_mb:.0f} MB resident)")
    written = {fills: cost.written / fills for fills, cost in costs.items()}
    for fewer, more in ((100, 1_000), (1_000, 10_000)):
        assert written[more] < BYTES_GROW_AT_MOST * written[fewer], written
