"""Times as text, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.values.times import from_iso, to_iso

FIRST_US = -62_135_596_800_000_000  # the year 1
LAST_US = 253_402_300_799_999_999  # the end of the year 9999


@given(st.integers(FIRST_US, LAST_US))
def test_every_microsecond_survives_the_round_trip(at_us: int) -> None:
    """The text of any time within the calendar reads back as the same time, and is what datetime says."""
    text = to_iso(at_us)
    assert from_iso(text) == at_us
    known = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    assert text == known.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@given(st.lists(st.integers(FIRST_US, LAST_US)))
def test_text_sorts_like_time(times: list[int]) -> None:
    """Sorting the text sorts the times."""
    assert [from_iso(text) for text in sorted(map(to_iso, times))] == sorted(times)


@pytest.mark.parametrize("at_us", [FIRST_US - 1, LAST_US + 1, 10**30])
def test_times_outside_the_calendar_are_refused(at_us: int) -> None:
    """No text is made up for what has none."""
    with pytest.raises((ValueError, OverflowError)):
        to_iso(at_us)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-04-10T18:00:00Z",
        "2023-04-10 18:00:00.000000Z",
        "2023-04-10T18:00:00.000000+00:00",
        "2023-04-10T24:00:00.000000Z",
        "2023-04-10T18:60:00.000000Z",
        "2023-04-10T18:00:60.000000Z",
        "2023-02-29T18:00:00.000000Z",
        "2023-04-10T18:00:00.000000Z\n",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """Only the one format is read."""
    with pytest.raises(ValueError):  # noqa: PT011  the text of datetime's own errors is not ours to fix
        from_iso(text)
