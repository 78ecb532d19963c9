"""A long execution's snapshot is a head and parts: cut the same way by whoever cuts it, and not loaded unless whole."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import CHILD_ENDS, ChildOrder, Execution, Fill, OutboxEntry, Suspicion
from fsm_exec.core.journal import parts as layout
from fsm_exec.core.journal.consistency import snapshot_differences
from fsm_exec.core.journal.parts import places_apart, values_of
from fsm_exec.core.journal.rows import PartsTotal, SnapshotPart
from fsm_exec.core.journal.snapshot import (
    SNAPSHOT_VERSION,
    decode_snapshot,
    encode_parts,
    encode_snapshot,
    encode_step,
    encode_whole,
)
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4
from tests.core.conftest import cut_small
from tests.golden.histories import HISTORIES

if TYPE_CHECKING:
    from tests.core.conftest import Driver

STATES = ("intended", "resting", "partial", "settling", "cancelled", "filled", "rejected")


@pytest.fixture(scope="module")
def long_lived() -> Driver:
    """Its snapshot has parts."""
    return HISTORIES["long_lived"]()


def filled(order: int, number: int, count: int = 100) -> Fill:
    return Fill(
        fill_id=f"f{order}-{number}",
        order_id=f"o{order}",
        price_e4=PriceE4(5_000),
        count_e2=CountE2(count),
        fee_e6=MoneyE6(0),
        is_taker=False,
        traded_at_us=number,
        mid_e5=None,
    )


def ordered(order: int, fills: int = 0, late: int = 0, **fields: object) -> ChildOrder:
    child = ChildOrder(
        client_order_id=f"c{order}",
        level=1,
        attempt=order + 1,
        price_e4=PriceE4(5_000),
        count_e2=CountE2(100_000),
        time_in_force="good_till_canceled",
        post_only=False,
        expiration_s=None,
        sent_at_us=0,
        state="filled",
        fills=tuple(filled(order, number) for number in range(fills)),
        late=tuple(filled(order, number) for number in range(1_000, 1_000 + late)),
    )
    return replace(child, **fields)


def with_orders(execution: Execution, *orders: ChildOrder) -> Execution:
    return replace(execution, children=orders, seq=execution.seq + 1)


@st.composite
def any_orders(draw: st.DrawFn) -> tuple[ChildOrder, ...]:
    """Orders in any state, with any number of fills, suspect or not."""
    return tuple(
        ordered(
            order,
            draw(st.integers(0, 7)),
            draw(st.integers(0, 5)),
            state=draw(st.sampled_from(STATES)),
            suspicion=draw(st.sampled_from((None, None, Suspicion("it cannot be", 5)))),
        )
        for order in range(draw(st.integers(0, 7)))
    )


@st.composite
def any_step(draw: st.DrawFn, execution: Execution) -> Execution:
    """Some of its orders as they were, one of which may have grown; others otherwise, more or fewer."""
    kept = execution.children[: draw(st.integers(0, 7))]
    grows = draw(st.booleans())
    if kept and grows:
        grown = replace(kept[0], fills=(*kept[0].fills, filled(0, len(kept[0].fills))))
        kept = (grown, *kept[1:])
    more: tuple[ChildOrder, ...] = draw(any_orders())
    waits = draw(st.sets(st.sampled_from(("c0", "c1", "c2"))))
    outbox = tuple(OutboxEntry(f"e1:1:{name}", "place", name) for name in sorted(waits))
    return replace(with_orders(execution, *kept, *more[len(kept) :]), outbox=outbox)


@given(data=st.data())
def test_any_step_between_any_two_states_leaves_the_parts_of_the_second(
    long_lived: Driver, data: st.DataObject
) -> None:
    """Orders that end, come back, are corrected, lose and gain fills: after each step what is stored is what whoever
    folds the journal cuts from scratch, and it gives the execution back."""
    execution = replace(long_lived.execution, children=(), outbox=())
    stored: dict[str, SnapshotPart] = {}
    total: PartsTotal | None = None
    with cut_small():
        for _ in range(data.draw(st.integers(1, 4))):
            after = data.draw(any_step(execution))
            step = encode_step(execution, after, total)
            stored = {name: part for name, part in stored.items() if name not in step.gone}
            stored |= {part.name: part for part in step.parts}
            assert stored == {part.name: part for part in encode_parts(after)}
            assert step.snapshot == encode_snapshot(after)
            assert decode_snapshot(step.snapshot, parts=tuple(stored.values())) == after
            execution, total = after, step.total


def test_only_what_is_over_leaves_the_head(long_lived: Driver) -> None:
    """Never an order that lives, is doubted, or has a write under way; and the newest that are over stay."""
    many = [ordered(order) for order in range(layout.WEIGHT_KEPT + 6)]
    many[0] = replace(many[0], state="resting")
    many[1] = replace(many[1], suspicion=Suspicion("it cannot be", 5))
    execution = with_orders(long_lived.execution, *many)
    sending = replace(execution, outbox=(OutboxEntry("e1:1:1", "place", "c2"),))
    assert places_apart(sending) == {3, 4, 5}
    assert all(many[place].state in CHILD_ENDS for place in places_apart(sending))
    assert places_apart(execution) == {2, 3, 4, 5}
    heavy = with_orders(execution, *many[:-1], ordered(layout.WEIGHT_KEPT + 5, layout.FILLS_A_PART - 2))
    assert places_apart(heavy) == set(range(2, layout.WEIGHT_KEPT + 4)), "they weigh as much as they are long"
    heavier = with_orders(execution, *many[:-1], ordered(layout.WEIGHT_KEPT + 5, layout.FILLS_A_PART - 1, 1))
    assert places_apart(heavier) == set(range(2, layout.WEIGHT_KEPT + 6)), "and one may be too much alone"


def test_an_execution_of_the_usual_size_is_stored_as_ever(long_lived: Driver) -> None:
    """No parts, and no byte of the snapshot tells of any."""
    few = tuple(ordered(order, 1) for order in range(layout.WEIGHT_KEPT // 2))
    resting = ordered(99, layout.FILLS_A_PART - 1, state="partial")
    execution = with_orders(long_lived.execution, *few, resting)
    assert encode_parts(execution) == ()
    assert encode_snapshot(execution) == encode_whole(execution)
    assert list(msgspec.json.decode(encode_snapshot(execution))) == ["version", "table", "checksum", "execution"]


def test_what_is_stored_for_one_more_fill_does_not_grow(long_lived: Driver) -> None:
    """In one order and over ended orders: the bytes of the 300th step are about those of the 3,000th."""
    for orders in (False, True):
        sizes = []
        for length in (300, 3_000):
            many = [ordered(order, 1) for order in range(length)] if orders else [ordered(0, length)]
            before = with_orders(long_lived.execution, *many)
            more = [*many, ordered(length, 1)] if orders else [ordered(0, length + 1)]
            total = encode_step(None, before, None).total
            step = encode_step(before, with_orders(before, *more), total)
            sizes.append(len(step.snapshot) + sum(len(part.body) for part in step.parts))
        assert sizes[1] < 1.02 * sizes[0], sizes


def test_a_part_that_is_not_the_one_that_was_stored_is_noticed(long_lived: Driver) -> None:
    """Missing, doubled, damaged, stale, another execution's, two exchanged, one too many, none at all."""
    execution = long_lived.execution
    raw, good = encode_snapshot(execution), list(encode_parts(execution))
    assert decode_snapshot(raw, parts=good) == execution
    assert decode_snapshot(raw, parts=good[::-1]) == execution, "in any order"
    other = replace(execution, execution_id="e2")
    stale = encode_parts(
        replace(execution, children=(replace(execution.children[0], late=()), *execution.children[1:]))
    )
    first, second, *rest = good
    for broken, says in (
        ([], f"was stored with {len(good)} parts, and 0 are there"),
        (good[1:], f"was stored with {len(good)} parts, and {len(good) - 1} are there"),
        ([*good, good[0]], f"was stored with {len(good)} parts, and {len(good) + 1} are there"),
        ([first, first, *rest], "not those it was stored with"),
        ([replace(first, body=first.body.replace(b"c", b"d")), second, *rest], f"part {first.name} .* is damaged"),
        ([replace(first, name="7"), second, *rest], "part 7 .* is damaged"),
        ([replace(first, checksum="0" * 16), second, *rest], f"part {first.name} .* is damaged"),
        (list(encode_parts(other)), "is damaged"),
        (list(stale), "not those it was stored with"),
        ([replace(first, name=second.name), replace(second, name=first.name), *rest], "is damaged"),
    ):
        with pytest.raises(CorruptSnapshot, match=says) as caught:
            decode_snapshot(raw, parts=broken)
        assert "\n" not in str(caught.value)
    whole = encode_whole(execution)
    with pytest.raises(CorruptSnapshot, match=f"was stored with 0 parts, and {len(good)} are there"):
        decode_snapshot(whole, parts=good)


