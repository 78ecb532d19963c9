"""`python -m tests.golden.generate`: writes the golden files of today's version; never over one that exists.

`schema_vN.txt` is what version N stores. `history_vN_NAME.jsonl` is the journal of one execution as version N wrote
it, a line a row: event, intents, and the snapshot after it. `SHA256SUMS` seals them: a released one never changes.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

from fsm_exec.core.execution.advance import apply
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION, decode_entry, encode_step
from tests.golden.histories import HISTORIES
from tests.golden.schema import schema

GOLDEN = Path(__file__).parent
SUMS = GOLDEN / "SHA256SUMS"


class Part(msgspec.Struct):
    """A part of a snapshot, as `SnapshotPart`."""

    name: str
    body: msgspec.Raw
    checksum: str


class Line(msgspec.Struct, omit_defaults=True):
    """One row of the journal of a golden history: with the parts of the snapshot that it writes or takes away."""

    event: msgspec.Raw
    intents: msgspec.Raw
    snapshot: msgspec.Raw
    parts: list[Part] = []
    gone: list[str] = []


def history(name: str) -> bytes:
    """The named history as its file has it."""
    driver, execution, total, lines = HISTORIES[name](), None, None, []
    for event, intents in driver.journal:
        step = apply(execution, *decode_entry(event, intents))
        if step is None:
            raise ValueError(f"{name}: a journaled event changes nothing")
        encoded = encode_step(execution, step.execution, total)
        execution, total = step.execution, encoded.total
        parts = [Part(part.name, msgspec.Raw(part.body), part.checksum) for part in encoded.parts]
        snapshot = msgspec.Raw(encoded.snapshot)
        line = Line(msgspec.Raw(event), msgspec.Raw(intents), snapshot, parts, list(encoded.gone))
        lines.append(msgspec.json.encode(line))
    return b"\n".join(lines) + b"\n"


def main() -> None:
    wanted = {f"schema_v{SNAPSHOT_VERSION}.txt": schema().encode()}
    wanted |= {f"history_v{SNAPSHOT_VERSION}_{name}.jsonl": history(name) for name in HISTORIES}
    there = [name for name in wanted if (GOLDEN / name).exists()]
    if there:
        sys.exit(
            f"version {SNAPSHOT_VERSION} has golden files already ({there[0]} ...): add a version, see "
            "fsm_exec/core/journal/upcasting.py; only if this one was never released, delete them first"
        )
    for name, content in wanted.items():
        (GOLDEN / name).write_bytes(content)
    sealed = sorted(path for pattern in ("*.txt", "*.jsonl") for path in GOLDEN.glob(pattern))
    SUMS.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sealed))


if __name__ == "__main__":
    main()
