"""Foreign text is shown without anything that a terminal or a browser would obey."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.text import FAILURE_CHARS_MAX, MARK, clean, clean_lines, describe_failure, escaped_json, one_line
from fsm_exec.core.values.times import is_time, to_iso

BAD = [
    "\x1b[31m", "\x07", "\x08", "\x00", "\x7f", "\x9b31m", "\x85", "\u202a", "\u202e", "\u2066", "\u2069", "\u200b",
    "\u200d", "\u200f", "\u2060", "\ufeff", "\u061c", "\u2028", "\u2029", "\ud800", "\udfff", "\U000e0041", "\u00ad",
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=ascii)
def test_what_does_not_print_is_marked(bad: str) -> None:
    """And what prints stays: letters of any language, brackets, backslashes."""
    text = f"KX-ü[red]\\{bad}Ж"
    assert clean(text).isprintable()
    assert clean(text).startswith("KX-ü[red]\\")
    assert clean(text).endswith("Ж")
    assert len(clean(text)) == len(text)
    assert one_line(f"a \n\t {bad[0]}  b") == (f"a {clean(bad[0])} b" if not bad[0].isspace() else "a b")


@given(text=st.text(st.characters()))
def test_any_text_becomes_printable(text: str) -> None:
    """And what was clean already is what it was."""
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)
    assert all(line.isprintable() for line in clean_lines(text).split("\n"))
    assert clean(text) == text or not text.isprintable()


@given(text=st.text())
def test_json_loses_nothing(text: str) -> None:
    """What does not print stands there as an escape, beyond the first plane as well."""
    shown = escaped_json(json.dumps({"a": text}, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == {"a": text}


def test_times_have_a_text_or_are_none() -> None:
    """The first and the last microsecond that have one, and those beside them."""
    first_us, last_us = -62_135_596_800_000_000, 253_402_300_799_999_999
    assert (to_iso(first_us), to_iso(last_us)) == ("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z")
    assert [is_time(us) for us in (first_us - 1, first_us, last_us, last_us + 1)] == [False, True, True, False]


def test_a_failure_is_described_on_one_line_of_a_bounded_length() -> None:
    """Whatever an algorithm of others raises: its message goes into a reason that is stored and shown."""
    described = describe_failure(ValueError("x" * 100_000 + "\n\x1b[31m"))
    assert described.startswith("ValueError: xxx")
    assert len(described) < 2 * FAILURE_CHARS_MAX
    assert describe_failure(ValueError("a\nb\x1b[31m")) == "ValueError: a b?[31m".replace("?", MARK)
