"""A snapshot in a head and parts: what may still change, and what is over, each of which is written once.

Whatever happens to an execution is followed by a new snapshot. Held in one piece it would grow with every fill, and all
that was written with the square of them. So what is over moves out into parts, each a row of its own:

* an order that is over (ended, with no write, no suspicion and no place in the outbox), but for the newest of those, as
  many as with their fills are WEIGHT_KEPT; its part is called by its place among the orders, as `17`;
* the fills of any order, oldest first, in pieces of FILLS_A_PART, as `17.fills.0`, `17.late.0`. What does not fill a
  piece stays with the order.

What is where depends on the execution alone, so that the fold of a journal makes the same head and the same parts. The
head holds how many parts there are and the sum of their checksums, which a step keeps up without looking at any part
but those it changes. A part that is missing, stale, damaged or of another execution does not add up. An execution of
the usual size has no parts.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import CHILD_ENDS, ChildOrder, Execution, Fill
from fsm_exec.core.journal.rows import PartsTotal, SnapshotPart

# The layout of what is stored: other numbers are another version of it.
WEIGHT_KEPT = 16  # an order weighs one, and one more for each fill that is in none of its pieces
FILLS_A_PART = 16

NO_PARTS: Final = PartsTotal(0, f"{0:016x}")
NOWHERE: Final[frozenset[int]] = frozenset()

Value: TypeAlias = ChildOrder | tuple[Fill, ...]
Kind: TypeAlias = Literal["fills", "late"]
KINDS: Final[tuple[Kind, ...]] = ("fills", "late")

_SUMS = 1 << 64
_NAME = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.(fills|late)\.(0|[1-9][0-9]{0,8}))?")
_ENCODER = msgspec.json.Encoder()
_ORDER = msgspec.json.Decoder(ChildOrder)
_FILLS: msgspec.json.Decoder[tuple[Fill, ...]] = msgspec.json.Decoder(tuple[Fill, ...])


def is_small(execution: Execution) -> bool:
    """Whether it has no parts, as nearly every execution: said at once, and never of one that has some."""
    weight = len(execution.children)
    if weight > WEIGHT_KEPT:
        return False
    for child in execution.children:
        weight += len(child.fills) + len(child.late)
    return weight <= WEIGHT_KEPT and weight <= FILLS_A_PART


def places_apart(execution: Execution) -> AbstractSet[int]:
    """The places, among all its orders, of those that are kept apart."""
    children = execution.children
    sending = {entry.client_order_id for entry in execution.outbox}
    over = [
        place
        for place, child in enumerate(children)
        if child.state in CHILD_ENDS
        and child.write is None
        and child.suspicion is None
        and child.client_order_id not in sending
    ]
    weight, kept = 0, 0
    while kept < len(over) and (weight := weight + _weight_of(children[over[-1 - kept]])) <= WEIGHT_KEPT:
        kept += 1
    return frozenset(over[: len(over) - kept]) if kept < len(over) else NOWHERE


def head_of(execution: Execution, apart: AbstractSet[int]) -> Execution:
    """What is left of `execution` without its parts; itself where it has none."""
    children = execution.children
    if not apart and not any(_has_pieces(child) for child in children):
        return execution
    return replace(
        execution, children=tuple(_rest_of(child) for place, child in enumerate(children) if place not in apart)
    )


def values_of(execution: Execution, apart: AbstractSet[int]) -> dict[str, Value]:
    """What each part of `execution` holds, by its name."""
    found: dict[str, Value] = {}
    for place, child in enumerate(execution.children):
        if place in apart or _has_pieces(child):
            found.update(_values(place, child, is_apart=place in apart))
    return found


def changed_values(
    before: Execution, were_apart: AbstractSet[int], after: Execution, apart: AbstractSet[int]
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The parts that a step changed: what they held, and what they hold now. A name that only the first has is there
    no more."""
    if not were_apart and not apart and not any(_has_pieces(c) for c in (*before.children, *after.children)):
        return {}, {}
    old: dict[str, Value] = {}
    new: dict[str, Value] = {}
    known, children = before.children, after.children
    changed = {place for place, (one, other) in enumerate(zip(known, children, strict=False)) if one is not other}
    longer = range(min(len(known), len(children)), max(len(known), len(children)))
    for place in sorted(changed.union(longer, were_apart ^ apart)):
        one = known[place] if place < len(known) else None
        other = children[place] if place < len(children) else None
        same = {kind: _same_pieces(one, other, kind) for kind in KINDS} if one and other else {}
        if one is not None:
            old.update(_values(place, one, is_apart=place in were_apart, skipped=same))
        if other is not None:
            new.update(_values(place, other, is_apart=place in apart, skipped=same))
    for name in [name for name, value in new.items() if old.get(name) == value]:
        del old[name], new[name]
    return old, new


