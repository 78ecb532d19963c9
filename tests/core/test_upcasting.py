"""Raising what older versions wrote, shown with two older versions invented for the purpose."""

from __future__ import annotations

import re
import zlib

import msgspec
import pytest

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.journal.snapshot import (
    decode_entry,
    decode_snapshot,
    encode_parts,
    encode_snapshot,
    upgrade_snapshot,
)
from fsm_exec.core.journal.upcasting import CURRENT_TABLES, Json, Upcast, Version, check_versions, upcast_entry
from tests.golden.histories import HISTORIES


def with_limits(event: Json) -> Json:
    """Version 1 called the limits of a submission `bounds`."""
    if event["type"] == "Submitted":
        event["limits"] = event.pop("bounds")
    return event


def with_maker(intent: Json) -> Json:
    """Version 1 wrote whether a place may take, not whether it may only make."""
    if intent["type"] == "Place":
        intent["post_only"] = not intent.pop("may_take")
    return intent


def with_orders(found: Json) -> Json:
    """Version 1 kept the limits as `bounds`; version 2 called the orders `orders`."""
    found["limits"] = found.pop("bounds")
    found["orders"] = found.pop("children")
    return found


def with_children(found: Json) -> Json:
    found["children"] = found.pop("orders")
    return found


INVENTED = (
    Version(1, tables="0.1", upcast=Upcast(snapshot=with_orders, event=with_limits, intent=with_maker)),
    Version(2, tables="0.1", upcast=Upcast(snapshot=with_children)),
    Version(3, tables=CURRENT_TABLES),
)


def as_version_1(snapshot: bytes, version: int = 1, tables: str = "0.1") -> bytes:
    found = msgspec.json.decode(snapshot)
    body = found["execution"]
    body["bounds"] = body.pop("limits")
    return enveloped(body, version, tables, found.get("parts"))


def enveloped(body: object, version: int, tables: str, parts: object = None) -> bytes:
    raw, said = msgspec.json.encode(body), b"" if parts is None else msgspec.json.encode(parts)
    checksum = f"{zlib.crc32(said, zlib.crc32(raw)):08x}"
    envelope = {"version": version, "table": tables, "checksum": checksum, "execution": body}
    return msgspec.json.encode(envelope if parts is None else {**envelope, "parts": parts})


def entry_as_version_1(event: bytes, intents: bytes) -> tuple[bytes, bytes]:
    fact, wishes = msgspec.json.decode(event), msgspec.json.decode(intents)
    if fact["type"] == "Submitted":
        fact["bounds"] = fact.pop("limits")
    for wish in wishes:
        if wish["type"] == "Place":
            wish["may_take"] = not wish.pop("post_only")
    return msgspec.json.encode(fact), msgspec.json.encode(wishes)


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_an_old_snapshot_and_an_old_journal_are_raised_step_by_step(name: str) -> None:
    """Two versions up, under older tables, in parts or not: the same execution from either, and the fold is the raised
    snapshot."""
    driver = HISTORIES[name]()
    old = as_version_1(encode_snapshot(driver.execution))
    parts = encode_parts(driver.execution)
    assert decode_snapshot(old, INVENTED, parts=parts) == driver.execution
    journal = [decode_entry(*entry_as_version_1(*entry), 1, INVENTED) for entry in driver.journal]
    assert encode_snapshot(fold(journal)) == upgrade_snapshot(old, INVENTED, parts=parts)


def test_a_journal_may_be_of_several_versions() -> None:
    """An execution that lived through an upgrade: its first rows are old, the others new."""
    driver = HISTORIES["filled"]()
    early = [decode_entry(*entry_as_version_1(*entry), 1, INVENTED) for entry in driver.journal[:4]]
    later = [decode_entry(*entry, 3, INVENTED) for entry in driver.journal[4:]]
    assert fold([*early, *later]) == driver.execution


@pytest.mark.parametrize(
    ("version", "tables", "says"),
    [
        (4, "9.9", r"snapshot of version 4 \(tables 9\.9\), by a newer fsm-exec; this one reads versions up to 3"),
        (1, CURRENT_TABLES, r"version 1 \(tables 1\.\d+\), which no fsm-exec has written"),
        (3, "0.1", r"version 3 \(tables 0\.1\), which no fsm-exec has written"),
        (0, "0.1", "which no fsm-exec has written"),
        (-1, "0.1", "which no fsm-exec has written"),
        (2, "0.1", r"the snapshot is not one of version 2: KeyError\('orders'\)"),
    ],
)
def test_what_no_version_can_have_written_is_refused_by_name(version: int, tables: str, says: str) -> None:
    """One line that says which version it is; version 2 here lacks what that version has."""
    raw = as_version_1(encode_snapshot(HISTORIES["filled"]().execution), version, tables)
    with pytest.raises(CorruptSnapshot, match=says) as caught:
        decode_snapshot(raw, INVENTED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [[], "text", None, 7, {}, {"bounds": 1, "children": {}}])
def test_an_old_snapshot_of_another_shape_is_refused(body: object) -> None:
    """Under a right checksum too, and whatever the upcast makes of it."""
    with pytest.raises(CorruptSnapshot):
        decode_snapshot(enveloped(body, 1, "0.1"), INVENTED)


def test_an_old_journal_row_of_another_shape_is_refused() -> None:
    """Its event and its intents alike, and a row of a newer program by its version."""
    with pytest.raises(CorruptSnapshot, match="the event is not one of version 1"):
        decode_entry(b"{}", b"[]", 1, INVENTED)
    with pytest.raises(CorruptSnapshot, match="the intent is not one of version 1"):
        decode_entry(b'{"type":"ClockStruck","at_us":1}', b"[{}]", 1, INVENTED)
    with pytest.raises(CorruptSnapshot, match=re.escape("journal row of version 4, by a newer fsm-exec")):
        decode_entry(b"{}", b"[]", 4, INVENTED)


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ((Version(2, tables=CURRENT_TABLES),), "without a gap"),
        ((Version(1, tables="0.1"), Version(2, tables=CURRENT_TABLES)), "needs an upcast"),
        ((Version(1, tables=CURRENT_TABLES, upcast=Upcast()),), "the newest has none"),
        ((Version(1, tables="0.1"),), r"the tables are of version \d+\.\d+: add a Version"),
        ((), "needs an upcast|without a gap|newest"),
    ],
)
def test_a_mistake_in_the_versions_is_found_at_import(versions: tuple[Version, ...], says: str) -> None:
    """A table with a new version, a missing step or a gap stops the program before it reads anything."""
    with pytest.raises(TypeError, match=says):
        check_versions(versions)


def test_a_cross_of_before_version_4_stays_a_refusal() -> None:
    """Wherever an older row tells of it: in an answer or a report, in what a start found, in a proof."""
    report = {"type": "OrderReported", "cause": "PostOnlyCrossCancel"}
    for alone in ("OrderAccepted", "OrderRefused", "AmendRefused", "OrderReported"):
        raised, _ = upcast_entry({"type": alone}, [], 3)
        assert raised["counts_cross"]
    for version in (1, 2, 3):
        found, _ = upcast_entry({"type": "Restored", "orders": [dict(report)]}, [], version)
        proof, _ = upcast_entry({"type": "OrderProven", "order": dict(report)}, [], version)
        assert found["orders"][0]["counts_cross"]
        assert proof["order"]["counts_cross"]
    assert upcast_entry({"type": "OrderProven", "order": None}, [], 3)[0]["order"] is None
    assert "counts_cross" not in upcast_entry({"type": "CancelAnswered"}, [], 3)[0]
