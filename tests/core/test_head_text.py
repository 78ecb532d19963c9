"""What an execution was accepted as is encoded and checked once, and the text is that of encoding all of it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal import head_text
from fsm_exec.core.journal.head_text import FIXED, MOVING, encode_head
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION, TABLE_VERSIONS, encode_parts, encode_snapshot
from fsm_exec.core.values.units import CountE2
from tests.golden.histories import HISTORIES

if TYPE_CHECKING:
    from tests.core.conftest import Driver

STEPS_MAX = 12


@pytest.fixture(scope="module")
def drivers() -> list[Driver]:
    """Executions of the same id, as two databases have them, and each field otherwise in some two of them."""
    return [make() for make in HISTORIES.values()]


@given(data=st.data())
def test_the_text_is_that_of_encoding_all_of_it(drivers: list[Driver], data: st.DataObject) -> None:
    """In any order of executions and of changes to any of their fields, remembered, forgotten and remembered again."""
    executions = [driver.execution for driver in drivers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_text, "REMEMBERED", data.draw(st.integers(1, 3)))
        for _ in range(data.draw(st.integers(1, STEPS_MAX))):
            one = data.draw(st.sampled_from(executions))
            other = data.draw(st.sampled_from(executions))
            name = data.draw(st.sampled_from((*FIXED, *MOVING)))
            changed = replace(one, **{name: getattr(other, name)})
            for execution in (changed, one, replace(one, execution_id=data.draw(st.sampled_from("abcde")))):
                for _ in range(2):
                    assert encode_head(execution) == msgspec.json.encode(execution)


def test_the_envelope_is_what_it_ever_was(drivers: list[Driver]) -> None:
    """Version, tables, checksum, execution and, of a long one, the parts, as an encoder puts them."""
    for driver in drivers:
        found = msgspec.json.decode(encode_snapshot(driver.execution))
        said = msgspec.json.encode(found["parts"]) if "parts" in found else b""
        body = msgspec.json.encode(found["execution"])
        expected: dict[str, object] = {
            "version": SNAPSHOT_VERSION,
            "table": TABLE_VERSIONS,
            "checksum": f"{zlib.crc32(said, zlib.crc32(body)):08x}",
            "execution": msgspec.Raw(body),
        }
        assert bool(said) == bool(encode_parts(driver.execution))
        if said:
            expected["parts"] = msgspec.Raw(said)
        assert encode_snapshot(driver.execution) == msgspec.json.encode(expected)


def test_what_is_equal_and_no_more_is_encoded_and_checked_again(drivers: list[Driver]) -> None:
    """A value of another type that is equal to the one that was checked, in any field: refused, and nothing stale is
    stored in its place."""
    execution = next(driver.execution for driver in drivers if driver.execution.limits is not None)
    limits = execution.limits
    assert limits is not None
    for name, wrong in (
        ("target_e2", float(execution.target_e2)),
        ("deadline_us", float(execution.deadline_us)),
        ("grace_us", float(execution.grace_us)),
        ("reduce_only", 0),
        ("draining", 0),
        ("walks", False),
        ("limits", replace(limits, cap_e6=float(limits.cap_e6))),
        ("arrival", replace(execution.arrival, book_seq=float(execution.arrival.book_seq))),
        ("terms", replace(execution.terms, status="ajar")),
        ("instance", 7),
        ("children", list(execution.children)),
    ):
        assert encode_head(execution) == msgspec.json.encode(execution)
        broken: Execution = replace(execution, **{name: wrong})
        for _ in range(2):
            try:
                text = encode_head(broken)
            except CorruptSnapshot:
                continue
            assert text == msgspec.json.encode(broken), name
            assert msgspec.json.decode(text, type=Execution) == broken, name
    with pytest.raises(CorruptSnapshot):
        encode_head(replace(execution, target_e2=CountE2(1.5)))  # type: ignore[arg-type]  # what must not be stored


def test_no_more_is_remembered_than_has_room(drivers: list[Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many executions there are, one after the other."""
    monkeypatch.setattr(head_text, "REMEMBERED", 3)
    for number in range(20):
        encode_head(replace(drivers[0].execution, execution_id=f"e{number}"))
        assert len(head_text._REMEMBERED.by_id) <= 3
    assert list(head_text._REMEMBERED.by_id) == ["e17", "e18", "e19"]