def encode_part(execution_id: str, name: str, value: Value) -> SnapshotPart:
    """Raises CorruptSnapshot if the bytes would not give the same value back: a constructor was misused."""
    body = _ENCODER.encode(value)
    try:
        again: Value = _FILLS.decode(body) if isinstance(value, tuple) else _ORDER.decode(body)
    except msgspec.DecodeError as error:
        raise CorruptSnapshot(f"part {name} of {execution_id} cannot be decoded again: {error}") from error
    if again != value:
        raise CorruptSnapshot(f"part {name} of {execution_id} does not survive its own encoding")
    return SnapshotPart(name, body, f"{_checksum(execution_id, name, body):016x}")


def total_after(total: PartsTotal, gone: Iterable[SnapshotPart] = (), come: Iterable[SnapshotPart] = ()) -> PartsTotal:
    """The total once the parts `gone` are taken off and those in `come` are added."""
    count, checksum = total.count, int(total.checksum, 16)
    for part in gone:
        count, checksum = count - 1, checksum - int(part.checksum, 16)
    for part in come:
        count, checksum = count + 1, checksum + int(part.checksum, 16)
    return PartsTotal(count, f"{checksum % _SUMS:016x}") if count else NO_PARTS


def check_parts(execution_id: str, total: PartsTotal, parts: Sequence[SnapshotPart]) -> None:
    """Raises CorruptSnapshot unless these are the very parts that the head was stored with."""
    for part in parts:
        if part.checksum != f"{_checksum(execution_id, part.name, part.body):016x}":
            raise CorruptSnapshot(
                f"part {part.name} of the snapshot is damaged, its checksum does not match: restore a backup, nothing "
                "was changed"
            )
    if len(parts) != total.count:
        raise CorruptSnapshot(
            f"the snapshot was stored with {total.count} parts, and {len(parts)} are there: restore a backup, nothing "
            "was changed"
        )
    if total_after(NO_PARTS, come=parts) != total:
        raise CorruptSnapshot(
            "the parts of the snapshot are not those it was stored with, though each is whole: restore a backup, "
            "nothing was changed"
        )


def join_parts(head: dict[str, Any], parts: Sequence[SnapshotPart]) -> dict[str, Any]:
    """Put the parts back into the decoded `head`; return it. Works on plain JSON, so that it serves every version.
    Raises CorruptSnapshot for parts that fit nowhere."""
    orders: dict[int, Any] = {}
    pieces: dict[tuple[int, str], dict[int, list[Any]]] = defaultdict(dict)
    for part in parts:
        match = _NAME.fullmatch(part.name)
        if match is None:
            raise CorruptSnapshot(f"a part of the snapshot is called {part.name!r}, which no fsm-exec has written")
        place, value = int(match[1]), msgspec.json.decode(part.body)
        if match[2] is None:
            orders[place] = value
        else:
            pieces[place, match[2]][int(match[3])] = value
    try:
        kept = iter(head["children"])
        children = [
            orders.pop(place) if place in orders else next(kept) for place in range(len(head["children"]) + len(orders))
        ]
        for (place, kind), found in pieces.items():
            children[place][kind] = [one for number in range(len(found)) for one in found[number]] + children[place][
                kind
            ]
    except (KeyError, IndexError, TypeError, StopIteration) as error:
        raise CorruptSnapshot(f"the parts of the snapshot do not fit together: {error!r}") from error
    if orders:
        raise CorruptSnapshot(f"the parts of the snapshot do not fit together: order {min(orders)} is beyond the last")
    head["children"] = children
    return head


def _weight_of(child: ChildOrder) -> int:
    return 1 + len(child.fills) % FILLS_A_PART + len(child.late) % FILLS_A_PART


def _has_pieces(child: ChildOrder) -> bool:
    return len(child.fills) >= FILLS_A_PART or len(child.late) >= FILLS_A_PART


def _rest_of(child: ChildOrder) -> ChildOrder:
    if not _has_pieces(child):
        return child
    fills, late = (len(found) // FILLS_A_PART * FILLS_A_PART for found in (child.fills, child.late))
    return replace(child, fills=child.fills[fills:], late=child.late[late:])


def _same_pieces(one: ChildOrder, other: ChildOrder, kind: Kind) -> int:
    """How many whole pieces two states of an order have in common from the first on, as far as one look tells."""
    before, after = getattr(one, kind), getattr(other, kind)
    if before is after or after[: len(before)] == before:
        return len(before) // FILLS_A_PART
    return 0


def _values(
    place: int, child: ChildOrder, *, is_apart: bool, skipped: dict[Kind, int] | None = None
) -> Iterator[tuple[str, Value]]:
    if is_apart:
        yield str(place), _rest_of(child)
    for kind in KINDS:
        fills: tuple[Fill, ...] = getattr(child, kind)
        for number in range((skipped or {}).get(kind, 0), len(fills) // FILLS_A_PART):
            start = number * FILLS_A_PART
            yield f"{place}.{kind}.{number}", fills[start : start + FILLS_A_PART]


def _checksum(execution_id: str, name: str, body: bytes) -> int:
    digest = hashlib.blake2b(f"{execution_id} {name} ".encode(), digest_size=8)
    digest.update(body)
    return int.from_bytes(digest.digest(), "big")
