"""The reference design's review on planted rows: what counts in which share, each verdict, and how long to wait."""

from __future__ import annotations

import pytest

from fsm_exec.lab.evidence import Proposal
from fsm_exec.lab.proportions import further_needed, proportion
from fsm_exec.lab.review import TRIGGERS, Figures, Measure, figures, grouped, verdict
from fsm_exec.store.reads.review_queries import EndedRow, OpportunityRow
from tests.lab.review_rows import opportunity, trade


def shares(found: Figures) -> dict[str, tuple[int, int, int]]:
    """Hits, number and unknown of each."""

    def told(measure: Measure) -> tuple[int, int, int]:
        return measure.found.hits, measure.found.number, measure.unknown

    return {trigger.name: told(found.of(trigger)) for trigger in TRIGGERS} | {"arrival": told(found.arrival_slippage)}


def test_a_trade_is_an_execution_that_ended_with_a_fill() -> None:
    """Slippage counts above 1.5 %, not at it; without a fill there is no trade, without metrics it is not known."""
    rows = [
        trade(slippage="0.015001"),
        trade(slippage="0.015000"),
        trade(slippage="-0.100000"),
        trade(filled=0),
        trade(filled=None),
        trade(slippage=None, target_price=None),
    ]
    assert shares(figures(rows, []))["slippage"] == (1, 3, 2)


def test_the_mid_on_arrival_is_the_other_measure() -> None:
    """1.5 % of the mid itself; whoever had no book on arrival is unknown there, and only there."""
    rows = [
        trade(arrival=("0.50000", "0.007501")),
        trade(arrival=("0.50000", "0.007500")),
        trade(arrival=("0.04000", "0.000700")),
        trade(arrival=(None, None)),
    ]
    assert shares(figures(rows, []))["arrival"] == (2, 3, 1)
    assert shares(figures(rows, []))["slippage"] == (0, 4, 0)


def test_a_fill_failure_is_a_limit_that_ended_short() -> None:
    """By a hundredth is short. A market order waits at no limit, nor does what never had a price; who ended it does not
    matter to the reference design, and is told beside."""
    rows = [
        trade(filled=10),
        trade(filled=9),
        trade(filled=0, reason="user"),
        trade(filled=None),
        trade(filled=0, method="market"),
        trade(filled=0, target_price=None),
    ]
    found = figures(rows, [])
    assert shares(found)["fill_failures"] == (2, 3, 1)
    assert (found.ended, found.ended_by_owner) == (6, 1)


def test_an_opportunity_counts_whether_accepted_or_refused() -> None:
    """Thin is under 100 contracts; a volume that is not known is never thin."""
    chances = [
        opportunity(volume=99),
        opportunity(volume=100),
        opportunity(volume=0, refusal="over_limit"),
        opportunity(volume=None),
    ]
    found = figures([], chances)
    assert shares(found)["thin_markets"] == (2, 3, 1)
    assert (found.opportunities, found.refused) == (4, 1)


def test_groups_are_of_what_the_rows_say() -> None:
    """By market type, series and method; a market that is not in the database is unknown; the largest group first."""
    rows = [trade(type="Sports", series="KXA"), trade(type=None, series=None, method="deadline_walker")]
    chances = [opportunity(type="Crypto", series="KXB", method="market"), *[opportunity(type=None, series=None)] * 2]
    assert {name: (found.ended, found.opportunities) for name, found in grouped("type", rows, chances).items()} == {
        "unknown": (1, 2),
        "Crypto": (0, 1),
        "Sports": (1, 0),
    }
    assert list(grouped("series", rows, chances)) == ["unknown", "KXA", "KXB"]
    assert list(grouped("method", rows, chances)) == ["simple_limit@1", "deadline_walker@1", "market@1"]


CHEAPER = Proposal("deadline_walker@1", "in the lab it is")
NONE_CHEAPER = Proposal(None, "none is")


def weeks(slipped: int, short: int, thin: int, *, of: int = 300) -> tuple[list[EndedRow], list[OpportunityRow]]:
    """So many of each, one in every block."""
    rows = [
        trade(n, slippage="0.020000" if n < slipped else "0.000000", filled=9 if n < short else 10) for n in range(of)
    ]
    return rows, [opportunity(n, volume=1 if n < thin else 1_000) for n in range(of)]


@pytest.mark.parametrize(
    ("planted", "word", "because"),
    [
        ((120, 0, 0), "adopt", ["slippage"]),
        ((0, 60, 0), "adopt", ["fill"]),
        ((0, 0, 150), "adopt", ["thin"]),
        ((120, 60, 90), "adopt", ["slippage", "fill"]),
        ((30, 9, 45), "stay", ["slippage", "fill", "thin"]),
        ((30, 30, 45), "wait", ["fill"]),
        ((75, 9, 90), "wait", ["slippage", "thin"]),
    ],
)
def test_the_verdict_goes_by_the_intervals(planted: tuple[int, int, int], word: str, because: list[str]) -> None:
    """Adopt for one whole interval above its threshold; stay for all below; else wait, for those that lie across."""
    found = verdict(figures(*weeks(*planted)), CHEAPER)
    assert found.word == word
    because = [*because, "in"] if word == "adopt" else because
    assert [reason.split()[0] for reason in found.reasons] == because
    assert found.method == ("deadline_walker@1" if word == "adopt" else None)
    assert (found.further != {}) == (word == "wait")


def test_a_need_is_no_remedy() -> None:
    """Slippage calls for another method, and none is shown to be cheaper: nothing is adopted, and both are said."""
    found = verdict(figures(*weeks(120, 60, 90)), NONE_CHEAPER)
    assert (found.word, found.method) == ("stay", None)
    assert found.reasons[-1] == "none is"
    assert found.reasons[0].startswith("slippage above 1.5 %: 40.0 % of 300 trades")
    assert verdict(figures(*weeks(30, 9, 45)), NONE_CHEAPER) == verdict(figures(*weeks(30, 9, 45)), CHEAPER)


def test_nothing_measured_is_no_reason_to_stay() -> None:
    """Without a single known volume the third trigger is open, and the least that could close it is told."""
    rows, _ = weeks(30, 9, 0)
    found = verdict(figures(rows, [opportunity(volume=None)] * 50), CHEAPER)
    assert found.word == "wait"
    assert found.reasons == ("thin markets: no opportunities measured, at least 13 needed",)
    further = found.further["thin_markets"]
    assert further == 13
    assert proportion((n, False) for n in range(further)).high < 0.30
    assert proportion((n, False) for n in range(further - 1)).high >= 0.30


def test_waiting_for_as_long_as_was_said_decides() -> None:
    """At the same rate and in the same blocks, so many more and the interval is off the threshold; a few less, and it
    is not. A rate that lies at its threshold is not promised an end."""
    found = proportion((n // 2, n % 7 == 0) for n in range(140))
    needed = further_needed(found, 0.10)
    assert needed is not None
    assert found.low < 0.10
    assert needed > 30
    many = proportion((n // 2, n % 7 == 0) for n in range(140 + needed + 14))
    assert many.low > 0.10
    few = proportion((n // 2, n % 7 == 0) for n in range(140 + needed - 28))
    assert few.low < 0.10
    assert further_needed(many, 0.10) == 0
    assert further_needed(proportion((n, n % 10 == 0) for n in range(100)), 0.10) is None
