"""A snapshot gives back exactly what was stored, or says that it cannot; a journal gives the same bytes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction
from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AnyEvent,
    AnyIntent,
    CancelAnswered,
    MarketChanged,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    Restored,
    TimerFired,
)
from fsm_exec.core.journal.snapshot import (
    SNAPSHOT_VERSION,
    TABLE_VERSIONS,
    decode_entry,
    decode_snapshot,
    encode_event,
    encode_snapshot,
)
from fsm_exec.core.market.orders import Write
from fsm_exec.core.values.units import CountE2, PriceE4

NAMES_ON_DISK = {
    *("Submitted", "DecisionDue", "ClockStruck", "StopRequested", "MarketChanged", "DrainRequested", "Restored"),
    "FeesChanged",
    "PositionRead",
    *("OrderAccepted", "OrderRefused", "OrderDoubted", "OrderWithdrawn", "OrderAbsent", "CancelAnswered", "WriteLost"),
    *("AmendAnswered", "AmendRefused", "OrderReported", "FillReported", "OrderProven", "OrderDisputed"),
    *("MakePlan", "Transfer", "BeginClosing", "Place", "PlaceAgain", "Reprice", "Withdraw", "WithdrawAgain", "Forgo"),
    *("GiveUp", "PlaceOrder", "AmendOrder", "CancelOrder", "Renew", "RenewalDue"),
}

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World


@pytest.fixture(scope="module")
def worked(world: World) -> Driver:
    """An execution with an order in almost every state, fills, late fills, writes in flight and lost."""
    driver = world.drive(world.scripted(300, 300, 400))
    driver.place()
    one, two, three = (child.client_order_id for child in driver.children)
    driver.accept(client_order_id=one, remaining=300)
    driver.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_100)),)
    driver.look()
    driver.fact(AmendAnswered, client_order_id=one, filled_e2=None, remaining_e2=CountE2(300))
    driver.fill("f1", 100, client_order_id=one)
    driver.fact(PlaceUnconfirmed, client_order_id=two, why="timeout \u00fc\u2603")
    driver.fact(OrderNotFound, client_order_id=two, as_of_us=driver.now_us + 33_000_000)
    driver.fact(OrderRefused, client_order_id=three, code="x", message='"quoted" \\ and more')
    driver.fact(Restored)
    driver.fact(MarketChanged, status="closed")
    driver.fact(CancelAnswered, client_order_id=one, reduced_by_e2=CountE2(200))
    driver.fill("late", 50, client_order_id=one)
    return driver


def test_an_execution_survives_its_encoding(worked: Driver) -> None:
    """Every field comes back."""
    assert decode_snapshot(encode_snapshot(worked.execution)) == worked.execution
    assert len(worked.children) == 3


def test_the_fold_of_the_journal_is_the_snapshot_byte_for_byte(worked: Driver) -> None:
    """At its end and at every length of the journal."""
    for length in range(1, len(worked.journal) + 1):
        folded = fold(decode_entry(*entry) for entry in worked.journal[:length])
        assert folded.seq == length
    assert encode_snapshot(folded) == encode_snapshot(worked.execution)


def test_any_altered_byte_is_noticed(worked: Driver) -> None:
    """Each byte of a snapshot, replaced by each of several others: refused, never another execution."""
    raw = encode_snapshot(worked.execution)
    for position in range(len(raw)):
        for other in (raw[position] ^ 1, raw[position] ^ 0x20, raw[position] ^ 0x80, 0x30, 0x20, 0x22, 0):
            if other != raw[position]:
                with pytest.raises(CorruptSnapshot):
                    decode_snapshot(raw[:position] + bytes([other]) + raw[position + 1 :])


@given(data=st.data())
def test_any_torn_or_rearranged_snapshot_is_noticed(worked: Driver, data: st.DataObject) -> None:
    """Cut short, cut in the middle, doubled, or with bytes put in: refused, or (a blank between two words of the
    envelope) the very same execution; never another one."""
    raw = encode_snapshot(worked.execution)
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    torn = raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:]
    try:
        assert decode_snapshot(torn) == worked.execution
    except CorruptSnapshot:
        assert torn != raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"SQLite format 3\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"version":1,"table":"1.1","checksum":"00000000","execution":{}}',
        b'{"version":' + b"9" * 400 + b',"table":"1.1","checksum":"00000000","execution":{}}',
    ],
    ids=range(12),
)
def test_foreign_bytes_are_refused(raw: bytes) -> None:
    """Whatever else may lie in that column."""
    with pytest.raises(CorruptSnapshot):
        decode_snapshot(raw)
    with pytest.raises(CorruptSnapshot):
        decode_entry(raw, b"[]")
    if raw != b"[]":
        with pytest.raises(CorruptSnapshot):
            decode_entry(encode_event(TimerFired(at_us=1)), raw)


@pytest.mark.parametrize(
    ("field", "value"), [("version", SNAPSHOT_VERSION + 1), ("table", "1.3"), ("table", "1.1"), ("table", "")]
)
def test_a_snapshot_of_another_version_is_refused_by_name(worked: Driver, field: str, value: object) -> None:
    """A newer program's work is not guessed at."""
    fields = msgspec.json.decode(encode_snapshot(worked.execution))
    fields[field] = value
    with pytest.raises(CorruptSnapshot, match="version"):
        decode_snapshot(msgspec.json.encode(fields))


def test_a_snapshot_with_an_unknown_field_is_refused(worked: Driver) -> None:
    """Even under the right checksum: a newer writer must not lose what it wrote."""
    fields = msgspec.json.decode(encode_snapshot(worked.execution))
    fields["more"] = 1
    with pytest.raises(CorruptSnapshot):
        decode_snapshot(msgspec.json.encode(fields))


def test_what_cannot_be_loaded_is_never_stored(worked: Driver) -> None:
    """Constructors check nothing; the encoder does."""
    for broken in (
        replace(worked.execution, seq="7"),
        replace(worked.execution, children=list(worked.children)),
        replace(worked.execution, reason="boredom"),
        replace(worked.execution, target_e2=1.5),
    ):
        with pytest.raises(CorruptSnapshot):
            encode_snapshot(broken)


def test_a_journal_without_effect_or_beginning_is_refused(worked: Driver) -> None:
    """Rows are written only for what changed something."""
    entries = [decode_entry(*entry) for entry in worked.journal]
    with pytest.raises(CorruptSnapshot):
        fold([])
    with pytest.raises(CorruptSnapshot):
        fold([*entries, (TimerFired(at_us=worked.now_us), ())])


def test_tables_name_their_versions() -> None:
    """A snapshot tells under which tables it was made."""
    assert TABLE_VERSIONS == "1.2"
    assert OrderNotSent.__struct_config__.forbid_unknown_fields


def test_names_on_disk_stay() -> None:
    """Events, intents and writes are called thus on disk, whatever their classes are called."""
    tags = {kind.__struct_config__.tag for kind in (*get_args(AnyEvent), *get_args(AnyIntent), *get_args(Write))}
    assert tags == NAMES_ON_DISK