def test_any_altered_byte_of_a_head_with_parts_is_noticed(long_lived: Driver) -> None:
    """What it says of its parts is under the checksum too."""
    raw, good = encode_snapshot(long_lived.execution), encode_parts(long_lived.execution)
    for position in range(len(raw)):
        if position < 80 or position > len(raw) - 80 or position % 7 == 0:
            for other in (raw[position] ^ 1, 0x30, 0x20, 0):
                if other != raw[position]:
                    with pytest.raises(CorruptSnapshot):
                        decode_snapshot(raw[:position] + bytes([other]) + raw[position + 1 :], parts=good)


def test_parts_under_right_checksums_that_fit_nowhere_are_refused(long_lived: Driver) -> None:
    """A name no program writes, a place beyond the last order, a piece of fills without the one before it."""
    execution = long_lived.execution
    name = execution.execution_id
    order, fills = values_of(execution, places_apart(execution))["0"], (filled(0, 1),)
    for called, value in (("x", order), ("01", order), ("99", order), ("99.fills.0", fills), ("0.fills.1", fills)):
        part = layout.encode_part(name, called, value)
        total = layout.total_after(layout.NO_PARTS, come=[part])
        body = encode_whole(execution)
        head = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        said = msgspec.json.encode(total)
        checksum = f"{zlib.crc32(said, zlib.crc32(head['execution'])):08x}"
        head |= {"checksum": msgspec.Raw(f'"{checksum}"'.encode()), "parts": msgspec.Raw(said)}
        with pytest.raises(CorruptSnapshot, match=r"no fsm-exec has written|do not fit together"):
            decode_snapshot(msgspec.json.encode(head), parts=[part])


