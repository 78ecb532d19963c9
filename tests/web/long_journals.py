"""An execution with a long journal: it walks up and down, thousands of times, as no sane method does."""

from __future__ import annotations

from pathlib import Path

import trio
from msgspec.structs import replace

from fsm_exec.core.execution.advance import apply
from fsm_exec.core.execution.events import Amend, AmendAnswered, AnyEvent, AnyIntent, DecisionDue
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.store import open_virtual_store
from tests.store.histories import AT_US, INSTANCE, saves_of

STEP_US = 100_000


def fill_long(path: Path, rows: int) -> Execution:
    """A database with one execution `e1` whose journal has that many rows; what it comes to."""
    first, execution = saves_of("walking", "e1")
    saves = list(first)
    child = next(one for one in execution.children if one.state in ("resting", "partial"))
    at_us = saves[-1].journal.at_us
    view = replace(execution.arrival, feed="live")
    prices = [PriceE4(child.price_e4 - 100), child.price_e4]

    def learn(event: AnyEvent, *intents: AnyIntent) -> None:
        nonlocal execution
        step = apply(execution, event, intents)
        assert step is not None
        saves.append(save_of(execution, event, step))
        execution = step.execution

    while execution.seq < rows:
        at_us += STEP_US
        price = prices[execution.walks % 2]
        seen = replace(view, at_us=at_us, book_seq=execution.seq)
        learn(DecisionDue(at_us=at_us, view=seen), Amend(client_order_id=child.client_order_id, price_e4=price))
        if execution.seq == rows:
            break
        left = CountE2(child.count_e2 - child.counted_e2)
        learn(
            AmendAnswered(
                at_us=at_us + STEP_US // 2,
                client_order_id=child.client_order_id,
                order_id=child.order_id or "",
                filled_e2=child.counted_e2,
                remaining_e2=left,
            )
        )
    _store(path, saves)
    return execution


def _store(path: Path, saves: list[ExecutionSave]) -> None:
    async def main() -> None:
        async with open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=AT_US) as store:
            for save in saves:
                await store.save(save)

    trio.run(main)
