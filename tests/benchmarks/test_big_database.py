"""The big database that growth is measured on is made of real rows."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.store.maintenance.integrity import check_database
from tests.benchmarks.big_database import BLOCK, make_big_database


def test_copies_are_as_sound_as_what_they_are_copies_of(tmp_path: Path) -> None:
    """Every snapshot of every copy equals the fold of its journal, and all columns agree."""
    path = tmp_path / "big.sqlite"
    make_big_database(path, 3 * BLOCK)
    report = check_database(path, every=True)
    assert report.findings == []
    assert report.folded == report.executions == 3 * BLOCK