def test_a_snapshot_in_one_piece_from_before_there_were_parts_is_read_and_goes_on(long_lived: Driver) -> None:
    """It agrees with the fold of its journal, and the first step after it writes all its parts."""
    execution = long_lived.execution
    whole = encode_whole(execution)
    assert decode_snapshot(whole) == execution
    assert snapshot_differences(whole, execution, SNAPSHOT_VERSION) == []
    after = replace(execution, seq=execution.seq + 1)
    step = encode_step(execution, after, None)
    assert step.clears
    assert decode_snapshot(step.snapshot, parts=step.parts) == after


def test_where_head_or_parts_differ_from_the_fold_is_said(long_lived: Driver) -> None:
    """By the path of the field within the whole execution, wherever it is kept."""
    execution = long_lived.execution
    one, *more = execution.children
    changed = replace(execution, children=(replace(one, walks=9), *more))
    raw, found = encode_snapshot(changed), encode_parts(changed)
    assert snapshot_differences(raw, execution, SNAPSHOT_VERSION, parts=found) == [
        "snapshot: children[0].walks is 9, the journal says 0"
    ]
    assert snapshot_differences(raw, changed, SNAPSHOT_VERSION, parts=found) == []


def test_what_cannot_be_loaded_is_never_stored_as_a_part(long_lived: Driver) -> None:
    """Constructors check nothing; the encoder of parts does, of orders and of fills."""
    one, *more = long_lived.execution.children
    for broken in (replace(one, level="1"), replace(one, fills=[filled(0, 0)]), replace(one, count_e2=1.5)):
        with pytest.raises(CorruptSnapshot):
            encode_parts(replace(long_lived.execution, children=(broken, *more)))
    many = (replace(filled(0, 0), price_e4="x"), *(filled(0, number) for number in range(1, layout.FILLS_A_PART)))
    with pytest.raises(CorruptSnapshot):
        encode_parts(replace(long_lived.execution, children=(replace(one, fills=many), *more)))
