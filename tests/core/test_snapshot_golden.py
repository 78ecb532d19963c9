"""Golden files: what every version wrote is read for ever, and nothing stored changes without a new version."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from fsm_exec.core.execution.advance import apply
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.consistency import snapshot_differences
from fsm_exec.core.journal.rows import SnapshotPart
from fsm_exec.core.journal.snapshot import (
    SNAPSHOT_VERSION,
    decode_entry,
    decode_snapshot,
    encode_parts,
    encode_snapshot,
)
from tests.golden.generate import GOLDEN, SUMS, Line
from tests.golden.schema import schema

RECIPE = "see the recipe in fsm_exec/core/journal/upcasting.py"
FILES = sorted(GOLDEN.glob("history_v*_*.jsonl"))

EXPECTED = {  # name: state, reason, filled, each order's state and write in flight
    "pending": ("pending", None, 0, []),
    "no_book": ("cancelled", "no_book", 0, []),
    "split": ("split", None, 0, ["intended", "intended"]),
    "walking": ("walking", None, 0, ["resting", "unknown", "cancelling cancel"]),
    "restored": ("split", None, 0, ["unknown"]),
    "partial_amending": ("partial", None, 100, ["partial amend"]),
    "overtaken_amend": ("walking", None, 0, ["cancelling cancel"]),
    "settling": ("partial", None, 300, ["settling"]),
    "filled": ("filled", "completed", 1_000, ["cancelled", "filled", "filled"]),
    "cancelled_late": ("cancelled", "user", 450, ["cancelled"]),
    "rejected": ("cancelled", "rejected", 0, ["rejected"] * 3),
    "crosses": ("walking", None, 0, ["cancelled", "cancelled", "rejected"]),
    "crosses_counted": ("cancelled", "rejected", 0, ["cancelled", "cancelled", "rejected"]),
    "market_closed": ("cancelled", "market_closed", 0, ["cancelled"]),
    "closing": ("walking", None, 0, ["cancelled", "cancelled", "intended"]),
    "deadline": ("walking", None, 0, ["cancelling cancel"]),
    "suspected": ("walking", None, 0, ["rejected", "resting"]),
    "corrected": ("partial", None, 250, ["partial"]),
    "reduce_only": ("cancelled", "external", 400, ["cancelled", "rejected"]),
    "leased": ("walking", None, 0, ["cancelled", "intended"]),
    "long_lived": ("cancelled", "user", 3_050, ["filled"] * 10 + ["cancelled"]),
}
"""Facts that no version may change the meaning of. A version with more histories adds their names here."""


def version_of(path: Path) -> int:
    return int(path.name.split("_")[1].removeprefix("v"))


def facts(execution: Execution) -> tuple[str, str | None, int, list[str]]:
    children = [
        child.state if child.write is None else f"{child.state} {child.write.__struct_config__.tag}"
        for child in execution.children
    ]
    return execution.state, execution.reason, execution.filled_e2, children


def test_nothing_that_is_stored_has_changed_without_a_new_version() -> None:
    """Every field of every stored struct, its type and default, and every row of the tables are those that this
    version's golden file describes."""
    path = GOLDEN / f"schema_v{SNAPSHOT_VERSION}.txt"
    assert path.exists(), f"version {SNAPSHOT_VERSION} has no golden files: {RECIPE}"
    was, now = path.read_text(encoding="utf-8"), schema()
    changed = "\n".join(difflib.unified_diff(was.splitlines(), now.splitlines(), "version", "today", n=0, lineterm=""))
    assert now == was, f"what is stored has changed and is still called version {SNAPSHOT_VERSION}: {RECIPE}\n{changed}"


def test_golden_files_are_never_changed() -> None:
    """Each file is sealed by its digest, each version has its files, and none is missing."""
    sealed = {line[66:]: line[:64] for line in SUMS.read_text(encoding="utf-8").splitlines()}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.iterdir()
        if path.suffix in (".txt", ".jsonl")
    }
    assert found == sealed, "a golden file was changed, added or lost: they are written by tests/golden/generate.py"
    histories = Counter(version_of(path) for path in FILES)
    assert sorted(histories) == list(range(1, SNAPSHOT_VERSION + 1))
    assert all(f"schema_v{version}.txt" in sealed for version in histories)
    assert histories[1] == 13


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem.removeprefix("history_"))
def test_what_any_version_wrote_is_read_and_folded(path: Path) -> None:
    """At every row: the snapshot loads and survives today's encoding, and the journal up to there, raised to today's
    version, folds to it byte for byte (invariant 6), but for what later versions began to keep."""
    version, execution = version_of(path), None
    held: dict[str, SnapshotPart] = {}
    for raw in path.read_bytes().splitlines():
        line = msgspec.json.decode(raw, type=Line)
        snapshot = bytes(line.snapshot)
        for name in line.gone:
            del held[name]
        held |= {part.name: SnapshotPart(part.name, bytes(part.body), part.checksum) for part in line.parts}
        parts = tuple(held.values())
        loaded = decode_snapshot(snapshot, parts=parts)
        assert decode_snapshot(encode_snapshot(loaded), parts=encode_parts(loaded)) == loaded
        step = apply(execution, *decode_entry(bytes(line.event), bytes(line.intents), version))
        assert step is not None, f"row {loaded.seq} changes nothing any more: {RECIPE}"
        execution = step.execution
        different = snapshot_differences(snapshot, execution, version, parts=parts)
        assert different == [], f"row {loaded.seq} means something else today: {RECIPE}"
        assert version < SNAPSHOT_VERSION or encode_snapshot(execution) == snapshot
        assert version < SNAPSHOT_VERSION or {part.name: part for part in encode_parts(execution)} == held
    assert execution is not None
    assert facts(execution) == EXPECTED[path.stem.split("_", 2)[2]]
