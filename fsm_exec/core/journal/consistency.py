"""Whether what is stored agrees: the snapshot and the rows with the fold of the journal (invariant 6).

Differences come back as lines for people; no line means agreement. The journal is taken for the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from fsm_exec.core.execution.events import tag_of
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.journal.rows import ChildRow, FillRow, SnapshotPart
from fsm_exec.core.journal.snapshot import (
    SNAPSHOT_VERSION,
    decode_snapshot,
    encode_parts,
    encode_snapshot,
    encode_whole,
    upgrade_snapshot,
)
from fsm_exec.core.journal.to_rows import child_row, fill_rows
from fsm_exec.core.journal.upcasting import VERSIONS, Version

DIFFERENCES_MAX = 20
SHOWN_CHARS = 60


def snapshot_differences(
    raw: bytes,
    folded: Execution,
    oldest: int,
    versions: tuple[Version, ...] = VERSIONS,
    *,
    parts: Sequence[SnapshotPart] = (),
) -> list[str]:
    """Where the snapshot, head and parts, is not the fold, byte for byte. `oldest` is the lowest version in the
    journal: what versions after it began to keep is not compared, as the snapshots from before could not know it.
    Raises CorruptSnapshot."""
    stored, expected = upgrade_snapshot(raw, versions, parts=parts), encode_snapshot(folded)
    loaded = decode_snapshot(raw, versions, parts=parts)
    if loaded == folded:  # by itself too: an encoder that is wrong the same way twice would make the same bytes
        is_raised = stored is not raw
        if stored == expected and (is_raised or sorted(parts, key=_name) == sorted(encode_parts(folded), key=_name)):
            return []
        if not parts and stored == encode_whole(folded):  # from before there were parts
            return []
    ignored = {name for version in versions[oldest:] for name in version.began_keeping}
    one, other = (msgspec.json.decode(msgspec.json.encode(found)) for found in (loaded, folded))
    found = list(_differences("", one, other, ignored))
    if not found and not ignored:
        return ["snapshot: it says what the journal says in other bytes; another build of this version wrote it"]
    return _first_lines(f"snapshot: {line}" for line in found)


def _name(part: SnapshotPart) -> str:
    return part.name


def row_differences(folded: Execution, children: Sequence[ChildRow], fills: Sequence[FillRow]) -> list[str]:
    """Where the rows of `split_orders` and `fills` are not what the journal makes them."""
    expected = [child_row(child) for child in folded.children]
    expected_fills = [row for child in folded.children for row in fill_rows(child)]
    return _first_lines(
        (
            *_row_differences(
                "split_orders",
                {row.client_order_id: row for row in children},
                {row.client_order_id: row for row in expected},
            ),
            *_row_differences(
                "fills",
                {f"{row.order_id} {row.fill_id}": row for row in fills},
                {f"{row.order_id} {row.fill_id}": row for row in expected_fills},
            ),
        )
    )


def journal_differences(replayed: ReplayedRow) -> list[str]:
    """Where a row's columns for people are not what its event makes them. Rows of older versions moved by other tables
    and had other events: of those only the time is compared."""
    row = replayed.row
    said: dict[str, object] = {"at_us": replayed.event.at_us}
    if row.version == SNAPSHOT_VERSION:
        said |= {"event_type": tag_of(replayed.event), "steps": replayed.advance.steps}
    return [
        f"row {row.seq} of the journal: {name} is {_short(getattr(row, name))}, its event says {_short(value)}"
        for name, value in said.items()
        if getattr(row, name) != value
    ]


def _row_differences(
    table: str, stored: dict[str, ChildRow] | dict[str, FillRow], expected: dict[str, ChildRow] | dict[str, FillRow]
) -> Iterator[str]:
    for key in dict.fromkeys((*expected, *stored)):
        one, other = stored.get(key), expected.get(key)
        if one is None:
            yield f"{table} {key}: the row is missing"
        elif other is None:
            yield f"{table} {key}: the journal knows no such row"
        else:
            for name in one.__struct_fields__:
                if getattr(one, name) != getattr(other, name):
                    yield f"{table} {key}: {name} is {getattr(one, name)}, the journal says {getattr(other, name)}"


def _differences(path: str, stored: object, expected: object, ignored: set[str], pattern: str = "") -> Iterator[str]:
    """`pattern` is the path with [] for every index, as `began_keeping` names fields."""
    if pattern in ignored:
        return
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in dict.fromkeys((*expected, *stored)):
            deeper, named = (f"{start}.{key}" if start else str(key) for start in (path, pattern))
            yield from _differences(deeper, stored.get(key), expected.get(key), ignored, named)
    elif isinstance(stored, list) and isinstance(expected, list):
        for index, (one, other) in enumerate(zip_longest(stored, expected)):
            yield from _differences(f"{path}[{index}]", one, other, ignored, f"{pattern}[]")
    elif stored != expected or type(stored) is not type(expected):
        yield f"{path} is {_short(stored)}, the journal says {_short(expected)}"


def _short(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def _first_lines(lines: Iterator[str] | Sequence[str]) -> list[str]:
    every = list(lines)
    rest = len(every) - DIFFERENCES_MAX
    return every if rest <= 0 else [*every[:DIFFERENCES_MAX], f"and {rest} more differences"]
