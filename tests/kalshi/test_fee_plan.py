"""What a market charges, now and later, where an announcement says nonsense."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import pytest

from fsm_exec.core.market.terms import FeeChange
from fsm_exec.kalshi.fee_plan import Announced, Announcements, Stated, fee_plan
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies

MARKET = client_bodies.Market(ticker="M")
EVENT = client_bodies.Event(event_ticker="E")
SERIES = client_bodies.Series(ticker="S", fee_type="quadratic", fee_multiplier=Decimal(1))
NOW_US, LATER_US = 1_000, 2_000


def announcements(of: Literal["series", "events"], at_us: int, stated: Stated) -> Announcements:
    row = Announced("S" if of == "series" else "E", at_us, stated)
    return Announcements(series=[row]) if of == "series" else Announcements(events=[row])


@pytest.mark.parametrize(
    ("of", "stated"),
    [
        ("series", Stated(None, Decimal(2))),
        ("series", Stated("quadratic", None)),
        ("series", Stated("quadratic", Decimal(-1))),
        ("events", Stated(None, Decimal("NaN"))),
        ("events", Stated("quadratic", Decimal("1e400"))),
        ("events", Stated("of a new kind", Decimal(1))),
    ],
)
def test_an_announcement_of_nonsense_leaves_today_as_it_is(of: Literal["series", "events"], stated: Stated) -> None:
    """Today's fees are known all the same, and from its time on nobody knows them; in force it is no answer."""
    today = fee_plan(MARKET, EVENT, SERIES, NOW_US, Announcements())
    plan = fee_plan(MARKET, EVENT, SERIES, NOW_US, announcements(of, LATER_US, stated))
    assert plan.now == today.now
    assert plan.later == (FeeChange(LATER_US, None),)


def test_nonsense_that_holds_now_is_no_answer() -> None:
    """A change whose time has come and that says nothing cannot be priced."""
    with pytest.raises(Malformed, match="fee_type is missing"):
        fee_plan(MARKET, EVENT, SERIES, NOW_US, announcements("series", NOW_US, Stated(None, Decimal(2))))
