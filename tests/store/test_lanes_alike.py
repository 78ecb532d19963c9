"""The two lanes are one store: the same operations leave the same rows and the same refusals."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm_exec.core.errors import SaveRefused
from fsm_exec.core.store_port import Store
from fsm_exec.store import SqliteStore, open_live_store, open_virtual_store

if TYPE_CHECKING:
    from tests.store.conftest import Samples

TABLES = ("execution_state", "execution_events", "split_orders", "fills", "execution_metrics")

Operation: TypeAlias = tuple[str, int]

OPERATIONS = st.tuples(
    st.sampled_from(["save", "save with child", "save with fill", "metrics", "bad metrics", "quarantine", "bad state"]),
    st.sampled_from([1, 1, 1, 0, 2]),  # steps beyond the last one that was saved: 1 is right
)
# In one round every execution does one thing, all at the same time.
ROUNDS = st.lists(st.dictionaries(st.sampled_from(["e1", "e2", "e3"]), OPERATIONS), max_size=8)


async def perform(store: Store, samples: Samples, execution_id: str, kind: str, number: int) -> None:
    """`number` is the sequence number of a save."""
    own_id = f"fxaaaaaaaaaa-{execution_id}-1-1"
    match kind:
        case "save":
            await store.save(samples.save(execution_id, number, snapshot=b"%d" % number))
        case "save with child":
            await store.save(samples.save(execution_id, number, children=(samples.child(own_id),)))
        case "save with fill":
            fill = samples.fill(f"{execution_id}-f{number % 2}", client_order_id=own_id)
            await store.save(samples.save(execution_id, number, fills=(fill,)))
        case "metrics":
            await store.save_metrics(samples.metrics(execution_id), samples.at_us + number)
        case "bad metrics":
            await store.save_metrics(samples.metrics(execution_id, spread_e7=99), samples.at_us)
        case "quarantine":
            await store.quarantine(execution_id, f"why {number}", samples.at_us + number)
        case _:
            await store.save(samples.save(execution_id, number, state="nonsense"))


async def run(
    opened: AbstractAsyncContextManager[SqliteStore], samples: Samples, rounds: list[dict[str, Operation]]
) -> list[object]:
    """Which operations were refused, and what the port then reads."""
    refused: list[object] = []
    last = dict.fromkeys(("e1", "e2", "e3"), 0)
    async with opened as store:
        for number, operations in enumerate(rounds):

            async def attempt(execution_id: str, operation: Operation, number: int = number) -> None:
                kind, steps = operation
                try:
                    await perform(store, samples, execution_id, kind, last[execution_id] + steps)
                except SaveRefused:
                    assert kind != "save" or steps != 1, "a step that is in order was refused"
                    refused.append((number, execution_id))
                else:
                    assert not kind.startswith("save") or steps == 1, "a step that is out of order was taken"
                    last[execution_id] += kind.startswith("save")

            async with trio.open_nursery() as nursery:
                for execution_id, operation in operations.items():
                    nursery.start_soon(attempt, execution_id, operation)
        read: list[object] = [await store.load_executions(), await store.load_unfinished()]
        for execution_id in ("e1", "e2", "e3"):
            read += [await store.load_journal(execution_id), await store.load_metrics(execution_id)]
    return [sorted(refused, key=str), *read]


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of the journal's positions that they count up without a gap: which of several tasks that save at once is first
    is the scheduler's to say."""
    with closing(sqlite3.connect(path)) as connection:
        found = {table: list(connection.execute(f"SELECT * FROM {table}")) for table in TABLES}
    journal = found["execution_events"]
    assert sorted(position for position, *_ in journal) == list(range(1, len(journal) + 1))
    found["execution_events"] = [row for _, *row in journal]
    return {table: sorted(rows, key=str) for table, rows in found.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS)
async def test_the_lanes_behave_alike(
    rounds: list[dict[str, Operation]], samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """Any sequence of operations, legal or not, is refused at the same places and leaves the same contents in memory,
    in a file through trio's thread, and in a file through the worker thread."""
    at_us = samples.at_us
    with tempfile.TemporaryDirectory() as directory:
        virtual, live = Path(directory) / "virtual.db", Path(directory) / "live.db"
        in_memory = await run(open_virtual_store(None, draw_instance=draw_instance, at_us=at_us), samples, rounds)
        in_virtual = await run(open_virtual_store(virtual, draw_instance=draw_instance, at_us=at_us), samples, rounds)
        in_live = await run(open_live_store(live, draw_instance=draw_instance, at_us=at_us), samples, rounds)
        assert in_memory == in_virtual == in_live
        assert contents(virtual) == contents(live)
