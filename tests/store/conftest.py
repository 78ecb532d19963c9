"""What the tests of the store share: rows to save, and the three ways to open a store."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from fsm_exec.core.costs.rows import BookRow, MetricsRow
from fsm_exec.core.journal.rows import ChildRow, ExecutionSave, FillGone, FillRow, JournalRow, SnapshotPart
from fsm_exec.store import SqliteStore, open_live_store, open_virtual_store

OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[SqliteStore]]

T0_US = 1_681_149_600_000_250  # 2023-04-10T18:00:00.000250Z


class Samples:
    """Rows that the database takes; give the fields a test is about."""

    at_us = T0_US

    def save(
        self,
        execution_id: str = "e1",
        seq: int = 1,
        *,
        state: str = "walking",
        reason: str | None = None,
        snapshot: bytes = b'{"unit":"\xe2\x82\xac","n":1}',
        event: bytes = b'{"type":"Woken"}',
        children: tuple[ChildRow, ...] = (),
        fills: tuple[FillRow, ...] = (),
        reserved: str = "5.180000",
        corrected: tuple[FillRow, ...] = (),
        gone: tuple[FillGone, ...] = (),
        parts: tuple[SnapshotPart, ...] = (),
        gone_parts: tuple[str, ...] = (),
        clears_parts: bool = False,
    ) -> ExecutionSave:
        journal = JournalRow(
            seq=seq,
            at_us=T0_US + seq,
            event_type="Woken",
            event=event,
            intents=b"[]",
            steps="split -> walking",
            version=1,
        )
        return ExecutionSave(
            execution_id=execution_id,
            ticker="KXTEST-1",
            outcome="yes",
            method="simple_limit@1",
            state=state,
            reason=reason,
            target_quantity="10.00",
            target_price="0.5000",
            accepted_at_us=T0_US,
            deadline_us=T0_US + 45_000_000,
            snapshot_version=1,
            snapshot=snapshot,
            journal=journal,
            children=children,
            fills=fills,
            reserved=reserved,
            corrected=corrected,
            gone=gone,
            parts=parts,
            gone_parts=gone_parts,
            clears_parts=clears_parts,
        )

    def part(self, name: str, text: str = "") -> SnapshotPart:
        return SnapshotPart(name, f'"{text or name}"'.encode(), f"{len(name):016x}")

    def child(self, client_order_id: str = "fxaaaaaaaaaa-e1-1-1", *, state: str = "resting") -> ChildRow:
        return ChildRow(
            client_order_id=client_order_id,
            level=1,
            attempt=1,
            state=state,
            status="pending",
            order_id="o1",
            price="0.5000",
            quantity="10.00",
            filled_quantity="0.00",
            time_in_force="good_till_canceled",
            walks=0,
        )

    def fill(self, fill_id: str = "f1", *, client_order_id: str = "fxaaaaaaaaaa-e1-1-1") -> FillRow:
        return FillRow(
            order_id="o1",
            fill_id=fill_id,
            client_order_id=client_order_id,
            price="0.5000",
            quantity="1.00",
            fee="0.000000",
            is_taker=False,
            late=False,
            traded_at_us=T0_US + 7,
        )

    def book(self) -> BookRow:
        return BookRow(
            ticker="KXTEST-1",
            execution_id="e1",
            taken_at_us=T0_US,
            why="arrival",
            yes_depth=b'[["0.4900","5.00"]]',
            no_depth=b"[]",
        )

    def metrics(
        self, execution_id: str = "e1", *, spread_e7: int | None = -3, shortfall_e7: int | None = 18
    ) -> MetricsRow:
        return MetricsRow(
            execution_id=execution_id,
            target_quantity="10.00",
            filled_quantity="5.00",
            fill_rate="0.5000",
            target_price="0.5000",
            average_fill_price="0.5000",
            slippage="0.000000",
            time_to_first_fill=3,
            time_to_full_fill=None,
            walks_executed=0,
            splits_used=1,
            arrival_mid="0.50500",
            fees="0.000001",
            shortfall="0.000000",
            delay_e7=1,
            spread_e7=spread_e7,
            drift_e7=5,
            fees_e7=10,
            opportunity_e7=5,
            over_fill_e7=0,
            shortfall_e7=shortfall_e7,
            flags="",
        )


@pytest.fixture
def samples() -> Samples:
    return Samples()


@pytest.fixture
def draw_instance() -> Callable[[], str]:
    """A new instance at each call, the same ones in every run."""
    source = random.Random(1)
    return lambda: "".join(source.choices("abcdefghijklmnopqrstuvwxyz234567", k=10))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture(params=["virtual lane, in memory", "virtual lane, file", "live lane, file"])
def open_store(request: pytest.FixtureRequest, database: Path, draw_instance: Callable[[], str]) -> OpenStore:
    """Opens the store of one lane; of the lanes with a file, `database`."""
    return _opener(request.param, database, draw_instance)


@pytest.fixture(params=["virtual lane, file", "live lane, file"])
def open_file_store(request: pytest.FixtureRequest, database: Path, draw_instance: Callable[[], str]) -> OpenStore:
    """Opens `database` in one of the lanes."""
    return _opener(request.param, database, draw_instance)


def _opener(lane: str, database: Path, draw_instance: Callable[[], str]) -> OpenStore:
    match lane:
        case "virtual lane, in memory":
            return lambda: open_virtual_store(None, draw_instance=draw_instance, at_us=T0_US)
        case "virtual lane, file":
            return lambda: open_virtual_store(database, draw_instance=draw_instance, at_us=T0_US)
        case _:
            return lambda: open_live_store(database, draw_instance=draw_instance, at_us=T0_US)
