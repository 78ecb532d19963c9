"""Durable transitions a second with a thousand executions in flight, beside what SQLite alone needs for their rows.

No timing fails a test: the machine is not ours to judge. What must hold is that the work was really done.
"""

from __future__ import annotations

import json
import random
import statistics
from functools import partial
from pathlib import Path

import pytest
import trio
from pytest_benchmark.fixture import BenchmarkFixture

from fsm_exec.core.execution.advance import fold
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.runtime.clock import system_us
from fsm_exec.store import open_live_store, open_virtual_store, read_executions, read_journal
from tests.benchmarks.floor import contents, run_floor
from tests.benchmarks.load import EXECUTIONS, TRANSITIONS_EACH, Outcome, run_load

SAMPLE = 25
LANES = {"live store (aiosqlite)": open_live_store, "blocking store": open_virtual_store}


@pytest.mark.parametrize("lane", LANES)
def test_a_thousand_executions_end_filled_and_durable(
    lane: str, benchmark: BenchmarkFixture, figures: list[str], tmp_path: Path
) -> None:
    """Every transition is in the database, equal to what a plain loop writes, and every journal folds to its end."""
    database, log = tmp_path / "engine.sqlite", tmp_path / "engine.log"
    open_store = partial(LANES[lane], database, draw_instance=lambda: "abcdefghij", at_us=system_us())
    outcome: Outcome = benchmark.pedantic(  # type: ignore[no-untyped-call]
        trio.run, args=(run_load, open_store, log), rounds=1, iterations=1
    )
    group = outcome.statistics.median_batch_jobs
    floor_s = run_floor(tmp_path / "floor.sqlite", outcome.saves, group)

    check_work(outcome, database, log)
    assert contents(database) == contents(tmp_path / "floor.sqlite")

    rate, floor_rate = len(outcome.saves) / outcome.seconds, len(outcome.saves) / floor_s
    p50_ms, p99_ms = (1_000 * statistics.quantiles(outcome.waits_s, n=100)[n] for n in (49, 98))
    benchmark.extra_info.update(
        transitions_per_s=round(rate),
        floor_per_s=round(floor_rate),
        share_of_floor=round(rate / floor_rate, 3),
        median_group=group,
        save_wait_p50_ms=round(p50_ms, 1),
        save_wait_p99_ms=round(p99_ms, 1),
    )
    figures.append(
        f"{lane}: {rate:,.0f} durable transitions/s, {EXECUTIONS:,} executions in flight, FULL; "
        f"floor {floor_rate:,.0f}/s in groups of {group}; share {rate / floor_rate:.2f}; "
        f"a save waits p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms"
    )


def check_work(outcome: Outcome, database: Path, log: Path) -> None:
    """All filled; nothing counted that is not stored, nothing stored or moved that is not counted and logged."""
    assert len(outcome.ended) == EXECUTIONS
    assert all((e.state, e.reason, e.filled_e2) == ("filled", "completed", e.target_e2) for e in outcome.ended)
    assert len(outcome.saves) == len(outcome.waits_s) == outcome.statistics.jobs == EXECUTIONS * TRANSITIONS_EACH
    moves = sum(len(save.journal.steps.split("; ")) for save in outcome.saves if save.journal.steps)
    logged = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in logged] == ["transition"] * moves
    stored = {row.execution_id: row for row in read_executions(database)}
    assert len(stored) == EXECUTIONS
    for execution_id in random.Random(1).sample(sorted(stored), SAMPLE):
        journal = read_journal(database, execution_id)
        assert [row.seq for row in journal] == list(range(1, TRANSITIONS_EACH + 1))
        folded = fold(decode_entry(row.event, row.intents) for row in journal)
        assert encode_snapshot(folded) == stored[execution_id].snapshot
